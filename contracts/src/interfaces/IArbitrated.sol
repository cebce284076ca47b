// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "./IEscrow.sol";

/// @title The part of the escrow that a panel calls
interface IArbitrated {
    /// @notice Pays the provider `pay` of the amount and the buyer the rest. Only the order's arbitrator may call.
    function rule(IEscrow.Order calldata order, uint96 pay) external;

    /// @notice The evidence the buyer gave when it disputed the order with this id; zero if it did not.
    function evidenceOf(bytes32 id) external view returns (bytes32 evidence);

    /// @notice The order's id.
    function orderId(IEscrow.Order calldata order) external view returns (bytes32 id);

    /// @notice The one token the escrow holds.
    function token() external view returns (address);
}
