// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IIdentity8004, IReputation8004} from "../interfaces/IRegistry8004.sol";
import {Digests} from "../libraries/Digests.sol";
import {OrderState} from "../types/OrderState.sol";
import {Orders} from "./Orders.sol";

/// @title Feedback that stands for a paid order
abstract contract Feedback is Orders {
    /// @inheritdoc IEscrow
    address public immutable override reputation;

    constructor(address reputation_) {
        reputation = reputation_;
    }

    /// @inheritdoc IEscrow
    function publishFeedback(Order calldata order, uint256 agentId, int128 value, bytes calldata buyerSig)
        external
        override
        nonReentrant
    {
        if (reputation == address(0)) revert NoRegistry();
        (bytes32 id, OrderState state) = _orderAt(order, Status.Settled);
        if (!state.paid()) revert NothingPaid(id);
        if (state.hasFeedback()) revert FeedbackGiven(id);
        _checkSigned(order.buyer, Digests.feedback(id, agentId, value), buyerSig);
        IReputation8004 registry = IReputation8004(reputation);
        address wallet = IIdentity8004(registry.getIdentityRegistry()).getAgentWallet(agentId);
        if (wallet != order.provider) revert WrongAgent(agentId, wallet);

        _states[id] = state.withFeedback();
        emit FeedbackPublished(id, agentId, value);

        registry.giveFeedback(agentId, value, 0, "haggle", "", "", "", id);
    }
}
