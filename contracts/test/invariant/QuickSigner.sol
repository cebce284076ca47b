// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Eip712} from "../base/Eip712.sol";

/// @title Good signatures for a fraction of what the cheatcode takes, which was a third of a campaign
/// @dev ECDSA with the nonce one: the curve's own point, no multiplication. Everybody can read the key from such a
/// signature, and everybody who checks it finds it good.
abstract contract QuickSigner is Eip712 {
    uint256 private constant GENERATOR_X = 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798;

    function _signature(uint256 key, bytes32 digest)
        internal
        pure
        virtual
        override
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        uint256 product = mulmod(GENERATOR_X, key, CURVE_ORDER);
        uint256 sum = addmod(uint256(digest), product, CURVE_ORDER);
        // the generator's y is even; of the two good signatures the one with the lower s
        if (sum > CURVE_ORDER / 2) (v, sum) = (28, CURVE_ORDER - sum);
        else v = 27;
        return (v, bytes32(GENERATOR_X), bytes32(sum));
    }
}
