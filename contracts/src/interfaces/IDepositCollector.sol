// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title What brings deposits to the channel contract
interface IDepositCollector {
    /// @notice Only the channel contract may make it collect, and it cannot be nobody.
    error NotChannel(address caller);

    /// @notice Takes `amount` of `token` from `payer` and hands it to the channel contract, which must be the caller.
    /// @param payer who pays, and authorised it
    /// @param token what to take
    /// @param amount base units
    /// @param channelId the channel it is for; the authorisation commits to it
    /// @param collectorData the authorisation, in the collector's own form
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData)
        external;

    /// @notice The one channel contract it collects for.
    function channel() external view returns (address);
}
