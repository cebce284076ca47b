// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @notice The cheatcodes the proofs use. Not those of test/base: whoever imports from there is compiled as the tests
/// are, and what is proven here has to be the code as it is shipped.
interface Cheats {
    function assume(bool condition) external pure;
    function prank(address caller) external;
}

Cheats constant vm = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));
