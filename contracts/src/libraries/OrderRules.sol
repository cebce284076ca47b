// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";

/// @title What a funded order has to fulfil, so that no later step has to ask again, and how its money divides
library OrderRules {
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

    /// @notice Reverts unless the order may be funded now, in a contract at this address, with `token` and, if not zero,
    /// `stake`.
    function check(IEscrow.Order calldata order, address token, address stake) internal view {
        _checkParties(order, token);

        (uint256 amount, uint256 bond, uint256 orderStake) = (order.amount, order.bond, order.stake);
        if (amount == 0) revert IEscrow.ZeroAmount();
        if (order.feeBps > MAX_FEE_BPS) revert IEscrow.FeeTooHigh(order.feeBps, MAX_FEE_BPS);
        if (order.silentBps > WHOLE_BPS) revert IEscrow.SilentTooHigh(order.silentBps, WHOLE_BPS);
        if (order.flags & ~(FEE_ON_TOP | PAY_UNDELIVERED) != 0) revert IEscrow.UnknownFlags(order.flags);
        if (bond > amount) revert IEscrow.BondTooHigh(bond, amount);
        if (orderStake != 0 && stake == address(0)) revert IEscrow.StakeUnsupported(orderStake);

        (uint256 fundBy, uint256 deliverBy) = (order.fundBy, order.deliverBy);
        if (block.timestamp >= fundBy) revert IEscrow.TooLate(block.timestamp, fundBy);
        if (deliverBy <= fundBy || deliverBy > fundBy + MAX_DELIVERY_SECS) {
            revert IEscrow.BadDeadlines(fundBy, deliverBy);
        }
        _checkWindow(order.reviewSecs);
        _checkWindow(order.counterSecs);
        _checkWindow(order.ruleSecs);
    }

    /// @notice Whether the order may only be funded with the provider's signature. A bond and a stake are the provider's
    /// promise. And where silence pays the provider, the buyer's dispute must not depend on whether the sender of the
    /// funding transaction left the signature out.
    function needsConsent(IEscrow.Order calldata order) internal pure returns (bool) {
        return
            order.bond != 0 || order.stake != 0
                || (order.arbitrator != address(0) && order.flags & PAY_UNDELIVERED != 0);
    }

    /// @notice What the buyer pays in: `amount`, plus the fee on all of it if that comes on top.
    function deposit(IEscrow.Order calldata order) internal pure returns (uint256) {
        uint256 amount = order.amount;
        if (order.flags & FEE_ON_TOP == 0) return amount;
        // 96 bits times 16 bits
        unchecked {
            return amount + amount * order.feeBps / WHOLE_BPS;
        }
    }

    /// @notice Divides the deposit for a payment of `pay` out of `amount`, without rest.
    function divide(IEscrow.Order calldata order, uint256 pay)
        internal
        pure
        returns (uint256 paid, uint256 fee, uint256 refunded)
    {
        (uint256 amount, uint256 feeBps) = (order.amount, order.feeBps);
        if (pay > amount) revert IEscrow.PayTooHigh(pay, amount);
        // no order with a fee above a tenth was ever funded, so nothing here can be below zero or overflow
        unchecked {
            fee = pay * feeBps / WHOLE_BPS;
            if (order.flags & FEE_ON_TOP != 0) {
                paid = pay;
                refunded = amount + amount * feeBps / WHOLE_BPS - fee - pay;
            } else {
                paid = pay - fee;
                refunded = amount - pay;
            }
        }
    }

    /// @dev Everybody named who has to be, nobody in two roles that exclude each other, and neither we nor the token in
    /// any. Validator and arbitrator may be absent, and may be the same; where there is something to lose in a dispute
    /// there has to be an arbitrator.
    function _checkParties(IEscrow.Order calldata order, address token) private view {
        (address buyer, address provider) = (order.buyer, order.provider);
        (address validator, address arbitrator, address feeTo) = (order.validator, order.arbitrator, order.feeTo);

        if (buyer == address(0) || provider == address(0)) revert IEscrow.ZeroAddress();
        if (feeTo == address(0) && order.feeBps != 0) revert IEscrow.ZeroAddress();
        if (arbitrator == address(0) && (order.bond != 0 || order.stake != 0)) revert IEscrow.ZeroAddress();
        if (buyer == provider) revert IEscrow.SameParty(buyer);
        if (validator == buyer || validator == provider) revert IEscrow.SameParty(validator);
        if (arbitrator == buyer || arbitrator == provider) revert IEscrow.SameParty(arbitrator);

        _checkNotReserved(buyer, token);
        _checkNotReserved(provider, token);
        _checkNotReserved(validator, token);
        _checkNotReserved(arbitrator, token);
        _checkNotReserved(feeTo, token);
    }

    function _checkNotReserved(address account, address token) private view {
        if (account == address(this) || account == token) revert IEscrow.ReservedAddress(account);
    }

    function _checkWindow(uint256 secs) private pure {
        if (secs < MIN_WINDOW_SECS || secs > MAX_WINDOW_SECS) {
            revert IEscrow.BadWindow(secs, MIN_WINDOW_SECS, MAX_WINDOW_SECS);
        }
    }
}
