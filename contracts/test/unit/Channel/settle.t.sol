// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";

contract ChannelSettleTest is ChannelBase {
    function test_anybody_may_have_the_receiver_paid(address sender, uint128 total) public {
        vm.assume(sender != address(0));
        total = uint128(bound(total, 1, type(uint128).max));
        _deposit(_config(), type(uint128).max);
        _claim(_config(), total);

        vm.expectEmit(address(channel));
        emit IChannel.Settled(receiver, address(usdc), sender, total);
        vm.prank(sender);
        channel.settle(receiver, address(usdc));

        _assertReceiver(total, total);
        _assertMoney(0, total, type(uint128).max - total);
    }

    function test_claims_of_many_channels_are_paid_together() public {
        _deposit(_configWithSalt(1), 100);
        _deposit(_configWithSalt(2), 100);
        _claim(_configWithSalt(1), 30);
        _claim(_configWithSalt(2), 50);
        channel.settle(receiver, address(usdc));
        _assertMoney(0, 80, 120);
    }

    function test_a_second_settle_does_nothing() public {
        _deposit(_config(), 100);
        _claim(_config(), 30);
        channel.settle(receiver, address(usdc));
        vm.recordLogs();
        channel.settle(receiver, address(usdc));
        vm.assertEq(vm.getRecordedLogs().length, 0, "said");
        _assertMoney(0, 30, 70);
    }

    function test_the_guard_leaves_nothing_in_storage() public {
        _deposit(_config(), 100);
        _claim(_config(), 30);
        channel.settle(receiver, address(usdc));
        // where solady's guard writes if it does not use transient storage
        vm.assertEq(vm.load(address(channel), bytes32(uint256(0x8000000000ab143c06))), 0, "guard");
    }

    function test_nothing_to_settle_is_no_error(address who, address token) public {
        _deposit(_config(), 100);
        channel.settle(who, token);
        channel.settle(receiver, token);
        _assertMoney(0, 0, 100);
    }

    function test_reverts_when_the_token_refuses_and_can_be_tried_again() public {
        _deposit(_config(), 100);
        _claim(_config(), 30);
        usdc.deny(receiver, true);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        channel.settle(receiver, address(usdc));
        usdc.deny(receiver, false);
        channel.settle(receiver, address(usdc));
        _assertMoney(0, 30, 70);
    }
}
