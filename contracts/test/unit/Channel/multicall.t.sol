// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";

contract ChannelMulticallTest is ChannelBase {
    function test_a_facilitator_claims_and_refunds_in_one_transaction() public {
        bytes32 id = _deposit(_config(), 1000);
        IChannel.VoucherClaim[] memory rows = _rows(_row(_config(), 300, 300));
        bytes[] memory calls = new bytes[](3);
        calls[0] =
            abi.encodeCall(IChannel.claimWithSignature, (rows, _sign(RECEIVER_AUTHORIZER_KEY, _batchDigest(rows))));
        bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _channelRefundDigest(id, 0, 700));
        calls[1] = abi.encodeCall(IChannel.refundWithSignature, (_config(), 700, 0, signature));
        calls[2] = abi.encodeCall(IChannel.refundNonce, (id));
        vm.prank(relayer);
        bytes[] memory results = channel.multicall(calls);
        _assertChannel(id, 300, 300);
        vm.assertEq(usdc.balanceOf(payer), 700, "refunded");
        vm.assertEq(abi.decode(results[2], (uint256)), 1, "the answer");
    }

    function test_the_sender_is_the_sender() public {
        bytes32 id = _deposit(_config(), 1000);
        bytes[] memory calls = new bytes[](1);
        calls[0] = abi.encodeCall(IChannel.refund, (_config(), 700));
        vm.expectRevert(IChannel.NotAuthorizedToRefund.selector);
        vm.prank(eve);
        channel.multicall(calls);
        vm.prank(receiver);
        channel.multicall(calls);
        _assertChannel(id, 300, 0);
    }

    function test_it_answers_what_each_call_answers(uint64[3] memory amounts, uint128 max, bytes32 salt) public {
        bytes[] memory calls = new bytes[](6);
        for (uint256 i = 0; i < 3; i++) {
            amounts[i] = uint64(bound(amounts[i], 1, type(uint64).max));
            bytes32 id = _deposit(_configWithSalt(uint256(salt) ^ i), amounts[i]);
            calls[2 * i] = abi.encodeCall(IChannel.channels, (id));
            calls[2 * i + 1] = abi.encodeCall(IChannel.getVoucherDigest, (id, max));
        }
        bytes[] memory results = channel.multicall(calls);
        for (uint256 i = 0; i < 3; i++) {
            vm.assertEq(keccak256(results[2 * i]), keccak256(abi.encode(amounts[i], 0)), "channel");
            bytes32 digest = _voucherDigest(_id(_configWithSalt(uint256(salt) ^ i)), max);
            vm.assertEq(bytes32(results[2 * i + 1]), digest, "voucher");
        }
    }

    function test_reverts_when_a_call_is_none(bytes memory data) public {
        // no function of ours has a selector of zero
        bytes[] memory calls = new bytes[](1);
        calls[0] = bytes.concat(bytes4(0), data);
        vm.expectRevert(bytes(""));
        channel.multicall(calls);
    }

    function test_reverts_all_when_one_fails() public {
        bytes32 id = _deposit(_config(), 1000);
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IChannel.refund, (_config(), 700));
        calls[1] = abi.encodeCall(IChannel.refund, (_config(), 0));
        vm.expectRevert(IChannel.ZeroRefund.selector);
        vm.prank(receiver);
        channel.multicall(calls);
        _assertChannel(id, 1000, 0);
    }
}
