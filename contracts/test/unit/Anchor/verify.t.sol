// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {AnchorBase} from "../../base/AnchorBase.sol";

contract AnchorVerifyTest is AnchorBase {
    function test_every_attestation_of_a_batch_is_in_it_and_no_other(bytes32[4] memory batch, bytes32 other) public {
        bytes32[4] memory leaves;
        for (uint256 i = 0; i < 4; i++) {
            vm.assume(batch[i] != other);
            leaves[i] = _leaf(batch[i]);
        }
        (bytes32 left, bytes32 right) = (_node(leaves[0], leaves[1]), _node(leaves[2], leaves[3]));
        anchor.post(_node(left, right), "");
        bytes32[] memory proof = new bytes32[](2);
        for (uint256 i = 0; i < 4; i++) {
            (proof[0], proof[1]) = (leaves[i ^ 1], i < 2 ? right : left);
            vm.assertTrue(anchor.verify(address(this), 0, batch[i], proof), "in");
            vm.assertTrue(!anchor.verify(address(this), 0, other, proof), "not in");
            vm.assertTrue(!anchor.verify(address(this), 1, batch[i], proof), "another epoch");
            vm.assertTrue(!anchor.verify(address(1), 0, batch[i], proof), "another publisher");
        }
        // an inner node is no attestation
        proof = new bytes32[](1);
        proof[0] = right;
        vm.assertTrue(!anchor.verify(address(this), 0, left, proof), "inner node");
    }

    function test_a_batch_of_one_needs_no_proof(bytes32 attestation) public {
        anchor.post(_leaf(attestation), "");
        vm.assertTrue(anchor.verify(address(this), 0, attestation, new bytes32[](0)), "in");
    }

    function test_nothing_was_posted_and_nothing_verifies(
        address publisher,
        bytes32 attestation,
        bytes32[] memory proof
    ) public view {
        vm.assertTrue(!anchor.verify(publisher, 0, attestation, proof), "in nothing");
    }
}
