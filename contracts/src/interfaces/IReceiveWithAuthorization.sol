// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title The part of a USDC-like token that the escrow calls to take a deposit
/// @notice EIP-3009 in the form with one `bytes` signature, which USDC has since version 2.2 and which also accepts the
/// ERC-1271 signatures of contract wallets.
interface IReceiveWithAuthorization {
    /// @notice Moves `value` from `from` to `to`, who must be the caller, on `from`'s EIP-712 signature.
    /// @param from the payer, who signed
    /// @param to the payee, who must be the caller
    /// @param value base units
    /// @param validAfter Unix seconds; the authorisation is good strictly after this
    /// @param validBefore Unix seconds; the authorisation is good strictly before this
    /// @param nonce 32 bytes chosen by the payer, good once
    /// @param signature the payer's signature
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
}
