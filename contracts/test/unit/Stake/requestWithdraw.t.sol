// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../../src/interfaces/IProviderStake.sol";
import {StakeBase} from "../../base/StakeBase.sol";

contract StakeRequestWithdrawTest is StakeBase {
    function test_the_thaw_begins_and_new_orders_cannot_use_it(uint96 amount, uint96 wanted) public {
        amount = uint96(bound(amount, 1, type(uint96).max));
        wanted = uint96(bound(wanted, 1, amount));
        _deposit(provider, amount);
        vm.expectEmit(address(stake));
        emit IProviderStake.WithdrawRequested(provider, wanted, uint40(NOW + 7 days));
        _request(wanted);
        _assertStake(amount, 0, wanted);
        vm.assertEq(stake.available(provider), amount - wanted, "available");
    }

    function test_another_request_replaces_it_and_begins_anew() public {
        _deposit(provider, 100);
        _request(60);
        vm.warp(NOW + 6 days);
        _request(10);
        vm.warp(NOW + 7 days);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.StillThawing.selector, NOW + 7 days, NOW + 13 days));
        stake.withdraw(provider);
        _assertStake(100, 0, 10);
    }

    function test_zero_takes_it_back() public {
        _deposit(provider, 100);
        _request(100);
        vm.expectEmit(address(stake));
        emit IProviderStake.WithdrawRequested(provider, 0, 0);
        _request(0);
        vm.assertEq(stake.available(provider), 100, "available again");
        vm.warp(NOW + 7 days);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NothingToWithdraw.selector, provider));
        stake.withdraw(provider);
    }

    function test_one_provider_asks_for_its_own_only(address other) public {
        vm.assume(other != provider);
        _deposit(provider, 100);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.StakeTooLow.selector, other, 0, 1));
        vm.prank(other);
        stake.requestWithdraw(1);
        _assertStake(100, 0, 0);
    }

    function test_reverts_when_more_is_wanted_than_there_is(uint96 wanted) public {
        wanted = uint96(bound(wanted, 101, type(uint96).max));
        _deposit(provider, 100);
        vm.expectRevert(_tooLow(100, wanted));
        vm.prank(provider);
        stake.requestWithdraw(wanted);
    }
}
