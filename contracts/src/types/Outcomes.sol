// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title How an order ended: the `outcome` of `Settled` and `statusOf`
/// @notice Zero means not settled. Codes are never reused; later operations add to the list.
library Outcomes {
    /// @notice The buyer released everything.
    uint8 internal constant RELEASED = 1;
    /// @notice The provider refunded everything.
    uint8 internal constant REFUNDED = 2;
    /// @notice No delivery was posted in time, and the buyer got everything back.
    uint8 internal constant UNDELIVERED_REFUNDED = 3;
    /// @notice No delivery was posted in time, and the order said to pay the provider all the same.
    uint8 internal constant UNDELIVERED_PAID = 4;
    /// @notice Delivery was posted, the review window ended without a word, and the provider was paid.
    uint8 internal constant DELIVERED_PAID = 5;
    /// @notice Buyer and provider agreed on a division.
    uint8 internal constant SPLIT = 6;
    /// @notice The validator decided.
    uint8 internal constant VERDICT = 7;
    /// @notice The provider did not stand against a dispute, and the buyer got everything back.
    uint8 internal constant UNCOUNTERED_REFUNDED = 8;
    /// @notice The arbitrator ruled.
    uint8 internal constant RULED = 9;
    /// @notice The arbitrator stayed silent, and the provider was paid the part the order says.
    uint8 internal constant SILENT = 10;
}
