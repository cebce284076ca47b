//! Why the contracts around the escrow refuse, each reason with its words, its code and its hint.

use thiserror::Error;

/// One enum per contract from one table: doc, variant, words, code, hint.
macro_rules! reasons {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident: $words:literal, $code:literal, $hint:literal;)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* #[error($words)] $variant,)+
        }

        impl $name {
            pub(super) const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            pub(super) const fn hint(self) -> &'static str {
                match self {
                    $(Self::$variant => $hint,)+
                }
            }
        }
    };
}

reasons! {
    /// Why the escrow does not publish a buyer's feedback.
    FeedbackRefusal {
        /// This escrow has no registry.
        NoRegistry: "the escrow has no feedback registry", "reverted_no_registry",
            "use a network whose escrow names a registry";
        /// The provider was paid nothing for the order.
        NothingPaid: "the provider was paid nothing for the order", "reverted_nothing_paid",
            "feedback stands for paid orders only";
        /// It was published before.
        Given: "feedback on the order was published before", "reverted_feedback_given",
            "each order has room for one feedback, and this one has its";
        /// The agent is not the provider's.
        WrongAgent: "the agent's wallet is not the order's provider", "reverted_wrong_agent",
            "name the agent whose wallet in the registry is the provider";
    }
}

reasons! {
    /// Why the channel contract, or its collector, refused.
    ChannelRefusal {
        /// A party is missing, the token is another one, or the caller is not the payer's side.
        InvalidChannel: "the channel is not valid here", "channel_invalid",
            "payer, receiver and receiver authoriser have to be named, and the token has to be the contract's";
        /// Under 15 minutes or over 30 days.
        WithdrawDelayOutOfRange: "the withdraw delay is out of range", "channel_delay_out_of_range",
            "use a withdraw delay of 15 minutes to 30 days";
        /// A deposit of nothing.
        ZeroDeposit: "a deposit of nothing", "channel_zero_deposit", "deposit more than nothing";
        /// More than fits.
        DepositOverflow: "the channel would hold more than fits", "channel_deposit_overflow", "deposit less";
        /// Another collector.
        InvalidCollector: "the collector is not this contract's", "channel_invalid_collector",
            "deposit through the collector that the contract names";
        /// The collector brought another sum.
        DepositCollectionFailed: "the collector did not bring exactly the amount", "channel_deposit_failed",
            "the token is not a plain one; it cannot be used in channels";
        /// Not the right signer's over this.
        InvalidSignature: "a signature is not the right signer's", "channel_bad_signature",
            "the signature must be over exactly this channel and amount, by the key the channel names";
        /// A row of another authoriser.
        NotReceiverAuthorizer: "a row names another receiver authoriser", "channel_mixed_authorizers",
            "claim the channels of one receiver authoriser together";
        /// Not the receiver's side.
        NotAuthorizedToClaim: "only the receiver's side may claim", "channel_not_receiver",
            "send this with the receiver's or its authoriser's payment key";
        /// Not the receiver's side.
        NotAuthorizedToRefund: "only the receiver's side may refund", "channel_refund_not_receiver",
            "send this with the receiver's or its authoriser's payment key";
        /// More than the voucher allows.
        ClaimExceedsCeiling: "the claim is above the voucher", "channel_claim_above_voucher",
            "claim at most what the newest voucher says";
        /// More than the channel holds.
        ClaimExceedsBalance: "the claim is above the channel's balance", "channel_claim_above_balance",
            "the payer signed for more than it deposited; claim what is there";
        /// Rows of several receivers.
        MixedReceivers: "the rows pay different receivers", "channel_mixed_receivers",
            "claim and settle for one receiver at a time";
        /// No rows.
        EmptyBatch: "there are no rows", "channel_empty_batch", "claim at least one channel";
        /// One is under way.
        WithdrawalAlreadyPending: "a withdrawal is under way", "channel_withdrawal_pending",
            "wait until the withdrawal that is under way can be finished";
        /// None is under way.
        WithdrawalNotPending: "no withdrawal is under way", "channel_no_withdrawal",
            "start the withdrawal first";
        /// Not the payer's side.
        NotAuthorizedToFinalizeWithdraw: "only the payer's side may finish its withdrawal", "channel_not_payer",
            "send this with the payer's or its authoriser's payment key";
        /// Too early.
        WithdrawDelayNotElapsed: "the withdraw delay is not over", "channel_withdraw_too_early",
            "wait until the delay is over in chain time";
        /// Nothing.
        NothingToWithdraw: "a withdrawal of nothing", "channel_zero_withdrawal", "ask for more than nothing";
        /// More than is unclaimed.
        WithdrawAmountExceedsAvailable: "the withdrawal is above what is unclaimed", "channel_withdraw_too_much",
            "ask for at most the balance less what was claimed";
        /// Signed for another place.
        InvalidRefundNonce: "the refund was signed for another nonce", "channel_bad_refund_nonce",
            "sign the refund for the channel's next refund nonce";
        /// Nothing.
        ZeroRefund: "a refund of nothing", "channel_zero_refund", "refund more than nothing";
        /// The collector was called by somebody else.
        NotChannel: "only the channel contract may collect", "channel_not_collector_caller",
            "deposit through the channel contract";
    }
}

