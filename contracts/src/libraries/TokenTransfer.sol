// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title A transfer that may fail without taking its caller down
library TokenTransfer {
    /// @notice ERC-20 `transfer` with at most `gasCap` gas.
    /// @dev Copies at most one word of the answer, so a huge one costs the token and not the caller. An account without
    /// code answers nothing, as some tokens do: the caller knows that `token` is one.
    /// @return sent whether the call succeeded and answered true or nothing
    function tryTransfer(address token, address to, uint256 amount, uint256 gasCap) internal returns (bool sent) {
        /// @solidity memory-safe-assembly
        assembly {
            let m := mload(0x40)
            mstore(m, 0xa9059cbb00000000000000000000000000000000000000000000000000000000)
            mstore(add(m, 0x04), and(to, 0xffffffffffffffffffffffffffffffffffffffff))
            mstore(add(m, 0x24), amount)
            sent := call(gasCap, token, 0, m, 0x44, 0x00, 0x20)
            let answered := or(iszero(returndatasize()), and(gt(returndatasize(), 0x1f), eq(mload(0x00), 1)))
            sent := and(sent, answered)
        }
    }
}
