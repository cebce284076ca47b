// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {KnownChannelBase} from "../../base/KnownChannelBase.sol";

contract GetVoucherDigestTest is KnownChannelBase {
    function test_voucher_digest_is_the_clients() public view {
        bytes32 expected = 0xa3031b5c85a1aa43a0a3748c6fb80dfcf805ab08bd560481bde381e0b5d95077;
        vm.assertEq(channel.getVoucherDigest(ID, 1_000_000), expected, "voucher");
    }

    function test_ours_is_the_same_written_twice(bytes32 id, uint128 max) public view {
        vm.assertEq(channel.getVoucherDigest(id, max), _voucherDigest(id, max), "voucher");
    }
}
