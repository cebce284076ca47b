// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title The part of the stake contract that the escrow calls
/// @notice A provider puts up stake once; each order it agreed to may lock a part of it. Only a ruling against the
/// provider takes a locked part away, and it goes to the buyer of that order.
/// @dev Only the one escrow named at deployment may call these. `lock` is allowed to revert, and funding reverts with
/// it. `unlock` and `slash` must succeed for every order that was locked, for whoever `to` is, within 250,000 gas: a
/// transfer the token refuses is credited to `to` instead. The escrow settles all the same if they fail, and the stake
/// then stays locked for good.
interface IStake {
    /// @notice Locks exactly `amount` of `provider`'s stake that is neither locked nor being withdrawn, or reverts.
    /// @param provider whose stake
    /// @param orderId the order it stands behind; never locked before
    /// @param amount base units, above zero
    function lock(address provider, bytes32 orderId, uint96 amount) external;

    /// @notice Gives the provider back the use of what was locked for `orderId`. Does nothing if nothing is locked.
    function unlock(bytes32 orderId) external;

    /// @notice Takes what was locked for `orderId` from the provider and gives all of it to `to`. Does nothing if nothing
    /// is locked.
    function slash(bytes32 orderId, address to) external;
}
