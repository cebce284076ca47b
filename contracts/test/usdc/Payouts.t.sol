// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IPanel} from "../../src/interfaces/IPanel.sol";
import {Outcomes} from "../../src/types/Outcomes.sol";
import {WholeBase} from "../base/WholeBase.sol";

/// @notice Every role of an order denied by USDC, and USDC paused, when money goes out: nobody else waits, and nothing is
/// lost.
contract PayoutsTest is WholeBase {
    uint96 private constant BOND = 1_000_000;
    uint96 private constant STAKE = 2_000_000;
    bytes4 private constant FAILED = bytes4(keccak256("TransferFailed()"));

    function test_a_denied_role_holds_up_nobody_else_and_is_paid_later(uint256 who, uint256 how, uint96 pay) public {
        IEscrow.Order memory order = _seriousOrder();
        pay = uint96(bound(pay, 0, order.amount));
        how %= 5;
        _bringTo(order, how < 2 ? IEscrow.Status.Delivered : IEscrow.Status.Arbitrating);
        address denied = _role(who);
        fiat.blacklist(denied);
        uint256 paid = _settle(order, how, pay);
        _assertStatus(order, IEscrow.Status.Settled);
        if (denied == address(escrow)) vm.assertEq(usdc.balanceOf(provider), 0, "all of it waits");

        _assertRefused(denied);
        fiat.unBlacklist(denied);
        _collectAll();
        _assertEnd(order, paid, how);
    }

    function test_a_paused_usdc_holds_up_no_settlement(uint256 how, uint96 pay) public {
        IEscrow.Order memory order = _seriousOrder();
        pay = uint96(bound(pay, 0, order.amount));
        how %= 5;
        _bringTo(order, how < 2 ? IEscrow.Status.Delivered : IEscrow.Status.Arbitrating);
        fiat.pause();
        uint256 paid = _settle(order, how, pay);
        _assertStatus(order, IEscrow.Status.Settled);
        fiat.unpause();
        _collectAll();
        _assertEnd(order, paid, how);
    }

    function test_a_denied_provider_keeps_its_stake_and_has_it_later() public {
        _stake(provider, STAKE);
        vm.prank(provider);
        providerStake.requestWithdraw(STAKE);
        vm.warp(NOW + 7 days);
        fiat.blacklist(provider);
        vm.expectRevert(FAILED);
        providerStake.withdraw(provider);
        _assertStake(STAKE, 0, STAKE);
        fiat.unBlacklist(provider);
        providerStake.withdraw(provider);
        vm.assertEq(usdc.balanceOf(provider), STAKE, "back");
    }

    function test_a_denied_member_of_the_panel_does_not_keep_the_others_waiting() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _panelRules(order, 0);
        fiat.blacklist(members[0]);
        vm.expectRevert(FAILED);
        panel.payOut(members[0]);
        panel.payOut(members[1]);
        vm.assertEq(usdc.balanceOf(members[1]), BOND / 3, "an equal part");
        fiat.unBlacklist(members[0]);
        panel.payOut(members[0]);
        vm.assertEq(usdc.balanceOf(members[0]), BOND / 3, "an equal part, later");
    }

    /// @dev Release, verdict, ruling, split, silence.
    function _settle(IEscrow.Order memory order, uint256 how, uint96 pay) private returns (uint256) {
        if (how == 0) {
            _release(order);
            return order.amount;
        } else if (how == 1) {
            IPanel.Ballot[] memory ballots = _ballots(3, _voteDigest(order, AS_VALIDATOR, pay, EVIDENCE, UNTIL));
            escrow.verdict(order, pay, EVIDENCE, UNTIL, _verdictOf(order, pay, UNTIL, ballots));
        } else if (how == 2) {
            _panelRules(order, pay);
        } else if (how == 3) {
            bytes memory buyerSig = _splitSig(BUYER_KEY, order, pay, UNTIL);
            escrow.split(order, pay, UNTIL, buyerSig, _splitSig(PROVIDER_KEY, order, pay, UNTIL));
        } else {
            vm.warp(_windowEnd(order));
            escrow.finalize(order);
            _assertOutcome(order, Outcomes.SILENT);
            return uint256(order.amount) * order.silentBps / 10_000;
        }
        return pay;
    }

    function _role(uint256 who) private view returns (address) {
        address[6] memory roles = [buyer, provider, address(panel), sink, address(escrow), address(providerStake)];
        return roles[who % 6];
    }

    /// @dev What waits for a denied account cannot leave, and what a denied contract holds neither.
    function _assertRefused(address denied) private {
        address[4] memory accounts = [buyer, provider, address(panel), sink];
        for (uint256 i = 0; i < 4; i++) {
            if (escrow.owed(accounts[i]) == 0) continue;
            bool refused = denied == accounts[i] || denied == address(escrow);
            uint256 snapshot = vm.snapshotState();
            if (refused) vm.expectRevert(FAILED);
            escrow.withdraw(accounts[i]);
            vm.revertToState(snapshot);
        }
        if (providerStake.owed(buyer) == 0) return;
        vm.expectRevert(FAILED);
        providerStake.collect(buyer);
    }

    function _collectAll() private {
        address[4] memory accounts = [buyer, provider, address(panel), sink];
        for (uint256 i = 0; i < 4; i++) {
            if (escrow.owed(accounts[i]) != 0) escrow.withdraw(accounts[i]);
        }
        if (providerStake.owed(buyer) != 0) providerStake.collect(buyer);
    }

    /// @dev All of the order's money is where it belongs, and none is here.
    function _assertEnd(IEscrow.Order memory order, uint256 pay, uint256 how) private view {
        (uint256 paid, uint256 fee, uint256 refunded) = _divide(order, pay);
        bool ruled = how == 2;
        bool providerLost = ruled && 2 * pay < order.amount;
        uint256 bond = how < 2 ? 0 : BOND;
        uint256 buyers = refunded + (ruled && !providerLost ? 0 : bond) + (providerLost ? STAKE : 0);
        vm.assertEq(usdc.balanceOf(buyer), buyers, "buyer");
        vm.assertEq(usdc.balanceOf(provider), paid + (providerLost ? 0 : bond), "provider");
        vm.assertEq(usdc.balanceOf(sink), fee, "fee");
        vm.assertEq(usdc.balanceOf(address(panel)), ruled ? BOND : 0, "panel");
        vm.assertEq(usdc.balanceOf(address(escrow)), 0, "nothing is stuck");
        _assertStake(providerLost ? 0 : STAKE, 0, 0);
    }
}
