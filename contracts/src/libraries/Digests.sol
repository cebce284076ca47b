// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";

/// @title The EIP-712 struct hashes of everything that is signed for an escrow
library Digests {
    bytes32 private constant ORDER_TYPEHASH = keccak256(
        "Order(address buyer,address provider,address validator,address arbitrator,address feeTo,uint96 amount,uint96 bond,uint96 stake,uint16 feeBps,uint16 silentBps,uint8 flags,uint40 fundBy,uint40 deliverBy,uint32 reviewSecs,uint32 counterSecs,uint32 ruleSecs,bytes32 terms,uint256 salt)"
    );
    bytes32 private constant RELEASE_TYPEHASH = keccak256("Release(bytes32 orderId)");
    bytes32 private constant REFUND_TYPEHASH = keccak256("Refund(bytes32 orderId)");
    bytes32 private constant SPLIT_TYPEHASH = keccak256("Split(bytes32 orderId,uint96 pay,uint40 validUntil)");
    bytes32 private constant VERDICT_TYPEHASH =
        keccak256("Verdict(bytes32 orderId,uint96 pay,bytes32 evidence,uint40 validUntil)");
    bytes32 private constant BOND_TYPEHASH = keccak256("Bond(bytes32 orderId,uint8 side,bytes32 evidence)");
    bytes32 private constant FEEDBACK_TYPEHASH = keccak256("Feedback(bytes32 orderId,uint256 agentId,int128 value)");

    /// @notice The agreement.
    /// @dev Hashes the order's eighteen words as they were sent. A word too large for its field would give an order of its
    /// own, but not one that could be funded: reading such a field reverts, and `fund` reads all of them.
    function order(IEscrow.Order calldata order_) internal pure returns (bytes32 hash) {
        bytes32 typehash = ORDER_TYPEHASH;
        /// @solidity memory-safe-assembly
        assembly {
            let m := mload(0x40)
            mstore(m, typehash)
            calldatacopy(add(m, 0x20), order_, 0x240)
            hash := keccak256(m, 0x260)
        }
    }

    /// @notice The buyer's word to pay everything.
    function release(bytes32 id) internal pure returns (bytes32) {
        return keccak256(abi.encode(RELEASE_TYPEHASH, id));
    }

    /// @notice The provider's word to return everything.
    function refund(bytes32 id) internal pure returns (bytes32) {
        return keccak256(abi.encode(REFUND_TYPEHASH, id));
    }

    /// @notice Both parties' word to divide.
    function split(bytes32 id, uint96 pay, uint40 validUntil) internal pure returns (bytes32) {
        return keccak256(abi.encode(SPLIT_TYPEHASH, id, pay, validUntil));
    }

    /// @notice The validator's word.
    function verdict(bytes32 id, uint96 pay, bytes32 evidence, uint40 validUntil) internal pure returns (bytes32) {
        return keccak256(abi.encode(VERDICT_TYPEHASH, id, pay, evidence, validUntil));
    }

    /// @notice What a side's bond is for; its digest is the nonce of the bond's payment.
    function bond(bytes32 id, uint8 side, bytes32 evidence) internal pure returns (bytes32) {
        return keccak256(abi.encode(BOND_TYPEHASH, id, side, evidence));
    }

    /// @notice The buyer's rating of the provider.
    function feedback(bytes32 id, uint256 agentId, int128 value) internal pure returns (bytes32) {
        return keccak256(abi.encode(FEEDBACK_TYPEHASH, id, agentId, value));
    }
}
