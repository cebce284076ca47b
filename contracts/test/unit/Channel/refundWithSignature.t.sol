// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract ChannelRefundWithSignatureTest is ChannelBase {
    function test_anybody_may_send_the_authorizers_refund(address sender, uint128 amount) public {
        vm.assume(sender != address(0));
        amount = uint128(bound(amount, 1, 1000));
        bytes32 id = _deposit(_config(), 1000);
        IChannel.ChannelConfig memory config = _config();
        bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _channelRefundDigest(id, 0, amount));
        vm.prank(sender);
        channel.refundWithSignature(config, amount, 0, signature);
        _assertChannel(id, 1000 - amount, 0);
        _assertMoney(amount, 0, 1000 - amount);
    }

    function test_the_authorizer_may_be_a_contract_wallet() public {
        IChannel.ChannelConfig memory config = _config();
        config.receiverAuthorizer = address(new Wallet1271(receiverAuthorizer));
        bytes32 id = _deposit(config, 100);
        channel.refundWithSignature(config, 40, 0, _sign(RECEIVER_AUTHORIZER_KEY, _channelRefundDigest(id, 0, 40)));
        _assertChannel(id, 60, 0);
    }

    function test_reverts_when_the_refund_was_made_in_any_form() public {
        bytes32 id = _deposit(_config(), 1000);
        bytes32 digest = _channelRefundDigest(id, 0, 10);
        channel.refundWithSignature(_config(), 10, 0, _signCompact(RECEIVER_AUTHORIZER_KEY, digest));
        _refused(10, 0, _sign(RECEIVER_AUTHORIZER_KEY, digest), IChannel.InvalidRefundNonce.selector);
        _refused(10, 0, _signMalleated(RECEIVER_AUTHORIZER_KEY, digest), IChannel.InvalidRefundNonce.selector);
        _refused(10, 1, _sign(RECEIVER_AUTHORIZER_KEY, digest), IChannel.InvalidSignature.selector);
        _assertMoney(10, 0, 990);
    }

    function test_reverts_when_the_nonce_is_another(uint256 nonce) public {
        nonce = bound(nonce, 1, type(uint256).max);
        bytes32 id = _deposit(_config(), 1000);
        bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _channelRefundDigest(id, nonce, 10));
        _refused(10, nonce, signature, IChannel.InvalidRefundNonce.selector);
    }

    function test_reverts_when_someone_else_signed(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        bytes32 id = _deposit(_config(), 1000);
        _refused(10, 0, _sign(key, _channelRefundDigest(id, 0, 10)), IChannel.InvalidSignature.selector);
        _refused(10, 0, _sign(RECEIVER_KEY, _channelRefundDigest(id, 0, 10)), IChannel.InvalidSignature.selector);
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory signature) public {
        _deposit(_config(), 1000);
        _refused(10, 0, signature, IChannel.InvalidSignature.selector);
    }

    function test_reverts_when_the_amount_is_another(uint128 amount) public {
        vm.assume(amount != 10);
        bytes32 id = _deposit(_config(), 1000);
        bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _channelRefundDigest(id, 0, 10));
        _refused(amount, 0, signature, IChannel.InvalidSignature.selector);
    }

    function test_reverts_when_nothing_is_refunded() public {
        bytes32 id = _deposit(_config(), 1000);
        bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _channelRefundDigest(id, 0, 0));
        _refused(0, 0, signature, IChannel.ZeroRefund.selector);
    }

    function _refused(uint128 amount, uint256 nonce, bytes memory signature, bytes4 selector) private {
        IChannel.ChannelConfig memory config = _config();
        vm.expectRevert(selector);
        channel.refundWithSignature(config, amount, nonce, signature);
    }
}
