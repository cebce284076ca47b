// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestBase} from "./TestBase.sol";

/// @title Digests as a wallet makes them, written apart from the contracts
abstract contract Eip712 is TestBase {
    /// @dev The order of secp256k1's group.
    uint256 internal constant CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    function _domain(string memory name, string memory version, address target) internal view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN, keccak256(bytes(name)), keccak256(bytes(version)), block.chainid, target));
    }

    function _escrowDomain(address escrow_) internal view virtual returns (bytes32) {
        return _domain("haggle Escrow", "1", escrow_);
    }

    function _tokenDomain(address token) internal view virtual returns (bytes32) {
        return _domain("USD Coin", "2", token);
    }

    function _digest(bytes32 domain, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function _releaseDigest(address escrow_, bytes32 id) internal view returns (bytes32) {
        return _digest(_escrowDomain(escrow_), keccak256(abi.encode(keccak256("Release(bytes32 orderId)"), id)));
    }

    function _refundDigest(address escrow_, bytes32 id) internal view returns (bytes32) {
        return _digest(_escrowDomain(escrow_), keccak256(abi.encode(keccak256("Refund(bytes32 orderId)"), id)));
    }

    function _splitDigest(address escrow_, bytes32 id, uint96 pay, uint40 validUntil) internal view returns (bytes32) {
        bytes32 typehash = keccak256("Split(bytes32 orderId,uint96 pay,uint40 validUntil)");
        return _digest(_escrowDomain(escrow_), keccak256(abi.encode(typehash, id, pay, validUntil)));
    }

    function _verdictDigest(address escrow_, bytes32 id, uint96 pay, bytes32 evidence, uint40 validUntil)
        internal
        view
        returns (bytes32)
    {
        bytes32 typehash = keccak256("Verdict(bytes32 orderId,uint96 pay,bytes32 evidence,uint40 validUntil)");
        return _digest(_escrowDomain(escrow_), keccak256(abi.encode(typehash, id, pay, evidence, validUntil)));
    }

    function _bondDigest(address escrow_, bytes32 id, uint8 side, bytes32 evidence) internal view returns (bytes32) {
        bytes32 typehash = keccak256("Bond(bytes32 orderId,uint8 side,bytes32 evidence)");
        return _digest(_escrowDomain(escrow_), keccak256(abi.encode(typehash, id, side, evidence)));
    }

    function _feedbackDigest(address escrow_, bytes32 id, uint256 agentId, int128 value)
        internal
        view
        returns (bytes32)
    {
        bytes32 typehash = keccak256("Feedback(bytes32 orderId,uint256 agentId,int128 value)");
        return _digest(_escrowDomain(escrow_), keccak256(abi.encode(typehash, id, agentId, value)));
    }

    function _receiveDigest(
        address token,
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce
    ) internal view returns (bytes32) {
        return _authorizationDigest("Receive", token, from, to, value, validAfter, validBefore, nonce);
    }

    function _transferDigest(
        address token,
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce
    ) internal view returns (bytes32) {
        return _authorizationDigest("Transfer", token, from, to, value, validAfter, validBefore, nonce);
    }

    function _cancelDigest(address token, address authorizer, bytes32 nonce) internal view returns (bytes32) {
        bytes32 typehash = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
        return _digest(_tokenDomain(token), keccak256(abi.encode(typehash, authorizer, nonce)));
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = _signature(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @notice The same signature in the 64 byte form of EIP-2098.
    function _signCompact(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = _signature(key, digest);
        return abi.encodePacked(r, uint256(s) | (uint256(v - 27) << 255));
    }

    /// @notice The other signature over `digest` that recovers to the same signer.
    function _signMalleated(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = _signature(key, digest);
        return abi.encodePacked(r, CURVE_ORDER - uint256(s), v == 27 ? uint8(28) : uint8(27));
    }

    function _signature(uint256 key, bytes32 digest) internal pure virtual returns (uint8 v, bytes32 r, bytes32 s) {
        return vm.sign(key, digest);
    }

    function _authorizationDigest(
        string memory kind,
        address token,
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce
    ) private view returns (bytes32) {
        bytes32 typehash = keccak256(
            abi.encodePacked(
                kind,
                "WithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
            )
        );
        bytes32 structHash = keccak256(abi.encode(typehash, from, to, value, validAfter, validBefore, nonce));
        return _digest(_tokenDomain(token), structHash);
    }
}
