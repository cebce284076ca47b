// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../../src/types/Outcomes.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

contract DeliverTest is EscrowBase {
    function test_the_provider_opens_the_review_window(Seed memory seed, uint40 wait, bytes32 deliverable) public {
        IEscrow.Order memory order = _orderFrom(seed);
        bytes32 id = _fund(order);
        vm.warp(bound(wait, NOW, order.deliverBy - 1));
        uint40 ends = uint40(block.timestamp) + order.reviewSecs;

        vm.expectEmit(address(escrow));
        emit IEscrow.Delivered(id, deliverable, ends);
        vm.prank(provider);
        escrow.deliver(order, deliverable);

        (IEscrow.Status status,,, uint40 reviewEnds) = escrow.statusOf(order);
        vm.assertEq(uint256(status), uint256(IEscrow.Status.Delivered), "status");
        vm.assertEq(reviewEnds, ends, "review ends");
        _assertMoney(0, 0, 0, _deposit(order));
    }

    function test_consent_is_kept() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        escrow.fund(order, _buyerAuth(order), _providerSig(order));
        _deliver(order);
        (,, bool consented,) = escrow.statusOf(order);
        vm.assertTrue(consented, "consented");
    }

    function test_whoever_delivers_has_agreed_to_the_order() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        (,, bool before,) = escrow.statusOf(order);
        _deliver(order);
        (,, bool consented,) = escrow.statusOf(order);
        vm.assertTrue(!before && consented, "consented by delivering");
    }

    /// @notice The limit that the documentation tells buyers about: nodes make orders without an arbitrator until they
    /// file disputes, and such an order knows none.
    function test_known_limit_dishonest_deliver_takes_the_money_until_disputes_exist() public {
        IEscrow.Order memory order = _order();
        order.arbitrator = address(0);
        _fund(order);

        // bob did nothing, and says he did
        vm.prank(provider);
        escrow.deliver(order, bytes32(0));

        // alice has no move: only the review window to watch run out
        vm.warp(block.timestamp + order.reviewSecs);
        escrow.finalize(order);
        _assertOutcome(order, Outcomes.DELIVERED_PAID);
        _assertMoney(0, 5_000_000, 125_000, 125_000);
    }

    function test_a_dispute_stops_a_dishonest_deliver_from_taking_the_money() public {
        IEscrow.Order memory order = _order();
        _fund(order);

        // bob did nothing, and says he did
        vm.prank(provider);
        escrow.deliver(order, bytes32(0));

        // alice objects in the last second; bob has nothing to show, and stays silent
        vm.warp(block.timestamp + order.reviewSecs - 1);
        _dispute(order);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.TooEarly.selector, block.timestamp, block.timestamp - 1 + order.counterSecs)
        );
        escrow.finalize(order);

        vm.warp(block.timestamp - 1 + order.counterSecs);
        escrow.finalize(order);
        _assertOutcome(order, Outcomes.UNCOUNTERED_REFUNDED);
        _assertMoney(5_125_000, 0, 0, 0);
    }

    function test_reverts_when_anyone_but_the_provider_calls(address caller) public {
        vm.assume(caller != provider);
        IEscrow.Order memory order = _order();
        _fund(order);
        _refused(order, caller, abi.encodeWithSelector(IEscrow.NotParty.selector, caller));
        _refused(order, buyer, abi.encodeWithSelector(IEscrow.NotParty.selector, buyer));
    }

    function test_a_delivery_may_be_posted_until_its_last_second_and_not_in_it() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        vm.warp(order.deliverBy);
        _refused(order, provider, abi.encodeWithSelector(IEscrow.TooLate.selector, order.deliverBy, order.deliverBy));
        vm.warp(order.deliverBy - 1);
        _deliver(order);
        _assertStatus(order, IEscrow.Status.Delivered);
    }

    function test_reverts_when_the_delivery_window_is_over(uint40 late) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        uint256 time = order.deliverBy + bound(late, 0, 1000 days);
        vm.warp(time);
        _refused(order, provider, abi.encodeWithSelector(IEscrow.TooLate.selector, time, order.deliverBy));
    }

    function test_reverts_when_the_order_was_never_funded() public {
        IEscrow.Order memory order = _order();
        _refused(order, provider, _badState(order, IEscrow.Status.None));
    }

    function test_reverts_when_delivery_was_posted_before() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _deliver(order);
        _refused(order, provider, _badState(order, IEscrow.Status.Delivered));
    }

    function test_reverts_when_the_order_is_settled() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        _refused(order, provider, _badState(order, IEscrow.Status.Settled));
    }

    function _refused(IEscrow.Order memory order, address caller, bytes memory answer) private {
        vm.expectRevert(answer);
        vm.prank(caller);
        escrow.deliver(order, keccak256("the work"));
    }
}
