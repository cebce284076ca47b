// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {Digests} from "../libraries/Digests.sol";
import {OrderRules} from "../libraries/OrderRules.sol";
import {OrderState} from "../types/OrderState.sol";
import {Outcomes} from "../types/Outcomes.sol";
import {Orders} from "./Orders.sol";

/// @title How orders go on when the parties do not agree, and how the clock ends them
abstract contract Disputes is Orders {
    /// @dev `side` of the buyer in `Bond`.
    uint8 internal constant BUYER = 0;
    /// @dev `side` of the provider in `Bond`.
    uint8 internal constant PROVIDER = 1;

    /// @inheritdoc IEscrow
    mapping(bytes32 id => bytes32 evidence) public override evidenceOf;

    /// @inheritdoc IEscrow
    function deliver(Order calldata order, bytes32 deliverable) external override nonReentrant {
        (bytes32 id, OrderState state) = _orderAt(order, Status.Funded);
        if (msg.sender != order.provider) revert NotParty(msg.sender);
        if (block.timestamp >= order.deliverBy) revert TooLate(block.timestamp, order.deliverBy);

        uint40 reviewEnds = _windowOf(order.reviewSecs);
        _states[id] = state.delivered(reviewEnds);
        emit Delivered(id, deliverable, reviewEnds);
    }

    /// @inheritdoc IEscrow
    function dispute(Order calldata order, bytes32 evidence, bytes calldata bondAuth) external override nonReentrant {
        bytes32 id = orderId(order);
        OrderState state = _states[id];
        uint256 end = _disputeEnd(order, id, state);
        if (block.timestamp >= end) revert TooLate(block.timestamp, end);
        if (order.arbitrator == address(0)) revert NoArbitrator(id);
        if (!state.consented()) revert NotConsented(id);

        _states[id] = state.disputed(_windowOf(order.counterSecs));
        evidenceOf[id] = evidence;
        emit Disputed(id, order.buyer, evidence);

        _takeBond(order, order.buyer, Digests.bond(id, BUYER, evidence), end, bondAuth);
    }

    /// @inheritdoc IEscrow
    function counter(Order calldata order, bytes calldata bondAuth) external override nonReentrant {
        (bytes32 id, OrderState state) = _orderAt(order, Status.Disputed);
        uint256 end = state.windowEnd();
        if (block.timestamp >= end) revert TooLate(block.timestamp, end);

        _states[id] = state.arbitrating(_windowOf(order.ruleSecs));
        emit Countered(id);

        _takeBond(order, order.provider, Digests.bond(id, PROVIDER, evidenceOf[id]), end, bondAuth);
    }

    /// @inheritdoc IEscrow
    function rule(Order calldata order, uint96 pay) external override nonReentrant {
        (bytes32 id, OrderState state) = _orderAt(order, Status.Arbitrating);
        if (msg.sender != order.arbitrator) revert NotParty(msg.sender);
        uint256 end = state.windowEnd();
        if (block.timestamp >= end) revert TooLate(block.timestamp, end);

        (uint256 toProvider, uint256 toBuyer) = _settle(order, id, state, pay, Outcomes.RULED, evidenceOf[id]);
        bool buyerLost = 2 * uint256(pay) >= order.amount;
        if (buyerLost) toBuyer -= order.bond;
        else toProvider -= order.bond;

        _pay(order.provider, toProvider, gasleft());
        _pay(order.buyer, toBuyer, gasleft());
        _pay(order.arbitrator, order.bond, gasleft());
        _endStake(order, id, buyerLost ? address(0) : order.buyer);
    }

    /// @inheritdoc IEscrow
    function finalize(Order calldata order) external override nonReentrant {
        (bytes32 id, OrderState state) = _liveOrder(order);
        Status status = state.status();
        uint256 from = status == Status.Funded ? order.deliverBy : state.windowEnd();
        if (block.timestamp < from) revert TooEarly(block.timestamp, from);

        (uint256 pay, uint8 outcome) = _onTimeout(order, status);
        _settleAndPay(order, id, state, pay, outcome, 0);
    }

    /// @dev What the order says for a window of this status that passed.
    function _onTimeout(Order calldata order, Status status) private pure returns (uint256 pay, uint8 outcome) {
        uint256 amount = order.amount;
        if (status == Status.Delivered) return (amount, Outcomes.DELIVERED_PAID);
        if (status == Status.Disputed) return (0, Outcomes.UNCOUNTERED_REFUNDED);
        if (status == Status.Arbitrating) return (amount * order.silentBps / OrderRules.WHOLE_BPS, Outcomes.SILENT);
        if (_paysUndelivered(order)) return (amount, Outcomes.UNDELIVERED_PAID);
        return (0, Outcomes.UNDELIVERED_REFUNDED);
    }

    /// @dev When the buyer's time to dispute ends, in a status where it has any.
    function _disputeEnd(Order calldata order, bytes32 id, OrderState state) private pure returns (uint256) {
        Status status = state.status();
        if (status == Status.Delivered) return state.windowEnd();
        if (status == Status.Funded && _paysUndelivered(order)) return order.deliverBy;
        revert BadState(id, status);
    }

    /// @dev Takes the bond of `party`; without one, its signature. The payment's nonce is the digest of what the bond is
    /// for and its deadline the end of the window, so nobody can use it for anything else.
    function _takeBond(Order calldata order, address party, bytes32 structHash, uint256 end, bytes calldata bondAuth)
        private
    {
        if (order.bond == 0) _checkSigned(party, structHash, bondAuth);
        else _pull(party, order.bond, end, _hashTypedData(structHash), bondAuth, gasleft());
    }

    function _paysUndelivered(Order calldata order) private pure returns (bool) {
        return order.flags & OrderRules.PAY_UNDELIVERED != 0;
    }

    /// @dev The end of a window that opens now. The time fits 40 bits, as every deadline does that it was compared with,
    /// and a window is at most thirty days: the sum is checked all the same.
    function _windowOf(uint32 secs) private view returns (uint40) {
        return uint40(block.timestamp) + secs;
    }
}
