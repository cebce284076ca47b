// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title A stand-in for the ERC-8004 identity and reputation registries on development chains
/// @notice Both registries in one contract, as far as the market uses them: the same functions, events and EIP-712 type.
/// @dev Where the public registries can revoke feedback or append responses, this one cannot.
contract Registry8004 is ERC721, EIP712 {
    struct MetadataEntry {
        string metadataKey;
        bytes metadataValue;
    }

    struct Feedback {
        int128 value;
        uint8 decimals;
        bytes32 tag1;
        bytes32 tag2;
    }

    /// @dev A summary in the making: the sum has 18 decimals.
    struct Tally {
        bytes32 tag1;
        bytes32 tag2;
        int256 sum;
        uint64 count;
        uint64[19] uses;
    }

    /// @dev EIP-712 type of a wallet's consent to be an agent's.
    bytes32 internal constant AGENT_WALLET_SET_TYPEHASH =
        keccak256("AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)");
    /// @dev The one key that is set by `setAgentWallet` alone.
    bytes32 internal constant AGENT_WALLET_KEY = keccak256("agentWallet");
    /// @dev How far in the future a wallet's consent may end.
    uint256 internal constant MAX_DEADLINE_SECS = 5 minutes;
    /// @dev Bounds of a feedback value, as in the public registry.
    uint8 internal constant MAX_DECIMALS = 18;
    int128 internal constant MAX_VALUE = 1e38;
    /// @dev What no tag hashes to.
    bytes32 internal constant EMPTY = keccak256("");

    uint256 private _count;
    mapping(uint256 agentId => string uri) private _uris;
    mapping(uint256 agentId => address wallet) private _wallets;
    mapping(uint256 agentId => mapping(string key => bytes value)) private _metadata;
    mapping(uint256 agentId => mapping(address client => Feedback[])) private _feedback;

    /// @notice A new agent.
    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);
    /// @notice Metadata of an agent changed.
    event MetadataSet(
        uint256 indexed agentId, string indexed indexedMetadataKey, string metadataKey, bytes metadataValue
    );
    /// @notice A client's feedback on an agent.
    event NewFeedback(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        int128 value,
        uint8 valueDecimals,
        string indexed indexedTag1,
        string tag1,
        string tag2,
        string endpoint,
        string feedbackURI,
        bytes32 feedbackHash
    );

    /// @notice The key is set by `setAgentWallet` alone.
    error ReservedKey();
    /// @notice The wallet is zero, or did not consent.
    error BadWallet(address wallet);
    /// @notice The deadline is past, or more than five minutes away.
    error BadDeadline(uint256 time, uint256 deadline);
    /// @notice An agent's side gives no feedback on it.
    error SelfFeedback(address caller);
    /// @notice The value or its decimals are out of bounds.
    error BadValue(int128 value, uint8 decimals);
    /// @notice A summary needs to know whose feedback counts.
    error NoClients();

    constructor() ERC721("AgentIdentity", "AGENT") EIP712("ERC8004IdentityRegistry", "1") {}

    /// @notice Registers an agent of the caller.
    function register() external returns (uint256 agentId) {
        return _register("");
    }

    /// @notice Registers an agent of the caller with a card.
    function register(string calldata agentURI) external returns (uint256 agentId) {
        return _register(agentURI);
    }

    /// @notice Registers an agent of the caller with a card and metadata.
    function register(string calldata agentURI, MetadataEntry[] calldata metadata) external returns (uint256 agentId) {
        agentId = _register(agentURI);
        for (uint256 i = 0; i < metadata.length; i++) {
            _setMetadata(agentId, metadata[i].metadataKey, metadata[i].metadataValue);
        }
    }

    /// @notice Sets metadata, as "libp2p.peerId".
    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external {
        _checkAuthorized(ownerOf(agentId), msg.sender, agentId);
        _setMetadata(agentId, metadataKey, metadataValue);
    }

    /// @notice Makes `newWallet` the address the agent is paid at, with its consent.
    function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature) external {
        if (newWallet == address(0)) revert BadWallet(newWallet);
        if (block.timestamp > deadline || deadline > block.timestamp + MAX_DEADLINE_SECS) {
            revert BadDeadline(block.timestamp, deadline);
        }
        address owner = ownerOf(agentId);
        _checkAuthorized(owner, msg.sender, agentId);
        bytes32 content = keccak256(abi.encode(AGENT_WALLET_SET_TYPEHASH, agentId, newWallet, owner, deadline));
        if (!SignatureChecker.isValidSignatureNow(newWallet, _hashTypedDataV4(content), signature)) {
            revert BadWallet(newWallet);
        }
        _setWallet(agentId, newWallet, abi.encodePacked(newWallet));
    }

    /// @notice Records the caller's feedback on an agent.
    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string calldata tag1,
        string calldata tag2,
        string calldata endpoint,
        string calldata feedbackURI,
        bytes32 feedbackHash
    ) external {
        if (_isAuthorized(ownerOf(agentId), msg.sender, agentId)) {
            revert SelfFeedback(msg.sender);
        }
        if (valueDecimals > MAX_DECIMALS || value > MAX_VALUE || value < -MAX_VALUE) {
            revert BadValue(value, valueDecimals);
        }
        Feedback[] storage given = _feedback[agentId][msg.sender];
        given.push(Feedback(value, valueDecimals, keccak256(bytes(tag1)), keccak256(bytes(tag2))));
        // indices count from one and fit: each costs a transaction
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 index = uint64(given.length);
        emit NewFeedback(
            agentId, msg.sender, index, value, valueDecimals, tag1, tag1, tag2, endpoint, feedbackURI, feedbackHash
        );
    }

    /// @notice How often the clients gave feedback with these tags (an empty one stands for any), and the average in the
    /// decimals they used most.
    function getSummary(uint256 agentId, address[] calldata clientAddresses, string calldata tag1, string calldata tag2)
        external
        view
        returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals)
    {
        if (clientAddresses.length == 0) revert NoClients();
        Tally memory tally;
        (tally.tag1, tally.tag2) = (keccak256(bytes(tag1)), keccak256(bytes(tag2)));
        for (uint256 i = 0; i < clientAddresses.length; i++) {
            _tally(tally, _feedback[agentId][clientAddresses[i]]);
        }
        if (tally.count == 0) return (0, 0, 0);
        uint8 decimals = 0;
        for (uint8 i = 1; i <= MAX_DECIMALS; i++) {
            if (tally.uses[i] > tally.uses[decimals]) decimals = i;
        }
        int256 average = tally.sum / (int256(uint256(tally.count)) * _power(MAX_DECIMALS - decimals));
        return (tally.count, SafeCast.toInt128(average), decimals);
    }

    /// @notice Metadata of an agent; empty if it was not set.
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory) {
        return _metadata[agentId][metadataKey];
    }

    /// @notice The address the agent is paid at; zero after a transfer until the new owner sets one.
    function getAgentWallet(uint256 agentId) external view returns (address wallet) {
        ownerOf(agentId);
        return _wallets[agentId];
    }

    /// @notice The identity registry that the reputation is about: this contract.
    function getIdentityRegistry() external view returns (address) {
        return address(this);
    }

    /// @notice The agent's card.
    function tokenURI(uint256 agentId) public view override returns (string memory) {
        ownerOf(agentId);
        return _uris[agentId];
    }

    function _register(string memory agentURI) private returns (uint256 agentId) {
        agentId = _count++;
        _wallets[agentId] = msg.sender;
        _uris[agentId] = agentURI;
        emit Registered(agentId, agentURI, msg.sender);
        _mint(msg.sender, agentId);
    }

    function _setMetadata(uint256 agentId, string calldata key, bytes calldata value) private {
        if (keccak256(bytes(key)) == AGENT_WALLET_KEY) revert ReservedKey();
        _metadata[agentId][key] = value;
        emit MetadataSet(agentId, key, key, value);
    }

    function _setWallet(uint256 agentId, address wallet, bytes memory value) private {
        _wallets[agentId] = wallet;
        _metadata[agentId]["agentWallet"] = value;
        emit MetadataSet(agentId, "agentWallet", "agentWallet", value);
    }

    /// @dev A new owner does not inherit the wallet.
    function _update(address to, uint256 agentId, address auth) internal override returns (address from) {
        from = super._update(to, agentId, auth);
        if (from != address(0)) _setWallet(agentId, address(0), "");
    }

    /// @dev Adds one client's feedback with the right tags.
    function _tally(Tally memory tally, Feedback[] storage given) private view {
        for (uint256 i = 0; i < given.length; i++) {
            Feedback memory feedback = given[i];
            if (tally.tag1 != EMPTY && tally.tag1 != feedback.tag1) continue;
            if (tally.tag2 != EMPTY && tally.tag2 != feedback.tag2) continue;
            tally.sum += int256(feedback.value) * _power(MAX_DECIMALS - feedback.decimals);
            tally.uses[feedback.decimals]++;
            tally.count++;
        }
    }

    function _power(uint8 decimals) private pure returns (int256) {
        // at most 10 to the 18th
        // forge-lint: disable-next-line(unsafe-typecast)
        return int256(10 ** uint256(decimals));
    }
}
