// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";

/// @notice All that is stored of an order, in one slot. Zero is an order that was never funded; a settled order keeps its
/// word for ever, so that the two can be told apart and nothing settles twice.
/// @dev bits 0..7 status, bit 8 the provider's signature was checked, bits 16..23 outcome, bits 24..63 the end of the
/// open window in Unix seconds. The rest is zero and free.
type OrderState is uint256;

using OrderStateLib for OrderState global;

/// @title Reading and making order words
library OrderStateLib {
    uint256 private constant CONSENTED = 0x100;
    uint256 private constant OUTCOME_AT = 16;
    uint256 private constant WINDOW_AT = 24;

    /// @notice The word of an order that was just funded.
    function funded(bool consented_) internal pure returns (OrderState) {
        return OrderState.wrap(uint256(IEscrow.Status.Funded) | (consented_ ? CONSENTED : 0));
    }

    /// @notice The same order, delivery posted, under review until `reviewEnds`.
    function delivered(OrderState state, uint40 reviewEnds) internal pure returns (OrderState) {
        return
            OrderState.wrap(
                uint256(IEscrow.Status.Delivered) | _consentedBit(state) | (uint256(reviewEnds) << WINDOW_AT)
            );
    }

    /// @notice The same order, settled. The window it was settled from is kept.
    function settled(OrderState state, uint8 outcome_) internal pure returns (OrderState) {
        return OrderState.wrap(
            uint256(IEscrow.Status.Settled) | _consentedBit(state) | (uint256(outcome_) << OUTCOME_AT)
                | (uint256(windowEnd(state)) << WINDOW_AT)
        );
    }

    /// @notice Where the order stands.
    function status(OrderState state) internal pure returns (IEscrow.Status) {
        return IEscrow.Status(uint8(OrderState.unwrap(state)));
    }

    /// @notice Whether the provider's signature was checked at funding.
    function consented(OrderState state) internal pure returns (bool) {
        return _consentedBit(state) != 0;
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

    function _consentedBit(OrderState state) private pure returns (uint256) {
        return OrderState.unwrap(state) & CONSENTED;
    }
}
