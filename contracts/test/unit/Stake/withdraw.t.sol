// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../../src/interfaces/IProviderStake.sol";
import {StakeBase} from "../../base/StakeBase.sol";

contract StakeWithdrawTest is StakeBase {
    function test_the_provider_has_its_stake_back_after_the_thaw(
        uint96 amount,
        uint96 wanted,
        uint32 late,
        address sender
    ) public {
        vm.assume(sender != address(0));
        amount = uint96(bound(amount, 1, type(uint96).max));
        wanted = uint96(bound(wanted, 1, amount));
        _deposit(provider, amount);
        _request(wanted);
        vm.warp(NOW + 7 days + late);
        vm.expectEmit(address(stake));
        emit IProviderStake.StakeWithdrawn(provider, wanted);
        vm.prank(sender);
        stake.withdraw(provider);
        _assertStake(amount - wanted, 0, 0);
        vm.assertEq(usdc.balanceOf(provider), wanted, "has it");
        vm.assertEq(usdc.balanceOf(address(stake)), amount - wanted, "held");
    }

    function test_what_an_order_holds_stays_and_can_be_had_later(uint96 locked) public {
        locked = uint96(bound(locked, 1, 99));
        _deposit(provider, 100);
        _lock(ORDER, locked);
        _request(100);
        vm.warp(NOW + 7 days);
        stake.withdraw(provider);
        _assertStake(locked, locked, locked);
        vm.assertEq(usdc.balanceOf(provider), 100 - locked, "the rest");

        _unlock(ORDER);
        stake.withdraw(provider);
        _assertStake(0, 0, 0);
        vm.assertEq(usdc.balanceOf(provider), 100, "all");
    }

    function test_thawing_stake_can_be_slashed() public {
        _deposit(provider, 100);
        _lock(ORDER, 60);
        _request(100);
        vm.warp(NOW + 6 days);
        _slash(ORDER, buyer);
        _assertStake(40, 0, 40);
        vm.warp(NOW + 7 days);
        stake.withdraw(provider);
        vm.assertEq(usdc.balanceOf(provider), 40, "the rest");
        vm.assertEq(usdc.balanceOf(buyer), 60, "the injured buyer");
    }

    function test_reverts_when_nothing_was_asked_for(address who) public {
        _deposit(provider, 100);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NothingToWithdraw.selector, who));
        stake.withdraw(who);
    }

    function test_reverts_when_all_of_it_is_locked() public {
        _deposit(provider, 100);
        _lock(ORDER, 100);
        _request(100);
        vm.warp(NOW + 7 days);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NothingToWithdraw.selector, provider));
        stake.withdraw(provider);
    }

    function test_reverts_when_it_still_thaws(uint32 secs) public {
        secs = uint32(bound(secs, 0, 7 days - 1));
        _deposit(provider, 100);
        _request(10);
        vm.warp(NOW + secs);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.StillThawing.selector, NOW + secs, NOW + 7 days));
        stake.withdraw(provider);
    }

    function test_reverts_when_the_token_refuses_and_can_be_tried_again() public {
        _deposit(provider, 100);
        _request(100);
        vm.warp(NOW + 7 days);
        usdc.deny(provider, true);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        stake.withdraw(provider);
        usdc.deny(provider, false);
        stake.withdraw(provider);
        vm.assertEq(usdc.balanceOf(provider), 100, "all");
    }
}
