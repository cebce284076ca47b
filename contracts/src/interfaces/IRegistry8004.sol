// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title The part of an ERC-8004 identity registry that the escrow reads
interface IIdentity8004 {
    /// @notice The address that `agentId` is paid at.
    function getAgentWallet(uint256 agentId) external view returns (address);
}

/// @title The part of an ERC-8004 reputation registry that the escrow calls
interface IReputation8004 {
    /// @notice The identity registry the agents are from.
    function getIdentityRegistry() external view returns (address);

    /// @notice Records the caller's feedback on `agentId`.
    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string calldata tag1,
        string calldata tag2,
        string calldata endpoint,
        string calldata feedbackURI,
        bytes32 feedbackHash
    ) external;
}
