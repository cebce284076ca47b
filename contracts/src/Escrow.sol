// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {EIP712} from "solady/utils/EIP712.sol";
import {ReentrancyGuardTransient} from "solady/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";
import {SignatureCheckerLib} from "solady/utils/SignatureCheckerLib.sol";

import {IEscrow} from "./interfaces/IEscrow.sol";
import {IReceiveWithAuthorization} from "./interfaces/IReceiveWithAuthorization.sol";
import {OrderState, OrderStateLib} from "./types/OrderState.sol";
import {Outcomes} from "./types/Outcomes.sol";

/// @title Escrow
/// @notice Holds one token between buyers and providers. No owner, no pause, no upgrade, no way to change a fee.
/// @dev Every operation reads: state, then who and when, then the new state, then the event, then the money.
contract Escrow is IEscrow, EIP712, ReentrancyGuardTransient {
    /// @dev EIP-712 type of the agreement.
    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(address buyer,address provider,address validator,address arbitrator,address feeTo,uint96 amount,uint96 bond,uint96 stake,uint16 feeBps,uint16 silentBps,uint8 flags,uint40 fundBy,uint40 deliverBy,uint32 reviewSecs,uint32 counterSecs,uint32 ruleSecs,bytes32 terms,uint256 salt)"
    );
    /// @dev EIP-712 type of the buyer's word to pay everything.
    bytes32 internal constant RELEASE_TYPEHASH = keccak256("Release(bytes32 orderId)");
    /// @dev EIP-712 type of the provider's word to return everything.
    bytes32 internal constant REFUND_TYPEHASH = keccak256("Refund(bytes32 orderId)");

    /// @dev The whole, in hundredths of a percent.
    uint256 internal constant WHOLE_BPS = 10_000;
    /// @dev No order can carry a higher fee.
    uint256 internal constant MAX_FEE_BPS = 1000;
    /// @dev Flag: the buyer pays the fee on top of `amount`; without it the fee comes out of the provider's pay.
    uint8 internal constant FEE_ON_TOP = 1;
    /// @dev Flag: an order that is not delivered in time pays the provider.
    uint8 internal constant PAY_UNDELIVERED = 2;
    /// @dev The longest an order may wait for delivery after its funding deadline.
    uint256 internal constant MAX_DELIVERY_SECS = 365 days;
    /// @dev The shortest review, counter or ruling window.
    uint256 internal constant MIN_WINDOW_SECS = 1 hours;
    /// @dev The longest review, counter or ruling window.
    uint256 internal constant MAX_WINDOW_SECS = 30 days;
    /// @dev A failed transfer counts as refused by the token, and not as starved by the caller, from this much gas on.
    uint256 internal constant TRANSFER_GAS = 150_000;
    /// @dev Spent between measuring the gas and the token running: a cold account, the call itself, its memory.
    uint256 internal constant CALL_OVERHEAD_GAS = 5000;

    /// @inheritdoc IEscrow
    address public immutable override token;

    /// @inheritdoc IEscrow
    mapping(address account => uint256 amount) public override owed;

    mapping(bytes32 id => OrderState state) private _states;

    /// @param token_ the one token held here; it must already be deployed and have EIP-3009 in the `bytes` form
    constructor(address token_) {
        if (token_.code.length == 0) revert ZeroAddress();
        token = token_;
    }

    /// @inheritdoc IEscrow
    function fund(Order calldata order, bytes calldata buyerAuth, bytes calldata providerSig)
        external
        override
        nonReentrant
    {
        _checkOrder(order);
        bytes32 id = orderId(order);
        OrderState state = _states[id];
        if (state.status() != Status.None) revert BadState(id, state.status());

        bool consented = providerSig.length != 0;
        if (consented) _checkSignature(order.provider, id, providerSig);

        _states[id] = OrderStateLib.funded(consented);
        emit Funded(id, order.buyer, order.provider, order.amount, order.terms);

        _takeDeposit(order, id, buyerAuth);
    }

    /// @inheritdoc IEscrow
    function release(Order calldata order, bytes calldata buyerSig) external override nonReentrant {
        (bytes32 id, OrderState state) = _liveOrder(order);
        _checkSignature(order.buyer, _hashTypedData(keccak256(abi.encode(RELEASE_TYPEHASH, id))), buyerSig);
        _settle(order, id, state, order.amount, Outcomes.RELEASED);
    }

    /// @inheritdoc IEscrow
    function refund(Order calldata order, bytes calldata providerSig) external override nonReentrant {
        (bytes32 id, OrderState state) = _liveOrder(order);
        _checkSignature(order.provider, _hashTypedData(keccak256(abi.encode(REFUND_TYPEHASH, id))), providerSig);
        _settle(order, id, state, 0, Outcomes.REFUNDED);
    }

    /// @inheritdoc IEscrow
    function deliver(Order calldata order, bytes32 deliverable) external override nonReentrant {
        bytes32 id = orderId(order);
        OrderState state = _states[id];
        if (state.status() != Status.Funded) revert BadState(id, state.status());
        if (msg.sender != order.provider) revert NotParty(msg.sender);
        if (block.timestamp >= order.deliverBy) revert TooLate(block.timestamp, order.deliverBy);

        // now < deliverBy fits 40 bits, and a window is at most thirty days: the sum is checked all the same
        uint40 reviewEnds = uint40(block.timestamp) + order.reviewSecs;
        _states[id] = state.delivered(reviewEnds);
        emit Delivered(id, deliverable, reviewEnds);
    }

    /// @inheritdoc IEscrow
    function finalize(Order calldata order) external override nonReentrant {
        (bytes32 id, OrderState state) = _liveOrder(order);
        bool delivered = state.status() == Status.Delivered;
        uint256 from = delivered ? state.windowEnd() : order.deliverBy;
        if (block.timestamp < from) revert TooEarly(block.timestamp, from);

        if (delivered) {
            _settle(order, id, state, order.amount, Outcomes.DELIVERED_PAID);
        } else if (order.flags & PAY_UNDELIVERED != 0) {
            _settle(order, id, state, order.amount, Outcomes.UNDELIVERED_PAID);
        } else {
            _settle(order, id, state, 0, Outcomes.UNDELIVERED_REFUNDED);
        }
    }

    /// @inheritdoc IEscrow
    function withdraw(address account) external override nonReentrant {
        uint256 amount = owed[account];
        if (amount == 0) revert NothingOwed(account);

        owed[account] = 0;
        emit Withdrawn(account, amount);

        SafeTransferLib.safeTransfer(token, account, amount);
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
        return _hashTypedData(keccak256(abi.encode(ORDER_TYPEHASH, order)));
    }

    /// @dev The one place where an order ends: splits the deposit, marks the order, pays. The caller has made sure that
    /// the order is live and that whoever decided may decide.
    function _settle(Order calldata order, bytes32 id, OrderState state, uint256 pay, uint8 outcome) internal {
        if (pay > order.amount) revert PayTooHigh(pay, order.amount);
        uint256 fee = pay * order.feeBps / WHOLE_BPS;
        uint256 paid = order.flags & FEE_ON_TOP != 0 ? pay : pay - fee;
        uint256 refunded = _deposit(order) - fee - paid;

        _states[id] = state.settled(outcome);
        if (fee != 0) owed[order.feeTo] += fee;
        emit Settled(id, order.buyer, order.provider, paid, fee, refunded, outcome, bytes32(0));

        _pay(order.provider, paid);
        _pay(order.buyer, refunded);
    }

    /// @dev Sends `amount` to `to`, or keeps it for `withdraw` if the token refuses (a denylisted party must not block
    /// the other one). Whoever sends the transaction could fake a refusal by giving it little gas: that reverts.
    function _pay(address to, uint256 amount) private {
        if (amount == 0) return;
        uint256 available = gasleft();
        available -= available / 64;
        if (_tryTransfer(to, amount)) return;

        uint256 needed = TRANSFER_GAS + CALL_OVERHEAD_GAS;
        if (available < needed) revert TransferGasTooLow(available, needed);
        owed[to] += amount;
        emit Credited(to, amount);
    }

    /// @dev ERC-20 `transfer`; true if the call succeeded and answered true or nothing. Copies at most one word of the
    /// answer, so a huge one costs the token and not us.
    function _tryTransfer(address to, uint256 amount) private returns (bool sent) {
        address token_ = token;
        /// @solidity memory-safe-assembly
        assembly {
            let m := mload(0x40)
            mstore(m, 0xa9059cbb00000000000000000000000000000000000000000000000000000000)
            mstore(add(m, 0x04), and(to, 0xffffffffffffffffffffffffffffffffffffffff))
            mstore(add(m, 0x24), amount)
            sent := call(gas(), token_, 0, m, 0x44, 0x00, 0x20)
            let answered := or(iszero(returndatasize()), and(gt(returndatasize(), 0x1f), eq(mload(0x00), 1)))
            sent := and(sent, answered)
        }
    }

    /// @dev Pulls the deposit with the buyer's authorisation, and wants to see exactly that much arrive.
    function _takeDeposit(Order calldata order, bytes32 id, bytes calldata buyerAuth) private {
        uint256 deposit = _deposit(order);
        uint256 before = SafeTransferLib.balanceOf(token, address(this));
        IReceiveWithAuthorization(token)
            .receiveWithAuthorization(order.buyer, address(this), deposit, 0, order.fundBy, id, buyerAuth);
        uint256 received = SafeTransferLib.balanceOf(token, address(this)) - before;
        if (received != deposit) revert DepositMismatch(deposit, received);
    }

    /// @dev The order's id and state, if it was funded and is not settled.
    function _liveOrder(Order calldata order) private view returns (bytes32 id, OrderState state) {
        id = orderId(order);
        state = _states[id];
        Status status = state.status();
        if (status != Status.Funded && status != Status.Delivered) revert BadState(id, status);
    }

    /// @dev ECDSA in the 65 and the 64 byte form, or ERC-1271 where the signer has code.
    function _checkSignature(address signer, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureCheckerLib.isValidSignatureNowCalldata(signer, digest, signature)) revert BadSignature(signer);
    }

    /// @dev Everything a funded order has to fulfil, so that no later step has to ask again.
    function _checkOrder(Order calldata order) private view {
        _checkParties(order);

        if (order.amount == 0) revert ZeroAmount();
        if (order.feeBps > MAX_FEE_BPS) revert FeeTooHigh(order.feeBps, MAX_FEE_BPS);
        if (order.silentBps > WHOLE_BPS) revert SilentTooHigh(order.silentBps, WHOLE_BPS);
        if (order.flags & ~(FEE_ON_TOP | PAY_UNDELIVERED) != 0) revert UnknownFlags(order.flags);
        if (order.bond > order.amount) revert BondTooHigh(order.bond, order.amount);
        if (order.stake != 0 || order.bond != 0) revert StakeOrBondUnsupported(order.stake, order.bond);

        if (block.timestamp >= order.fundBy) revert TooLate(block.timestamp, order.fundBy);
        if (order.deliverBy <= order.fundBy || order.deliverBy > order.fundBy + MAX_DELIVERY_SECS) {
            revert BadDeadlines(order.fundBy, order.deliverBy);
        }
        _checkWindow(order.reviewSecs);
        _checkWindow(order.counterSecs);
        _checkWindow(order.ruleSecs);
    }

    /// @dev Everybody named who has to be, nobody in two roles that exclude each other, and neither we nor the token in
    /// any. Validator and arbitrator may be absent, and may be the same.
    function _checkParties(Order calldata order) private view {
        (address buyer, address provider) = (order.buyer, order.provider);
        (address validator, address arbitrator) = (order.validator, order.arbitrator);

        if (buyer == address(0) || provider == address(0)) revert ZeroAddress();
        if (order.feeBps != 0 && order.feeTo == address(0)) revert ZeroAddress();
        if (buyer == provider) revert SameParty(buyer);
        if (validator == buyer || validator == provider) revert SameParty(validator);
        if (arbitrator == buyer || arbitrator == provider) revert SameParty(arbitrator);

        _checkNotReserved(buyer);
        _checkNotReserved(provider);
        _checkNotReserved(validator);
        _checkNotReserved(arbitrator);
        _checkNotReserved(order.feeTo);
    }

    function _checkNotReserved(address account) private view {
        if (account == address(this) || account == token) revert ReservedAddress(account);
    }

    function _checkWindow(uint256 secs) private pure {
        if (secs < MIN_WINDOW_SECS || secs > MAX_WINDOW_SECS) {
            revert BadWindow(secs, MIN_WINDOW_SECS, MAX_WINDOW_SECS);
        }
    }

    /// @dev What the buyer pays in: `amount`, plus the fee on all of it if that comes on top.
    function _deposit(Order calldata order) private pure returns (uint256) {
        uint256 amount = order.amount;
        return order.flags & FEE_ON_TOP != 0 ? amount + amount * order.feeBps / WHOLE_BPS : amount;
    }

    /// @dev EIP-712 domain.
    function _domainNameAndVersion() internal pure override returns (string memory name, string memory version) {
        return ("haggle Escrow", "1");
    }

    /// @dev Transient storage on every chain; the guard's default keeps to storage outside mainnet.
    function _useTransientReentrancyGuardOnlyOnMainnet() internal pure override returns (bool) {
        return false;
    }
}
