// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Disputes} from "./escrow/Disputes.sol";
import {Exits} from "./escrow/Exits.sol";
import {Feedback} from "./escrow/Feedback.sol";
import {Funds} from "./escrow/Funds.sol";
import {Ledger} from "./escrow/Ledger.sol";
import {Orders} from "./escrow/Orders.sol";

/// @title Escrow
/// @notice Holds one token between buyers and providers. No owner, no pause, no upgrade, no way to change a fee.
/// @dev Every operation reads: state, then who and when, then the new state, then the event, then the money.
contract Escrow is Funds, Exits, Disputes, Feedback {
    /// @param token_ the one token held here; it must already be deployed and have EIP-3009 in the `bytes` form
    /// @param stake_ the stake contract that stands behind orders and lets this escrow lock, unlock and slash; zero if
    /// there is none; it may be deployed later
    /// @param reputation_ the ERC-8004 reputation registry that feedback goes to; zero if there is none
    constructor(address token_, address stake_, address reputation_)
        Ledger(token_)
        Orders(stake_)
        Feedback(reputation_)
    {}
}
