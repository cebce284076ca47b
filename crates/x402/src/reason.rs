//! Why a payment was refused, in the words of x402.
//!
//! Two sets of words are in use: those of the specification, and those that released facilitators really send. Each
//! [`Reason`] is a class with the word this node writes; [`Reason::of`] reads the words of both sets. Peers must act on the
//! class, never on one text.

use haggle_base::Coded;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal $(| $other:literal)*, $text:literal, $hint:literal;)*) => {
        /// Why a payment is not taken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* #[error($text)] $name,)*
        }

        impl Reason {
            /// Every class.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word this node writes.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Other words for the same, as the specification or released software writes them.
            #[must_use]
            pub const fn other_words(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($other),*],)* }
            }
        }

        impl Coded for Reason {
            fn code(&self) -> &'static str {
                self.word()
            }

            fn hint(&self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

reasons! {
    /// Not x402 version 2.
    Version = "invalid_x402_version",
        "the object is not of x402 version 2", "speak x402 version 2";
    /// The payload lacks something, or holds something that is none.
    Payload = "invalid_payload",
        "the payment is malformed", "send the payload as the scheme defines it";
    /// The requirements are not those that were asked.
    Requirements = "invalid_payment_requirements" | "accepted_requirements_mismatch",
        "the payment accepts other requirements than are asked", "ask again without a payment and copy the entry unchanged";
    /// The payment names another resource.
    Resource = "resource_mismatch",
        "the payment is for another resource", "pay each resource with a payment of its own";
    /// The scheme is not spoken here.
    Scheme = "unsupported_scheme" | "invalid_scheme" | "invalid_exact_evm_scheme",
        "the payment's scheme is not spoken here", "pick another entry of what is accepted";
    /// Another chain.
    Network = "invalid_network" | "invalid_exact_evm_network_mismatch",
        "the payment is on another chain", "pay on the chain that was asked";
    /// A flow that is not offered now.
    Flow = "unsupported_payment_flow",
        "the payment's flow is not offered now", "ask again without a payment; the flow may have changed";
    /// A way to move the token that is not spoken here.
    Method = "unsupported_asset_transfer_method" | "unsupported_payload_type" | "invalid_exact_evm_eip3009_not_supported",
        "only EIP-3009 payments are taken here", "sign an EIP-3009 authorization";
    /// The token's EIP-712 domain is said wrongly.
    TokenDomain = "invalid_exact_evm_token_name_mismatch" | "invalid_exact_evm_token_version_mismatch"
        | "invalid_exact_evm_missing_eip712_domain",
        "the token's EIP-712 name or version is said wrongly", "copy extra.name and extra.version from what was asked";
    /// Not the amount that was asked.
    Amount = "invalid_exact_evm_payload_authorization_value_mismatch" | "invalid_exact_evm_authorization_value"
        | "invalid_exact_evm_payload_authorization_value",
        "the payment is not of the amount that was asked", "pay exactly the amount";
    /// Somebody else would be paid.
    Recipient = "invalid_exact_evm_recipient_mismatch" | "invalid_exact_evm_payload_recipient_mismatch",
        "the payment goes to another address", "pay the address that was asked";
    /// Not valid yet.
    NotYetValid = "invalid_exact_evm_payload_authorization_valid_after",
        "the payment is not valid yet", "sign with a validAfter in the past of the chain's clock";
    /// Not valid any more, or not long enough to be settled.
    Expired = "invalid_exact_evm_payload_authorization_valid_before" | "invalid_payment_expired",
        "the payment has expired or is about to", "sign a new payment with time to settle it";
    /// Not signed by the payer.
    Signature = "invalid_exact_evm_signature" | "invalid_exact_evm_payload_signature"
        | "invalid_exact_evm_failed_to_parse_signature",
        "the payment is not signed by its payer", "sign with the payer's key, with a low s";
    /// Signed for a wallet contract that does not exist yet (ERC-6492).
    UndeployedWallet = "invalid_exact_evm_payload_undeployed_smart_wallet",
        "the payer's wallet contract is not deployed", "deploy the wallet first, or pay from a plain key";
    /// The payer has not got the money.
    Funds = "insufficient_funds" | "invalid_exact_evm_insufficient_balance",
        "the payer has not enough of the token", "fill the paying wallet";
    /// The payment was used before.
    Replay = "invalid_exact_evm_nonce_already_used",
        "the payment was used before", "sign a new payment with a fresh nonce";
    /// The chain would refuse it, for a reason that has no word of its own.
    Simulation = "invalid_exact_evm_transaction_simulation_failed",
        "the chain would refuse the payment", "see the message for what the token said";
    /// The chain did refuse it.
    Transaction = "invalid_transaction_state" | "invalid_exact_evm_transaction_failed"
        | "invalid_exact_evm_transfer_event_mismatch",
        "the payment's transaction failed", "sign a new payment";
    /// It was sent and is not through. Asking again reconciles; nothing is to be signed again.
    Pending = "settlement_pending",
        "the payment was sent and is not through yet", "send the same payment again in a moment; do not sign another";
    /// The payment identifier belongs to another payment.
    IdentifierConflict = "payment_identifier_conflict",
        "the payment identifier was used for something else", "use a fresh identifier for another purchase";
    /// The seller wants a payment identifier.
    IdentifierMissing = "payment_identifier_required",
        "a payment identifier is required here", "add an id to the extension payment-identifier";
    /// Verifying failed for a reason on this side.
    VerifyFailed = "unexpected_verify_error" | "unexpected_error",
        "the payment could not be verified", "try again; nothing was settled";
    /// Settling failed for a reason on this side. Nothing was settled.
    SettleFailed = "unexpected_settle_error",
        "the payment could not be settled", "send the same payment again; nothing was settled";
}

impl Reason {
    /// The class of a word in either set; `None` for a word that nobody here knows.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.word() == word || reason.other_words().contains(&word))
    }

    /// Whether the very same payment can be taken later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Pending | Self::VerifyFailed | Self::SettleFailed)
    }

    /// The HTTP status that goes with it: 400 for what cannot be read, 409 for a conflict, else 402.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Version | Self::IdentifierMissing => 400,
            Self::IdentifierConflict => 409,
            _ => 402,
        }
    }

    /// The word of the A2A extension `a2a-x402` for it.
    #[must_use]
    pub const fn a2a_word(self) -> &'static str {
        match self {
            Self::Funds => "INSUFFICIENT_FUNDS",
            Self::Signature | Self::UndeployedWallet => "INVALID_SIGNATURE",
            Self::Expired | Self::NotYetValid => "EXPIRED_PAYMENT",
            Self::Replay | Self::IdentifierConflict => "DUPLICATE_NONCE",
            Self::Network => "NETWORK_MISMATCH",
            Self::Amount => "INVALID_AMOUNT",
            _ => "SETTLEMENT_FAILED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of the specification, chapter 9.
    const SPECIFIED: [&str; 14] = [
        "insufficient_funds",
        "invalid_exact_evm_payload_authorization_valid_after",
        "invalid_exact_evm_payload_authorization_valid_before",
        "invalid_exact_evm_payload_authorization_value_mismatch",
        "invalid_exact_evm_payload_signature",
        "invalid_exact_evm_payload_recipient_mismatch",
        "invalid_network",
        "invalid_payload",
        "invalid_payment_requirements",
        "invalid_scheme",
        "unsupported_scheme",
        "invalid_x402_version",
        "invalid_transaction_state",
        "unexpected_verify_error",
    ];
    /// What the JavaScript facilitator of version 2.27 sends beside those.
    const RELEASED: [&str; 8] = [
        "invalid_exact_evm_signature",
        "invalid_exact_evm_recipient_mismatch",
        "invalid_exact_evm_nonce_already_used",
        "invalid_exact_evm_transaction_simulation_failed",
        "invalid_exact_evm_insufficient_balance",
        "invalid_exact_evm_token_name_mismatch",
        "unexpected_settle_error",
        "settlement_pending",
    ];

    #[test]
    fn every_word_of_both_sets_has_one_class() {
        for word in SPECIFIED.iter().chain(&RELEASED) {
            assert!(Reason::of(word).is_some(), "{word}");
        }
        assert_eq!(Reason::of("invalid_exact_evm_payload_signature"), Reason::of("invalid_exact_evm_signature"));
        assert_eq!(Reason::of("never heard"), None);
    }

    #[test]
    fn no_word_stands_in_two_classes() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            for word in std::iter::once(&reason.word()).chain(reason.other_words()) {
                assert!(seen.insert(*word), "{word}");
                assert_eq!(Reason::of(word), Some(*reason));
            }
        }
    }
}
