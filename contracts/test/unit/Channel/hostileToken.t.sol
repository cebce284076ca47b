// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";

/// @notice Every way money leaves a channel, with a token that lies, refuses, burns gas or calls back. Deposits and
/// `claimAndSettle` have theirs in their own files.
contract ChannelHostileTokenTest is ChannelBase {
    enum Exit {
        Settle,
        FinalizeWithdraw,
        Refund,
        RefundWithSignature
    }

    HostileToken private token;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        token = new HostileToken();
        channel = _deployChannel(address(token));
        token.mint(payer, 1000);
        channel.deposit(_config(), 1000, COLLECTOR, _collectorData(PAYER_KEY, _config(), 1000));
        id = _id(_config());
        _claim(_config(), 400);
        _initiate(600);
        vm.warp(NOW + 1 days);
    }

    function test_reverts_when_the_token_does_not_pay_in_whatever_way(uint256 which, uint256 how) public {
        Exit exit = Exit(which % 4);
        HostileToken.Transfers[6] memory ways = [
            HostileToken.Transfers.AnswerFalse,
            HostileToken.Transfers.AnswerTwo,
            HostileToken.Transfers.AnswerOneByte,
            HostileToken.Transfers.Revert,
            HostileToken.Transfers.RevertWithLongData,
            HostileToken.Transfers.BurnGas
        ];
        token.setTransfers(ways[how % 6]);
        if (how % 6 == 5) token.setGasToBurn(type(uint256).max / 2);
        (bool ok, bytes memory answer) = _leave(exit);
        vm.assertTrue(!ok, "refused");
        vm.assertEq(keccak256(answer), keccak256(abi.encodeWithSignature("TransferFailed()")), "by the token");
        _assertChannel(id, 1000, 400);
        _assertReceiver(400, 0);
        (uint128 pending,) = channel.pendingWithdrawals(id);
        vm.assertEq(pending, 600, "still wanted");
        vm.assertEq(channel.refundNonce(id), 0, "no refund");

        token.setTransfers(HostileToken.Transfers.AnswerNothing);
        (ok,) = _leave(exit);
        vm.assertTrue(ok, "once it pays");
        _assertPaid(exit);
    }

    function test_a_reentrant_token_pays_once(uint256 which, uint256 what) public {
        Exit exit = Exit(which % 4);
        token.setReentry(address(channel), _calls()[what % 10]);
        (bool ok,) = _leave(exit);
        vm.assertTrue(ok && !token.callSucceeded(), "reentered");
        vm.assertEq(bytes32(token.callAnswer()), bytes32(bytes4(keccak256("Reentrancy()"))), "by the guard");
        _assertPaid(exit);
    }

    /// @dev Everything that moves or writes anything, the last one wrapped.
    function _calls() private view returns (bytes[10] memory calls) {
        IChannel.ChannelConfig memory config = _config();
        IChannel.VoucherClaim[] memory rows = _rows(_row(config, 1000, 1000));
        calls = [
            abi.encodeCall(IChannel.deposit, (config, 1, COLLECTOR, "")),
            abi.encodeCall(IChannel.claim, (rows)),
            abi.encodeCall(IChannel.claimWithSignature, (rows, _sign(RECEIVER_AUTHORIZER_KEY, _batchDigest(rows)))),
            abi.encodeCall(IChannel.claimAndSettle, (rows)),
            abi.encodeCall(IChannel.settle, (receiver, address(token))),
            abi.encodeCall(IChannel.initiateWithdraw, (config, 1)),
            abi.encodeCall(IChannel.finalizeWithdraw, (config)),
            abi.encodeCall(IChannel.refund, (config, 600)),
            abi.encodeCall(IChannel.refundWithSignature, (config, 600, 0, _refundSig())),
            bytes("")
        ];
        bytes[] memory wrapped = new bytes[](1);
        wrapped[0] = calls[4];
        calls[9] = abi.encodeCall(IChannel.multicall, (wrapped));
    }

    function _leave(Exit exit) private returns (bool ok, bytes memory answer) {
        bytes[4] memory calls = [
            abi.encodeCall(IChannel.settle, (receiver, address(token))),
            abi.encodeCall(IChannel.finalizeWithdraw, (_config())),
            abi.encodeCall(IChannel.refund, (_config(), 600)),
            abi.encodeCall(IChannel.refundWithSignature, (_config(), 600, 0, _refundSig()))
        ];
        address[4] memory senders = [relayer, payer, receiver, relayer];
        vm.prank(senders[uint256(exit)]);
        return address(channel).call{gas: 2_000_000}(calls[uint256(exit)]);
    }

    function _refundSig() private view returns (bytes memory) {
        return _sign(RECEIVER_AUTHORIZER_KEY, _channelRefundDigest(id, 0, 600));
    }

    function _assertPaid(Exit exit) private view {
        bool settled = exit == Exit.Settle;
        _assertReceiver(400, settled ? 400 : 0);
        _assertChannel(id, settled ? 1000 : 400, 400);
        vm.assertEq(token.balanceOf(receiver), settled ? 400 : 0, "receiver");
        vm.assertEq(token.balanceOf(payer), settled ? 0 : 600, "payer");
        vm.assertEq(token.balanceOf(address(channel)), settled ? 600 : 400, "channel contract");
    }
}
