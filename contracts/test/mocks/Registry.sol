// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IIdentity8004, IReputation8004} from "../../src/interfaces/IRegistry8004.sol";

/// @title Both ERC-8004 registries in one, which remember what they were told
contract Registry is IIdentity8004, IReputation8004 {
    mapping(uint256 agentId => address) public getAgentWallet;
    bool public refusing;

    event Given(address client, uint256 agentId, int128 value, bytes32 feedbackHash);

    function setWallet(uint256 agentId, address wallet) external {
        getAgentWallet[agentId] = wallet;
    }

    function refuse(bool on) external {
        refusing = on;
    }

    function getIdentityRegistry() external view returns (address) {
        return address(this);
    }

    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string memory tag1,
        string memory,
        string memory,
        string memory,
        bytes32 feedbackHash
    ) public {
        require(!refusing, "no self-feedback");
        require(valueDecimals == 0 && keccak256(bytes(tag1)) == keccak256("haggle"), "told otherwise");
        emit Given(msg.sender, agentId, value, feedbackHash);
    }
}
