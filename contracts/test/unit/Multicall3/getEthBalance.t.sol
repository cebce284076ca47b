// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {MulticallBase} from "../../base/MulticallBase.sol";

contract GetEthBalanceTest is MulticallBase {
    function test_it_is_the_accounts(address account, uint96 amount) public {
        vm.deal(account, amount);
        vm.assertEq(MULTICALL3.getEthBalance(account), amount, "ether");
    }
}
