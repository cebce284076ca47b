// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../../src/interfaces/IProviderStake.sol";
import {StakeBase} from "../../base/StakeBase.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";

contract StakeSlashTest is StakeBase {
    /// @notice What the escrow gives the call at the least.
    uint256 private constant GAS = 250_000;

    function test_the_buyer_has_what_the_order_held_and_no_more(uint96 amount, uint96 locked, address to) public {
        vm.assume(to != address(0) && to != address(stake));
        amount = uint96(bound(amount, 1, type(uint96).max));
        locked = uint96(bound(locked, 1, amount));
        _deposit(provider, amount);
        _lock(ORDER, locked);
        vm.expectEmit(address(stake));
        emit IProviderStake.Slashed(ORDER, provider, to, locked);
        _slash(ORDER, to);
        _assertStake(amount - locked, 0, 0);
        _assertLock(ORDER, address(0), 0);
        vm.assertEq(usdc.balanceOf(to), locked, "the buyer");
        vm.assertEq(usdc.balanceOf(address(stake)), amount - locked, "held");
    }

    function test_other_orders_keep_what_they_hold() public {
        _deposit(provider, 100);
        _lock(ORDER, 30);
        _lock(keccak256("another"), 50);
        _slash(ORDER, buyer);
        _assertStake(70, 50, 0);
        _assertLock(keccak256("another"), provider, 50);
    }

    function test_nothing_locked_is_no_error(bytes32 order) public {
        _deposit(provider, 100);
        _slash(order, buyer);
        _lock(order, 10);
        _slash(order, buyer);
        _slash(order, buyer);
        _assertStake(90, 0, 0);
        vm.assertEq(usdc.balanceOf(buyer), 10, "once");
    }

    function test_a_denied_buyer_is_credited() public {
        _deposit(provider, 100);
        _lock(ORDER, 30);
        usdc.deny(buyer, true);
        vm.expectEmit(address(stake));
        emit IProviderStake.Credited(buyer, 30);
        _slash(ORDER, buyer);
        _assertStake(70, 0, 0);
        vm.assertEq(stake.owed(buyer), 30, "owed");
        vm.assertEq(usdc.balanceOf(address(stake)), 100, "held");
    }

    function test_no_token_and_nobody_can_make_it_fail_within_its_gas(uint256 way, address to, uint32 burn) public {
        HostileToken token = new HostileToken();
        stake = _deployStake(address(token));
        token.mint(provider, 100);
        stake.deposit(provider, 100, NOW + 1, 0, "");
        _lock(ORDER, 30);
        token.setTransfers(HostileToken.Transfers(way % 8));
        if (way % 8 == uint256(HostileToken.Transfers.BurnGas)) token.setGasToBurn(bound(burn, 1, 200_000));
        vm.prank(ESCROW);
        (bool ok,) = address(stake).call{gas: GAS}(abi.encodeWithSignature("slash(bytes32,address)", ORDER, to));
        vm.assertTrue(ok, "failed");
        _assertStake(70, 0, 0);
        uint256 has = token.balanceOf(to) + stake.owed(to);
        vm.assertEq(to == address(stake) ? 30 : has, 30, "sent or owed");
    }

    function test_reverts_when_anybody_else_calls(address sender) public {
        vm.assume(sender != ESCROW);
        _deposit(provider, 100);
        _lock(ORDER, 10);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NotEscrow.selector, sender));
        vm.prank(sender);
        stake.slash(ORDER, sender);
    }
}
