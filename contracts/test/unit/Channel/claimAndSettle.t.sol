// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {Vm} from "../../base/TestBase.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {GasEdge} from "../../base/GasEdge.sol";
import {GreedyWallet} from "../../mocks/GreedyWallet.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";
import {HostileWallet} from "../../mocks/HostileWallet.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract ChannelClaimAndSettleTest is ChannelBase, GasEdge {
    function test_the_receiver_has_the_money_in_one_transaction(uint128 amount, uint128 total, bool byAgent) public {
        amount = uint128(bound(amount, 1, type(uint128).max));
        total = uint128(bound(total, 1, amount));
        bytes32 id = _deposit(_config(), amount);
        IChannel.VoucherClaim[] memory rows = _rows(_row(_config(), amount, total));
        address sender = byAgent ? receiverAuthorizer : receiver;

        vm.expectEmit(address(channel));
        emit IChannel.Claimed(id, sender, total, total);
        vm.expectEmit(address(channel));
        emit IChannel.Settled(receiver, address(usdc), sender, total);
        vm.prank(sender);
        channel.claimAndSettle(rows);

        _assertChannel(id, amount, total);
        _assertReceiver(total, total);
        _assertMoney(0, total, amount - total);
    }

    function test_many_channels_share_one_transfer(uint32[8] memory totals) public {
        uint256 sum = 0;
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](totals.length);
        for (uint256 i = 0; i < totals.length; i++) {
            _deposit(_configWithSalt(i), type(uint32).max);
            rows[i] = _row(_configWithSalt(i), totals[i], totals[i]);
            sum += totals[i];
        }
        _send(rows);
        _assertReceiver(sum, sum);
        _assertMoney(0, sum, totals.length * uint256(type(uint32).max) - sum);
    }

    function test_it_sends_what_was_claimed_before_too() public {
        _deposit(_config(), 100);
        _claim(_config(), 60);
        _send(_rows(_row(_config(), 60, 60)));
        _assertMoney(0, 60, 40);
        _send(_rows(_row(_config(), 60, 60)));
        _assertMoney(0, 60, 40);
    }

    function test_what_was_sent_is_not_sent_again_with_what_is_new() public {
        _deposit(_config(), 1000);
        _send(_rows(_row(_config(), 60, 60)));
        _send(_rows(_row(_config(), 100, 100)));
        _assertReceiver(100, 100);
        _assertMoney(0, 100, 900);
    }

    function test_a_good_row_is_not_called_skipped() public {
        _deposit(_config(), 100);
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](2);
        // the second has nothing more to claim, which is no fault
        (rows[0], rows[1]) = (_row(_config(), 60, 60), _row(_config(), 60, 60));
        vm.recordLogs();
        _send(rows);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) {
            vm.assertTrue(logs[i].topics[0] != IChannel.ClaimSkipped.selector, "skipped");
        }
        vm.assertEq(logs.length, 3, "claimed, the transfer, settled");
    }

    function test_with_nothing_to_send_nothing_is_done() public {
        _deposit(_config(), 100);
        IChannel.VoucherClaim[] memory rows = _rows(_row(_config(), 60, 60));
        _send(rows);
        vm.recordLogs();
        _send(rows);
        vm.assertEq(vm.getRecordedLogs().length, 0, "said");
    }

    function test_without_an_authorizer_the_payer_signs() public {
        IChannel.ChannelConfig memory config = _config();
        config.payerAuthorizer = address(0);
        _deposit(config, 100);
        _send(_rows(_row(config, 30, 30)));
        _assertMoney(0, 30, 70);
    }

    function test_it_does_what_claim_and_settle_do(uint64[4] memory totals, uint64 balance) public {
        balance = uint64(bound(balance, 1, type(uint64).max));
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](totals.length);
        for (uint256 i = 0; i < totals.length; i++) {
            _deposit(_configWithSalt(i), balance);
            _deposit(_configWithSalt(100 + i), balance);
            rows[i] = _row(_configWithSalt(i), totals[i], totals[i]);
        }
        _send(rows);
        uint256 together = usdc.balanceOf(receiver);
        for (uint256 i = 0; i < totals.length; i++) {
            if (totals[i] <= balance) _claim(_configWithSalt(100 + i), totals[i]);
        }
        channel.settle(receiver, address(usdc));
        vm.assertEq(usdc.balanceOf(receiver), 2 * together, "one by one");
    }

    function test_a_bad_row_costs_the_others_nothing(uint256 which) public {
        (IChannel.VoucherClaim memory bad, bytes4 reason) = _bad(which % 4);
        _deposit(_configWithSalt(1), 100);
        _deposit(_configWithSalt(2), 100);
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](3);
        (rows[0], rows[1], rows[2]) = (_row(_configWithSalt(1), 10, 10), bad, _row(_configWithSalt(2), 20, 20));
        vm.expectEmit(address(channel));
        emit IChannel.ClaimSkipped(_id(bad.voucher.channel), reason);
        _send(rows);
        _assertChannel(_id(bad.voucher.channel), 50, 0);
        _assertReceiver(30, 30);
        vm.assertEq(usdc.balanceOf(receiver), 30, "paid for the others");
    }

    function test_a_denied_receiver_keeps_its_claim() public {
        bytes32 id = _deposit(_config(), 100);
        usdc.deny(receiver, true);
        IChannel.VoucherClaim[] memory rows = _rows(_row(_config(), 60, 60));
        vm.expectEmit(address(channel));
        emit IChannel.SettleFailed(receiver, address(usdc), receiver, 60);
        _send(rows);
        _assertChannel(id, 100, 60);
        _assertReceiver(60, 0);

        usdc.deny(receiver, false);
        channel.settle(receiver, address(usdc));
        _assertMoney(0, 60, 40);
    }

    function test_a_transfer_that_fails_in_any_way_keeps_the_claim() public {
        HostileToken.Transfers[6] memory ways = [
            HostileToken.Transfers.AnswerFalse,
            HostileToken.Transfers.AnswerTwo,
            HostileToken.Transfers.AnswerOneByte,
            HostileToken.Transfers.Revert,
            HostileToken.Transfers.RevertWithLongData,
            HostileToken.Transfers.BurnGas
        ];
        HostileToken token = new HostileToken();
        channel = _deployChannel(address(token));
        token.mint(payer, 1000);
        channel.deposit(_config(), 1000, COLLECTOR, _collectorData(PAYER_KEY, _config(), 1000));
        for (uint128 i = 0; i < ways.length; i++) {
            token.setTransfers(ways[i]);
            if (ways[i] == HostileToken.Transfers.BurnGas) token.setGasToBurn(195_000);
            _send(_rows(_row(_config(), 10 * (i + 1), 10 * (i + 1))));
            _assertReceiver(10 * (i + 1), 0);
        }
        token.setTransfers(HostileToken.Transfers.AnswerNothing);
        _send(_rows(_row(_config(), 60, 60)));
        _assertReceiver(60, 60);
        vm.assertEq(token.balanceOf(receiver), 60, "paid");
    }

    function test_the_token_gets_200k_gas_for_the_transfer_and_no_more() public {
        HostileToken token = new HostileToken();
        channel = _deployChannel(address(token));
        token.mint(payer, 1000);
        channel.deposit(_config(), 1000, COLLECTOR, _collectorData(PAYER_KEY, _config(), 1000));
        token.setGasToBurn(201_000);
        _send(_rows(_row(_config(), 10, 10)));
        _assertReceiver(10, 0);
        token.setGasToBurn(130_000);
        _send(_rows(_row(_config(), 20, 20)));
        _assertReceiver(20, 20);
        vm.assertEq(token.balanceOf(receiver), 20, "paid");
    }

    function test_a_wallet_that_answers_wrongly_costs_its_own_row() public {
        HostileWallet wallet = new HostileWallet();
        IChannel.ChannelConfig memory config = _config();
        (config.payer, config.payerAuthorizer) = (address(wallet), address(0));
        bytes32 id = _deposit(config, 100);
        _deposit(_config(), 100);
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](2);
        (rows[0], rows[1]) = (_row(config, 10, 10), _row(_config(), 20, 20));
        HostileWallet.Answers[3] memory wrong =
            [HostileWallet.Answers.Short, HostileWallet.Answers.Revert, HostileWallet.Answers.BurnAll];
        for (uint256 i = 0; i < 3; i++) {
            wallet.set(wrong[i]);
            _send(rows);
            _assertChannel(id, 100, 0);
            _assertReceiver(20, 20);
        }
        wallet.set(HostileWallet.Answers.Long);
        _send(rows);
        _assertChannel(id, 100, 10);
    }

    function test_a_wallet_that_says_no_costs_its_own_row() public {
        IChannel.ChannelConfig memory config = _config();
        (config.payer, config.payerAuthorizer) = (address(new Wallet1271(payer)), address(0));
        bytes32 id = _deposit(config, 100);
        IChannel.VoucherClaim[] memory rows = _rows(_row(config, 10, 10));
        bytes memory good = rows[0].signature;
        rows[0].signature = _sign(EVE_KEY, _voucherDigest(id, 10));
        _send(rows);
        _assertChannel(id, 100, 0);
        rows[0].signature = good;
        _send(rows);
        _assertChannel(id, 100, 10);
    }

    function test_a_greedy_wallet_is_cut_off() public {
        GreedyWallet wallet = new GreedyWallet();
        bytes32 id = _depositOf(wallet);
        IChannel.ChannelConfig memory config = _configOf(wallet);
        wallet.setGasToBurn(150_000);
        vm.expectEmit(address(channel));
        emit IChannel.ClaimSkipped(id, IChannel.InvalidSignature.selector);
        _send(_rows(_row(config, 10, 10)));
        wallet.setGasToBurn(80_000);
        _send(_rows(_row(config, 10, 10)));
        _assertChannel(id, 100, 10);
    }

    function test_reverts_when_a_sender_starves_a_wallets_check() public {
        GreedyWallet wallet = new GreedyWallet();
        bytes32 id = _depositOf(wallet);
        wallet.setGasToBurn(80_000);
        bytes memory call = abi.encodeCall(IChannel.claimAndSettle, (_rows(_row(_configOf(wallet), 10, 10))));
        uint256 starved = 0;
        uint256 claimed = 0;
        // in whatever way the gas is cut: claimed, or nothing happened, but never skipped
        for (uint256 gas_ = 30_000; gas_ < 300_000; gas_ += 7_001) {
            vm.prank(receiver);
            (bool ok, bytes memory answer) = address(channel).call{gas: gas_}(call);
            (, uint128 total) = channel.channels(id);
            if (ok) vm.assertEq(total, 10, "skipped for want of gas");
            if (ok) claimed++;
            if (bytes4(answer) == IChannel.GasTooLow.selector) starved++;
        }
        vm.assertTrue(starved > 3 && claimed > 3, "both happened");
    }

    function test_a_wallets_check_needs_100k_gas_and_10k_for_the_way() public {
        GreedyWallet wallet = new GreedyWallet();
        _depositOf(wallet);
        bytes memory call = abi.encodeCall(IChannel.claimAndSettle, (_rows(_row(_configOf(wallet), 10, 10))));
        uint256 needed = _neededGas(address(channel), call, IChannel.GasTooLow.selector, receiver);
        vm.assertEq(needed, 110_000, "needed");
    }

    function test_a_reentrant_token_is_paid_once() public {
        HostileToken token = new HostileToken();
        channel = _deployChannel(address(token));
        token.mint(payer, 1000);
        channel.deposit(_config(), 1000, COLLECTOR, _collectorData(PAYER_KEY, _config(), 1000));
        token.setReentry(address(channel), abi.encodeCall(IChannel.settle, (receiver, address(token))));
        _send(_rows(_row(_config(), 60, 60)));
        vm.assertTrue(!token.callSucceeded(), "reentered");
        vm.assertEq(token.balanceOf(receiver), 60, "paid once");
    }

    function test_reverts_when_there_are_no_rows() public {
        vm.expectRevert(IChannel.EmptyBatch.selector);
        channel.claimAndSettle(new IChannel.VoucherClaim[](0));
    }

    function test_reverts_when_the_sender_is_not_the_receivers_side(address sender) public {
        vm.assume(sender != receiver && sender != receiverAuthorizer && sender != address(0));
        _deposit(_config(), 100);
        IChannel.VoucherClaim[] memory rows = _rows(_row(_config(), 60, 60));
        vm.expectRevert(IChannel.NotAuthorizedToClaim.selector);
        vm.prank(sender);
        channel.claimAndSettle(rows);
    }

    function test_reverts_when_rows_pay_different_receivers() public {
        IChannel.ChannelConfig memory other = _config();
        other.receiver = eve;
        _deposit(_config(), 100);
        _deposit(other, 100);
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](2);
        (rows[0], rows[1]) = (_row(_config(), 10, 10), _row(other, 10, 10));
        vm.expectRevert(IChannel.MixedReceivers.selector);
        vm.prank(receiverAuthorizer);
        channel.claimAndSettle(rows);
    }

    function _send(IChannel.VoucherClaim[] memory rows) private {
        vm.prank(receiver);
        channel.claimAndSettle(rows);
    }

    /// @notice A row on a channel with 50 in it that has to fail, and why.
    function _bad(uint256 which) private returns (IChannel.VoucherClaim memory row, bytes4 reason) {
        _deposit(_configWithSalt(9), 50);
        if (which == 0) return (_row(_configWithSalt(9), 9, 10), IChannel.ClaimExceedsCeiling.selector);
        if (which == 1) return (_row(_configWithSalt(9), 51, 51), IChannel.ClaimExceedsBalance.selector);
        row = _row(_configWithSalt(9), 10, 10);
        row.signature = which == 2 ? bytes("") : _sign(EVE_KEY, _voucherDigest(_id(_configWithSalt(9)), 10));
        return (row, IChannel.InvalidSignature.selector);
    }

    function _configOf(GreedyWallet wallet) private view returns (IChannel.ChannelConfig memory config) {
        config = _config();
        (config.payer, config.payerAuthorizer) = (address(wallet), address(0));
    }

    function _depositOf(GreedyWallet wallet) private returns (bytes32) {
        return _deposit(_configOf(wallet), 100);
    }
}
