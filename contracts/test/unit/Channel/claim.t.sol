// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract ChannelClaimTest is ChannelBase {
    function test_the_claim_is_the_receivers(uint128 amount, uint128 max, uint128 total, bool byAgent) public {
        amount = uint128(bound(amount, 1, type(uint128).max));
        max = uint128(bound(max, 1, type(uint128).max));
        total = uint128(bound(total, 1, amount < max ? amount : max));
        bytes32 id = _deposit(_config(), amount);
        IChannel.VoucherClaim[] memory rows = _rows(_row(_config(), max, total));
        address sender = byAgent ? receiverAuthorizer : receiver;

        vm.expectEmit(address(channel));
        emit IChannel.Claimed(id, sender, total, total);
        vm.prank(sender);
        channel.claim(rows);

        _assertChannel(id, amount, total);
        _assertReceiver(total, 0);
        _assertMoney(0, 0, amount);
    }

    function test_claims_only_grow(uint64 first, uint64 second) public {
        bytes32 id = _deposit(_config(), type(uint128).max);
        _claim(_config(), first);
        _claim(_config(), second);
        uint256 most = first > second ? first : second;
        _assertChannel(id, type(uint128).max, most);
        _assertReceiver(most, 0);
    }

    function test_a_refused_claim_says_its_error_and_nothing_more() public {
        _deposit(_config(), 100);
        IChannel.VoucherClaim[] memory rows = _rows(_row(_config(), 101, 101));
        vm.prank(receiver);
        (bool done, bytes memory said) = address(channel).call(abi.encodeCall(IChannel.claim, (rows)));
        vm.assertTrue(!done, "claimed");
        vm.assertEq(said.length, 4, "length");
        vm.assertTrue(bytes4(said) == IChannel.ClaimExceedsBalance.selector, "error");
    }

    function test_a_voucher_counts_once_in_any_form() public {
        bytes32 id = _deposit(_config(), 100);
        _claim(_config(), 60);
        IChannel.VoucherClaim memory row = _row(_config(), 60, 60);
        row.signature = _signMalleated(PAYER_AUTHORIZER_KEY, _voucherDigest(id, 60));
        vm.prank(receiver);
        channel.claim(_rows(row));
        row.signature = _signCompact(PAYER_AUTHORIZER_KEY, _voucherDigest(id, 60));
        vm.prank(receiver);
        channel.claim(_rows(row));
        _assertChannel(id, 100, 60);
        _assertReceiver(60, 0);
    }

    function test_the_short_form_of_a_signature_is_good() public {
        bytes32 id = _deposit(_config(), 100);
        IChannel.VoucherClaim memory row = _row(_config(), 60, 50);
        row.signature = _signCompact(PAYER_AUTHORIZER_KEY, _voucherDigest(id, 60));
        vm.prank(receiver);
        channel.claim(_rows(row));
        _assertChannel(id, 100, 50);
    }

    function test_one_channel_twice_in_one_claim_counts_the_higher() public {
        bytes32 id = _deposit(_config(), 100);
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](3);
        (rows[0], rows[1], rows[2]) = (_row(_config(), 10, 10), _row(_config(), 70, 70), _row(_config(), 40, 40));
        vm.prank(receiver);
        channel.claim(rows);
        _assertChannel(id, 100, 70);
        _assertReceiver(70, 0);
    }

    function test_without_an_authorizer_the_payer_signs() public {
        IChannel.ChannelConfig memory config = _config();
        config.payerAuthorizer = address(0);
        bytes32 id = _deposit(config, 100);
        _claim(config, 30);
        _assertChannel(id, 100, 30);
    }

    function test_without_an_authorizer_a_contract_payer_answers() public {
        IChannel.ChannelConfig memory config = _config();
        config.payerAuthorizer = address(0);
        config.payer = address(new Wallet1271(payer));
        bytes32 id = _deposit(config, 100);
        _claim(config, 30);
        _assertChannel(id, 100, 30);
    }

    function test_an_authorizer_with_code_still_signs_with_its_key() public {
        bytes32 id = _deposit(_config(), 100);
        // whatever its code would answer, nobody asks it
        vm.etch(payerAuthorizer, hex"600080fd");
        _claim(_config(), 30);
        _assertChannel(id, 100, 30);
    }

    function test_reverts_when_there_are_no_rows() public {
        vm.expectRevert(IChannel.EmptyBatch.selector);
        channel.claim(new IChannel.VoucherClaim[](0));
    }

    function test_reverts_when_the_sender_is_not_the_receivers_side(address sender) public {
        vm.assume(sender != receiver && sender != receiverAuthorizer && sender != address(0));
        _deposit(_config(), 100);
        _refused(sender, _row(_config(), 60, 60), IChannel.NotAuthorizedToClaim.selector);
        _refused(payer, _row(_config(), 60, 60), IChannel.NotAuthorizedToClaim.selector);
    }

    function test_reverts_when_one_row_is_somebody_elses() public {
        IChannel.ChannelConfig memory other = _config();
        (other.receiver, other.receiverAuthorizer) = (eve, eve);
        _deposit(_config(), 100);
        _deposit(other, 100);
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](2);
        (rows[0], rows[1]) = (_row(other, 10, 10), _row(_config(), 10, 10));
        vm.expectRevert(IChannel.NotAuthorizedToClaim.selector);
        vm.prank(eve);
        channel.claim(rows);
    }

    function test_reverts_when_the_claim_is_above_the_voucher(uint128 max, uint128 total) public {
        max = uint128(bound(max, 0, type(uint128).max - 1));
        total = uint128(bound(total, uint256(max) + 1, type(uint128).max));
        _deposit(_config(), type(uint128).max);
        _refused(receiver, _row(_config(), max, total), IChannel.ClaimExceedsCeiling.selector);
    }

    function test_reverts_when_the_claim_is_above_the_balance(uint128 amount, uint128 total) public {
        amount = uint128(bound(amount, 1, type(uint128).max - 1));
        total = uint128(bound(total, uint256(amount) + 1, type(uint128).max));
        _deposit(_config(), amount);
        _refused(receiver, _row(_config(), total, total), IChannel.ClaimExceedsBalance.selector);
    }

    function test_reverts_when_someone_else_signed(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        bytes32 id = _deposit(_config(), 100);
        IChannel.VoucherClaim memory row = _row(_config(), 60, 60);
        row.signature = _sign(key, _voucherDigest(id, 60));
        _refused(receiver, row, IChannel.InvalidSignature.selector);
        row.signature = _sign(PAYER_KEY, _voucherDigest(id, 60));
        _refused(receiver, row, IChannel.InvalidSignature.selector);
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory signature) public {
        _deposit(_config(), 100);
        IChannel.VoucherClaim memory row = _row(_config(), 60, 60);
        row.signature = signature;
        _refused(receiver, row, IChannel.InvalidSignature.selector);
    }

    function test_reverts_when_the_voucher_is_another_channels_or_amounts() public {
        bytes32 id = _deposit(_config(), 100);
        _deposit(_configWithSalt(2), 100);
        IChannel.VoucherClaim memory row = _row(_configWithSalt(2), 60, 60);
        row.signature = _sign(PAYER_AUTHORIZER_KEY, _voucherDigest(id, 60));
        _refused(receiver, row, IChannel.InvalidSignature.selector);
        row = _row(_config(), 60, 60);
        row.voucher.maxClaimableAmount = 61;
        _refused(receiver, row, IChannel.InvalidSignature.selector);
    }

    function test_reverts_when_the_voucher_is_of_another_chain_or_contract() public {
        bytes32 id = _deposit(_config(), 100);
        IChannel.VoucherClaim memory row = _row(_config(), 60, 60);
        bytes32 content =
            keccak256(abi.encode(keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)"), id, uint128(60)));
        bytes32 elsewhere = _digest(_domain("x402 Batch Settlement", "1", address(0xe5c)), content);
        row.signature = _sign(PAYER_AUTHORIZER_KEY, elsewhere);
        _refused(receiver, row, IChannel.InvalidSignature.selector);

        row = _row(_config(), 60, 60);
        vm.chainId(block.chainid + 1);
        // the channel itself is another one there
        _refused(receiver, row, IChannel.ClaimExceedsBalance.selector);
    }

    function _refused(address sender, IChannel.VoucherClaim memory row, bytes4 selector) private {
        vm.expectRevert(selector);
        vm.prank(sender);
        channel.claim(_rows(row));
    }
}
