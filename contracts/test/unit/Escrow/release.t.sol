// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../../src/types/Outcomes.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {GasEdge} from "../../base/GasEdge.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract ReleaseTest is EscrowBase, GasEdge {
    function test_the_provider_is_paid_and_the_fee_is_owed(Seed memory seed, address sender, bool delivered) public {
        vm.assume(sender != address(0));
        IEscrow.Order memory order = _orderFrom(seed);
        bytes32 id = _fund(order);
        if (delivered) _deliver(order);
        uint256 fee = _fee(order, order.amount);
        bytes memory sig = _releaseSig(BUYER_KEY, order);

        vm.expectEmit(address(escrow));
        emit IEscrow.Settled(id, buyer, provider, _fullPay(order), fee, 0, Outcomes.RELEASED, bytes32(0));
        vm.prank(sender);
        escrow.release(order, sig);

        _assertOutcome(order, Outcomes.RELEASED);
        _assertMoney(0, _fullPay(order), fee, fee);
        vm.assertEq(_fullPay(order) + fee, _deposit(order), "all of the deposit");
    }

    function test_fee_on_top_of_5_usdc_leaves_the_provider_all_5() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        _assertMoney(0, 5_000_000, 125_000, 125_000);
    }

    function test_fee_of_a_tenth_from_the_seller_leaves_the_provider_4_5_of_5_usdc() public {
        IEscrow.Order memory order = _order();
        (order.flags, order.feeBps) = (0, 1000);
        _fund(order);
        _release(order);
        _assertMoney(0, 4_500_000, 500_000, 500_000);
    }

    function test_the_buyer_may_release_long_after_the_deadlines() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        vm.warp(order.deliverBy + 365 days);
        _release(order);
        _assertOutcome(order, Outcomes.RELEASED);
    }

    function test_the_buyers_signature_may_be_the_short_form() public {
        IEscrow.Order memory order = _order();
        bytes32 id = _fund(order);
        escrow.release(order, _signCompact(BUYER_KEY, _releaseDigest(address(escrow), id)));
        _assertOutcome(order, Outcomes.RELEASED);
    }

    function test_the_buyer_may_be_a_contract_wallet() public {
        IEscrow.Order memory order = _order();
        order.buyer = address(new Wallet1271(buyer));
        _fund(order);
        _release(order);
        _assertOutcome(order, Outcomes.RELEASED);
    }

    function test_consent_is_kept_when_the_order_settles() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        escrow.fund(order, _buyerAuth(order), _providerSig(order));
        _release(order);
        (,, bool consented,) = escrow.statusOf(order);
        vm.assertTrue(consented, "consented");
    }

    function test_a_denied_provider_is_credited() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        usdc.deny(provider, true);
        bytes memory sig = _releaseSig(BUYER_KEY, order);

        vm.expectEmit(address(escrow));
        emit IEscrow.Credited(provider, 5_000_000);
        escrow.release(order, sig);

        _assertOutcome(order, Outcomes.RELEASED);
        vm.assertEq(escrow.owed(provider), 5_000_000, "owed to the provider");
        _assertMoney(0, 0, 125_000, 5_125_000);
    }

    function test_a_transfer_that_fails_in_any_way_is_credited() public {
        HostileToken.Transfers[5] memory ways = [
            HostileToken.Transfers.AnswerFalse,
            HostileToken.Transfers.AnswerTwo,
            HostileToken.Transfers.AnswerOneByte,
            HostileToken.Transfers.Revert,
            HostileToken.Transfers.RevertWithLongData
        ];
        for (uint256 i = 0; i < ways.length; i++) {
            (HostileToken hostile, IEscrow.Order memory order) = _fundHostile();
            hostile.setTransfers(ways[i]);
            _release(order);
            vm.assertEq(escrow.owed(provider), 5_000_000, "owed to the provider");
            vm.assertEq(hostile.balanceOf(address(escrow)), 5_125_000, "still here");
        }
    }

    function test_a_token_that_answers_nothing_has_paid() public {
        (HostileToken hostile, IEscrow.Order memory order) = _fundHostile();
        hostile.setTransfers(HostileToken.Transfers.AnswerNothing);
        _release(order);
        vm.assertEq(hostile.balanceOf(provider), 5_000_000, "paid");
        vm.assertEq(escrow.owed(provider), 0, "not owed too");
    }

    function test_reverts_when_a_relayer_starves_the_transfer_of_gas() public {
        (HostileToken hostile, IEscrow.Order memory order) = _fundHostile();
        hostile.setGasToBurn(100_000);
        bytes memory call = abi.encodeCall(IEscrow.release, (order, _releaseSig(BUYER_KEY, order)));

        uint256 starved = 0;
        uint256 paid = 0;
        // in whatever way the transaction's gas is cut: paid in full, or nothing happened, but never credited
        for (uint256 gas_ = 60_000; gas_ < 330_000; gas_ += 7_001) {
            (bool ok, bytes memory answer) = address(escrow).call{gas: gas_}(call);
            vm.assertEq(escrow.owed(provider), 0, "credited for want of gas");
            if (ok) paid++;
            if (bytes4(answer) == IEscrow.TransferGasTooLow.selector) starved++;
        }
        vm.assertTrue(starved > 5, "refused because starved");
        vm.assertEq(paid, 1, "paid once there was enough");
        vm.assertEq(hostile.balanceOf(provider), 5_000_000, "in full");
    }

    function test_a_transfer_needs_150k_gas_and_5k_for_the_way_to_be_credited() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        usdc.deny(provider, true);
        bytes memory call = abi.encodeCall(IEscrow.release, (order, _releaseSig(BUYER_KEY, order)));
        uint256 needed = _neededGas(address(escrow), call, IEscrow.TransferGasTooLow.selector, relayer);
        vm.assertEq(needed, 155_000, "needed");
        vm.assertEq(escrow.owed(provider), 5_000_000, "credited");
    }

    function test_a_reentrant_token_cannot_settle_or_withdraw_again() public {
        (HostileToken hostile, IEscrow.Order memory order) = _fundHostile();
        IEscrow.Order memory second = _order();
        second.salt = 2;
        hostile.mint(buyer, _deposit(second));
        escrow.fund(second, "", "");
        bytes[4] memory calls = [
            abi.encodeCall(IEscrow.release, (order, _releaseSig(BUYER_KEY, order))),
            abi.encodeCall(IEscrow.release, (second, _releaseSig(BUYER_KEY, second))),
            abi.encodeCall(IEscrow.refund, (second, _refundSig(PROVIDER_KEY, second))),
            abi.encodeCall(IEscrow.withdraw, (sink))
        ];
        for (uint256 i = 0; i < calls.length; i++) {
            IEscrow.Order memory next = _order();
            next.salt = 10 + i;
            hostile.setReentry(address(0), "");
            hostile.mint(buyer, _deposit(next));
            escrow.fund(next, "", "");
            hostile.setReentry(address(escrow), calls[i]);
            _release(next);
            vm.assertTrue(!hostile.callSucceeded(), "reentered");
            vm.assertEq(bytes32(hostile.callAnswer()), bytes32(bytes4(keccak256("Reentrancy()"))), "by the guard");
        }
        _assertStatus(second, IEscrow.Status.Funded);
    }

    function test_a_reentrant_token_can_enter_nothing_that_moves_or_writes() public {
        IEscrow.Order memory order = _order();
        bytes[14] memory calls = [
            abi.encodeCall(IEscrow.fund, (order, "", "")),
            abi.encodeCall(IEscrow.fundBatch, (new IEscrow.Funding[](0))),
            abi.encodeCall(IEscrow.deliver, (order, 0)),
            abi.encodeCall(IEscrow.release, (order, "")),
            abi.encodeCall(IEscrow.releaseBatch, (new IEscrow.Settlement[](0))),
            abi.encodeCall(IEscrow.refund, (order, "")),
            abi.encodeCall(IEscrow.split, (order, 0, 0, "", "")),
            abi.encodeCall(IEscrow.verdict, (order, 0, 0, 0, "")),
            abi.encodeCall(IEscrow.dispute, (order, 0, "")),
            abi.encodeCall(IEscrow.counter, (order, "")),
            abi.encodeCall(IEscrow.rule, (order, 0)),
            abi.encodeCall(IEscrow.finalize, (order)),
            abi.encodeCall(IEscrow.publishFeedback, (order, 0, 0, "")),
            abi.encodeCall(IEscrow.withdraw, (sink))
        ];
        for (uint256 i = 0; i < calls.length; i++) {
            (HostileToken hostile, IEscrow.Order memory first) = _fundHostile();
            hostile.setReentry(address(escrow), calls[i]);
            _release(first);
            vm.assertTrue(!hostile.callSucceeded(), "reentered");
            vm.assertEq(bytes32(hostile.callAnswer()), bytes32(bytes4(keccak256("Reentrancy()"))), "by the guard");
        }
    }

    function test_the_buyer_may_give_in_while_disputed_and_bonds_return() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _release(order);
        _assertOutcome(order, Outcomes.RELEASED);
        _assertMoney(1_000_000, 6_000_000, 125_000, 125_000);
        vm.assertEq(stake.free(provider), order.stake, "stake unlocked");
    }

    function test_reverts_when_the_order_was_never_funded(Seed memory seed) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _fund(_otherThan(order));
        _refused(order, _releaseSig(BUYER_KEY, order), _badState(order, IEscrow.Status.None));
    }

    function test_reverts_when_the_order_is_settled() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        _refused(order, _releaseSig(BUYER_KEY, order), _badState(order, IEscrow.Status.Settled));
    }

    function test_reverts_when_another_form_of_the_same_signature_is_used_again() public {
        IEscrow.Order memory order = _order();
        bytes32 id = _fund(order);
        _release(order);
        bytes32 digest = _releaseDigest(address(escrow), id);
        _refused(order, _signMalleated(BUYER_KEY, digest), _badState(order, IEscrow.Status.Settled));
        _refused(order, _signCompact(BUYER_KEY, digest), _badState(order, IEscrow.Status.Settled));
    }

    function test_reverts_when_someone_else_signed(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        IEscrow.Order memory order = _order();
        _fund(order);
        _refused(order, _releaseSig(key, order), abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
        _refused(order, _releaseSig(PROVIDER_KEY, order), abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory sig) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _refused(order, sig, abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
    }

    function test_reverts_when_the_buyer_signed_something_else() public {
        IEscrow.Order memory order = _order();
        bytes32 id = _fund(order);
        bytes memory badSignature = abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer);
        _refused(order, _sign(BUYER_KEY, id), badSignature);
        _refused(order, _refundSig(BUYER_KEY, order), badSignature);
        _refused(order, _buyerAuth(order), badSignature);
        _refused(order, _sign(BUYER_KEY, _releaseDigest(address(0xe5c), id)), badSignature);
        IEscrow.Order memory other = _otherThan(order);
        _refused(order, _releaseSig(BUYER_KEY, other), badSignature);
    }

    function test_reverts_when_a_party_to_the_pool_makes_up_an_order_that_shares_buyer_and_salt(Seed memory seed)
        public
    {
        // alice's money is in the pool; eve is buyer and, through a friend, provider of a tiny order
        _fund(_orderFrom(seed));
        IEscrow.Order memory tiny = _order();
        (tiny.buyer, tiny.provider, tiny.amount) = (eve, relayer, 1);
        usdc.mint(eve, _deposit(tiny));
        escrow.fund(tiny, _buyerAuth(EVE_KEY, tiny), "");

        IEscrow.Order memory huge = tiny;
        huge.amount = uint96(bound(seed.amount, 2, type(uint96).max));
        _refused(huge, _releaseSig(EVE_KEY, huge), _badState(huge, IEscrow.Status.None));
    }

    function _fundHostile() private returns (HostileToken hostile, IEscrow.Order memory order) {
        hostile = new HostileToken();
        escrow = _deployEscrow(address(hostile));
        order = _order();
        hostile.mint(buyer, _deposit(order));
        escrow.fund(order, "", "");
    }

    function _otherThan(IEscrow.Order memory order) private pure returns (IEscrow.Order memory other) {
        other = abi.decode(abi.encode(order), (IEscrow.Order));
        other.terms = ~order.terms;
    }

    function _refused(IEscrow.Order memory order, bytes memory sig, bytes memory answer) private {
        vm.expectRevert(answer);
        escrow.release(order, sig);
    }
}
