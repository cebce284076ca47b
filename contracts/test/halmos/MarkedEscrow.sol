// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Escrow} from "../../src/Escrow.sol";
import {OrderState} from "../../src/types/OrderState.sol";

/// @title The escrow as it is, whose order words can be set to anything and read, and whose one settlement is open
contract MarkedEscrow is Escrow {
    constructor(address token_, address stake_, address reputation_) Escrow(token_, stake_, reputation_) {}

    function mark(bytes32 id, uint256 word) external {
        _states[id] = OrderState.wrap(word);
    }

    function wordOf(bytes32 id) external view returns (uint256) {
        return OrderState.unwrap(_states[id]);
    }

    /// @notice What every exit does once it knows that the order is live and who gets what.
    function settle(Order calldata order, uint256 pay, uint8 outcome, bytes32 evidence)
        external
        returns (uint256 toProvider, uint256 toBuyer)
    {
        bytes32 id = orderId(order);
        return _settle(order, id, _states[id], pay, outcome, evidence);
    }
}
