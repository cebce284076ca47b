// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../../src/types/Outcomes.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {GasEdge} from "../../base/GasEdge.sol";
import {StakeBook} from "../../mocks/StakeBook.sol";

contract RuleTest is EscrowBase, GasEdge {
    function test_a_ruling_divides_the_deposit_and_the_loser_pays_the_arbitrator(
        Seed memory seed,
        uint96 bond,
        uint96 pay,
        uint32 wait
    ) public {
        IEscrow.Order memory order = _orderFrom(seed);
        order.bond = uint96(bound(bond, 0, order.amount));
        pay = uint96(bound(pay, 0, order.amount));
        _bringTo(order, IEscrow.Status.Arbitrating);
        vm.warp(NOW + bound(wait, 0, order.ruleSecs - 1));

        _expectSettled(order, pay, Outcomes.RULED, EVIDENCE);
        _rule(order, pay);

        _assertOutcome(order, Outcomes.RULED);
        bool buyerLost = 2 * uint256(pay) >= order.amount;
        _assertDivided(order, pay, buyerLost ? 0 : order.bond, buyerLost ? order.bond : 0);
        vm.assertEq(usdc.balanceOf(arbitrator), order.bond, "arbitrator");
    }

    function test_half_is_a_loss_of_the_buyer_and_just_below_of_the_provider() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _rule(order, 2_500_000);
        _assertMoney(2_562_500, 3_500_000, 62_500, 62_500);

        order.salt = 2;
        _bringTo(order, IEscrow.Status.Arbitrating);
        _rule(order, 2_499_999);
        vm.assertEq(usdc.balanceOf(provider), 3_500_000 + 2_499_999, "without its bond");
    }

    function test_stake_rule_a_ruling_against_the_provider_gives_its_stake_to_the_buyer() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _rule(order, 0);
        _assertMoney(5_125_000 + 1_000_000 + 2_000_000, 0, 0, 0);
        vm.assertEq(usdc.balanceOf(arbitrator), 1_000_000, "the arbitrator gets the bond and no stake");
        vm.assertEq(stake.free(provider), 0, "slashed");
    }

    function test_stake_rule_a_ruling_for_the_provider_unlocks_its_stake() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _rule(order, 2_500_000);
        vm.assertEq(stake.free(provider), 2_000_000, "free");
    }

    function test_stake_rule_a_failing_stake_contract_does_not_hold_up_a_settlement(uint96 pay) public {
        for (uint256 how = 1; how <= 2; how++) {
            IEscrow.Order memory order = _seriousOrder();
            order.salt = how;
            pay = uint96(bound(pay, 0, order.amount));
            _bringTo(order, IEscrow.Status.Arbitrating);
            stake.fail(StakeBook.Failure(how));
            bytes32 id = escrow.orderId(order);
            vm.expectEmit(address(escrow));
            emit IEscrow.StakeStuck(id);
            _rule(order, pay);
            _assertOutcome(order, Outcomes.RULED);
            stake.fail(StakeBook.Failure.None);
        }
    }

    function test_stake_rule_reverts_when_a_relayer_starves_the_stake_contract() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        stake.burnGas(200_000);
        uint256 starved = 0;
        uint256 done = 0;
        for (uint256 gas_ = 150_000; gas_ < 600_000; gas_ += 9_001) {
            vm.prank(arbitrator);
            (bool ok, bytes memory answer) = address(escrow).call{gas: gas_}(abi.encodeCall(IEscrow.rule, (order, 0)));
            if (ok) done++;
            if (bytes4(answer) == IEscrow.GasTooLow.selector) starved++;
        }
        vm.assertTrue(starved > 5, "refused because starved");
        vm.assertEq(done, 1, "once there was enough");
        vm.assertEq(stake.lockedFor(escrow.orderId(order)), 0, "slashed");
        vm.assertEq(usdc.balanceOf(buyer), 8_125_000, "in full");
    }

    function test_stake_rule_a_failing_stake_contract_needs_250k_gas_and_5k_for_the_way_to_be_left_behind() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        stake.fail(StakeBook.Failure.Revert);
        bytes memory call = abi.encodeCall(IEscrow.rule, (order, 0));
        uint256 needed = _neededGas(address(escrow), call, IEscrow.GasTooLow.selector, arbitrator);
        vm.assertEq(needed, 255_000, "needed");
        _assertOutcome(order, Outcomes.RULED);
    }

    function test_a_reentrant_stake_contract_gets_nowhere() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        IEscrow.Order memory other = _order();
        other.salt = 7;
        _fund(other);
        stake.reenter(address(escrow), abi.encodeCall(IEscrow.refund, (other, _refundSig(PROVIDER_KEY, other))));
        _rule(order, 0);
        vm.assertTrue(!stake.reentered(), "reentered");
        _assertStatus(other, IEscrow.Status.Funded);
    }

    function test_a_denied_arbitrator_is_credited() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        usdc.deny(arbitrator, true);
        _rule(order, 0);
        vm.assertEq(escrow.owed(arbitrator), 1_000_000, "owed");
    }

    function test_reverts_when_anyone_but_the_arbitrator_rules(address caller) public {
        vm.assume(caller != arbitrator);
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotParty.selector, caller));
        vm.prank(caller);
        escrow.rule(order, 0);
    }

    function test_reverts_when_the_ruling_is_above_the_amount(uint96 pay) public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        pay = uint96(bound(pay, order.amount + 1, type(uint96).max));
        _refused(order, pay, abi.encodeWithSelector(IEscrow.PayTooHigh.selector, pay, order.amount));
    }

    function test_reverts_when_the_ruling_window_is_over(uint32 late) public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        uint256 end = _windowEnd(order);
        vm.warp(end + late);
        _refused(order, 0, abi.encodeWithSelector(IEscrow.TooLate.selector, end + late, end));
    }

    function test_reverts_when_the_order_is_not_before_the_arbitrator() public {
        IEscrow.Order memory order = _seriousOrder();
        _refused(order, 0, _badState(order, IEscrow.Status.None));
        _fundSigned(order);
        _refused(order, 0, _badState(order, IEscrow.Status.Funded));
        _deliver(order);
        _refused(order, 0, _badState(order, IEscrow.Status.Delivered));
        _dispute(order);
        _refused(order, 0, _badState(order, IEscrow.Status.Disputed));
        _counter(order);
        _rule(order, 0);
        _refused(order, 0, _badState(order, IEscrow.Status.Settled));
    }

    function _refused(IEscrow.Order memory order, uint96 pay, bytes memory answer) private {
        vm.expectRevert(answer);
        vm.prank(arbitrator);
        escrow.rule(order, pay);
    }
}
