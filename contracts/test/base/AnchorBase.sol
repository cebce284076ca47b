// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IAnchor} from "../../src/interfaces/IAnchor.sol";
import {TestBase} from "./TestBase.sol";

/// @title The anchor and the tree of every anchor test
abstract contract AnchorBase is TestBase {
    IAnchor internal anchor;

    function setUp() public {
        anchor = IAnchor(vm.deployCode("out/Anchor.sol/Anchor.json", ""));
    }

    function _leaf(bytes32 attestation) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0), attestation));
    }

    function _node(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b
            ? keccak256(abi.encodePacked(bytes1(uint8(1)), a, b))
            : keccak256(abi.encodePacked(bytes1(uint8(1)), b, a));
    }
}
