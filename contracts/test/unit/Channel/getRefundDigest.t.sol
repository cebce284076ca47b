// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {KnownChannelBase} from "../../base/KnownChannelBase.sol";

contract GetRefundDigestTest is KnownChannelBase {
    function test_refund_digest_is_the_facilitators() public view {
        bytes32 expected = 0x81de0f37889209955b30853340b0dad095cb6bc0ad16707cd11e9089a079318d;
        vm.assertEq(channel.getRefundDigest(ID, 7, 250_000), expected, "refund");
    }

    function test_ours_is_the_same_written_twice(bytes32 id, uint256 nonce, uint128 amount) public view {
        vm.assertEq(channel.getRefundDigest(id, nonce, amount), _channelRefundDigest(id, nonce, amount), "refund");
    }
}
