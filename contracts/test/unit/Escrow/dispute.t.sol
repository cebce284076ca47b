// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract DisputeTest is EscrowBase {
    function test_the_buyer_disputes_a_delivery_with_a_bond(
        Seed memory seed,
        uint96 bond,
        bytes32 evidence,
        uint32 wait
    ) public {
        IEscrow.Order memory order = _orderFrom(seed);
        order.bond = uint96(bound(bond, 0, order.amount));
        bytes32 id = _fundSigned(order);
        _deliver(order);
        uint256 end = _windowEnd(order);
        vm.warp(NOW + bound(wait, 0, order.reviewSecs - 1));
        usdc.mint(buyer, order.bond);
        bytes memory auth = _bondAuth(BUYER_KEY, order, BUYER_SIDE, evidence, end);

        vm.expectEmit(address(escrow));
        emit IEscrow.Disputed(id, buyer, evidence);
        vm.prank(relayer);
        escrow.dispute(order, evidence, auth);

        (IEscrow.Status status,,, uint40 counterEnds) = escrow.statusOf(order);
        vm.assertEq(uint256(status), uint256(IEscrow.Status.Disputed), "status");
        vm.assertEq(counterEnds, block.timestamp + order.counterSecs, "counter ends");
        vm.assertEq(escrow.evidenceOf(id), evidence, "evidence");
        _assertMoney(0, 0, 0, _deposit(order) + order.bond);
    }

    function test_an_order_that_pays_undelivered_can_be_disputed_before_the_deadline(uint40 wait) public {
        IEscrow.Order memory order = _seriousOrder();
        order.flags |= PAY_UNDELIVERED;
        _fundSigned(order);
        vm.warp(bound(wait, NOW, order.deliverBy - 1));
        _dispute(order);
        _assertStatus(order, IEscrow.Status.Disputed);
    }

    function test_a_contract_wallet_may_dispute_with_and_without_a_bond() public {
        IEscrow.Order memory order = _order();
        order.buyer = address(new Wallet1271(buyer));
        _bringTo(order, IEscrow.Status.Disputed);
        order.bond = 1;
        _bringTo(order, IEscrow.Status.Disputed);
        _assertStatus(order, IEscrow.Status.Disputed);
    }

    function test_the_stake_stays_locked_while_disputed() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        vm.assertEq(stake.lockedFor(escrow.orderId(order)), order.stake, "locked");
    }

    function test_reverts_when_nothing_was_delivered_and_the_clock_is_on_the_buyers_side() public {
        IEscrow.Order memory order = _seriousOrder();
        _fundSigned(order);
        _refused(order, _badState(order, IEscrow.Status.Funded));
    }

    function test_reverts_when_the_review_window_is_over(uint32 late) public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Delivered);
        uint256 end = _windowEnd(order);
        uint256 time = end + uint256(late);
        vm.warp(time);
        _refused(order, abi.encodeWithSelector(IEscrow.TooLate.selector, time, end));
    }

    function test_reverts_when_the_delivery_deadline_of_a_paying_order_is_over() public {
        IEscrow.Order memory order = _seriousOrder();
        order.flags |= PAY_UNDELIVERED;
        _fundSigned(order);
        vm.warp(order.deliverBy);
        _refused(order, abi.encodeWithSelector(IEscrow.TooLate.selector, order.deliverBy, order.deliverBy));
    }

    function test_reverts_when_the_order_has_no_arbitrator() public {
        IEscrow.Order memory order = _order();
        order.arbitrator = address(0);
        _bringTo(order, IEscrow.Status.Delivered);
        _refused(order, abi.encodeWithSelector(IEscrow.NoArbitrator.selector, escrow.orderId(order)));
    }

    function test_reverts_when_disputed_or_arbitrated_already() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        _refused(order, _badState(order, IEscrow.Status.Disputed));
        _counter(order);
        _refused(order, _badState(order, IEscrow.Status.Arbitrating));
    }

    function test_reverts_when_the_order_was_never_funded_or_is_settled() public {
        IEscrow.Order memory order = _seriousOrder();
        _refused(order, _badState(order, IEscrow.Status.None));
        _bringTo(order, IEscrow.Status.Settled);
        _refused(order, _badState(order, IEscrow.Status.Settled));
    }

    function test_reverts_when_the_bond_is_not_the_buyers() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Delivered);
        bytes memory auth = _bondAuth(PROVIDER_KEY, order, BUYER_SIDE, EVIDENCE, _windowEnd(order));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, buyer));
        escrow.dispute(order, EVIDENCE, auth);
    }

    function test_reverts_when_nobody_but_the_buyer_signed_a_dispute_without_bond(uint256 key) public {
        IEscrow.Order memory order = _order();
        _bringTo(order, IEscrow.Status.Delivered);
        bytes memory auth = _bondAuth(bound(key, 1, type(uint128).max), order, BUYER_SIDE, EVIDENCE, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
        escrow.dispute(order, EVIDENCE, auth);
    }

    function test_reverts_when_what_stands_behind_the_bond_is_not_a_signature(bytes memory auth) public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Delivered);
        usdc.mint(buyer, order.bond);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, buyer));
        escrow.dispute(order, EVIDENCE, auth);
        (order.bond, order.stake, order.salt) = (0, 0, 2);
        _bringTo(order, IEscrow.Status.Delivered);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
        escrow.dispute(order, EVIDENCE, auth);
    }

    /// @dev No way leads to a delivered order without consent, nor to a paying one; so its bit is taken away by hand.
    function test_stake_rule_reverts_when_the_provider_did_not_agree() public {
        IEscrow.Order memory order = _order();
        bytes32 id = escrow.orderId(order);
        _bringTo(order, IEscrow.Status.Delivered);
        bytes32 slot = keccak256(abi.encode(id, _statesSlot(id)));
        vm.store(address(escrow), slot, vm.load(address(escrow), slot) & ~bytes32(uint256(0x100)));
        bytes memory auth = _bondAuth(BUYER_KEY, order, BUYER_SIDE, EVIDENCE, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotConsented.selector, id));
        escrow.dispute(order, EVIDENCE, auth);
    }

    function test_bond_rule_reverts_when_evidence_value_deadline_or_side_are_not_what_was_signed() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Delivered);
        usdc.mint(buyer, order.bond);
        uint256 end = _windowEnd(order);
        bytes memory auth = _bondAuth(BUYER_KEY, order, BUYER_SIDE, EVIDENCE, end);
        bytes memory answer = abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, buyer);

        vm.expectRevert(answer);
        escrow.dispute(order, keccak256("something else"), auth);
        auth = _bondAuth(BUYER_KEY, order, PROVIDER_SIDE, EVIDENCE, end);
        vm.expectRevert(answer);
        escrow.dispute(order, EVIDENCE, auth);
        auth = _bondAuth(BUYER_KEY, order, BUYER_SIDE, EVIDENCE, end + 1);
        vm.expectRevert(answer);
        escrow.dispute(order, EVIDENCE, auth);
        bytes32 nonce = _bondDigest(address(escrow), escrow.orderId(order), BUYER_SIDE, EVIDENCE);
        bytes32 digest = _receiveDigest(address(usdc), buyer, address(escrow), order.bond - 1, 0, end, nonce);
        auth = _sign(BUYER_KEY, digest);
        vm.expectRevert(answer);
        escrow.dispute(order, EVIDENCE, auth);
    }

    function test_bond_rule_a_bond_of_one_order_does_not_serve_another_nor_fund_one() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Delivered);
        IEscrow.Order memory other = _seriousOrder();
        other.salt = 2;
        _bringTo(other, IEscrow.Status.Delivered);
        usdc.mint(buyer, order.bond);
        bytes memory auth = _bondAuth(BUYER_KEY, order, BUYER_SIDE, EVIDENCE, _windowEnd(order));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, buyer));
        escrow.dispute(other, EVIDENCE, auth);

        IEscrow.Order memory third = _order();
        (third.amount, third.feeBps, third.salt) = (order.bond, 0, 3);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, buyer));
        escrow.fund(third, auth, "");
        _assertMoney(order.bond, 0, 0, 2 * _deposit(order));
    }

    function _refused(IEscrow.Order memory order, bytes memory answer) private {
        usdc.mint(buyer, order.bond);
        bytes memory auth = _bondAuth(BUYER_KEY, order, BUYER_SIDE, EVIDENCE, _windowEnd(order));
        vm.expectRevert(answer);
        escrow.dispute(order, EVIDENCE, auth);
    }

    /// @dev Where the mapping is in which this order's word stands.
    function _statesSlot(bytes32 id) private view returns (uint256 slot) {
        while (vm.load(address(escrow), keccak256(abi.encode(id, slot))) == 0) {
            slot++;
        }
    }
}
