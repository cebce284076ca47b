// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../src/dev/TestUSDC.sol";
import {Wallet1271} from "../mocks/Wallet1271.sol";
import {Eip712} from "./Eip712.sol";

/// @title The people and the token of every TestUSDC test
abstract contract UsdcBase is Eip712 {
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant ALICE_KEY = uint256(keccak256("alice"));
    uint256 internal constant EVE_KEY = uint256(keccak256("eve"));
    uint256 internal constant FUNDS = 1_000_000_000;

    address internal alice = vm.addr(ALICE_KEY);
    address internal bob = address(0xb0b);
    address internal wallet;

    TestUSDC internal usdc;

    function setUp() public virtual {
        vm.warp(NOW);
        usdc = TestUSDC(vm.deployCode("out/TestUSDC.sol/TestUSDC.json", abi.encode(address(this))));
        wallet = address(new Wallet1271(alice));
        usdc.mint(alice, FUNDS);
        usdc.mint(wallet, FUNDS);
    }

    function _split(bytes memory signature) internal pure returns (uint8 v, bytes32 r, bytes32 s) {
        (r, s) = abi.decode(signature, (bytes32, bytes32));
        v = uint8(signature[64]);
    }

    function _assertMoved(address from, address to, uint256 value) internal view {
        vm.assertEq(usdc.balanceOf(from), FUNDS - value, "payer");
        vm.assertEq(usdc.balanceOf(to), value, "payee");
    }
}
