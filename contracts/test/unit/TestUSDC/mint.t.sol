// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {UsdcBase} from "../../base/UsdcBase.sol";

contract MintTest is UsdcBase {
    function test_the_minter_makes_money(uint96 value) public {
        uint256 supply = usdc.totalSupply();
        usdc.mint(bob, value);
        vm.assertEq(usdc.balanceOf(bob), value, "minted");
        vm.assertEq(usdc.totalSupply(), supply + value, "supply");
    }

    function test_it_looks_like_usdc() public view {
        vm.assertEq(keccak256(bytes(usdc.name())), keccak256("USD Coin"), "name");
        vm.assertEq(keccak256(bytes(usdc.symbol())), keccak256("USDC"), "symbol");
        vm.assertEq(keccak256(bytes(usdc.version())), keccak256("2"), "version");
        vm.assertEq(usdc.decimals(), 6, "decimals");
        vm.assertEq(usdc.DOMAIN_SEPARATOR(), _tokenDomain(address(usdc)), "domain");
    }

    function test_reverts_when_anyone_else_mints(address caller) public {
        vm.assume(caller != address(this));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.NotMinter.selector, caller));
        vm.prank(caller);
        usdc.mint(caller, 1);
    }
}
