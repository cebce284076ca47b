// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {KnownChannelBase} from "../../base/KnownChannelBase.sol";

contract GetClaimBatchDigestTest is KnownChannelBase {
    function test_claim_batch_digest_is_the_facilitators() public view {
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](2);
        rows[0].voucher = IChannel.Voucher(_known(), 1_000_000);
        rows[0].totalClaimed = 900_000;
        rows[1].voucher = IChannel.Voucher(_known(), 2);
        rows[1].totalClaimed = 1;
        bytes32 expected = 0xd9177daaf6f0c27f358cb2bbf44cbef87e5e1de077f6a8880bb5131a09f147fc;
        vm.assertEq(channel.getClaimBatchDigest(rows), expected, "batch");
    }

    function test_ours_is_the_same_written_twice(uint128[4] memory numbers, uint256 count, bytes32 salt) public view {
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](count % 3);
        for (uint256 i = 0; i < rows.length; i++) {
            rows[i].voucher = IChannel.Voucher(_config(), numbers[2 * i]);
            rows[i].voucher.channel.salt = keccak256(abi.encode(salt, i));
            rows[i].totalClaimed = numbers[2 * i + 1];
        }
        vm.assertEq(channel.getClaimBatchDigest(rows), _batchDigest(rows), "batch");
    }
}
