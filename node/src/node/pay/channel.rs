//! Paying a stranger by vouchers on a prepaid channel, for those who come again.

use super::route::{Known, NoRoute, Rail, Route, route};
use super::{Errand, PENDING, about, offer, views};
use crate::adapters::faults::points;
use crate::node::Inner;
use crate::node::api::coded;
use crate::records::{PaidAnswer, PaidAnswers, PaidBody, PaidTasks};
use haggle_base::{Address, Did, Hash, Text, Usdc};
use haggle_gateway::ApiError;
use haggle_gateway::view::{PayView, PaymentView};
use haggle_settlement::SettlementError;
use haggle_settlement::channels::{Buying, Next, Paying};
use haggle_store::{Batch, Store};
use haggle_x402::{PaymentRequired, PaymentRequirements, Scheme, SettleResponse, header};
use http::{HeaderValue, StatusCode};

/// Times a payment is sent in one call: corrected, or later, or on another channel.
const SENDS: usize = 4;

/// One call that is paid by voucher.
pub(super) struct OnChannel<'a> {
    pub(super) errand: &'a Errand,
    pub(super) agent: Did,
    pub(super) key: &'a str,
    pub(super) offer: &'a PaymentRequired,
    pub(super) entry: &'a PaymentRequirements,
}

impl Inner {
    /// The rail on which an offer is paid, and its entry for it.
    pub(super) fn routed<'a>(
        &self,
        agent: &Did,
        key: &str,
        offer: &'a PaymentRequired,
        max: Usdc,
        asked: Option<&str>,
    ) -> Result<(Route, &'a PaymentRequirements), ApiError> {
        let wrong = |word: &str| {
            ApiError::bad_request("invalid_request", format!("{word:?} is no rail"), "say exact or channel, or nothing")
        };
        let asked = asked.map(|word| Rail::of(word).ok_or_else(|| wrong(word))).transpose()?;
        // a key that went out on a channel stays on it
        let is_bound = self.money.contains::<PaidAnswers>(&(*agent, key.to_owned())).map_err(coded)?;
        let single = self.purse.choose(offer, max);
        let voucher = self.voucher_entry(agent, offer, max);
        let price = |entry: &&PaymentRequirements| entry.amount.to_usdc();
        let known = Known {
            exact: single.as_ref().ok().and_then(price),
            channel: voucher.as_ref().and_then(|(entry, _)| price(entry)),
            is_open: voucher.is_some_and(|(_, is_open)| is_open),
            earlier: single.as_ref().map_or(0, |entry| self.singles_of(agent, entry)),
            asked: if is_bound { Some(Rail::Channel) } else { asked },
            prefer: self.config.payments.prefer,
            escrow_from: Some(self.config.payments.escrow_from),
        };
        let route = route(&known).map_err(|none| match none {
            NoRoute::NotThat(Rail::Channel) => ApiError::bad_request(
                "nothing_payable",
                "the seller takes no voucher that this node can sign",
                "leave the rail open, or ask the seller for batch-settlement in this network's token",
            ),
            NoRoute::NotThat(Rail::Escrow) => ApiError::bad_request(
                "escrow_is_for_orders",
                "a single call is paid as it is asked for; escrow holds the money of an order",
                "buy the listing with `haggle hire`, or leave the rail open",
            ),
            NoRoute::TooDear { price, from } => ApiError::bad_request(
                "escrow_advised",
                format!("{price} USDC would leave before the work; from {from} USDC on this node wants escrow"),
                "buy the listing with `haggle hire`, or name the rail: `--rail exact`; `payments.escrow_from` is the bound",
            ),
            NoRoute::Nothing | NoRoute::NotThat(Rail::Exact) => match &single {
                Err(why) => ApiError::from_coded(why),
                Ok(_) => ApiError::internal(&"a rail that is open was not found"),
            },
        })?;
        let entry = match route.rail {
            Rail::Channel => voucher.map(|(entry, _)| entry),
            Rail::Exact | Rail::Escrow => single.ok(),
        };
        let entry = entry.ok_or_else(|| ApiError::internal(&"a rail without an entry"))?;
        tracing::info!(payment.key = key, rail = %route.rail, "{}", route.why);
        Ok((route, entry))
    }

    /// The entry that a voucher of the agent's could pay, and whether there is a channel for it.
    fn voucher_entry<'a>(
        &self,
        agent: &Did,
        offer: &'a PaymentRequired,
        max: Usdc,
    ) -> Option<(&'a PaymentRequirements, bool)> {
        let buying = self.buying.as_ref()?;
        let fits = |entry: &&PaymentRequirements| {
            entry.scheme == Scheme::BatchSettlement
                && entry.amount.to_usdc().is_some_and(|amount| amount <= max)
                && buying.could_pay(agent, entry).is_ok()
        };
        let entry = offer.accepts.iter().find(fits)?;
        let receiver = entry.pay_to.parse::<Address>().ok()?;
        Some((entry, buying.has_channel(agent, &receiver)))
    }

    /// How often the agent paid the receiver of an entry singly.
    fn singles_of(&self, agent: &Did, entry: &PaymentRequirements) -> u32 {
        let Ok(receiver) = entry.pay_to.parse::<Address>() else { return 0 };
        self.singles.lock().get(&(*agent, receiver)).copied().unwrap_or_default()
    }

    /// Counts a payment of its own.
    pub(super) fn paid_singly(&self, agent: &Did, entry: &PaymentRequirements) {
        let Ok(receiver) = entry.pay_to.parse::<Address>() else { return };
        let mut singles = self.singles.lock();
        if singles.len() >= super::MAX_SELLERS {
            singles.clear();
        }
        let count = singles.entry((*agent, receiver)).or_default();
        *count = count.saturating_add(1);
    }

    /// The answer that a key was given for its voucher. A key that is bound to another request is refused.
    pub(super) fn answer_on_channel(
        &self,
        agent: &Did,
        key: &str,
        request: &Hash,
    ) -> Result<Option<PayView>, ApiError> {
        let row = self.money.get::<PaidAnswers>(&(*agent, key.to_owned())).map_err(coded)?;
        let Some(row) = row else { return Ok(None) };
        if row.request != *request {
            return Err(super::conflict());
        }
        let Some(body) = row.body else { return Ok(None) };
        let body = body.read(&self.blobs).map_err(coded)?;
        let kind = row.content_type.as_str().to_owned();
        let rail = Some(Rail::Channel.to_string());
        Ok(Some(PayView { cost: row.cost, rail, ..views::view(key, row.status, kind, &body) }))
    }

    /// Pays and asks until there is an answer, or a reason why not. The voucher is on disk before it leaves.
    pub(super) async fn pay_on_channel(&self, call: OnChannel<'_>) -> Result<PayView, ApiError> {
        let OnChannel { errand, agent, key, offer: asked, entry } = call;
        let buying = self.buying.as_ref().ok_or_else(|| ApiError::internal(&"channels are off"))?;
        let bound = bound(&agent, key, errand.hash())?;
        let paying = buying.pay_beside(&agent, key, entry, Some(asked), bound).await;
        let mut paying: Paying = paying.map_err(coded)?;
        self.faults.at(points::VOUCHER_SIGNED);
        for _ in 0..SENDS {
            let value = header::encode(&paying.payment).map_err(coded)?;
            let value = HeaderValue::try_from(value).map_err(|cause| ApiError::internal(&cause))?;
            let heard = match self.knock(errand.fetch(Some(value))).await {
                Ok(heard) => heard,
                // the seller may have charged it: the channel waits for this key, and others take another one
                Err(error) => return Err(about(coded(error), key)),
            };
            self.faults.at(points::VOUCHER_SENT);
            let said: Option<SettleResponse> =
                heard.header(header::PAYMENT_RESPONSE).and_then(|text| header::decode(text).ok());
            if heard.status != StatusCode::PAYMENT_REQUIRED {
                let Some(said) = said else {
                    buying.give_up(&agent, key).map_err(coded)?;
                    return Ok(views::free(key, &heard));
                };
                let kind = heard.header("content-type").unwrap_or_default();
                let mut answer = PaidAnswer {
                    status: heard.status,
                    content_type: Text::try_from(kind).unwrap_or_default(),
                    body: Some(PaidBody::keep(&heard.body, &self.blobs).map_err(coded)?),
                    cost: entry.amount.to_usdc().unwrap_or_default(),
                    ..PaidAnswer::unanswered(errand.hash())
                };
                // before the channel is free: another key's voucher would take this one's place, and its answer with it
                self.keep_answer(&agent, key, answer.clone()).await?;
                self.faults.at(points::VOUCHER_ANSWERED);
                let cost = match buying.answered(&agent, key, &said).await {
                    Ok(Next::Charged(cost)) => cost,
                    Ok(_) => Usdc::ZERO,
                    Err(error) => {
                        // the answer is there; what the channel holds is looked up by whoever uses it next
                        tracing::info!(error.code = haggle_base::Coded::code(&error), "a channel is not read: {error}");
                        buying.give_up(&agent, key).map_err(coded)?;
                        answer.cost
                    }
                };
                if cost != answer.cost {
                    answer.cost = cost;
                    self.keep_answer(&agent, key, answer).await?;
                }
                self.faults.at(points::VOUCHER_CHARGED);
                let rail = Some(Rail::Channel.to_string());
                return Ok(PayView { cost, rail, ..views::free(key, &heard) });
            }
            let again = offer(&heard)?;
            match buying.refused(&agent, key, entry, &again).await.map_err(coded)? {
                Next::Again(corrected) => paying = *corrected,
                Next::Anew => paying = buying.pay(&agent, key, entry, Some(&again)).await.map_err(coded)?,
                Next::Later => tokio::time::sleep(self.config.chain.poll.min(PENDING)).await,
                Next::Over | Next::Paid | Next::Charged(_) => {
                    return Err(super::not_taken(&super::reason(&heard, said.as_ref()), key));
                }
            }
        }
        // it was not charged: others may have the channel
        buying.give_up(&agent, key).map_err(coded)?;
        let busy = ApiError::of_code("try_again", "the seller did not take the voucher yet");
        Err(about(busy, key))
    }

    /// The voucher that a key of the agent's stands for, if it paid by one.
    pub(super) fn voucher_view(&self, agent: &Did, key: &str) -> Result<Option<PaymentView>, ApiError> {
        let Some(buying) = &self.buying else { return Ok(None) };
        let Some(paid) = buying.paid(agent, key).map_err(coded)? else { return Ok(None) };
        let answer = self.money.get::<PaidAnswers>(&(*agent, key.to_owned())).map_err(coded)?;
        let charged = answer.filter(|answer| answer.body.is_some()).map(|answer| answer.cost);
        let (state, amount) = match (charged, paid.waiting) {
            (Some(cost), _) if !cost.is_zero() => ("charged", cost),
            (None, Some(price)) => ("signed", price),
            _ => ("not_charged", Usdc::ZERO),
        };
        Ok(Some(PaymentView {
            key: key.to_owned(),
            agent: agent.to_string(),
            to: paid.receiver.to_string(),
            amount,
            about: String::new(),
            state: state.to_owned(),
            nonce: None,
            tx: None,
            signed_at: paid.at.to_rfc3339(),
            valid_until: None,
            channel: Some(paid.channel.to_string()),
            in_all: Some(paid.max),
            receipt: None,
        }))
    }

    /// Forgets what keys were answered that settlement has forgotten.
    pub(in crate::node) async fn forget_answers(&self, keys: Vec<(Did, String)>) -> Result<(), ApiError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for key in &keys {
            batch.delete::<PaidAnswers>(key);
            batch.delete::<PaidTasks>(key);
        }
        self.money.commit(batch).await.map_err(coded)
    }

    pub(super) async fn keep_answer(&self, agent: &Did, key: &str, answer: PaidAnswer) -> Result<(), ApiError> {
        let mut batch = Batch::new();
        batch.put::<PaidAnswers>(&(*agent, key.to_owned()), &answer).map_err(coded)?;
        self.money.commit(batch).await.map_err(coded)
    }
}

/// Binds a key to a request, for the commit that stores its voucher.
pub(super) fn bound(agent: &Did, key: &str, request: Hash) -> Result<Batch, ApiError> {
    let mut batch = Batch::new();
    batch.put::<PaidAnswers>(&(*agent, key.to_owned()), &PaidAnswer::unanswered(request)).map_err(coded)?;
    Ok(batch)
}

/// Frees the channels whose vouchers were answered before the node stopped: the answer is kept here, and not with the voucher.
pub(in crate::node) fn let_answered_go(buying: &Buying, money: &Store) -> Result<(), SettlementError> {
    for (agent, key) in buying.unanswered() {
        let row = money.get::<PaidAnswers>(&(agent, key.clone()))?;
        if row.is_some_and(|row| row.body.is_some()) {
            buying.give_up(&agent, &key)?;
        }
    }
    Ok(())
}
