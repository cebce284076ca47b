// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../../src/interfaces/IProviderStake.sol";
import {StakeBase} from "../../base/StakeBase.sol";

contract StakeLockTest is StakeBase {
    function test_exactly_the_amount_stands_behind_the_order(uint96 amount, uint96 locked, bytes32 order) public {
        amount = uint96(bound(amount, 1, type(uint96).max));
        locked = uint96(bound(locked, 1, amount));
        _deposit(provider, amount);
        vm.expectEmit(address(stake));
        emit IProviderStake.Locked(order, provider, locked);
        _lock(order, locked);
        _assertStake(amount, locked, 0);
        _assertLock(order, provider, locked);
        vm.assertEq(stake.available(provider), amount - locked, "available");
    }

    function test_reverts_when_anybody_else_calls(address sender) public {
        vm.assume(sender != ESCROW);
        _deposit(provider, 100);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NotEscrow.selector, sender));
        vm.prank(sender);
        stake.lock(provider, ORDER, 10);
    }

    function test_reverts_when_nothing_is_locked() public {
        vm.expectRevert(IProviderStake.ZeroAmount.selector);
        _lock(ORDER, 0);
    }

    function test_reverts_when_the_order_has_a_lock() public {
        _deposit(provider, 100);
        _lock(ORDER, 10);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.AlreadyLocked.selector, ORDER));
        vm.prank(ESCROW);
        stake.lock(provider, ORDER, 10);
    }

    function test_reverts_when_too_little_is_neither_locked_nor_thawing(uint96 locked, uint96 thawing, uint96 amount)
        public
    {
        locked = uint96(bound(locked, 1, 100));
        thawing = uint96(bound(thawing, 1, 100));
        uint256 free = uint256(locked) + thawing < 100 ? 100 - locked - thawing : 0;
        amount = uint96(bound(amount, free + 1, type(uint96).max));
        _deposit(provider, 100);
        _lock(keccak256("before"), locked);
        _request(thawing);
        vm.assertEq(stake.available(provider), free, "available");
        vm.expectRevert(_tooLow(free, amount));
        vm.prank(ESCROW);
        stake.lock(provider, ORDER, amount);
    }
}
