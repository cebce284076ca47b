// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {Digests} from "../libraries/Digests.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {OrderState} from "../types/OrderState.sol";
import {Outcomes} from "../types/Outcomes.sol";
import {Orders} from "./Orders.sol";

/// @title How orders end by somebody's signature, alone and many at once
abstract contract Exits is Orders {
    /// @inheritdoc IEscrow
    function release(Order calldata order, bytes calldata buyerSig) external override nonReentrant {
        (bytes32 id, OrderState state) = _liveOrder(order);
        _checkSigned(order.buyer, Digests.release(id), buyerSig);
        _settleAndPay(order, id, state, order.amount, Outcomes.RELEASED, 0);
    }

    /// @inheritdoc IEscrow
    function releaseBatch(Settlement[] calldata rows) external override nonReentrant {
        address provider;
        uint256 due = 0;
        for (uint256 i = 0; i < rows.length; i++) {
            Order calldata order = rows[i].order;
            if (order.provider != provider) {
                _pay(provider, due, BATCH_TRANSFER_GAS);
                (provider, due) = (order.provider, 0);
            }
            due += _releaseRow(order, rows[i].buyerSig);
        }
        _pay(provider, due, BATCH_TRANSFER_GAS);
    }

    /// @inheritdoc IEscrow
    function refund(Order calldata order, bytes calldata providerSig) external override nonReentrant {
        (bytes32 id, OrderState state) = _liveOrder(order);
        _checkSigned(order.provider, Digests.refund(id), providerSig);
        _settleAndPay(order, id, state, 0, Outcomes.REFUNDED, 0);
    }

    /// @inheritdoc IEscrow
    function split(
        Order calldata order,
        uint96 pay,
        uint40 validUntil,
        bytes calldata buyerSig,
        bytes calldata providerSig
    ) external override nonReentrant {
        (bytes32 id, OrderState state) = _liveOrder(order);
        if (block.timestamp >= validUntil) revert TooLate(block.timestamp, validUntil);
        bytes32 structHash = Digests.split(id, pay, validUntil);
        _checkSigned(order.buyer, structHash, buyerSig);
        _checkSigned(order.provider, structHash, providerSig);
        _settleAndPay(order, id, state, pay, Outcomes.SPLIT, 0);
    }

    /// @inheritdoc IEscrow
    function verdict(Order calldata order, uint96 pay, bytes32 evidence, uint40 validUntil, bytes calldata validatorSig)
        external
        override
        nonReentrant
    {
        bytes32 id = orderId(order);
        OrderState state = _states[id];
        Status status = state.status();
        if (status != Status.Funded && status != Status.Delivered) revert BadState(id, status);
        if (block.timestamp >= validUntil) revert TooLate(block.timestamp, validUntil);
        _checkSigned(order.validator, Digests.verdict(id, pay, evidence, validUntil), validatorSig);
        _settleAndPay(order, id, state, pay, Outcomes.VERDICT, evidence);
    }

    /// @dev One row: settles and answers what the provider is due, or says why not and answers nothing. The bond of a
    /// buyer that disputed and thought better of it goes straight back.
    function _releaseRow(Order calldata order, bytes calldata buyerSig) private returns (uint256 due) {
        bytes32 id = orderId(order);
        OrderState state = _states[id];
        if (!state.live()) {
            emit ReleaseSkipped(id, BadState.selector);
            return 0;
        }
        if (!Signatures.isSigned(order.buyer, _hashTypedData(Digests.release(id)), buyerSig)) {
            emit ReleaseSkipped(id, BadSignature.selector);
            return 0;
        }
        uint256 toBuyer;
        (due, toBuyer) = _settle(order, id, state, order.amount, Outcomes.RELEASED, 0);
        _pay(order.buyer, toBuyer, BATCH_TRANSFER_GAS);
        _endStake(order, id, address(0));
    }
}
