// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {StakeBook} from "../../mocks/StakeBook.sol";

/// @notice No money can be stuck (invariant 6): from any state, with any one party silent for ever or denied by the token,
/// time and anybody's `finalize` end the order.
contract LivenessTest is EscrowBase {
    IEscrow.Status[4] private _lives =
        [IEscrow.Status.Funded, IEscrow.Status.Delivered, IEscrow.Status.Disputed, IEscrow.Status.Arbitrating];

    function test_from_any_state_with_anyone_denied_the_clock_drains_the_order(
        Seed memory seed,
        uint96 bond,
        uint256 where,
        uint256 who,
        bool brokenStake
    ) public {
        IEscrow.Order memory order = _orderFrom(seed);
        (order.bond, order.stake) = (uint96(bound(bond, 0, order.amount)), 5);
        order.silentBps = uint16(bond % 10_001);
        _bringTo(order, _lives[where % 4]);
        uint256 holds = _deposit(order) + _bonds(order);
        vm.assertEq(usdc.balanceOf(address(escrow)), holds, "holds deposit and bonds");
        if (brokenStake) stake.fail(StakeBook.Failure.BurnGas);
        _denyOne(who, true);

        vm.warp(_windowEnd(order));
        vm.prank(eve);
        escrow.finalize(order);

        _assertStatus(order, IEscrow.Status.Settled);
        vm.assertEq(usdc.balanceOf(address(escrow)), _owed(), "nothing stays that belongs to nobody");

        _denyOne(who, false);
        address[4] memory people = [buyer, provider, arbitrator, sink];
        for (uint256 i = 0; i < 4; i++) {
            if (escrow.owed(people[i]) != 0) escrow.withdraw(people[i]);
        }
        vm.assertEq(usdc.balanceOf(address(escrow)), 0, "drained");
        uint256 out = usdc.balanceOf(buyer) + usdc.balanceOf(provider) + usdc.balanceOf(sink);
        vm.assertEq(out, holds, "to the three it belongs to");
    }

    function test_the_longest_an_order_can_hold_money_is_what_was_signed(Seed memory seed, uint256 where) public {
        IEscrow.Order memory order = _orderFrom(seed);
        uint256 longest = uint256(order.deliverBy) + order.reviewSecs + order.counterSecs + order.ruleSecs;
        // everybody waits until the last second of every window
        _fundSigned(order);
        where = where % 4;
        if (where > 0) {
            vm.warp(order.deliverBy - 1);
            _deliver(order);
        }
        if (where > 1) {
            vm.warp(_windowEnd(order) - 1);
            _dispute(order);
        }
        if (where > 2) {
            vm.warp(_windowEnd(order) - 1);
            _counter(order);
        }
        vm.assertTrue(_windowEnd(order) < longest, "bounded");
        vm.warp(_windowEnd(order));
        escrow.finalize(order);
        _assertStatus(order, IEscrow.Status.Settled);
    }

    function test_no_window_can_be_opened_a_second_time(Seed memory seed) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _bringTo(order, IEscrow.Status.Arbitrating);
        uint256 end = _windowEnd(order);
        vm.expectRevert(_badState(order, IEscrow.Status.Arbitrating));
        vm.prank(provider);
        escrow.deliver(order, bytes32(0));
        bytes memory auth = _bondAuth(BUYER_KEY, order, BUYER_SIDE, EVIDENCE, end);
        vm.expectRevert(_badState(order, IEscrow.Status.Arbitrating));
        escrow.dispute(order, EVIDENCE, auth);
        auth = _bondAuth(PROVIDER_KEY, order, PROVIDER_SIDE, EVIDENCE, end);
        vm.expectRevert(_badState(order, IEscrow.Status.Arbitrating));
        escrow.counter(order, auth);
        vm.assertEq(_windowEnd(order), end, "the same window");
    }

    function _bonds(IEscrow.Order memory order) private view returns (uint256) {
        IEscrow.Status status = _status(order);
        if (status == IEscrow.Status.Arbitrating) return 2 * uint256(order.bond);
        return status == IEscrow.Status.Disputed ? order.bond : 0;
    }

    function _denyOne(uint256 who, bool on) private {
        address[6] memory people = [buyer, provider, arbitrator, sink, address(escrow), eve];
        usdc.deny(people[who % 6], on);
    }

    function _owed() private view returns (uint256) {
        return escrow.owed(buyer) + escrow.owed(provider) + escrow.owed(arbitrator) + escrow.owed(sink);
    }
}
