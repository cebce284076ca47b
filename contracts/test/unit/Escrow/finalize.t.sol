// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../../src/types/Outcomes.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

contract FinalizeTest is EscrowBase {
    function test_an_order_never_delivered_returns_to_the_buyer(Seed memory seed, address sender, uint40 late) public {
        vm.assume(sender != address(0));
        IEscrow.Order memory order = _orderFrom(seed);
        order.flags &= FEE_ON_TOP;
        bytes32 id = _fund(order);
        vm.warp(order.deliverBy + bound(late, 0, 1000 days));

        vm.expectEmit(address(escrow));
        emit IEscrow.Settled(id, buyer, provider, 0, 0, _deposit(order), Outcomes.UNDELIVERED_REFUNDED, bytes32(0));
        vm.prank(sender);
        escrow.finalize(order);

        _assertOutcome(order, Outcomes.UNDELIVERED_REFUNDED);
        _assertMoney(_deposit(order), 0, 0, 0);
    }

    function test_an_order_that_pays_undelivered_pays_the_provider(Seed memory seed, uint40 late) public {
        IEscrow.Order memory order = _orderFrom(seed);
        order.flags |= PAY_UNDELIVERED;
        bytes32 id = _fund(order);
        vm.warp(order.deliverBy + bound(late, 0, 1000 days));
        uint256 fee = _fee(order, order.amount);

        vm.expectEmit(address(escrow));
        emit IEscrow.Settled(id, buyer, provider, _fullPay(order), fee, 0, Outcomes.UNDELIVERED_PAID, bytes32(0));
        escrow.finalize(order);

        _assertOutcome(order, Outcomes.UNDELIVERED_PAID);
        _assertMoney(0, _fullPay(order), fee, fee);
    }

    function test_a_delivered_order_is_paid_when_the_buyer_stays_silent(Seed memory seed, uint40 late) public {
        IEscrow.Order memory order = _orderFrom(seed);
        bytes32 id = _fund(order);
        _deliver(order);
        vm.warp(block.timestamp + order.reviewSecs + bound(late, 0, 1000 days));
        uint256 fee = _fee(order, order.amount);

        vm.expectEmit(address(escrow));
        emit IEscrow.Settled(id, buyer, provider, _fullPay(order), fee, 0, Outcomes.DELIVERED_PAID, bytes32(0));
        escrow.finalize(order);

        _assertOutcome(order, Outcomes.DELIVERED_PAID);
        _assertMoney(0, _fullPay(order), fee, fee);
    }

    function test_a_dispute_without_counter_returns_everything_and_takes_no_stake(
        Seed memory seed,
        uint96 bond,
        uint40 late
    ) public {
        IEscrow.Order memory order = _orderFrom(seed);
        (order.bond, order.stake) = (uint96(bound(bond, 0, order.amount)), 7);
        _bringTo(order, IEscrow.Status.Disputed);
        vm.warp(NOW + order.counterSecs + bound(late, 0, 1000 days));

        _expectSettled(order, 0, Outcomes.UNCOUNTERED_REFUNDED, bytes32(0));
        escrow.finalize(order);

        _assertOutcome(order, Outcomes.UNCOUNTERED_REFUNDED);
        _assertMoney(_deposit(order) + order.bond, 0, 0, 0);
        vm.assertEq(stake.free(provider), 7, "stake rule: a timeout never slashes");
    }

    function test_a_silent_arbitrator_means_the_part_the_order_says_and_both_bonds_return(
        Seed memory seed,
        uint96 bond,
        uint16 silentBps,
        uint40 late
    ) public {
        IEscrow.Order memory order = _orderFrom(seed);
        (order.bond, order.stake) = (uint96(bound(bond, 0, order.amount)), 7);
        order.silentBps = uint16(bound(silentBps, 0, 10_000));
        _bringTo(order, IEscrow.Status.Arbitrating);
        vm.warp(NOW + order.ruleSecs + bound(late, 0, 1000 days));
        uint256 pay = uint256(order.amount) * order.silentBps / 10_000;

        _expectSettled(order, pay, Outcomes.SILENT, bytes32(0));
        escrow.finalize(order);

        _assertOutcome(order, Outcomes.SILENT);
        _assertDivided(order, pay, order.bond, order.bond);
        vm.assertEq(stake.free(provider), 7, "stake rule: a timeout never slashes");
    }

    function test_stake_rule_a_timeout_never_slashes() public {
        IEscrow.Order memory order = _seriousOrder();
        _fundSigned(order);
        vm.warp(order.deliverBy);
        escrow.finalize(order);
        vm.assertEq(stake.free(provider), order.stake, "free");
        _assertMoney(5_125_000, 0, 0, 0);
    }

    function test_delivery_in_the_last_second_still_gives_the_buyer_the_whole_review_window() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        vm.warp(order.deliverBy - 1);
        _deliver(order);
        uint256 ends = order.deliverBy - 1 + order.reviewSecs;
        vm.warp(ends - 1);
        _refused(order, abi.encodeWithSelector(IEscrow.TooEarly.selector, ends - 1, ends));
        vm.warp(ends);
        escrow.finalize(order);
        _assertOutcome(order, Outcomes.DELIVERED_PAID);
    }

    function test_a_denied_party_is_credited_and_does_not_block_the_exit() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        usdc.deny(buyer, true);
        vm.warp(order.deliverBy);
        escrow.finalize(order);
        _assertOutcome(order, Outcomes.UNDELIVERED_REFUNDED);
        vm.assertEq(escrow.owed(buyer), 5_125_000, "owed to the buyer");
    }

    function test_the_review_window_stays_readable_after_settlement() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _deliver(order);
        uint256 ends = block.timestamp + order.reviewSecs;
        vm.warp(ends);
        escrow.finalize(order);
        (,,, uint40 reviewEnds) = escrow.statusOf(order);
        vm.assertEq(reviewEnds, ends, "review ends");
    }

    function test_reverts_when_delivery_is_still_possible(Seed memory seed, uint40 wait) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _fund(order);
        uint256 time = bound(wait, NOW, order.deliverBy - 1);
        vm.warp(time);
        _refused(order, abi.encodeWithSelector(IEscrow.TooEarly.selector, time, order.deliverBy));
    }

    function test_reverts_when_the_review_window_is_open(Seed memory seed, uint32 wait) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _fund(order);
        _deliver(order);
        uint256 time = NOW + bound(wait, 0, order.reviewSecs - 1);
        vm.warp(time);
        _refused(order, abi.encodeWithSelector(IEscrow.TooEarly.selector, time, NOW + order.reviewSecs));
    }

    function test_reverts_when_the_counter_window_is_open(uint32 wait) public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        uint256 time = NOW + bound(wait, 0, order.counterSecs - 1);
        vm.warp(time);
        _refused(order, abi.encodeWithSelector(IEscrow.TooEarly.selector, time, NOW + order.counterSecs));
    }

    function test_reverts_when_the_ruling_window_is_open(uint32 wait) public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        uint256 time = NOW + bound(wait, 0, order.ruleSecs - 1);
        vm.warp(time);
        _refused(order, abi.encodeWithSelector(IEscrow.TooEarly.selector, time, NOW + order.ruleSecs));
    }

    function test_reverts_when_the_order_was_never_funded() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        order.feeTo = provider;
        vm.warp(order.deliverBy);
        _refused(order, _badState(order, IEscrow.Status.None));
    }

    function test_reverts_when_the_order_is_settled() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        vm.warp(order.deliverBy);
        escrow.finalize(order);
        _refused(order, _badState(order, IEscrow.Status.Settled));
    }

    function _refused(IEscrow.Order memory order, bytes memory answer) private {
        vm.expectRevert(answer);
        escrow.finalize(order);
    }
}
