// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../../src/types/Outcomes.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract SplitTest is EscrowBase {
    uint40 private constant UNTIL = 1_800_864_000;

    function test_both_parties_divide_as_they_like(Seed memory seed, uint96 pay, address sender) public {
        vm.assume(sender != address(0));
        IEscrow.Order memory order = _orderFrom(seed);
        pay = uint96(bound(pay, 0, order.amount));
        _fund(order);
        bytes memory buyerSig = _splitSig(BUYER_KEY, order, pay, UNTIL);
        bytes memory providerSig = _splitSig(PROVIDER_KEY, order, pay, UNTIL);

        _expectSettled(order, pay, Outcomes.SPLIT, bytes32(0));
        vm.prank(sender);
        escrow.split(order, pay, UNTIL, buyerSig, providerSig);

        _assertOutcome(order, Outcomes.SPLIT);
        _assertDivided(order, pay, 0, 0);
    }

    function test_a_split_ends_a_dispute_and_returns_the_bonds() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _split(order, 2_000_000);
        _assertMoney(4_075_000, 3_000_000, 50_000, 50_000);
        vm.assertEq(stake.free(provider), order.stake, "stake unlocked");
    }

    function test_contract_wallets_may_split() public {
        IEscrow.Order memory order = _order();
        order.buyer = address(new Wallet1271(buyer));
        order.provider = address(new Wallet1271(provider));
        _fund(order);
        _split(order, 1);
        _assertOutcome(order, Outcomes.SPLIT);
    }

    function test_reverts_when_the_division_is_above_the_amount(uint96 pay) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        pay = uint96(bound(pay, order.amount + 1, type(uint96).max));
        _refused(order, pay, UNTIL, abi.encodeWithSelector(IEscrow.PayTooHigh.selector, pay, order.amount));
    }

    function test_reverts_when_the_signatures_are_out_of_date(uint40 until) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        until = uint40(bound(until, 0, NOW));
        _refused(order, 1, until, abi.encodeWithSelector(IEscrow.TooLate.selector, NOW, until));
    }

    function test_a_split_is_good_until_its_last_second_and_not_in_it() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _refused(order, 1, uint40(NOW), abi.encodeWithSelector(IEscrow.TooLate.selector, NOW, NOW));
        uint40 until = uint40(NOW + 1);
        escrow.split(order, 1, until, _splitSig(BUYER_KEY, order, 1, until), _splitSig(PROVIDER_KEY, order, 1, until));
        _assertOutcome(order, Outcomes.SPLIT);
    }

    function test_reverts_when_one_side_did_not_sign() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        bytes memory buyerSig = _splitSig(BUYER_KEY, order, 1, UNTIL);
        bytes memory providerSig = _splitSig(PROVIDER_KEY, order, 1, UNTIL);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
        escrow.split(order, 1, UNTIL, providerSig, providerSig);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, provider));
        escrow.split(order, 1, UNTIL, buyerSig, buyerSig);
    }

    function test_reverts_when_a_signature_is_not_one(bytes memory sig, uint256 key) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        bytes memory buyerSig = _splitSig(BUYER_KEY, order, 1, UNTIL);
        bytes memory providerSig = _splitSig(PROVIDER_KEY, order, 1, UNTIL);
        bytes[2] memory bad = [sig, _splitSig(bound(key, 1, type(uint128).max), order, 1, UNTIL)];
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
            escrow.split(order, 1, UNTIL, bad[i], providerSig);
            vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, provider));
            escrow.split(order, 1, UNTIL, buyerSig, bad[i]);
        }
    }

    function test_reverts_when_one_side_signed_another_division_or_another_date() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        bytes memory buyerSig = _splitSig(BUYER_KEY, order, 1, UNTIL);
        bytes memory other = _splitSig(PROVIDER_KEY, order, 2, UNTIL);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, provider));
        escrow.split(order, 1, UNTIL, buyerSig, other);
        other = _splitSig(PROVIDER_KEY, order, 1, UNTIL - 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, provider));
        escrow.split(order, 1, UNTIL, buyerSig, other);
    }

    function test_reverts_when_the_order_was_never_funded(Seed memory seed) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _refused(order, 0, UNTIL, _badState(order, IEscrow.Status.None));
    }

    function test_reverts_when_the_order_is_settled() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _split(order, 1);
        _refused(order, 1, UNTIL, _badState(order, IEscrow.Status.Settled));
    }

    function _split(IEscrow.Order memory order, uint96 pay) private {
        bytes memory providerSig = _splitSig(PROVIDER_KEY, order, pay, UNTIL);
        escrow.split(order, pay, UNTIL, _splitSig(BUYER_KEY, order, pay, UNTIL), providerSig);
    }

    function _refused(IEscrow.Order memory order, uint96 pay, uint40 until, bytes memory answer) private {
        bytes memory buyerSig = _splitSig(BUYER_KEY, order, pay, until);
        bytes memory providerSig = _splitSig(PROVIDER_KEY, order, pay, until);
        vm.expectRevert(answer);
        escrow.split(order, pay, until, buyerSig, providerSig);
    }
}
