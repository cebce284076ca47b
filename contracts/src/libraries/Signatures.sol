// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {SignatureCheckerLib} from "solady/utils/SignatureCheckerLib.sol";

import {IEscrow} from "../interfaces/IEscrow.sol";

/// @title Whether somebody signed: ECDSA in the 65 and the 64 byte form, or ERC-1271 where the signer has code
library Signatures {
    /// @dev What a contract wallet may use to answer in a batch.
    uint256 internal constant WALLET_GAS = 100_000;
    /// @dev Spent between measuring the gas and the wallet running.
    uint256 private constant CALL_OVERHEAD_GAS = 5000;

    /// @notice Reverts unless `signer` signed `digest`.
    function check(address signer, bytes32 digest, bytes calldata signature) internal view {
        if (!SignatureCheckerLib.isValidSignatureNowCalldata(signer, digest, signature)) {
            revert IEscrow.BadSignature(signer);
        }
    }

    /// @notice Whether `signer` signed `digest`, where a contract wallet gets at most `WALLET_GAS` to answer. Reverts if
    /// it answers no and could have got less: then whoever sent the transaction may have starved it.
    function isSigned(address signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        if (signer.code.length == 0) {
            return SignatureCheckerLib.isValidSignatureNowCalldata(signer, digest, signature);
        }
        bytes memory data = abi.encodeWithSelector(0x1626ba7e, digest, signature);
        uint256 available = gasleft();
        available -= available / 64;
        bool signed;
        /// @solidity memory-safe-assembly
        assembly {
            mstore(0x00, 0)
            signed := staticcall(WALLET_GAS, signer, add(data, 0x20), mload(data), 0x00, 0x20)
            signed := and(signed, and(gt(returndatasize(), 0x1f), eq(shr(224, mload(0x00)), 0x1626ba7e)))
        }
        if (signed) return true;
        uint256 needed = WALLET_GAS + CALL_OVERHEAD_GAS;
        if (available < needed) revert IEscrow.GasTooLow(available, needed);
        return false;
    }
}
