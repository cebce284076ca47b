// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IPanel} from "../../src/interfaces/IPanel.sol";
import {IProviderStake} from "../../src/interfaces/IProviderStake.sol";
import {IStake} from "../../src/interfaces/IStake.sol";
import {Outcomes} from "../../src/types/Outcomes.sol";
import {WholeBase} from "../base/WholeBase.sol";

/// @notice Orders with a stake, bonds and a panel that validates and arbitrates: the contracts together, as shipped.
/// @dev A serious order: 5 USDC, 1 of bond from each side, 2 of stake, and 40 % where the arbitrator says nothing.
contract PanelAndStakeTest is WholeBase {
    uint96 private constant BOND = 1_000_000;
    uint96 private constant STAKE = 2_000_000;
    uint96 private constant MORE = 7_000_000;

    function test_stake_rule_a_panels_ruling_against_the_provider_gives_the_orders_stake_to_the_buyer(
        uint256 two,
        uint96 pay,
        address sender
    ) public {
        vm.assume(sender != address(0) && sender != address(0xad));
        IEscrow.Order memory order = _seriousOrder();
        pay = uint96(bound(pay, 0, order.amount / 2 - 1));
        _stake(provider, MORE);
        _bringTo(order, IEscrow.Status.Arbitrating);
        _assertStake(STAKE + MORE, STAKE, 0);

        bytes32 digest = _voteDigest(order, AS_ARBITRATOR, pay, EVIDENCE, UNTIL);
        IPanel.Ballot[] memory ballots = _ballots(7 ^ (1 << (two % 3)), digest);
        vm.expectEmit(address(panel));
        emit IPanel.Ruled(escrow.orderId(order), pay, EVIDENCE);
        _expectSettled(order, pay, Outcomes.RULED, EVIDENCE);
        vm.prank(sender);
        panel.rule(order, pay, UNTIL, ballots);

        _assertOutcome(order, Outcomes.RULED);
        _assertDivided(order, pay, BOND + STAKE, 0);
        _assertStake(MORE, 0, 0);
        vm.assertEq(usdc.balanceOf(address(panel)), BOND, "the panel has the loser's bond and no stake");
    }

    function test_a_panels_ruling_for_the_provider_costs_the_buyer_its_bond_and_nobody_a_stake(uint96 pay) public {
        IEscrow.Order memory order = _seriousOrder();
        pay = uint96(bound(pay, (order.amount + 1) / 2, order.amount));
        _bringTo(order, IEscrow.Status.Arbitrating);
        _panelRules(order, pay);
        _assertDivided(order, pay, 0, BOND);
        _assertStake(STAKE, 0, 0);
        vm.assertEq(usdc.balanceOf(address(panel)), BOND, "the same bond whichever way it rules");

        for (uint256 i = 0; i < 3; i++) {
            panel.payOut(members[i]);
            vm.assertEq(usdc.balanceOf(members[i]), BOND / 3, "an equal part");
        }
    }

    function test_a_panels_verdict_settles_as_an_erc_1271_validators(uint256 two, uint96 pay) public {
        IEscrow.Order memory order = _seriousOrder();
        pay = uint96(bound(pay, 0, order.amount));
        _bringTo(order, two % 2 == 0 ? IEscrow.Status.Funded : IEscrow.Status.Delivered);
        bytes32 digest = _voteDigest(order, AS_VALIDATOR, pay, EVIDENCE, UNTIL);
        bytes memory verdict = _verdictOf(order, pay, UNTIL, _ballots(7 ^ (1 << (two % 3)), digest));
        _expectSettled(order, pay, Outcomes.VERDICT, EVIDENCE);
        vm.prank(relayer);
        escrow.verdict(order, pay, EVIDENCE, UNTIL, verdict);
        _assertDivided(order, pay, 0, 0);
        // a verdict never takes a stake, whatever it says
        _assertStake(STAKE, 0, 0);
    }

    function test_panel_rule_a_ruling_needs_arbitrators_votes_over_the_evidence_of_the_dispute() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        bytes memory bad = abi.encodeWithSelector(IPanel.BadBallot.selector, members[0]);
        _noRuling(order, _ballots(3, _voteDigest(order, AS_VALIDATOR, 0, EVIDENCE, UNTIL)), UNTIL, bad);
        _noRuling(order, _ballots(3, _voteDigest(order, AS_ARBITRATOR, 0, ~EVIDENCE, UNTIL)), UNTIL, bad);
        _noRuling(order, _ballots(3, _voteDigest(order, AS_ARBITRATOR, 0, 0, UNTIL)), UNTIL, bad);
        _noRuling(order, _ballots(3, _voteDigest(order, AS_ARBITRATOR, 1, EVIDENCE, UNTIL)), UNTIL, bad);
        IEscrow.Order memory other = _seriousOrder();
        other.salt++;
        _noRuling(order, _rulingOf(other, 0), UNTIL, bad);

        bytes32 digest = _voteDigest(order, AS_ARBITRATOR, 0, EVIDENCE, UNTIL);
        _noRuling(order, _ballots(1, digest), UNTIL, abi.encodeWithSelector(IPanel.TooFewBallots.selector, 1, 2));
        uint40 past = uint40(block.timestamp);
        digest = _voteDigest(order, AS_ARBITRATOR, 0, EVIDENCE, past);
        _noRuling(order, _ballots(3, digest), past, abi.encodeWithSelector(IPanel.VotesExpired.selector, past, past));
        _assertStake(STAKE, STAKE, 0);
        _panelRules(order, 0);
    }

    function test_panel_rule_a_verdict_needs_validators_votes_over_what_it_says() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Delivered);
        _noVerdict(order, UNTIL, _ballots(3, _voteDigest(order, AS_ARBITRATOR, 5, EVIDENCE, UNTIL)));
        _noVerdict(order, UNTIL, _ballots(3, _voteDigest(order, AS_VALIDATOR, 4, EVIDENCE, UNTIL)));
        _noVerdict(order, UNTIL, _ballots(3, _voteDigest(order, AS_VALIDATOR, 5, ~EVIDENCE, UNTIL)));
        _noVerdict(order, UNTIL, _ballots(3, _voteDigest(order, AS_VALIDATOR, 5, EVIDENCE, UNTIL - 1)));
        _noVerdict(order, UNTIL, _ballots(4, _voteDigest(order, AS_VALIDATOR, 5, EVIDENCE, UNTIL)));
        // good votes, wrapped as the verdict they are not
        IPanel.Ballot[] memory ballots = _ballots(3, _voteDigest(order, AS_VALIDATOR, 4, EVIDENCE, UNTIL));
        bytes memory verdict = _verdictOf(order, 4, UNTIL, ballots);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, address(panel)));
        escrow.verdict(order, 5, EVIDENCE, UNTIL, verdict);
        // and in time for the panel only
        uint40 past = uint40(block.timestamp);
        verdict = _verdictOf(order, 5, past, _ballots(3, _voteDigest(order, AS_VALIDATOR, 5, EVIDENCE, past)));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.TooLate.selector, past, past));
        escrow.verdict(order, 5, EVIDENCE, past, verdict);
        _assertStatus(order, IEscrow.Status.Delivered);
    }

    function test_a_panel_rules_only_what_is_before_it() public {
        IEscrow.Order memory order = _seriousOrder();
        IEscrow.Status[4] memory before =
            [IEscrow.Status.Funded, IEscrow.Status.Delivered, IEscrow.Status.Disputed, IEscrow.Status.Settled];
        for (uint256 i = 0; i < before.length; i++) {
            order.salt++;
            _bringTo(order, before[i]);
            // what the votes have to be over until there is a dispute
            bytes32 evidence = before[i] == IEscrow.Status.Disputed ? EVIDENCE : bytes32(0);
            IPanel.Ballot[] memory ballots = _ballots(7, _voteDigest(order, AS_ARBITRATOR, 0, evidence, UNTIL));
            _noRuling(order, ballots, UNTIL, _badState(order, before[i]));
        }
        IPanel other = IPanel(vm.deployCode("out/Panel.sol/Panel.json", abi.encode(escrow, members, 2)));
        order.salt++;
        _bringTo(order, IEscrow.Status.Arbitrating);
        panel = other;
        IPanel.Ballot[] memory votes = _rulingOf(order, 0);
        _noRuling(order, votes, UNTIL, abi.encodeWithSelector(IEscrow.NotParty.selector, address(other)));
    }

    function test_a_silent_panel_means_the_part_the_order_says_and_takes_no_stake() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        uint256 end = _windowEnd(order);
        IPanel.Ballot[] memory ballots = _rulingOf(order, 0);
        vm.warp(end);
        _noRuling(order, ballots, UNTIL, abi.encodeWithSelector(IEscrow.TooLate.selector, end, end));
        uint256 pay = uint256(order.amount) * order.silentBps / 10_000;
        _expectSettled(order, pay, Outcomes.SILENT, 0);
        vm.prank(eve);
        escrow.finalize(order);
        _assertDivided(order, pay, BOND, BOND);
        _assertStake(STAKE, 0, 0);
        vm.assertEq(usdc.balanceOf(address(panel)), 0, "nothing for silence");
    }

    function test_stake_rule_a_denied_buyer_is_credited_what_was_slashed() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        fiat.blacklist(buyer);
        _panelRules(order, 0);
        _assertStake(0, 0, 0);
        vm.assertEq(providerStake.owed(buyer), STAKE, "owed by the stake contract");
        vm.assertEq(escrow.owed(buyer), _deposit(order) + BOND, "and by the escrow");
        fiat.unBlacklist(buyer);
        providerStake.collect(buyer);
        escrow.withdraw(buyer);
        _assertDivided(order, 0, BOND + STAKE, 0);
    }

    function test_stake_rule_a_ruling_over_one_order_leaves_the_others_what_they_hold() public {
        IEscrow.Order memory lost = _seriousOrder();
        IEscrow.Order memory other = _seriousOrder();
        (other.salt, other.stake) = (2, 300_000);
        _bringTo(other, IEscrow.Status.Arbitrating);
        _bringTo(lost, IEscrow.Status.Arbitrating);
        _panelRules(lost, 0);
        _assertStake(300_000, 300_000, 0);
        _panelRules(other, 0);
        _assertStake(0, 0, 0);
    }

    function test_stake_rule_every_settlement_unlocks(uint256 how, uint96 pay) public {
        IEscrow.Order memory order = _seriousOrder();
        IEscrow.Status[4] memory stages =
            [IEscrow.Status.Funded, IEscrow.Status.Delivered, IEscrow.Status.Disputed, IEscrow.Status.Arbitrating];
        _bringTo(order, stages[how % 4]);
        _assertStake(STAKE, STAKE, 0);
        how /= 4;
        if (how % 5 == 0) {
            _release(order);
        } else if (how % 5 == 1) {
            IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](1);
            rows[0] = IEscrow.Settlement(order, _releaseSig(BUYER_KEY, order));
            escrow.releaseBatch(rows);
        } else if (how % 5 == 2) {
            escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        } else if (how % 5 == 3) {
            pay = uint96(bound(pay, 0, order.amount));
            bytes memory buyerSig = _splitSig(BUYER_KEY, order, pay, UNTIL);
            escrow.split(order, pay, UNTIL, buyerSig, _splitSig(PROVIDER_KEY, order, pay, UNTIL));
        } else {
            vm.warp(_windowEnd(order));
            escrow.finalize(order);
        }
        _assertStatus(order, IEscrow.Status.Settled);
        _assertStake(STAKE, 0, 0);
    }

    function test_stake_rule_nobody_but_the_escrow_slashes_not_even_the_panel(address caller) public {
        vm.assume(caller != address(escrow) && caller != address(0));
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        bytes32 id = escrow.orderId(order);
        address[2] memory callers = [caller, address(panel)];
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(abi.encodeWithSelector(IProviderStake.NotEscrow.selector, callers[i]));
            vm.prank(callers[i]);
            IStake(address(providerStake)).slash(id, caller);
        }
        _assertStake(STAKE, STAKE, 0);
    }

    function test_stake_rule_a_thaw_cannot_escape_the_lock(uint96 wanted) public {
        IEscrow.Order memory order = _seriousOrder();
        order.ruleSecs = 30 days;
        wanted = uint96(bound(wanted, 1, STAKE));
        _bringTo(order, IEscrow.Status.Arbitrating);
        vm.prank(provider);
        providerStake.requestWithdraw(wanted);
        vm.expectRevert(
            abi.encodeWithSelector(IProviderStake.StillThawing.selector, block.timestamp, block.timestamp + 7 days)
        );
        providerStake.withdraw(provider);
        vm.warp(block.timestamp + 7 days);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NothingToWithdraw.selector, provider));
        providerStake.withdraw(provider);
        _assertStake(STAKE, STAKE, wanted);

        _panelRules(order, 0);
        _assertDivided(order, 0, BOND + STAKE, 0);
        _assertStake(0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NothingToWithdraw.selector, provider));
        providerStake.withdraw(provider);
    }

    function test_stake_rule_stake_on_its_way_out_backs_no_new_order() public {
        IEscrow.Order memory order = _seriousOrder();
        _stake(provider, STAKE);
        vm.prank(provider);
        providerStake.requestWithdraw(1);
        usdc.mint(buyer, _deposit(order));
        bytes memory auth = _buyerAuth(order);
        bytes memory sig = _providerSig(order);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.StakeTooLow.selector, provider, STAKE - 1, STAKE));
        escrow.fund(order, auth, sig);
        vm.prank(provider);
        providerStake.requestWithdraw(0);
        escrow.fund(order, auth, sig);
        _assertStake(STAKE, STAKE, 0);
    }

    function test_the_stake_is_the_providers_again_once_the_order_is_over() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        vm.prank(provider);
        providerStake.requestWithdraw(STAKE);
        vm.warp(block.timestamp + 7 days);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NothingToWithdraw.selector, provider));
        providerStake.withdraw(provider);
        // it did not stand against the dispute: the pay is lost, the stake never
        escrow.finalize(order);
        _assertDivided(order, 0, BOND, 0);
        providerStake.withdraw(provider);
        _assertStake(0, 0, 0);
        vm.assertEq(usdc.balanceOf(provider), STAKE, "back");
    }

    function _noRuling(IEscrow.Order memory order, IPanel.Ballot[] memory ballots, uint40 until, bytes memory answer)
        private
    {
        vm.expectRevert(answer);
        panel.rule(order, 0, until, ballots);
    }

    function _noVerdict(IEscrow.Order memory order, uint40 until, IPanel.Ballot[] memory ballots) private {
        bytes memory verdict = _verdictOf(order, 5, until, ballots);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, address(panel)));
        escrow.verdict(order, 5, EVIDENCE, until, verdict);
    }
}
