// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";

contract ChannelInitiateWithdrawTest is ChannelBase {
    function test_the_delay_begins(uint128 amount, uint128 wanted, uint40 delay, bool byAgent) public {
        amount = uint128(bound(amount, 1, type(uint128).max));
        wanted = uint128(bound(wanted, 1, amount));
        IChannel.ChannelConfig memory config = _config();
        config.withdrawDelay = uint40(bound(delay, 15 minutes, 30 days));
        bytes32 id = _deposit(config, amount);

        vm.expectEmit(address(channel));
        emit IChannel.WithdrawInitiated(id, wanted, uint40(NOW) + config.withdrawDelay);
        vm.prank(byAgent ? payerAuthorizer : payer);
        channel.initiateWithdraw(config, wanted);

        (uint128 pending, uint40 since) = channel.pendingWithdrawals(id);
        vm.assertEq(pending, wanted, "wanted");
        vm.assertEq(since, NOW, "since");
        _assertChannel(id, amount, 0);
        _assertMoney(0, 0, amount);
    }

    function test_reverts_when_the_sender_is_not_the_payers_side(address sender) public {
        vm.assume(sender != payer && sender != payerAuthorizer);
        _deposit(_config(), 100);
        _refused(sender, 10, IChannel.InvalidChannel.selector);
        _refused(receiver, 10, IChannel.InvalidChannel.selector);
    }

    function test_reverts_when_nothing_is_wanted() public {
        _deposit(_config(), 100);
        _refused(payer, 0, IChannel.NothingToWithdraw.selector);
    }

    function test_reverts_when_one_is_pending() public {
        _deposit(_config(), 100);
        _initiate(10);
        _refused(payer, 10, IChannel.WithdrawalAlreadyPending.selector);
    }

    function test_reverts_when_more_is_wanted_than_is_unclaimed(uint128 wanted) public {
        wanted = uint128(bound(wanted, 41, type(uint128).max));
        _deposit(_config(), 100);
        _claim(_config(), 60);
        _refused(payer, wanted, IChannel.WithdrawAmountExceedsAvailable.selector);
    }

    function _refused(address sender, uint128 amount, bytes4 selector) private {
        IChannel.ChannelConfig memory config = _config();
        vm.expectRevert(selector);
        vm.prank(sender);
        channel.initiateWithdraw(config, amount);
    }
}
