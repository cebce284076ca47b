// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../../src/types/Outcomes.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract RefundTest is EscrowBase {
    function test_the_buyer_gets_everything_back_and_no_fee_is_taken(Seed memory seed, address sender, bool delivered)
        public
    {
        vm.assume(sender != address(0));
        IEscrow.Order memory order = _orderFrom(seed);
        bytes32 id = _fund(order);
        if (delivered) _deliver(order);
        bytes memory sig = _refundSig(PROVIDER_KEY, order);

        vm.expectEmit(address(escrow));
        emit IEscrow.Settled(id, buyer, provider, 0, 0, _deposit(order), Outcomes.REFUNDED, bytes32(0));
        vm.prank(sender);
        escrow.refund(order, sig);

        _assertOutcome(order, Outcomes.REFUNDED);
        _assertMoney(_deposit(order), 0, 0, 0);
    }

    function test_the_provider_may_refund_after_the_deadlines() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _deliver(order);
        vm.warp(order.deliverBy + 365 days);
        escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        _assertOutcome(order, Outcomes.REFUNDED);
    }

    function test_the_provider_may_be_a_contract_wallet() public {
        IEscrow.Order memory order = _order();
        order.provider = address(new Wallet1271(provider));
        _fund(order);
        escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        _assertOutcome(order, Outcomes.REFUNDED);
    }

    function test_a_denied_buyer_is_credited() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        usdc.deny(buyer, true);
        bytes memory sig = _refundSig(PROVIDER_KEY, order);

        vm.expectEmit(address(escrow));
        emit IEscrow.Credited(buyer, 5_125_000);
        escrow.refund(order, sig);

        vm.assertEq(escrow.owed(buyer), 5_125_000, "owed to the buyer");
        _assertOutcome(order, Outcomes.REFUNDED);
    }

    function test_the_provider_may_give_in_while_disputed_and_bonds_return() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        _assertOutcome(order, Outcomes.REFUNDED);
        _assertMoney(6_125_000, 1_000_000, 0, 0);
        vm.assertEq(stake.free(provider), order.stake, "stake unlocked");
    }

    function test_reverts_when_the_order_was_never_funded(Seed memory seed) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _refused(order, _refundSig(PROVIDER_KEY, order), _badState(order, IEscrow.Status.None));
    }

    function test_reverts_when_the_order_is_settled() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        _refused(order, _refundSig(PROVIDER_KEY, order), _badState(order, IEscrow.Status.Settled));
    }

    function test_reverts_when_another_form_of_the_same_signature_is_used_again() public {
        IEscrow.Order memory order = _order();
        bytes32 id = _fund(order);
        escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        bytes32 digest = _refundDigest(address(escrow), id);
        _refused(order, _signMalleated(PROVIDER_KEY, digest), _badState(order, IEscrow.Status.Settled));
        _refused(order, _signCompact(PROVIDER_KEY, digest), _badState(order, IEscrow.Status.Settled));
    }

    function test_reverts_when_someone_else_signed(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        IEscrow.Order memory order = _order();
        _fund(order);
        bytes memory badSignature = abi.encodeWithSelector(IEscrow.BadSignature.selector, provider);
        _refused(order, _refundSig(key, order), badSignature);
        _refused(order, _refundSig(BUYER_KEY, order), badSignature);
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory sig) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, provider));
        escrow.refund(order, sig);
    }

    function test_reverts_when_the_provider_signed_something_else() public {
        IEscrow.Order memory order = _order();
        bytes32 id = _fund(order);
        bytes memory badSignature = abi.encodeWithSelector(IEscrow.BadSignature.selector, provider);
        _refused(order, _providerSig(order), badSignature);
        _refused(order, _releaseSig(PROVIDER_KEY, order), badSignature);
        _refused(order, _sign(PROVIDER_KEY, _refundDigest(address(0xe5c), id)), badSignature);
        IEscrow.Order memory other = _order();
        other.salt = 2;
        _refused(order, _refundSig(PROVIDER_KEY, other), badSignature);
    }

    function _refused(IEscrow.Order memory order, bytes memory sig, bytes memory answer) private {
        vm.expectRevert(answer);
        escrow.refund(order, sig);
    }
}
