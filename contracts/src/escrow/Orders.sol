// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {EIP712} from "solady/utils/EIP712.sol";

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IStake} from "../interfaces/IStake.sol";
import {Digests} from "../libraries/Digests.sol";
import {OrderRules} from "../libraries/OrderRules.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {OrderState} from "../types/OrderState.sol";
import {Ledger} from "./Ledger.sol";

/// @title Where orders stand, and the one place where they end
abstract contract Orders is Ledger, EIP712 {
    /// @dev What the stake contract may use to unlock or slash.
    uint256 internal constant STAKE_GAS = 250_000;

    /// @inheritdoc IEscrow
    address public immutable override stake;

    mapping(bytes32 id => OrderState state) internal _states;

    constructor(address stake_) {
        stake = stake_;
    }

    /// @inheritdoc IEscrow
    function statusOf(Order calldata order)
        external
        view
        override
        returns (Status status, uint8 outcome, bool consented, uint40 reviewEnds)
    {
        return statusOfId(orderId(order));
    }

    /// @inheritdoc IEscrow
    function statusOfId(bytes32 id)
        public
        view
        override
        returns (Status status, uint8 outcome, bool consented, uint40 reviewEnds)
    {
        OrderState state = _states[id];
        return (state.status(), state.outcome(), state.consented(), state.windowEnd());
    }

    /// @inheritdoc IEscrow
    function orderId(Order calldata order) public view override returns (bytes32 id) {
        return _hashTypedData(Digests.order(order));
    }

    /// @dev The one place where an order ends: divides the deposit, marks the order, keeps the fee. The caller has made
    /// sure that the order is live and that whoever decided may decide, and pays what is answered: each side's part of
    /// the deposit, and the bond it posted.
    function _settle(Order calldata order, bytes32 id, OrderState state, uint256 pay, uint8 outcome, bytes32 evidence)
        internal
        returns (uint256 toProvider, uint256 toBuyer)
    {
        uint256 fee;
        (toProvider, fee, toBuyer) = OrderRules.divide(order, pay);

        _states[id] = state.settled(outcome, toProvider != 0);
        if (fee != 0) owed[order.feeTo] += fee;
        emit Settled(id, order.buyer, order.provider, toProvider, fee, toBuyer, outcome, evidence);

        Status status = state.status();
        if (status == Status.Disputed || status == Status.Arbitrating) toBuyer += order.bond;
        if (status == Status.Arbitrating) toProvider += order.bond;
    }

    /// @dev Settles, pays both sides and unlocks the stake: every exit but a ruling and a batch.
    function _settleAndPay(
        Order calldata order,
        bytes32 id,
        OrderState state,
        uint256 pay,
        uint8 outcome,
        bytes32 evidence
    ) internal {
        (uint256 toProvider, uint256 toBuyer) = _settle(order, id, state, pay, outcome, evidence);
        _pay(order.provider, toProvider, gasleft());
        _pay(order.buyer, toBuyer, gasleft());
        _endStake(order, id, address(0));
    }

    /// @dev Gives the stake behind the order to `slashTo`, or back to the provider if that is zero. A stake contract that
    /// fails cannot hold up the settlement; whoever sends the transaction could fake that with little gas, which reverts.
    function _endStake(Order calldata order, bytes32 id, address slashTo) internal {
        if (order.stake == 0) return;
        uint256 available = gasleft();
        available -= available / 64;
        if (slashTo == address(0)) {
            try IStake(stake).unlock{gas: STAKE_GAS}(id) {
                return;
            } catch {}
        } else {
            try IStake(stake).slash{gas: STAKE_GAS}(id, slashTo) {
                return;
            } catch {}
        }
        uint256 needed = STAKE_GAS + CALL_OVERHEAD_GAS;
        if (available < needed) revert GasTooLow(available, needed);
        emit StakeStuck(id);
    }

    /// @dev The order's id and state, if it was funded and is not settled.
    function _liveOrder(Order calldata order) internal view returns (bytes32 id, OrderState state) {
        id = orderId(order);
        state = _states[id];
        if (!state.live()) revert BadState(id, state.status());
    }

    /// @dev The order's id and state, if it stands at `status`.
    function _orderAt(Order calldata order, Status status) internal view returns (bytes32 id, OrderState state) {
        id = orderId(order);
        state = _states[id];
        if (state.status() != status) revert BadState(id, state.status());
    }

    /// @dev Reverts unless `signer` signed this struct under our domain.
    function _checkSigned(address signer, bytes32 structHash, bytes calldata signature) internal view {
        Signatures.check(signer, _hashTypedData(structHash), signature);
    }

    /// @dev EIP-712 domain.
    function _domainNameAndVersion() internal pure override returns (string memory name, string memory version) {
        return ("haggle Escrow", "1");
    }
}
