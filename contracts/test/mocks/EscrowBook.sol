// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";

/// @title As much of an escrow as a panel sees, which writes down what it was told
contract EscrowBook {
    address public token;
    mapping(bytes32 id => bytes32 evidence) public evidenceOf;
    bytes32 public ruledId;
    uint96 public ruledPay;
    address public ruledBy;
    bool public refuses;

    error Refused();

    constructor(address token_) {
        token = token_;
    }

    function dispute(IEscrow.Order calldata order, bytes32 evidence) external {
        evidenceOf[orderId(order)] = evidence;
    }

    function refuse() external {
        refuses = true;
    }

    function rule(IEscrow.Order calldata order, uint96 pay) external {
        if (refuses) revert Refused();
        (ruledId, ruledPay, ruledBy) = (orderId(order), pay, msg.sender);
    }

    function orderId(IEscrow.Order calldata order) public pure returns (bytes32) {
        return keccak256(abi.encode(order));
    }
}
