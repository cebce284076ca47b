// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {Vm} from "../../base/TestBase.sol";

contract ChannelRefundTest is ChannelBase {
    function test_the_payer_has_its_money_back_at_once(uint128 total, uint128 amount, bool byAgent) public {
        total = uint128(bound(total, 1, 999));
        amount = uint128(bound(amount, 1, type(uint128).max));
        bytes32 id = _deposit(_config(), 1000);
        _claim(_config(), total);
        uint128 back = amount < 1000 - total ? amount : 1000 - total;
        address sender = byAgent ? receiverAuthorizer : receiver;
        IChannel.ChannelConfig memory config = _config();

        vm.expectEmit(address(channel));
        emit IChannel.Refunded(id, sender, back);
        vm.prank(sender);
        channel.refund(config, amount);

        _assertChannel(id, 1000 - back, total);
        _assertMoney(back, 0, 1000 - back);
        vm.assertEq(channel.refundNonce(id), 1, "nonce");
    }

    function test_an_empty_unclaimed_channel_is_closed() public {
        bytes32 id = _deposit(_config(), 1000);
        vm.expectEmit(address(channel));
        emit IChannel.ChannelClosed(id, _config());
        _refund(1000);
        _assertMoney(1000, 0, 0);
    }

    function test_a_channel_with_money_in_it_is_not_closed() public {
        _deposit(_config(), 1000);
        vm.recordLogs();
        _refund(999);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 2, "refunded, and the transfer");
        for (uint256 i = 0; i < logs.length; i++) {
            vm.assertTrue(logs[i].topics[0] != IChannel.ChannelClosed.selector, "closed");
        }
    }

    function test_it_counts_towards_a_withdrawal_under_way(uint128 amount) public {
        amount = uint128(bound(amount, 1, 1000));
        bytes32 id = _deposit(_config(), 1000);
        _initiate(600);
        _refund(amount);
        (uint128 pending, uint40 since) = channel.pendingWithdrawals(id);
        vm.assertEq(pending, amount < 600 ? 600 - amount : 0, "still wanted");
        vm.assertEq(since, amount < 600 ? NOW : 0, "since");
    }

    function test_a_refund_of_all_that_a_withdrawal_wants_ends_it() public {
        bytes32 id = _deposit(_config(), 1000);
        _initiate(600);
        _refund(600);
        (uint128 pending, uint40 since) = channel.pendingWithdrawals(id);
        vm.assertEq(pending + since, 0, "nothing pending");
        _initiate(400);
    }

    function test_nothing_left_is_no_error_and_uses_a_nonce() public {
        bytes32 id = _deposit(_config(), 100);
        _claim(_config(), 100);
        vm.recordLogs();
        _refund(1);
        vm.assertEq(vm.getRecordedLogs().length, 0, "said");
        _assertChannel(id, 100, 100);
        vm.assertEq(channel.refundNonce(id), 1, "nonce");
    }

    function test_reverts_when_the_sender_is_not_the_receivers_side(address sender) public {
        vm.assume(sender != receiver && sender != receiverAuthorizer);
        _deposit(_config(), 100);
        _refused(sender, 10, IChannel.NotAuthorizedToRefund.selector);
        _refused(payer, 10, IChannel.NotAuthorizedToRefund.selector);
    }

    function test_reverts_when_nothing_is_refunded() public {
        _deposit(_config(), 100);
        _refused(receiver, 0, IChannel.ZeroRefund.selector);
    }

    function _refund(uint128 amount) private {
        IChannel.ChannelConfig memory config = _config();
        vm.prank(receiver);
        channel.refund(config, amount);
    }

    function _refused(address sender, uint128 amount, bytes4 selector) private {
        IChannel.ChannelConfig memory config = _config();
        vm.expectRevert(selector);
        vm.prank(sender);
        channel.refund(config, amount);
    }
}
