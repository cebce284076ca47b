// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title The ERC-8004 registries as the market knows them
interface IRegistry8004Dev {
    struct MetadataEntry {
        string metadataKey;
        bytes metadataValue;
    }

    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);

    error ReservedKey();
    error BadWallet(address wallet);
    error BadDeadline(uint256 time, uint256 deadline);
    error SelfFeedback(address caller);
    error BadValue(int128 value, uint8 decimals);
    error NoClients();

    function register() external returns (uint256);
    function register(string calldata agentURI) external returns (uint256);
    function register(string calldata agentURI, MetadataEntry[] calldata metadata) external returns (uint256);
    function ownerOf(uint256 agentId) external view returns (address);
    function approve(address to, uint256 agentId) external;
    function transferFrom(address from, address to, uint256 agentId) external;
    function tokenURI(uint256 agentId) external view returns (string memory);
    function setMetadata(uint256 agentId, string calldata key, bytes calldata value) external;
    function getMetadata(uint256 agentId, string calldata key) external view returns (bytes memory);
    function getAgentWallet(uint256 agentId) external view returns (address);
    function getIdentityRegistry() external view returns (address);
    function setAgentWallet(uint256 agentId, address wallet, uint256 deadline, bytes calldata signature) external;
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
    function getSummary(uint256 agentId, address[] calldata clients, string calldata tag1, string calldata tag2)
        external
        view
        returns (uint64 count, int128 value, uint8 decimals);
}
