// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract ChannelClaimWithSignatureTest is ChannelBase {
    function test_anybody_may_send_the_authorizers_claim(address sender, uint64 first, uint64 second) public {
        vm.assume(sender != address(0));
        IChannel.VoucherClaim[] memory rows = _two(first, second);
        bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _batchDigest(rows));
        vm.prank(sender);
        channel.claimWithSignature(rows, signature);
        _assertChannel(_id(_configWithSalt(1)), type(uint64).max, first);
        _assertChannel(_id(_configWithSalt(2)), type(uint64).max, second);
        _assertReceiver(uint256(first) + second, 0);
    }

    function test_the_claim_counts_once_in_any_form() public {
        IChannel.VoucherClaim[] memory rows = _two(10, 20);
        bytes32 digest = _batchDigest(rows);
        channel.claimWithSignature(rows, _sign(RECEIVER_AUTHORIZER_KEY, digest));
        channel.claimWithSignature(rows, _signCompact(RECEIVER_AUTHORIZER_KEY, digest));
        channel.claimWithSignature(rows, _signMalleated(RECEIVER_AUTHORIZER_KEY, digest));
        _assertReceiver(30, 0);
    }

    function test_the_authorizer_may_be_a_contract_wallet() public {
        IChannel.ChannelConfig memory config = _config();
        config.receiverAuthorizer = address(new Wallet1271(receiverAuthorizer));
        bytes32 id = _deposit(config, 100);
        IChannel.VoucherClaim[] memory rows = _rows(_row(config, 40, 40));
        channel.claimWithSignature(rows, _sign(RECEIVER_AUTHORIZER_KEY, _batchDigest(rows)));
        _assertChannel(id, 100, 40);
    }

    function test_reverts_when_there_are_no_rows() public {
        vm.expectRevert(IChannel.EmptyBatch.selector);
        channel.claimWithSignature(new IChannel.VoucherClaim[](0), "");
    }

    function test_reverts_when_someone_else_signed(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        IChannel.VoucherClaim[] memory rows = _two(10, 20);
        vm.expectRevert(IChannel.InvalidSignature.selector);
        channel.claimWithSignature(rows, _sign(key, _batchDigest(rows)));
        vm.expectRevert(IChannel.InvalidSignature.selector);
        channel.claimWithSignature(rows, _sign(RECEIVER_KEY, _batchDigest(rows)));
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory signature) public {
        IChannel.VoucherClaim[] memory rows = _two(10, 20);
        vm.expectRevert(IChannel.InvalidSignature.selector);
        channel.claimWithSignature(rows, signature);
    }

    function test_reverts_when_a_row_differs_from_what_was_signed(uint64 other) public {
        vm.assume(other != 20);
        IChannel.VoucherClaim[] memory rows = _two(10, 20);
        bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _batchDigest(rows));
        rows[1].totalClaimed = other;
        vm.expectRevert(IChannel.InvalidSignature.selector);
        channel.claimWithSignature(rows, signature);
    }

    function test_reverts_when_a_row_has_another_authorizer() public {
        IChannel.VoucherClaim[] memory rows = _two(10, 20);
        rows[1].voucher.channel.receiverAuthorizer = eve;
        bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _batchDigest(rows));
        vm.expectRevert(IChannel.NotReceiverAuthorizer.selector);
        channel.claimWithSignature(rows, signature);
    }

    function test_reverts_when_the_payer_did_not_sign() public {
        IChannel.VoucherClaim[] memory rows = _two(10, 20);
        rows[1].signature = rows[0].signature;
        bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _batchDigest(rows));
        vm.expectRevert(IChannel.InvalidSignature.selector);
        channel.claimWithSignature(rows, signature);
        _assertReceiver(0, 0);
    }

    function _two(uint64 first, uint64 second) private returns (IChannel.VoucherClaim[] memory rows) {
        _deposit(_configWithSalt(1), type(uint64).max);
        _deposit(_configWithSalt(2), type(uint64).max);
        rows = new IChannel.VoucherClaim[](2);
        rows[0] = _row(_configWithSalt(1), first, first);
        rows[1] = _row(_configWithSalt(2), second, second);
    }
}
