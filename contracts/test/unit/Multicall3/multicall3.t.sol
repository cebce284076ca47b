// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {IMulticall3} from "../../mocks/IMulticall3.sol";

contract Multicall3Test is ChannelBase {
    IMulticall3 private constant MULTICALL3 = IMulticall3(0xcA11bde05977b3631167028862bE2a173976CA11);

    function setUp() public override {
        super.setUp();
        vm.etch(address(MULTICALL3), vm.deployCode("out/Multicall3.sol/Multicall3.json", "").code);
    }

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

    function test_try_aggregate_may_let_calls_fail() public {
        IMulticall3.Call[] memory calls = new IMulticall3.Call[](2);
        calls[0] = IMulticall3.Call(CHANNEL, hex"deadbeef");
        calls[1] = IMulticall3.Call(CHANNEL, abi.encodeCall(IChannel.refundNonce, (0)));
        IMulticall3.Result[] memory results = MULTICALL3.tryAggregate(false, calls);
        vm.assertTrue(!results[0].success && results[1].success, "the first only");
        vm.expectRevert(abi.encodeWithSelector(IMulticall3.CallFailed.selector, 0));
        MULTICALL3.tryAggregate(true, calls);
    }

    function test_aggregate3_lets_fail_what_may() public {
        IMulticall3.Call3[] memory calls = new IMulticall3.Call3[](2);
        calls[0] = IMulticall3.Call3(CHANNEL, false, abi.encodeCall(IChannel.refundNonce, (0)));
        calls[1] = IMulticall3.Call3(CHANNEL, true, hex"deadbeef");
        IMulticall3.Result[] memory results = MULTICALL3.aggregate3(calls);
        vm.assertTrue(results[0].success && !results[1].success, "the second only");
        calls[1].allowFailure = false;
        vm.expectRevert(abi.encodeWithSelector(IMulticall3.CallFailed.selector, 1));
        MULTICALL3.aggregate3(calls);
    }

    function test_get_eth_balance_is_the_accounts(address account) public view {
        vm.assertEq(MULTICALL3.getEthBalance(account), account.balance, "ether");
    }
}
