//! One payment at the till as it is stored, and what has to happen with it next.
//!
//! Whether somebody is at work on it is not stored: that is a seat in memory, and nobody sits after a restart.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use haggle_base::{Blob, Did, Hash, Text, Timestamp};
use haggle_store::tables;
use haggle_x402::exact::Transfer;

use super::sale::{Caller, MAX_RESOURCE};
use crate::ports::exact::Mined;

/// A payment by what makes it one: chain, token, payer and nonce. The token takes each once.
pub(crate) type SpendKey = (u64, [u8; 20], [u8; 20], [u8; 32]);

/// A buyer's identifier, within one seller and payer.
pub(crate) type IdKey = (Did, [u8; 20], String);

/// Answers up to this many bytes stand in the store, longer ones in a file.
pub(crate) const SMALL_ANSWER: usize = 6_000;

/// When the money moves relative to the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Flow {
    Upfront,
    Authorization,
}

/// Where the money is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Money {
    /// With the payer; nothing was sent.
    Unsent,
    /// A transfer may have been sent.
    Sent {
        /// The transaction, if it is known.
        tx: Option<B256>,
    },
    /// With the seller.
    Paid(Mined),
}

/// What was sold for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sold {
    pub(crate) seller: Did,
    pub(crate) listing: Text<128>,
    pub(crate) resource: Text<MAX_RESOURCE>,
    pub(crate) request: Hash,
    pub(crate) caller: Caller,
    pub(crate) flow: Flow,
    /// The buyer's identifier, if it gave one.
    pub(crate) id: Option<Text<128>>,
    /// Whether the answer is stored.
    pub(crate) answered: bool,
}

/// One payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TillPayment {
    pub(crate) chain: u64,
    pub(crate) transfer: Transfer,
    /// Nothing for a payment that was settled for another server.
    pub(crate) sold: Option<Sold>,
    pub(crate) taken_at: Timestamp,
    pub(crate) money: Money,
    /// For another server: whether it was told that the payment is settled. It is told once.
    pub(crate) told: bool,
}

/// What has to happen next for the buyer to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The transfer has to be on the chain first.
    Settle,
    /// The work is to be done; it is paid for, or may be paid later.
    Work,
    /// The answer is there and paid.
    Answer,
}

impl TillPayment {
    /// What makes it one.
    pub(crate) fn key(&self) -> SpendKey {
        spend_key(self.chain, &self.transfer)
    }

    /// What has to happen next.
    pub(crate) fn next(&self) -> Next {
        let (flow, answered) = self.sold.as_ref().map_or((Flow::Upfront, true), |sold| (sold.flow, sold.answered));
        match (self.money, flow, answered) {
            (Money::Paid(_), _, true) => Next::Answer,
            (Money::Paid(_), _, false) | (Money::Unsent, Flow::Authorization, false) => Next::Work,
            (Money::Unsent | Money::Sent { .. }, _, _) => Next::Settle,
        }
    }

    /// Whether this side still has to bring it to the chain: it may have been sent, or was worked for.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.money, Money::Sent { .. }) || (self.next() == Next::Settle)
    }

    /// Where it stands on the chain, as far as that was seen.
    pub(crate) fn mined(&self) -> Option<Mined> {
        match self.money {
            Money::Paid(mined) => Some(mined),
            Money::Unsent | Money::Sent { .. } => None,
        }
    }

    /// The transaction that was or may have been sent.
    pub(crate) fn tx(&self) -> Option<B256> {
        match self.money {
            Money::Paid(mined) => Some(mined.tx),
            Money::Sent { tx } => tx,
            Money::Unsent => None,
        }
    }
}

/// The key of a transfer on a chain.
pub(crate) fn spend_key(chain: u64, transfer: &Transfer) -> SpendKey {
    (chain, transfer.token.into_array(), transfer.from.into_array(), transfer.nonce.0)
}

/// An answer: the bytes, or the name of the file that begins with the payment's hash and goes on with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoredAnswer {
    Here(Blob<SMALL_ANSWER>),
    File(Hash),
}

/// Whose identifier it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identified {
    pub(crate) fingerprint: Hash,
    pub(crate) nonce: B256,
}

/// Work that was done and not paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Loss {
    pub(crate) payer: [u8; 20],
    pub(crate) caller: Caller,
    pub(crate) seller: Did,
    pub(crate) listing: Text<128>,
    pub(crate) units: u64,
    pub(crate) proven: bool,
}

