// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {MulticallBase} from "../../base/MulticallBase.sol";
import {IMulticall3} from "../../mocks/IMulticall3.sol";

contract Aggregate3Test is MulticallBase {
    function test_calls_that_may_fail_do_and_the_others_are_made(uint256 failing) public {
        IMulticall3.Call3[] memory calls = new IMulticall3.Call3[](4);
        for (uint256 i = 0; i < 4; i++) {
            bool fails = (failing >> i) & 1 == 1;
            bytes memory data = abi.encodeCall(IChannel.refundNonce, (bytes32(i)));
            calls[i] = IMulticall3.Call3(CHANNEL, fails, fails ? bytes(hex"deadbeef") : data);
        }
        IMulticall3.Result[] memory results = MULTICALL3.aggregate3(calls);
        for (uint256 i = 0; i < 4; i++) {
            vm.assertTrue(results[i].success != calls[i].allowFailure, "as it was");
        }
    }

    function test_reverts_when_a_call_fails_that_must_not(uint256 which) public {
        which = bound(which, 0, 3);
        IMulticall3.Call3[] memory calls = new IMulticall3.Call3[](4);
        for (uint256 i = 0; i < 4; i++) {
            calls[i] = IMulticall3.Call3(CHANNEL, true, hex"deadbeef");
        }
        calls[which].allowFailure = false;
        vm.expectRevert(abi.encodeWithSelector(IMulticall3.CallFailed.selector, which));
        MULTICALL3.aggregate3(calls);
    }
}
