// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../../src/types/Outcomes.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract VerdictTest is EscrowBase {
    uint40 private constant UNTIL = 1_800_864_000;

    function test_the_validator_decides_any_payment(
        Seed memory seed,
        uint96 pay,
        bytes32 evidence,
        address sender,
        bool delivered
    ) public {
        vm.assume(sender != address(0));
        IEscrow.Order memory order = _orderFrom(seed);
        pay = uint96(bound(pay, 0, order.amount));
        _fund(order);
        if (delivered) _deliver(order);
        bytes memory sig = _verdictSig(VALIDATOR_KEY, order, pay, evidence, UNTIL);

        _expectSettled(order, pay, Outcomes.VERDICT, evidence);
        vm.prank(sender);
        escrow.verdict(order, pay, evidence, UNTIL, sig);

        _assertOutcome(order, Outcomes.VERDICT);
        _assertDivided(order, pay, 0, 0);
    }

    function test_the_validator_may_be_a_contract() public {
        IEscrow.Order memory order = _order();
        order.validator = address(new Wallet1271(validator));
        _fund(order);
        escrow.verdict(order, 1, EVIDENCE, UNTIL, _verdictSig(VALIDATOR_KEY, order, 1, EVIDENCE, UNTIL));
        _assertOutcome(order, Outcomes.VERDICT);
    }

    function test_a_verdict_unlocks_the_stake_and_never_takes_it() public {
        IEscrow.Order memory order = _seriousOrder();
        bytes32 id = _fund(order);
        escrow.verdict(order, 0, EVIDENCE, UNTIL, _verdictSig(VALIDATOR_KEY, order, 0, EVIDENCE, UNTIL));
        vm.assertEq(stake.lockedFor(id), 0, "locked");
        vm.assertEq(stake.free(provider), order.stake, "free");
    }

    function test_reverts_when_the_order_is_disputed() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        _refused(order, 1, UNTIL, _badState(order, IEscrow.Status.Disputed));
        _counter(order);
        _refused(order, 1, UNTIL, _badState(order, IEscrow.Status.Arbitrating));
    }

    function test_reverts_when_the_payment_is_above_the_amount(uint96 pay) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        pay = uint96(bound(pay, order.amount + 1, type(uint96).max));
        _refused(order, pay, UNTIL, abi.encodeWithSelector(IEscrow.PayTooHigh.selector, pay, order.amount));
    }

    function test_reverts_when_the_signature_is_out_of_date(uint40 until) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        until = uint40(bound(until, 0, NOW));
        _refused(order, 1, until, abi.encodeWithSelector(IEscrow.TooLate.selector, NOW, until));
    }

    function test_reverts_when_someone_else_signed(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        IEscrow.Order memory order = _order();
        _fund(order);
        bytes memory sig = _verdictSig(key, order, 1, EVIDENCE, UNTIL);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, validator));
        escrow.verdict(order, 1, EVIDENCE, UNTIL, sig);
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory sig) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, validator));
        escrow.verdict(order, 1, EVIDENCE, uint40(NOW + 1), sig);
    }

    function test_reverts_when_the_validator_signed_something_else() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        bytes memory answer = abi.encodeWithSelector(IEscrow.BadSignature.selector, validator);
        bytes memory sig = _verdictSig(VALIDATOR_KEY, order, 1, EVIDENCE, UNTIL);
        vm.expectRevert(answer);
        escrow.verdict(order, 2, EVIDENCE, UNTIL, sig);
        vm.expectRevert(answer);
        escrow.verdict(order, 1, bytes32(0), UNTIL, sig);
        vm.expectRevert(answer);
        escrow.verdict(order, 1, EVIDENCE, UNTIL - 1, sig);
        sig = _splitSig(VALIDATOR_KEY, order, 1, UNTIL);
        vm.expectRevert(answer);
        escrow.verdict(order, 1, EVIDENCE, UNTIL, sig);
    }

    function test_reverts_when_the_order_has_no_validator(bytes memory sig) public {
        IEscrow.Order memory order = _order();
        order.validator = address(0);
        _fund(order);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, address(0)));
        escrow.verdict(order, order.amount, EVIDENCE, UNTIL, sig);
    }

    function test_reverts_when_the_order_was_never_funded(Seed memory seed) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _refused(order, 0, UNTIL, _badState(order, IEscrow.Status.None));
    }

    function test_reverts_when_the_order_is_settled() public {
        IEscrow.Order memory order = _order();
        _bringTo(order, IEscrow.Status.Settled);
        _refused(order, 1, UNTIL, _badState(order, IEscrow.Status.Settled));
    }

    function _refused(IEscrow.Order memory order, uint96 pay, uint40 until, bytes memory answer) private {
        bytes memory sig = _verdictSig(VALIDATOR_KEY, order, pay, EVIDENCE, until);
        vm.expectRevert(answer);
        escrow.verdict(order, pay, EVIDENCE, until, sig);
    }
}
