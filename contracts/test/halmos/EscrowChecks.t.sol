// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {OrderRules} from "../../src/libraries/OrderRules.sol";

/// @title How money divides, in the open
contract Divider {
    function divide(IEscrow.Order calldata order, uint256 pay)
        external
        pure
        returns (uint256 deposit, uint256 paid, uint256 fee, uint256 refunded)
    {
        deposit = OrderRules.deposit(order);
        (paid, fee, refunded) = OrderRules.divide(order, pay);
    }
}

/// @notice What halmos proves for every order and every argument at once: invariant 3.
/// @dev Run by hand: `halmos --contract EscrowChecks`. Forge only compiles it.
contract EscrowChecks {
    bool public constant IS_TEST = true;

    Divider private divider;

    function setUp() public {
        divider = new Divider();
    }

    /// @notice 3: every division is of the whole deposit, and takes the fee it should.
    function check_3_every_division_is_of_the_whole_deposit(IEscrow.Order calldata order, uint256 pay) public view {
        if (order.feeBps > 1000) return;
        (uint256 deposit, uint256 paid, uint256 fee, uint256 refunded) = divider.divide(order, pay);
        assert(pay <= order.amount);
        assert(paid + fee + refunded == deposit);
        assert(fee == pay * order.feeBps / 10_000);
        assert(paid <= pay && refunded <= deposit);
    }
}
