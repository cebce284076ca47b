// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IAnchor} from "./interfaces/IAnchor.sol";

/// @title Anchor
/// @notice Keeps what was posted, and nothing else: no owner, no money, no way to change anything.
contract Anchor is IAnchor {
    /// @dev Longer than the content identifiers in use.
    uint256 internal constant MAX_CID_LENGTH = 64;

    /// @inheritdoc IAnchor
    mapping(address publisher => uint256 count) public override epochs;
    /// @inheritdoc IAnchor
    mapping(address publisher => mapping(uint256 epoch => bytes32 root)) public override rootOf;

    /// @inheritdoc IAnchor
    function post(bytes32 root, bytes calldata cid) external override returns (uint256 epoch) {
        if (root == 0) revert ZeroRoot();
        if (cid.length > MAX_CID_LENGTH) revert CidTooLong(cid.length, MAX_CID_LENGTH);
        epoch = epochs[msg.sender]++;
        rootOf[msg.sender][epoch] = root;
        emit Posted(msg.sender, epoch, root, cid);
    }

    /// @inheritdoc IAnchor
    function verify(address publisher, uint256 epoch, bytes32 attestation, bytes32[] calldata proof)
        external
        view
        override
        returns (bool)
    {
        bytes32 node = keccak256(abi.encodePacked(bytes1(0x00), attestation));
        for (uint256 i = 0; i < proof.length; i++) {
            (bytes32 low, bytes32 high) = node < proof[i] ? (node, proof[i]) : (proof[i], node);
            node = keccak256(abi.encodePacked(bytes1(0x01), low, high));
        }
        // no hash is zero, so an epoch that was never posted verifies nothing
        return node == rootOf[publisher][epoch];
    }
}
