// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";

contract ChannelFinalizeWithdrawTest is ChannelBase {
    function test_the_payer_has_its_money_back_after_the_delay(uint128 wanted, uint32 late, bool byAgent) public {
        wanted = uint128(bound(wanted, 1, 1000));
        bytes32 id = _deposit(_config(), 1000);
        _initiate(wanted);
        vm.warp(NOW + 1 days + late);
        IChannel.ChannelConfig memory config = _config();
        address sender = byAgent ? payerAuthorizer : payer;

        vm.expectEmit(address(channel));
        emit IChannel.WithdrawFinalized(id, sender, wanted);
        vm.prank(sender);
        channel.finalizeWithdraw(config);

        _assertChannel(id, 1000 - wanted, 0);
        _assertMoney(wanted, 0, 1000 - wanted);
        (uint128 pending, uint40 since) = channel.pendingWithdrawals(id);
        vm.assertEq(pending + since, 0, "nothing pending");
    }

    function test_an_empty_unclaimed_channel_is_closed() public {
        bytes32 id = _deposit(_config(), 1000);
        _initiate(1000);
        vm.warp(NOW + 1 days);
        vm.expectEmit(address(channel));
        emit IChannel.ChannelClosed(id, _config());
        _finalize();
        _assertChannel(id, 0, 0);
    }

    function test_what_was_claimed_meanwhile_stays_the_receivers(uint128 total) public {
        total = uint128(bound(total, 1, 1000));
        bytes32 id = _deposit(_config(), 1000);
        _initiate(1000);
        vm.warp(NOW + 1 days);
        _claim(_config(), total);
        _finalize();
        _assertChannel(id, total, total);
        channel.settle(receiver, address(usdc));
        _assertMoney(1000 - total, total, 0);
    }

    function test_where_all_was_claimed_nothing_is_sent() public {
        bytes32 id = _deposit(_config(), 1000);
        _initiate(1000);
        vm.warp(NOW + 1 days);
        _claim(_config(), 1000);
        vm.recordLogs();
        _finalize();
        vm.assertEq(vm.getRecordedLogs().length, 1, "finalized, and no transfer");
        _assertChannel(id, 1000, 1000);
    }

    function test_a_second_withdrawal_can_follow() public {
        _deposit(_config(), 1000);
        _initiate(400);
        vm.warp(NOW + 1 days);
        _finalize();
        _initiate(600);
        vm.warp(NOW + 2 days);
        _finalize();
        _assertMoney(1000, 0, 0);
    }

    function test_a_claim_after_a_withdrawal_reaches_what_is_left_only() public {
        bytes32 id = _deposit(_config(), 1000);
        IChannel.VoucherClaim[] memory rows = _rows(_row(_config(), 1000, 1000));
        _initiate(900);
        vm.warp(NOW + 1 days);
        _finalize();
        vm.expectRevert(IChannel.ClaimExceedsBalance.selector);
        vm.prank(receiver);
        channel.claim(rows);
        rows[0].totalClaimed = 100;
        vm.prank(receiver);
        channel.claim(rows);
        _assertChannel(id, 100, 100);
    }

    function test_reverts_when_the_sender_is_not_the_payers_side(address sender) public {
        vm.assume(sender != payer && sender != payerAuthorizer);
        _deposit(_config(), 100);
        _initiate(10);
        vm.warp(NOW + 1 days);
        _refused(sender, IChannel.NotAuthorizedToFinalizeWithdraw.selector);
    }

    function test_reverts_when_nothing_is_pending() public {
        _deposit(_config(), 100);
        _refused(payer, IChannel.WithdrawalNotPending.selector);
        _initiate(10);
        vm.warp(NOW + 1 days);
        _finalize();
        _refused(payer, IChannel.WithdrawalNotPending.selector);
    }

    function test_reverts_when_the_delay_is_not_over(uint40 secs) public {
        secs = uint40(bound(secs, 0, 1 days - 1));
        _deposit(_config(), 100);
        _initiate(10);
        vm.warp(NOW + secs);
        _refused(payer, IChannel.WithdrawDelayNotElapsed.selector);
    }

    function test_reverts_when_the_token_refuses_and_can_be_tried_again() public {
        _deposit(_config(), 100);
        _initiate(100);
        vm.warp(NOW + 1 days);
        usdc.deny(payer, true);
        _refused(payer, bytes4(keccak256("TransferFailed()")));
        usdc.deny(payer, false);
        _finalize();
        _assertMoney(100, 0, 0);
    }

    function _refused(address sender, bytes4 selector) private {
        IChannel.ChannelConfig memory config = _config();
        vm.expectRevert(selector);
        vm.prank(sender);
        channel.finalizeWithdraw(config);
    }
}
