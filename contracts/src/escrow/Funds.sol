// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IStake} from "../interfaces/IStake.sol";
import {OrderRules} from "../libraries/OrderRules.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {OrderState, OrderStateLib} from "../types/OrderState.sol";
import {Orders} from "./Orders.sol";

/// @title How orders begin, alone and many at once
abstract contract Funds is Orders {
    /// @dev What one row of a batch gets, all included.
    uint256 internal constant ROW_GAS = 600_000;
    /// @dev What the token gets of it to take a deposit.
    uint256 internal constant PULL_GAS = 250_000;
    /// @dev Spent between measuring the gas and the row running, most of it for copying the row.
    uint256 internal constant ROW_OVERHEAD_GAS = 10_000;

    /// @inheritdoc IEscrow
    function fund(Order calldata order, bytes calldata buyerAuth, bytes calldata providerSig)
        external
        override
        nonReentrant
    {
        bytes32 id = _checkNew(order, providerSig);
        if (providerSig.length != 0) Signatures.check(order.provider, id, providerSig);
        _fund(order, id, buyerAuth, providerSig.length != 0, gasleft());
    }

    /// @inheritdoc IEscrow
    function fundBatch(Funding[] calldata rows) external override nonReentrant {
        for (uint256 i = 0; i < rows.length; i++) {
            bytes32 id = orderId(rows[i].order);
            bytes memory data = abi.encodeCall(IEscrow.fundRow, (rows[i]));
            uint256 available = gasleft();
            available -= available / 64;
            if (available < ROW_GAS + ROW_OVERHEAD_GAS) revert GasTooLow(available, ROW_GAS + ROW_OVERHEAD_GAS);
            bool done;
            bytes4 reason;
            /// @solidity memory-safe-assembly
            assembly {
                mstore(0x00, 0)
                done := call(ROW_GAS, address(), 0, add(data, 0x20), mload(data), 0x00, 0x04)
                reason := mload(0x00)
            }
            if (!done) emit FundSkipped(id, reason);
        }
    }

    /// @inheritdoc IEscrow
    function fundRow(Funding calldata row) external override {
        if (msg.sender != address(this)) revert NotParty(msg.sender);
        Order calldata order = row.order;
        bytes32 id = _checkNew(order, row.providerSig);
        bool consented = row.providerSig.length != 0;
        if (consented && !Signatures.isSigned(order.provider, id, row.providerSig)) {
            revert BadSignature(order.provider);
        }
        _fund(order, id, row.buyerAuth, consented, PULL_GAS);
    }

    /// @dev The id of an order that may be funded now.
    function _checkNew(Order calldata order, bytes calldata providerSig) private view returns (bytes32 id) {
        OrderRules.check(order, token, stake);
        OrderState state;
        (id, state) = _orderAt(order, Status.None);
        if (providerSig.length == 0 && OrderRules.needsConsent(order)) revert NotConsented(id);
    }

    /// @dev Opens the order, locks the provider's stake and takes the deposit; the token gets at most `gasCap`.
    function _fund(Order calldata order, bytes32 id, bytes calldata buyerAuth, bool consented, uint256 gasCap) private {
        _states[id] = OrderStateLib.funded(consented);
        emit Funded(id, order.buyer, order.provider, order.amount, order.terms);

        if (order.stake != 0) IStake(stake).lock(order.provider, id, order.stake);
        _pull(order.buyer, OrderRules.deposit(order), order.fundBy, id, buyerAuth, gasCap);
    }
}
