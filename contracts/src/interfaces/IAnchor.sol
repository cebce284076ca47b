// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title Roots of attestations, one per publisher and epoch, for good
/// @notice Attestations stay off chain. A publisher posts the Merkle root of a batch now and then; from then on anybody
/// can show that one was in it, and nobody, the publisher included, can take it out or put another in.
/// @dev A leaf is keccak256(0x00 ++ attestation hash), a node keccak256(0x01 ++ lower child ++ higher child): no node can
/// be passed off as an attestation.
/// @dev Warning: a root says when a batch was fixed and by whom. It does not say that what is in it is true.
interface IAnchor {
    /// @notice `publisher`'s root number `epoch`. `cid` says where the batch can be had.
    event Posted(address indexed publisher, uint256 indexed epoch, bytes32 root, bytes cid);

    /// @notice An empty root.
    error ZeroRoot();
    /// @notice The content identifier is longer than any that exists.
    error CidTooLong(uint256 length, uint256 maxLength);

    /// @notice Posts the caller's next root.
    /// @param root of the batch, not zero
    /// @param cid where the batch can be had, 64 bytes at most; recorded in the event only
    /// @return epoch the root's number, counted from zero for each publisher
    function post(bytes32 root, bytes calldata cid) external returns (uint256 epoch);

    /// @notice Whether the attestation with hash `attestation` is in the batch `publisher` posted as `epoch`.
    /// @param proof the siblings from the leaf up
    function verify(address publisher, uint256 epoch, bytes32 attestation, bytes32[] calldata proof)
        external
        view
        returns (bool);

    /// @notice The root `publisher` posted as `epoch`; zero if it has not.
    function rootOf(address publisher, uint256 epoch) external view returns (bytes32 root);

    /// @notice How many roots `publisher` posted.
    function epochs(address publisher) external view returns (uint256 count);
}
