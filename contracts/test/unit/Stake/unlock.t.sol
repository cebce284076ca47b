// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../../src/interfaces/IProviderStake.sol";
import {StakeBase} from "../../base/StakeBase.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";

contract StakeUnlockTest is StakeBase {
    function test_the_provider_has_the_use_of_it_again(uint96 locked) public {
        locked = uint96(bound(locked, 1, 100));
        _deposit(provider, 100);
        _lock(ORDER, locked);
        vm.expectEmit(address(stake));
        emit IProviderStake.Unlocked(ORDER, provider, locked);
        _unlock(ORDER);
        _assertStake(100, 0, 0);
        _assertLock(ORDER, address(0), 0);
        vm.assertEq(usdc.balanceOf(address(stake)), 100, "the money stays");
    }

    function test_nothing_locked_is_no_error(bytes32 order) public {
        _deposit(provider, 100);
        _unlock(order);
        _lock(order, 100);
        _unlock(order);
        _unlock(order);
        _assertStake(100, 0, 0);
    }

    function test_it_works_in_the_middle_of_a_deposit() public {
        HostileToken token = new HostileToken();
        stake = IProviderStake(vm.deployCode("out/Stake.sol/Stake.json", abi.encode(address(token), address(token))));
        token.mint(provider, 100);
        stake.deposit(provider, 50, NOW + 1, 0, "");
        vm.prank(address(token));
        stake.lock(provider, ORDER, 50);
        // the token plays the escrow too, and unlocks while the deposit is under way
        token.setReentry(address(stake), abi.encodeWithSignature("unlock(bytes32)", ORDER));
        stake.deposit(provider, 50, NOW + 1, 0, "");
        vm.assertTrue(token.callSucceeded(), "unlocked");
        _assertStake(100, 0, 0);
    }

    function test_reverts_when_anybody_else_calls(address sender) public {
        vm.assume(sender != ESCROW);
        _deposit(provider, 100);
        _lock(ORDER, 10);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NotEscrow.selector, sender));
        vm.prank(sender);
        stake.unlock(ORDER);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NotEscrow.selector, provider));
        vm.prank(provider);
        stake.unlock(ORDER);
    }
}
