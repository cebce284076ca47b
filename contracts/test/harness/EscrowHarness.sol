// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Escrow} from "../../src/Escrow.sol";
import {OrderStateLib} from "../../src/types/OrderState.sol";

/// @title The escrow with its one settlement function in the open, for the splits no operation asks for yet
/// @dev Tests must not import this: it would compile it, and the escrow, a second time in another way.
contract EscrowHarness is Escrow {
    constructor(address token_) Escrow(token_, address(0), address(0)) {}

    function settle(Order calldata order, uint256 pay, uint8 outcome) external {
        _settleAndPay(order, orderId(order), OrderStateLib.funded(false), pay, outcome, bytes32(0));
    }
}