reasons! {
    /// Why the stake contract refused.
    StakeRefusal {
        /// Only the escrow locks and slashes.
        NotEscrow: "only the escrow may call", "stake_not_escrow", "stake is locked by funding an order";
        /// The order has something locked.
        AlreadyLocked: "the order has something locked already", "stake_already_locked",
            "look at the order's status; it was funded before";
        /// Nothing was asked for, or all of it is locked.
        NothingToWithdraw: "nothing can be withdrawn", "stake_nothing_to_withdraw",
            "ask for it first, and wait until no order holds it";
    }
}

reasons! {
    /// Why a panel refused.
    PanelRefusal {
        /// Not in ascending order.
        NotAscending: "the members are not ascending", "panel_not_ascending", "sort the ballots by member, each once";
        /// No, or more votes than members.
        BadThreshold: "the threshold does not fit the members", "panel_bad_threshold",
            "name 1 to 32 members, and ask for at most all of them";
        /// Somebody else.
        NotMember: "the account is no member", "panel_not_member", "use ballots of the panel's members only";
        /// Not the member's word.
        BadBallot: "a ballot is not its member's", "panel_bad_ballot",
            "the vote must be over exactly this order, role, payment, evidence and time";
        /// Too few.
        TooFewBallots: "too few members agree", "panel_too_few_ballots", "collect more votes for the same payment";
        /// Too late.
        VotesExpired: "the votes are no longer good", "panel_votes_expired", "have the members vote again";
        /// Everything was sent.
        NothingEarned: "the member has had everything it has earned", "panel_nothing_earned",
            "there is nothing to pay out";
    }
}

reasons! {
    /// Why the anchor contract refused.
    AnchorRefusal {
        /// An empty root.
        ZeroRoot: "the root is empty", "anchor_zero_root", "post the root of a batch";
        /// Longer than any.
        CidTooLong: "the content identifier is too long", "anchor_cid_too_long",
            "use a content identifier of at most 64 bytes";
    }
}

reasons! {
    /// Why the agent registry refused.
    RegistryRefusal {
        /// Set by its own function alone.
        ReservedKey: "the metadata key is reserved", "registry_reserved_key", "set the wallet as a wallet";
        /// Zero, or did not consent.
        BadWallet: "the wallet did not consent", "registry_bad_wallet", "have the wallet sign its consent";
        /// Past, or too far away.
        BadDeadline: "the deadline is past or more than five minutes away", "registry_bad_deadline",
            "sign with a deadline within five minutes";
        /// On oneself.
        SelfFeedback: "an agent's side gives no feedback on it", "registry_self_feedback",
            "feedback comes from somebody else";
        /// Out of bounds.
        BadValue: "the value is out of bounds", "registry_bad_value", "use a smaller value";
        /// Nobody was named.
        NoClients: "nobody was named whose feedback counts", "registry_no_clients",
            "name the clients whose feedback counts";
        /// Never registered.
        NoSuchAgent: "there is no such agent", "registry_no_such_agent", "register the agent first";
        /// Not this owner's, or not to this address.
        BadTransfer: "the agent cannot be handed over so", "registry_bad_transfer",
            "look who owns the agent, and whom it approved";
    }
}

reasons! {
    /// Why the token refused, where that has no more exact name.
    TokenRefusal {
        /// Only the minter.
        NotMinter: "only the minter may mint", "token_not_minter", "use the faucet of the local market";
        /// Somebody else's payment.
        NotPayee: "only the payee may submit the payment", "token_not_payee",
            "this payment goes through the contract it was signed for";
        /// Not enough was allowed.
        Allowance: "the allowance is too small", "token_allowance", "approve more, or pay by signature";
        /// Zero as a party.
        InvalidAddress: "an address cannot take part", "token_invalid_address", "name another account than zero";
        /// Its name or version does not fit.
        BadString: "a name is too long", "token_bad_string", "use a shorter name";
    }
}
