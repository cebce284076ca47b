// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";

import {IDepositCollector} from "./interfaces/IDepositCollector.sol";
import {IReceiveWithAuthorization} from "./interfaces/IReceiveWithAuthorization.sol";

/// @title Erc3009Collector
/// @notice Brings deposits to the channel contract on the payer's EIP-3009 authorisation, which is made out to this
/// contract with nonce = keccak256(abi.encode(channelId, salt)): it is good for that one channel and nothing else.
/// @dev `collectorData` is abi.encode(uint256 validAfter, uint256 validBefore, uint256 salt, bytes signature).
/// @dev Warning: whoever signs a `TransferWithAuthorization` to this contract instead loses the money.
contract Erc3009Collector is IDepositCollector {
    /// @inheritdoc IDepositCollector
    address public immutable override channel;

    /// @param channel_ the one channel contract; it may be deployed later
    constructor(address channel_) {
        if (channel_ == address(0)) revert NotChannel(channel_);
        channel = channel_;
    }

    /// @inheritdoc IDepositCollector
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData)
        external
        override
    {
        if (msg.sender != channel) revert NotChannel(msg.sender);
        (uint256 validAfter, uint256 validBefore, uint256 salt, bytes memory signature) =
            abi.decode(collectorData, (uint256, uint256, uint256, bytes));
        bytes32 nonce = keccak256(abi.encode(channelId, salt));
        IReceiveWithAuthorization(token)
            .receiveWithAuthorization(payer, address(this), amount, validAfter, validBefore, nonce, signature);
        SafeTransferLib.safeTransfer(token, channel, amount);
    }
}
