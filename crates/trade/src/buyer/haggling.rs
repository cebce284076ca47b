//! Bargaining with a provider until there is a signed quote, or not.

use haggle_base::{Did, Hash, Timestamp, Usdc};

use super::Inner;
use crate::{
    document::{Quote, SignedQuote},
    error::{Refusal, TradeError},
    negotiation::{Bidding, event},
    offer::Offer,
    terms::same,
    wire::{QuoteRequest, TradeMessage, TradeReply},
};

/// What a price is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) agent: Did,
    pub(super) request: Hash,
    pub(super) input: Hash,
    pub(super) input_bytes: u64,
    pub(super) max_price: Usdc,
    pub(super) until: Option<Timestamp>,
}

/// A quote that is worth its signature.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) signed: SignedQuote,
    pub(super) bytes: Vec<u8>,
    pub(super) rounds: u8,
}

impl Inner {
    /// Bids until the provider quotes, and checks the quote against everything we know.
    pub(super) async fn haggle(&self, wish: &Wish, offer: &Offer, bidding: Bidding) -> Result<Agreed, TradeError> {
        self.haggle_noting(wish, offer, bidding, &mut None).await
    }

    /// As [`Self::haggle`], and notes what the provider asked last.
    pub(super) async fn haggle_noting(
        &self,
        wish: &Wish,
        offer: &Offer,
        mut bidding: Bidding,
        asked: &mut Option<Usdc>,
    ) -> Result<Agreed, TradeError> {
        let binding = self.ports.signer.binding(&wish.agent).ok_or(Refusal::BindingMissing)?;
        let mut said = bidding.start(self.clock.now());
        let mut rounds = 0;
        loop {
            let bid = match said {
                event::Bid::Offered(bid) => bid,
                // Time ran out before a single bid was answered: that is silence, not disagreement.
                event::Bid::Ended(event::Ended::Deadline) if rounds == 0 => return Err(TradeError::Timeout),
                event::Bid::Ended(_) => return Err(Refusal::NoAgreement.into()),
            };
            rounds += 1;
            let message = if rounds == 1 {
                TradeMessage::QuoteRequest(QuoteRequest {
                    request: wish.request,
                    buyer: wish.agent,
                    binding: binding.clone(),
                    slot: offer.slot.clone(),
                    listing: offer.listing,
                    seq: offer.seq,
                    input: wish.input,
                    input_bytes: wish.input_bytes,
                    bid,
                })
            } else {
                TradeMessage::Counter { request: wish.request, round: rounds, bid }
            };
            match self.send(&offer.provider, message, wish.until).await? {
                TradeReply::Quote { document } => {
                    let bytes = document.into_vec();
                    let signed = Quote::open(&bytes, &offer.provider)?;
                    self.check_quote(wish, offer, &bidding, &signed)?;
                    return Ok(Agreed { signed, bytes, rounds });
                }
                TradeReply::Counter { ask } => {
                    *asked = Some(ask);
                    said = bidding.countered(ask, self.clock.now());
                }
                other => return Err(refused(&other)),
            }
        }
    }

    fn check_quote(
        &self,
        wish: &Wish,
        offer: &Offer,
        bidding: &Bidding,
        signed: &SignedQuote,
    ) -> Result<(), TradeError> {
        let quote = &signed.quote;
        same("request", &quote.request, &wish.request)?;
        same("buyer", &quote.buyer, &wish.agent)?;
        same("input", &quote.input, &wish.input)?;
        same("fee", &quote.fee, &self.fee())?;
        quote.check_offer(offer)?;
        quote.check_time(self.clock.now())?;
        if quote.price == Usdc::ZERO {
            return Err(Refusal::ZeroAmount.into());
        }
        if quote.fee.deposit(quote.price)? > wish.max_price {
            return Err(TradeError::AboveMaxPrice);
        }
        match bidding.quoted(quote.price) {
            event::Judge::Taken(_) => Ok(()),
            event::Judge::AboveBid { .. } => Err(TradeError::TermsMismatch { field: "price" }),
        }
    }

    /// Sends one message and waits for its reply no longer than the caller does; a refusal is an answer, not an
    /// error.
    pub(super) async fn send(
        &self,
        provider: &Did,
        message: TradeMessage,
        until: Option<Timestamp>,
    ) -> Result<TradeReply, TradeError> {
        let left = until.map(|until| until.since(self.clock.now())).filter(|left| !left.is_zero());
        let wait = left.map_or(self.config.reply_within, |left| left.min(self.config.reply_within));
        Ok(self.ports.counterparty.send(provider, message, wait).await?)
    }
}

/// The error of a reply that is not the one asked for.
pub(super) fn refused(reply: &TradeReply) -> TradeError {
    match reply {
        TradeReply::Reject { code, .. } => (*code).into(),
        TradeReply::Quote { .. }
        | TradeReply::Counter { .. }
        | TradeReply::TermsSigned { .. }
        | TradeReply::InputHeld { .. }
        | TradeReply::Countersigned { .. }
        | TradeReply::Status { .. }
        | TradeReply::Receipt { .. } => TradeError::UnexpectedReply,
    }
}
