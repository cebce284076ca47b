// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {MulticallBase} from "../../base/MulticallBase.sol";
import {IMulticall3} from "../../mocks/IMulticall3.sol";

contract TryAggregateTest is MulticallBase {
    function test_try_aggregate_reads_a_channel_as_x402_clients_do(uint64 amount, uint64 other) public {
        amount = uint64(bound(amount, 1, type(uint64).max));
        bytes32 id = _deposit(_config(), amount);
        usdc.mint(eve, other);
        IMulticall3.Call[] memory calls = new IMulticall3.Call[](3);
        calls[0] = IMulticall3.Call(CHANNEL, abi.encodeCall(IChannel.channels, (id)));
        calls[1] = IMulticall3.Call(address(usdc), abi.encodeWithSignature("balanceOf(address)", eve));
        calls[2] = IMulticall3.Call(CHANNEL, abi.encodeCall(IChannel.settle, (address(0), address(0))));
        IMulticall3.Result[] memory results = MULTICALL3.tryAggregate(false, calls);
        (uint128 balance,) = abi.decode(results[0].returnData, (uint128, uint128));
        vm.assertEq(balance, amount, "channel");
        vm.assertEq(abi.decode(results[1].returnData, (uint256)), other, "balance");
        vm.assertTrue(results[0].success && results[1].success && results[2].success, "all");
    }

    function test_every_call_is_made_in_order_by_the_contract_itself(uint64[3] memory amounts, bool strict) public {
        IMulticall3.Call[] memory calls = new IMulticall3.Call[](3);
        for (uint256 i = 0; i < 3; i++) {
            usdc.mint(address(MULTICALL3), amounts[i]);
            calls[i] =
                IMulticall3.Call(address(usdc), abi.encodeWithSignature("transfer(address,uint256)", eve, amounts[i]));
        }
        IMulticall3.Result[] memory results = MULTICALL3.tryAggregate(strict, calls);
        for (uint256 i = 0; i < 3; i++) {
            vm.assertTrue(results[i].success && abi.decode(results[i].returnData, (bool)), "made");
        }
        vm.assertEq(usdc.balanceOf(eve), uint256(amounts[0]) + amounts[1] + amounts[2], "by whoever has the money");
    }

    function test_reverts_when_a_call_fails_that_must_not() public {
        IMulticall3.Call[] memory calls = new IMulticall3.Call[](2);
        calls[0] = IMulticall3.Call(CHANNEL, hex"deadbeef");
        calls[1] = IMulticall3.Call(CHANNEL, abi.encodeCall(IChannel.refundNonce, (0)));
        IMulticall3.Result[] memory results = MULTICALL3.tryAggregate(false, calls);
        vm.assertTrue(!results[0].success && results[1].success, "the first only");
        vm.expectRevert(abi.encodeWithSelector(IMulticall3.CallFailed.selector, 0));
        MULTICALL3.tryAggregate(true, calls);
    }
}
