// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../../src/interfaces/IProviderStake.sol";
import {StakeBase} from "../../base/StakeBase.sol";

contract StakeCollectTest is StakeBase {
    function test_the_account_has_what_waited(uint96 amount, address sender) public {
        vm.assume(sender != address(0));
        amount = uint96(bound(amount, 1, type(uint96).max));
        _owe(amount);
        usdc.deny(buyer, false);
        vm.expectEmit(address(stake));
        emit IProviderStake.Collected(buyer, amount);
        vm.prank(sender);
        stake.collect(buyer);
        vm.assertEq(usdc.balanceOf(buyer), amount, "has it");
        vm.assertEq(stake.owed(buyer), 0, "owed");
        vm.assertEq(usdc.balanceOf(address(stake)), 0, "held");
    }

    function test_reverts_when_nothing_waits(address account) public {
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.NothingOwed.selector, account));
        stake.collect(account);
    }

    function test_reverts_when_the_token_still_refuses() public {
        _owe(10);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        stake.collect(buyer);
        vm.assertEq(stake.owed(buyer), 10, "waits on");
    }

    function _owe(uint96 amount) private {
        _deposit(provider, amount);
        _lock(ORDER, amount);
        usdc.deny(buyer, true);
        _slash(ORDER, buyer);
    }
}
