//! The frames of `/haggle/<network>/mail/1` and `/haggle/<network>/inbox/1`.

use haggle_base::{Blob, CborError, Did, Hash, List, cbor};
use serde::{Deserialize, Serialize};

use super::letter::{MAX_LETTER_BYTES, MAX_PASS_BYTES, MAX_RECEIPT_BYTES, MAX_TOKEN_BYTES};
use crate::frames::{self, MAX_FRAME_BYTES};

/// Questions of one stream, each answered before the next one.
pub const MAX_QUESTIONS: usize = 1024;
/// Letters of one reply.
pub const MAX_LETTERS: usize = 64;
/// Receipts of one reply.
pub const MAX_RECEIPTS: usize = 32;

/// Which letters: those of senders with a token of the recipient, or all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// Of senders with a token.
    Known,
    /// Of anybody.
    Open,
}

/// What a keeper is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Keep this letter.
    Deposit {
        /// As signed.
        letter: Blob<MAX_LETTER_BYTES>,
        /// The recipient's word for the sender.
        token: Option<Blob<MAX_TOKEN_BYTES>>,
    },
    /// What follows on this stream is for this agent.
    Open {
        /// The agent's word for the node that asks.
        pass: Blob<MAX_PASS_BYTES>,
        /// Whether letters are to be kept for it from now on.
        keep: bool,
    },
    /// The agent's letters, the oldest first; they stay until they are acknowledged.
    Collect {
        /// Which.
        half: Half,
    },
    /// A letter is on the recipient's disk, or it cannot be used.
    Acknowledge {
        /// Which.
        letter: Hash,
        /// For its sender; none for one that cannot be used.
        receipt: Option<Blob<MAX_RECEIPT_BYTES>>,
    },
    /// Receipts for letters that the agent wrote.
    Receipts,
    /// These receipts are on the sender's disk.
    Forget {
        /// The letters that they are for.
        letters: List<Hash, MAX_RECEIPTS>,
    },
}

/// What the recipient's own node is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// Take this letter to an agent of yours.
    Letter {
        /// As signed.
        letter: Blob<MAX_LETTER_BYTES>,
    },
    /// There is mail for an agent of yours: collect it, if you had me keep it.
    News {
        /// The agent.
        agent: Did,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// The letter is on the keeper's disk.
    Kept,
    /// The letter is on its recipient's disk.
    Taken {
        /// The recipient's word for it.
        receipt: Blob<MAX_RECEIPT_BYTES>,
    },
    /// Go on.
    Opened {
        /// Letters that wait for the agent.
        letters: u32,
        /// Receipts that wait for it.
        receipts: u32,
    },
    /// Letters, none if there are no more.
    Letters {
        /// As signed.
        letters: List<Blob<MAX_LETTER_BYTES>, MAX_LETTERS>,
    },
    /// Receipts, none if there are no more.
    Receipts {
        /// As signed.
        receipts: List<Blob<MAX_RECEIPT_BYTES>, MAX_RECEIPTS>,
    },
    /// Done.
    Done,
    /// It is not done.
    Refused {
        /// Why.
        why: Refusal,
    },
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The node answers as many at once as it does.
    Busy,
    /// This peer has had its share.
    TooOften,
    /// The node cannot do it now.
    Failed,
    /// No letters are kept here for this agent.
    NotKept,
    /// The recipient's half for such letters is full.
    MailboxFull,
    /// The sender has as much here for this recipient as it may.
    SenderFull,
    /// The keeper is full.
    KeeperFull,
    /// The keeper keeps letters for as many agents as it does.
    NoPlace,
    /// The letter does not stand a check.
    BadLetter,
    /// The token does not.
    BadToken,
    /// The pass does not.
    BadPass,
    /// The receipt does not fit the letter.
    BadReceipt,
    /// No pass was shown on this stream.
    NotOpen,
    /// The agent is none of this node.
    UnknownAgent,
    /// The recipient cannot use the letter.
    Unusable,
}

impl Refusal {
    /// Its name in logs, metrics and error codes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "mail_busy",
            Self::TooOften => "mail_too_often",
            Self::Failed => "mail_failed",
            Self::NotKept => "no_mailbox",
            Self::MailboxFull => "mailbox_full",
            Self::SenderFull => "mailbox_sender_full",
            Self::KeeperFull => "mail_keeper_full",
            Self::NoPlace => "mail_no_place",
            Self::BadLetter => "bad_letter",
            Self::BadToken => "bad_mail_token",
            Self::BadPass => "bad_mail_pass",
            Self::BadReceipt => "bad_mail_receipt",
            Self::NotOpen => "mail_not_open",
            Self::UnknownAgent => "mail_unknown_agent",
            Self::Unusable => "letter_unusable",
        }
    }

    /// Whether the same letter may be taken later.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        !matches!(self, Self::BadLetter | Self::Unusable)
    }
}

impl Question {
    /// Canonical bytes without the length.
    ///
    /// # Errors
    /// [`CborError`] if the frame is above its limit.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        frames::encode(self)
    }

    /// Reads it from all of `bytes`.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        cbor::from_slice(bytes, MAX_FRAME_BYTES)
    }
}

impl Reply {
    /// Canonical bytes without the length.
    ///
    /// # Errors
    /// [`CborError`] if the frame is above its limit.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        frames::encode(self)
    }
}
