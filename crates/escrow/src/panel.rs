//! Members who decide together, as the validator or the arbitrator of orders.

use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, Bytes};
use alloy::providers::RootProvider;
use alloy::sol_types::{SolCall as _, SolValue as _};
use haggle_base::eip712::{VOTE_ARBITRATOR, VOTE_VALIDATOR, Vote, digest, escrow_domain, order_id, panel_domain};
use haggle_base::{Order, OrderId, PaymentKey, Usdc};

use crate::bindings::panel::{IPanel, Panel};
use crate::chain::{ChainReader, contract_answer, usdc};
use crate::client::{Decision, Sent};
use crate::error::{EscrowError, PanelRefusal, Revert};
use crate::order::to_panel_binding;
use crate::sender::{Sender, Tx};

alloy::sol! {
    /// One member's ballot inside a panel's word.
    struct WordBallot {
        address member;
        bytes signature;
    }

    /// What a panel takes for its ERC-1271 signature over a verdict.
    struct PanelWord {
        bytes32 orderId;
        uint96 pay;
        bytes32 evidence;
        uint40 validUntil;
        WordBallot[] ballots;
    }
}

/// One member's vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// Who votes.
    pub member: Address,
    /// Its signature over the vote's digest: 65 bytes, or whatever a contract that is a member takes for one.
    pub signature: Bytes,
}

/// Who decides, and how many have to agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panelists {
    /// Everybody who may vote, ascending.
    pub members: Vec<Address>,
    /// How many have to agree.
    pub threshold: usize,
    /// The one escrow whose orders they decide.
    pub escrow: Address,
}

/// A panel through one payment key. Anybody may send what its members have voted for.
#[derive(Debug, Clone)]
pub struct PanelClient {
    sender: Sender,
    address: Address,
}

impl PanelClient {
    /// A client of the panel over an existing connection. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn new(chain: ChainReader, panel: Address, signer: &PaymentKey) -> Result<Self, EscrowError> {
        Ok(Self { sender: Sender::new(chain, signer)?, address: panel })
    }

    /// Who decides.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn panelists(&self) -> Result<Panelists, EscrowError> {
        let panel = self.contract();
        let threshold = contract_answer(panel.threshold().call().await)?;
        Ok(Panelists {
            members: contract_answer(panel.members().call().await)?,
            threshold: threshold.saturating_to(),
            escrow: contract_answer(panel.escrow().call().await)?,
        })
    }

    /// What a member signs to have the panel decide so as the order's validator.
    #[must_use]
    pub fn verdict_digest(&self, order: &OrderId, decision: Decision, evidence: B256) -> B256 {
        self.vote_digest(order, VOTE_VALIDATOR, decision, evidence)
    }

    /// What a member signs to have the panel rule so as the order's arbitrator, over the evidence of the dispute.
    #[must_use]
    pub fn ruling_digest(&self, order: &OrderId, decision: Decision, evidence: B256) -> B256 {
        self.vote_digest(order, VOTE_ARBITRATOR, decision, evidence)
    }

    /// Rules on a disputed order that names this panel as its arbitrator.
    ///
    /// # Errors
    /// As [`EscrowClient::fund`](crate::EscrowClient::fund); [`Revert::Panel`].
    pub async fn rule(&self, order: &Order, decision: Decision, ballots: &[Ballot]) -> Result<Sent, EscrowError> {
        let chain = &self.sender.chain;
        let id = order_id(order, &escrow_domain(chain.config.chain_id, chain.config.escrow));
        let before = chain.status(&id).await?;
        if before.is_settled() {
            return Ok(Sent::AlreadyDone(before));
        }
        let ballots =
            sorted(ballots).map(|ballot| IPanel::Ballot { member: ballot.member, signature: ballot.signature.clone() });
        let call = Panel::ruleCall {
            order: to_panel_binding(order),
            pay: decision.pay,
            validUntil: decision.valid_until(),
            ballots: ballots.collect(),
        };
        let error = match self.sender.send_encoded(self.address, call.abi_encode().into(), chain.config.gas_cap).await {
            Ok(receipt) => return Ok(Sent::Mined(Tx::of(&receipt))),
            Err(error) => error,
        };
        // Another member may have sent the same votes in between.
        if matches!(error, EscrowError::Reverted(_) | EscrowError::RevertedOnChain { .. })
            && let Ok(after) = chain.status(&id).await
            && after.is_settled()
        {
            return Ok(Sent::AlreadyDone(after));
        }
        Err(error)
    }

    /// What [`Self::pay_out`] would send a member now.
    ///
    /// # Errors
    /// That nobody answers; [`Revert::Panel`] for somebody who is no member.
    pub async fn earned(&self, member: Address) -> Result<Usdc, EscrowError> {
        usdc(contract_answer(self.contract().earned(member).call().await)?)
    }

    /// Sends a member its part of what the panel earned; `None` if that is nothing.
    ///
    /// # Errors
    /// As [`EscrowClient::fund`](crate::EscrowClient::fund).
    pub async fn pay_out(&self, member: Address) -> Result<Option<Tx>, EscrowError> {
        match self.sender.send(self.address, Panel::payOutCall { member }).await {
            Ok(tx) => Ok(Some(tx)),
            Err(EscrowError::Reverted(Revert::Panel(PanelRefusal::NothingEarned))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn vote_digest(&self, order: &OrderId, role: u8, decision: Decision, evidence: B256) -> B256 {
        let valid_until: U40 = decision.valid_until();
        let vote = Vote { orderId: *order.as_b256(), role, pay: decision.pay, evidence, validUntil: valid_until };
        digest(&vote, &panel_domain(self.sender.chain.config.chain_id, self.address))
    }

    fn contract(&self) -> Panel::PanelInstance<RootProvider> {
        Panel::new(self.address, self.sender.chain.provider.clone())
    }
}

/// What a panel that validates has for a signature: give it to [`EscrowClient::verdict`](crate::EscrowClient::verdict).
#[must_use]
pub fn panel_word(order: &OrderId, decision: Decision, evidence: B256, ballots: &[Ballot]) -> Bytes {
    let ballots =
        sorted(ballots).map(|ballot| WordBallot { member: ballot.member, signature: ballot.signature.clone() });
    let word = PanelWord {
        orderId: *order.as_b256(),
        pay: decision.pay,
        evidence,
        validUntil: decision.valid_until(),
        ballots: ballots.collect(),
    };
    word.abi_encode().into()
}

/// The contract takes members in ascending order.
fn sorted(ballots: &[Ballot]) -> impl Iterator<Item = &Ballot> {
    let mut sorted: Vec<_> = ballots.iter().collect();
    sorted.sort_by_key(|ballot| ballot.member);
    sorted.into_iter()
}
