// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";

/// @notice All that decides about an order, in one slot. Zero is an order that was never funded; a settled order keeps
/// its word for ever, so that the two can be told apart and nothing settles twice.
/// @dev bits 0..7 status, bit 8 the provider agreed, bit 9 the provider was paid something, bit 10 feedback was
/// published, bits 16..23 outcome, bits 24..63 the end of the last window in Unix seconds. The rest is zero and free.
type OrderState is uint256;

using OrderStateLib for OrderState global;

/// @title Reading and making order words
library OrderStateLib {
    uint256 private constant STATUS = 0xff;
    uint256 private constant CONSENTED = 0x100;
    uint256 private constant PAID = 0x200;
    uint256 private constant FEEDBACK = 0x400;
    uint256 private constant OUTCOME_AT = 16;
    uint256 private constant WINDOW_AT = 24;

    /// @notice The word of an order that was just funded.
    function funded(bool consented_) internal pure returns (OrderState) {
        return OrderState.wrap(uint256(IEscrow.Status.Funded) | (consented_ ? CONSENTED : 0));
    }

    /// @notice The same order, delivery posted by the provider, under review until `reviewEnds`.
    function delivered(OrderState, uint40 reviewEnds) internal pure returns (OrderState) {
        return OrderState.wrap(uint256(IEscrow.Status.Delivered) | CONSENTED | (uint256(reviewEnds) << WINDOW_AT));
    }

    /// @notice The same order, disputed by the buyer, waiting for the provider until `counterEnds`.
    function disputed(OrderState state, uint40 counterEnds) internal pure returns (OrderState) {
        return _moved(state, IEscrow.Status.Disputed, counterEnds);
    }

    /// @notice The same order, waiting for the arbitrator until `ruleEnds`.
    function arbitrating(OrderState state, uint40 ruleEnds) internal pure returns (OrderState) {
        return _moved(state, IEscrow.Status.Arbitrating, ruleEnds);
    }

    /// @notice The same order, settled. The window it was settled from is kept.
    function settled(OrderState state, uint8 outcome_, bool paid_) internal pure returns (OrderState) {
        OrderState moved = _moved(state, IEscrow.Status.Settled, windowEnd(state));
        return OrderState.wrap(OrderState.unwrap(moved) | (uint256(outcome_) << OUTCOME_AT) | (paid_ ? PAID : 0));
    }

    /// @notice The same order, with feedback published.
    function withFeedback(OrderState state) internal pure returns (OrderState) {
        return OrderState.wrap(OrderState.unwrap(state) | FEEDBACK);
    }

    /// @notice Where the order stands.
    function status(OrderState state) internal pure returns (IEscrow.Status) {
        return IEscrow.Status(OrderState.unwrap(state) & STATUS);
    }

    /// @notice Whether the order was funded and is not settled.
    function live(OrderState state) internal pure returns (bool) {
        uint256 status_ = OrderState.unwrap(state) & STATUS;
        return status_ != uint256(IEscrow.Status.None) && status_ != uint256(IEscrow.Status.Settled);
    }

    /// @notice Whether the provider agreed: its signature was checked at funding, or it delivered.
    function consented(OrderState state) internal pure returns (bool) {
        return OrderState.unwrap(state) & CONSENTED != 0;
    }

    /// @notice Whether the order was settled with something paid to the provider.
    function paid(OrderState state) internal pure returns (bool) {
        return OrderState.unwrap(state) & PAID != 0;
    }

    /// @notice Whether feedback on the order was published.
    function hasFeedback(OrderState state) internal pure returns (bool) {
        return OrderState.unwrap(state) & FEEDBACK != 0;
    }

    /// @notice How the order was settled; zero before.
    function outcome(OrderState state) internal pure returns (uint8) {
        // the field is the eight bits that are kept
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint8(OrderState.unwrap(state) >> OUTCOME_AT);
    }

    /// @notice End of the last window that was opened, Unix seconds; zero if none was.
    function windowEnd(OrderState state) internal pure returns (uint40) {
        // the field is the forty bits that are kept
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint40(OrderState.unwrap(state) >> WINDOW_AT);
    }

    function _moved(OrderState state, IEscrow.Status status_, uint40 windowEnd_) private pure returns (OrderState) {
        uint256 kept = OrderState.unwrap(state) & CONSENTED;
        return OrderState.wrap(uint256(status_) | kept | (uint256(windowEnd_) << WINDOW_AT));
    }
}