tables! {
    /// Every payment, until it is old.
    pub(crate) TillPayments = "settlement-till-payments-1": SpendKey => TillPayment;
    /// Payments that have to be brought to the chain.
    pub(crate) TillOpen = "settlement-till-open-1": SpendKey => u8;
    /// Payments in blocks that may still be taken back.
    pub(crate) TillUnconfirmed = "settlement-till-unconfirmed-1": (u64, SpendKey) => u8;
    /// Payments by when they were taken.
    pub(crate) TillAges = "settlement-till-ages-1": (Timestamp, SpendKey) => u8;
    /// Answers.
    pub(crate) TillAnswers = "settlement-till-answers-1": SpendKey => StoredAnswer;
    /// Buyers' identifiers.
    pub(crate) TillIds = "settlement-till-ids-1": IdKey => Identified;
    /// Work of the last hour that was not paid for.
    pub(crate) TillLosses = "settlement-till-losses-1": (Timestamp, SpendKey) => Loss;
    /// Payers whose payment for work here was settled.
    pub(crate) TillProven = "settlement-till-proven-1": [u8; 20] => u8;
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, Bytes, U256};

    fn payment(flow: Flow, money: Money, answered: bool) -> TillPayment {
        let sold = Sold {
            seller: haggle_base::Seed::devnet(7, 1).agent_key(0).did(),
            listing: "digest".try_into().unwrap(),
            resource: "http://bob/digest".try_into().unwrap(),
            request: Hash::of(b"POST"),
            caller: Caller::Key("k".try_into().unwrap()),
            flow,
            id: None,
            answered,
        };
        let transfer = Transfer {
            token: Address::repeat_byte(1),
            from: Address::repeat_byte(2),
            to: Address::repeat_byte(3),
            value: haggle_base::Usdc::from_units(5),
            valid_after: U256::ZERO,
            valid_before: U256::MAX,
            nonce: B256::repeat_byte(4),
            signature: Bytes::from(vec![7; 65]),
            contract: false,
        };
        TillPayment { chain: 31_337, transfer, sold: Some(sold), taken_at: Timestamp::ZERO, money, told: false }
    }

    #[test]
    fn what_comes_next_follows_from_flow_money_and_answer() {
        let paid = Money::Paid(Mined { tx: B256::ZERO, block: 1, hash: B256::ZERO, time: Timestamp::ZERO });
        let sent = Money::Sent { tx: None };
        let table = [
            (Flow::Upfront, sent, false, Next::Settle, true),
            (Flow::Upfront, paid, false, Next::Work, false),
            (Flow::Upfront, paid, true, Next::Answer, false),
            // The chain took the payment back after the answer.
            (Flow::Upfront, sent, true, Next::Settle, true),
            (Flow::Authorization, Money::Unsent, false, Next::Work, false),
            (Flow::Authorization, Money::Unsent, true, Next::Settle, true),
            (Flow::Authorization, sent, true, Next::Settle, true),
            (Flow::Authorization, paid, true, Next::Answer, false),
            (Flow::Authorization, paid, false, Next::Work, false),
        ];
        for (flow, money, answered, next, open) in table {
            let payment = payment(flow, money, answered);
            assert_eq!((payment.next(), payment.is_open()), (next, open), "{flow:?} {money:?} {answered}");
        }
    }

    #[test]
    fn the_longest_row_fits_the_store() {
        let mut longest = payment(Flow::Upfront, Money::Sent { tx: Some(B256::ZERO) }, false);
        longest.transfer.signature = Bytes::from(vec![0xff; haggle_x402::exact::MAX_SIGNATURE]);
        let sold = longest.sold.as_mut().unwrap();
        sold.resource = "u".repeat(MAX_RESOURCE).as_str().try_into().unwrap();
        sold.listing = "l".repeat(128).as_str().try_into().unwrap();
        sold.id = Some("i".repeat(128).as_str().try_into().unwrap());
        let bytes = haggle_base::cbor::to_vec(&longest).unwrap();
        assert!(bytes.len() < haggle_store::MAX_VALUE_BYTES, "{}", bytes.len());
        let answer = StoredAnswer::Here(vec![0xff; SMALL_ANSWER].try_into().unwrap());
        assert!(haggle_base::cbor::to_vec(&answer).unwrap().len() < haggle_store::MAX_VALUE_BYTES);
    }
}
