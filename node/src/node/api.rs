//! Everything the gateway and embedding programs can ask of a running node.

use super::{Inner, sell, views};
use crate::agents;
use crate::records::AgentStatus;
use async_trait::async_trait;
use haggle_base::Verified;
use haggle_base::{Coded, Did, Hash, NetworkFile, RecordId, Text, Usdc};
use haggle_catalog::ListingBody;
use haggle_gateway::view::{
    AgentChange, AgentListing, AgentPage, AgentProfile, AgentSummary, AgentView, Answered, CaseView, ChainStatus,
    ChannelPage, ChannelQuery, ChannelReceiptRequest, ChecksView, CloseRequest, ClosingView, Discover, DiscoveryQuery,
    DisputeRequest, EscrowView, EventView, HireRequest, HistoryPage, HistoryQuery, Invocation, Invoked, KeyList,
    KeyScope, KeyView, ListingDetail, ListingPage, ListingQuery, LogView, MadeKey, MarketStatus, MessageBody,
    MessageQuery, MessageView, Movement, NewAgent, NewKey, NodeStatus, OrderPage, OrderQuery, OrderView, PayRequest,
    PayView, PaymentView, PeerList, PingView, PricesView, Probe, ProbeView, QuoteRequest, QuoteView, Republish,
    TicketView, TransactionQuery, TransferRequest, TypedAnswer, TypedMessage, VisibilityView, WalletFacts, WalletList,
    WhyView,
};
use haggle_gateway::{ApiError, NodeApi, PaidAnswer, PaidCall, Readiness};
use haggle_network::Ticket;
use haggle_trade::HireId;
use haggle_trade::buyer::HireRequest as Wish;
use haggle_trade::config::MAX_PAYLOAD_BYTES;
use serde_json::Value;
use std::sync::atomic::Ordering;
use tokio::sync::broadcast;

/// Items of a page when nobody says.
const DEFAULT_ITEMS: usize = 20;
/// Most orders of a page.
pub(super) const MAX_ORDERS: usize = 100;
/// Sales read to find the newest; they are kept by order id.
const MAX_SALES_READ: usize = 10_000;

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err, which gives values")]
pub(super) fn coded<E: Coded>(error: E) -> ApiError {
    ApiError::from_coded(&error)
}

/// The escrow contract, or that there is none.
fn escrow_word(file: &NetworkFile) -> String {
    if file.has_escrow() { file.escrow.to_string() } else { "none: calls are paid one by one over x402".to_owned() }
}

/// An object of x402, as the gateway passes it on.
fn json(object: impl serde::Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(object).map_err(|cause| ApiError::internal(&cause))
}

impl Inner {
    /// The agent of a request: the one named, which must be ours, else the node's own.
    pub(super) fn own_agent(&self, named: Option<&str>) -> Result<Did, ApiError> {
        let Some(named) = named else {
            return Ok(self.own_did());
        };
        let did = read_did(named)?;
        if self.keys.get(&did).is_none() {
            let hint = "leave it out, or name one of this node's agents";
            return Err(ApiError::not_found("agent_not_found", format!("{did} is not served here"), hint));
        }
        Ok(did)
    }

    /// The buying agent of a request, as [`Inner::own_agent`]. Sellers will know that this node speaks for it.
    pub(super) async fn buyer_of(&self, named: Option<&str>) -> Result<Did, ApiError> {
        let did = self.own_agent(named)?;
        if let (Some(_), Some(keys)) = (named, self.keys.get(&did)) {
            self.network.present(keys.agent).await.map_err(coded)?;
        }
        Ok(did)
    }

    pub(super) fn listing_by_id(&self, id: &str) -> Result<Verified<ListingBody>, ApiError> {
        let missing = || {
            ApiError::not_found(
                "listing_not_found",
                format!("this node holds no live listing {id}"),
                "search again with `haggle find`: the listing may have been replaced or withdrawn",
            )
        };
        let record: RecordId = id.parse().map_err(|_| missing())?;
        self.catalog.listing(&record).map_err(coded)?.ok_or_else(missing)
    }

    /// What a request to buy means to the trade room.
    pub(super) async fn wish(
        &self,
        listing: &str,
        input: &Value,
        max_price: Option<Usdc>,
        buyer: Option<&str>,
        key: Option<&str>,
    ) -> Result<Wish, ApiError> {
        let agent = self.buyer_of(buyer).await?;
        let listing = self.listing_by_id(listing)?;
        self.lookup.documents_of(&listing).await.map_err(coded)?;
        let input = serde_json::to_vec(input).map_err(|cause| ApiError::internal(&cause))?;
        if input.len() > MAX_PAYLOAD_BYTES {
            return Err(ApiError::new(
                http::StatusCode::PAYLOAD_TOO_LARGE,
                "input_too_large",
                format!("the input has {} bytes as JSON", input.len()),
                "send at most 640 KiB as JSON",
            ));
        }
        let price = max_price.unwrap_or(listing.body().price);
        let too_much =
            || ApiError::bad_request("amount_overflow", "the price with its fee is no amount", "lower max_price");
        let max_price = match self.file.fee.payer {
            haggle_base::FeePayer::Buyer => price.checked_add(price.fee_bps(self.file.fee.bps)).ok_or_else(too_much)?,
            haggle_base::FeePayer::Seller => price,
        };
        let idempotency_key = key.map(Text::try_from).transpose().map_err(|_| {
            ApiError::bad_request("invalid_key", "the order key is too long", "use at most 64 characters")
        })?;
        Ok(Wish {
            agent,
            provider: listing.author(),
            slot: listing.record().slot.clone(),
            listing: Some(listing.id()),
            input,
            max_price,
            bargain: None,
            idempotency_key,
            rating: None,
            reason: None,
            deadline: None,
        })
    }

    /// The trade room's view of an order by key, hire number or order id.
    pub(super) fn trade_view(&self, id: &str) -> Result<haggle_trade::OrderView, ApiError> {
        let missing = || {
            ApiError::not_found(
                "order_not_found",
                format!("this node knows no order {id}"),
                "`haggle order list` names this node's orders",
            )
        };
        if let Ok(order) = id.parse() {
            if let Ok(hire) = self.buyer.find(&order) {
                return self.buyer.show(hire).map_err(coded);
            }
            return self.desk.show(&order).map_err(|_| missing());
        }
        let mut buyers = vec![self.own_did()];
        buyers.extend(self.agents.owners());
        for buyer in buyers {
            if let Some(hire) = self.buyer.find_key(&buyer, id).map_err(coded)? {
                return self.buyer.show(hire).map_err(coded);
            }
        }
        let hire: HireId = id.parse().map_err(|_| missing())?;
        self.buyer.show(hire).map_err(|_| missing())
    }
}

pub(super) fn read_did(text: &str) -> Result<Did, ApiError> {
    text.parse().map_err(|_| {
        ApiError::not_found("agent_not_found", format!("{text:?} is no DID"), "a DID looks like did:key:z6Mk…")
    })
}

#[async_trait]
impl NodeApi for Inner {
    async fn status(&self) -> Result<NodeStatus, ApiError> {
        let latest = self.reader.latest().await;
        let read = self.settlement.cursor().await;
        let held = self.catalog.status();
        Ok(NodeStatus {
            name: self.config.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.file.id.to_string(),
            peer_id: self.network.peer_id().to_string(),
            addresses: self.addresses(),
            reachable: self.network.reach().as_str().to_owned(),
            gateway: self.gateway_url.clone(),
            uptime_seconds: self.clock.now().since(self.started).as_secs(),
            peers: self.network.peers().len() as u64,
            agents: std::iter::once(self.own_did()).chain(self.agents.dids()).map(|did| did.to_string()).collect(),
            chain: ChainStatus {
                chain_id: self.file.chain_id,
                reachable: latest.is_ok(),
                block: latest.as_ref().map_or(read.block, |head| head.number),
                time: latest.as_ref().map_or_else(|_| "not known".to_owned(), |head| head.time.to_rfc3339()),
                escrow: escrow_word(&self.file),
                token: self.file.token.address.to_string(),
                polls: self.polls.load(Ordering::Relaxed),
                trust: self.chain_trust(),
                endpoints: self.reader.endpoints().into_iter().map(views::endpoint).collect(),
            },
            market: MarketStatus {
                listings: held.listings as u64,
                paid_listings: held.paid_listings as u64,
                listing_fee: self.listing_fee_view(),
                cards: held.cards as u64,
                attestations: held.attestations as u64,
                role: self.lookup.role().as_str().to_owned(),
                interests: self.config.market.interests.clone(),
                shards_held: self.catalog.held().len() as u64,
                complete: held.complete,
                index_nodes: self.lookup.known() as u64,
                reconciled_peers: self.reconciled.load(Ordering::Relaxed),
            },
            outside: self.looks.last_outside(),
            mail: Some(self.mail_status().await),
        })
    }

    async fn peers(&self) -> Result<PeerList, ApiError> {
        Ok(PeerList { items: self.network.peers().iter().map(views::peer).collect() })
    }

    async fn connect(&self, address: &str) -> Result<(), ApiError> {
        if Ticket::is_meant(address) {
            return self.connect_by_ticket(address).await;
        }
        self.network.dial(address).await.map(drop).map_err(coded)
    }

    async fn ticket(&self, agent: Option<&str>) -> Result<TicketView, ApiError> {
        self.make_ticket(agent)
    }

    async fn stop(&self) {
        self.stopping.cancel();
    }

    async fn checks(&self) -> ChecksView {
        self.checks().await
    }

    async fn ping(&self, peer: &str, count: Option<u32>) -> Result<PingView, ApiError> {
        self.ping_peer(peer, count).await
    }

    async fn visibility(&self) -> Result<VisibilityView, ApiError> {
        self.seen_from_outside().await
    }

    async fn readiness(&self) -> Vec<Readiness> {
        let chain = self.reader.latest().await;
        let peers = self.network.peers().len();
        let lonely = !self.file.bootstrap.is_empty() && peers == 0;
        let outside = self.seen_from_outside().await;
        vec![
            Readiness {
                check: "chain",
                ok: chain.is_ok(),
                detail: chain.map_or_else(|error| error.to_string(), |head| format!("block {}", head.number)),
            },
            Readiness { check: "network", ok: !lonely, detail: format!("{peers} peers connected") },
            Readiness {
                check: "outside",
                ok: outside.as_ref().is_ok_and(|seen| !seen.is_hidden()),
                detail: outside.map_or_else(|error| error.to_string(), |seen| seen.words()),
            },
            Readiness { check: "catalog", ok: true, detail: format!("{} listings", self.catalog.status().listings) },
        ]
    }

    async fn find(&self, query: ListingQuery) -> Result<ListingPage, ApiError> {
        self.search(query).await
    }

    async fn why(&self, id: &str) -> Result<WhyView, ApiError> {
        self.why_listing(id).await
    }

    async fn listing(&self, id: &str) -> Result<ListingDetail, ApiError> {
        let listing = self.listing_by_id(id)?;
        let body = listing.body();
        let schema =
            |text: Option<&str>| self.lookup.schema_at_hand(text).and_then(|schema| serde_json::from_str(&schema).ok());
        Ok(ListingDetail {
            listing: self.listing_view(&listing),
            input_schema: schema(body.input_schema.as_deref()),
            output_schema: schema(body.output_schema.as_deref()),
            deliver_within_seconds: body.sla.deliver_within_secs,
            review_seconds: body.escrow.map_or(0, |escrow| escrow.review_secs),
            record: views::hex(listing.bytes()),
        })
    }

    async fn withdraw(&self, id: &str) -> Result<(), ApiError> {
        let listing = self.listing_by_id(id)?;
        self.suspend(&listing.author().to_string()).await.map(drop)
    }

    async fn agents(&self) -> Result<AgentPage, ApiError> {
        let items = self.agents.all().iter().map(|served| self.summary(served)).collect::<Result<_, _>>()?;
        Ok(AgentPage { items })
    }

    async fn agent(&self, did: &str) -> Result<AgentView, ApiError> {
        self.agent_view(did).await
    }

    async fn agent_listings(&self) -> Result<Vec<AgentListing>, ApiError> {
        self.listed_agents().await
    }

    async fn agent_listing(&self, agent: &str) -> Result<AgentListing, ApiError> {
        self.listed_agent(agent).await
    }

    async fn change_agent(&self, agent: &str, change: AgentChange) -> Result<AgentSummary, ApiError> {
        self.change(agent, &change).await
    }

    async fn suspend_agent(&self, agent: &str) -> Result<AgentSummary, ApiError> {
        self.suspend(agent).await
    }

    async fn delete_agent(&self, agent: &str) -> Result<(), ApiError> {
        self.delete(agent).await
    }

    async fn prices(&self, id: &str) -> Result<PricesView, ApiError> {
        self.price_history(id)
    }

    async fn add_agent(&self, new: NewAgent) -> Result<AgentSummary, ApiError> {
        let status = if new.draft { AgentStatus::Draft } else { AgentStatus::Approved };
        let (mut draft, runner) = agents::asked(new, self.config.agents.commands)?;
        let face = self.face_of(&mut draft, &runner).await;
        self.add(draft, runner, face, None, Some(status)).await
    }

    async fn probe_agent(&self, probe: Probe) -> Result<ProbeView, ApiError> {
        self.probe(probe).await
    }

    async fn agent_log(&self, agent: &str, lines: usize) -> Result<LogView, ApiError> {
        self.log_of(agent, lines)
    }

    async fn republish(&self, agent: &str, change: Republish) -> Result<AgentSummary, ApiError> {
        self.publish_anew(agent, change).await
    }

    async fn quote(&self, request: QuoteRequest) -> Result<QuoteView, ApiError> {
        let wish =
            self.wish(&request.listing, &request.input, request.max_price, request.buyer.as_deref(), None).await?;
        let quote = self.buyer.quote(&wish).await.map_err(coded)?;
        Ok(self.quote_view(&quote))
    }

    async fn hire(&self, key: &str, request: HireRequest) -> Result<OrderView, ApiError> {
        let buyer = self.buyer_of(request.buyer.as_deref()).await?;
        let known = self.buyer.find_key(&buyer, key).map_err(coded)?;
        let hire = match known {
            Some(hire) => hire,
            None => {
                let wish = self
                    .wish(&request.listing, &request.input, request.max_price, request.buyer.as_deref(), Some(key))
                    .await?;
                self.buyer.hire(wish).await.map_err(coded)?
            }
        };
        let view = self.buyer.show(hire).map_err(coded)?;
        let input = serde_json::to_vec(&request.input).map_err(|cause| ApiError::internal(&cause))?;
        let same =
            view.listing.is_none_or(|listing| listing.to_string() == request.listing) && view.input == Hash::of(&input);
        if !same {
            return Err(ApiError::new(
                http::StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_conflict",
                "this key already names an order with another listing or input",
                "take a new key for a new order; keep the key only when you repeat the same one",
            ));
        }
        Ok(self.order_view(&view))
    }

    async fn invoke(&self, wanted: Invocation) -> Result<Invoked, ApiError> {
        self.call(wanted).await
    }

    async fn make_key(&self, new: NewKey) -> Result<MadeKey, ApiError> {
        self.make_api_key(new).await
    }

    async fn keys(&self) -> Result<KeyList, ApiError> {
        self.api_keys().await
    }

    async fn revoke_key(&self, id: &str) -> Result<KeyView, ApiError> {
        self.revoke_api_key(id).await
    }

    async fn key_scope(&self, key: &str) -> Result<KeyScope, ApiError> {
        self.scope_of(key)
    }

    async fn invoke_with(&self, key: &str, wanted: Invocation) -> Result<Invoked, ApiError> {
        self.call_with(key, wanted).await
    }

    async fn orders(&self, query: OrderQuery) -> Result<OrderPage, ApiError> {
        let limit = query.limit.map_or(DEFAULT_ITEMS, |limit| usize::try_from(limit).unwrap_or(MAX_ORDERS));
        let limit = limit.clamp(1, MAX_ORDERS);
        let mut views = Vec::new();
        if query.role.as_deref() != Some("provider") {
            views.extend(self.buyer.list(None, MAX_ORDERS).map_err(coded)?);
        }
        if query.role.as_deref() != Some("buyer") {
            let mut after = None;
            while views.len() < MAX_SALES_READ {
                let page = self.desk.list(after, MAX_ORDERS).map_err(coded)?;
                after = page.last().and_then(|view| view.id);
                let was_last = page.len() < MAX_ORDERS;
                views.extend(page);
                if was_last {
                    break;
                }
            }
        }
        views.sort_by_key(|view| std::cmp::Reverse(view.started));
        let mut items: Vec<_> = views.iter().map(|view| self.order_view(view)).collect();
        if let Some(state) = &query.state {
            items.retain(|order| order.state == *state);
        }
        items.truncate(limit);
        Ok(OrderPage { items, next: None })
    }

    async fn order(&self, id: &str) -> Result<OrderView, ApiError> {
        self.order_with_input(&self.trade_view(id)?)
    }

    async fn order_receipt(&self, id: &str) -> Result<Value, ApiError> {
        self.receipt_of_order(&self.trade_view(id)?)
    }

    async fn cancel(&self, id: &str) -> Result<OrderView, ApiError> {
        let view = self.trade_view(id)?;
        let Some(hire) = view.hire else {
            return Err(ApiError::bad_request(
                "not_buyer",
                "only the buyer cancels an order",
                "a provider that will not deliver lets the deadline pass: the buyer is refunded",
            ));
        };
        self.buyer.cancel(hire).await.map_err(coded)?;
        self.order(id).await
    }

    async fn dispute(&self, id: &str, request: DisputeRequest) -> Result<OrderView, ApiError> {
        let reason = Text::try_from(request.reason).map_err(|_| {
            ApiError::bad_request("bad_reason", "the reason is longer than 240 bytes", "say it in fewer words")
        })?;
        let Some(hire) = self.trade_view(id)?.hire else {
            return Err(ApiError::bad_request(
                "not_buyer",
                "only the buyer disputes an order",
                "a provider stands against a dispute with `haggle order counter`",
            ));
        };
        self.buyer.dispute(hire, reason).await.map_err(coded)?;
        self.order(id).await
    }

    async fn counter(&self, id: &str) -> Result<OrderView, ApiError> {
        let view = self.trade_view(id)?;
        let (None, Some(order)) = (view.hire, view.id) else {
            return Err(ApiError::bad_request(
                "not_provider",
                "only the provider stands against a dispute",
                "a buyer opens one with `haggle order dispute`",
            ));
        };
        self.desk.counter(&order).await.map_err(coded)?;
        self.order(id).await
    }

    async fn give_output(&self, id: &str, output: Value) -> Result<OrderView, ApiError> {
        self.give(id, &output).await
    }

    async fn case(&self, id: &str) -> Result<CaseView, ApiError> {
        let view = self.trade_view(id)?;
        let missing = || {
            ApiError::bad_request(
                "wrong_state",
                "there are no terms yet that an arbitrator could read",
                "wait until both sides signed the terms",
            )
        };
        let order = view.id.ok_or_else(missing)?;
        let case = match view.hire {
            Some(hire) => self.buyer.case(hire),
            None => self.desk.case(&order),
        };
        let case = case.map_err(coded)?;
        let hex = |bytes: Option<Vec<u8>>| bytes.map(|bytes| views::hex(&bytes));
        Ok(CaseView {
            order: order.to_string(),
            role: if view.hire.is_some() { "buyer" } else { "provider" }.to_owned(),
            terms: views::hex(&case.terms),
            schema: hex(case.schema),
            output: hex(case.output),
            receipt: hex(case.receipt),
            evidence: hex(case.evidence),
        })
    }

    async fn discover(&self, wanted: Discover) -> Result<Vec<AgentProfile>, ApiError> {
        self.profiles(&wanted).await
    }

    async fn ask_service(&self, request: MessageBody) -> Result<MessageView, ApiError> {
        self.ask_for(request).await
    }

    async fn answer_service(&self, answer: MessageBody) -> Result<Answered, ApiError> {
        self.answer(answer).await
    }

    async fn messages(&self, query: MessageQuery) -> Result<Vec<MessageView>, ApiError> {
        self.kept_messages(&query)
    }

    async fn typed_message(&self, message: TypedMessage) -> Result<TypedAnswer, ApiError> {
        self.typed(message).await
    }

    async fn wallets(&self) -> Result<WalletList, ApiError> {
        let mut items = vec![self.wallet_view(&self.own_did()).await?];
        for agent in self.agents.owners() {
            items.push(self.wallet_view(&agent).await?);
        }
        Ok(WalletList { items })
    }

    fn wallet_facts(&self) -> WalletFacts {
        self.facts_of_wallets()
    }

    fn wallet_owner(&self, id: &str) -> Result<String, ApiError> {
        self.owner_of_wallet(id).map(|did| did.to_string())
    }

    async fn limit_wallet(&self, id: &str, per_call: Option<Usdc>, per_day: Option<Usdc>) -> Result<(), ApiError> {
        self.limit(id, per_call, per_day).await
    }

    async fn fund_wallet(&self, id: &str, amount: Usdc) -> Result<Movement, ApiError> {
        self.fund_from_faucet(id, amount).await
    }

    async fn transactions(&self, id: &str, query: TransactionQuery) -> Result<Vec<Movement>, ApiError> {
        self.movements(id, query)
    }

    async fn escrow_of(&self, id: &str) -> Result<EscrowView, ApiError> {
        Ok(self.escrow_view(&self.trade_view(id)?))
    }

    async fn pay(&self, key: &str, request: PayRequest) -> Result<PayView, ApiError> {
        self.pay_url(key, request).await
    }

    async fn payment(&self, key: &str) -> Result<PaymentView, ApiError> {
        self.payment_of(key)
    }

    async fn payment_receipt(&self, key: &str) -> Result<Value, ApiError> {
        self.payment_receipt_of(key)
    }

    async fn transfer(&self, key: &str, request: TransferRequest) -> Result<PaymentView, ApiError> {
        self.send_money(key, request).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, ApiError> {
        self.history_page(&query)
    }

    async fn channels(&self, query: ChannelQuery) -> Result<ChannelPage, ApiError> {
        self.channel_page(&query)
    }

    async fn close_channel(&self, id: &str, request: CloseRequest) -> Result<ClosingView, ApiError> {
        self.close(id, request).await
    }

    async fn channel_receipt(&self, id: &str, request: ChannelReceiptRequest) -> Result<Value, ApiError> {
        self.receipt_of_channel(id, request).await
    }

    async fn sell(&self, call: PaidCall) -> Result<PaidAnswer, ApiError> {
        self.counter.sell(call).await
    }

    async fn verify_payment(&self, request: Value) -> Result<Value, ApiError> {
        json(self.counter.till().verify(&sell::facilitated(request)?).await)
    }

    async fn settle_payment(&self, request: Value) -> Result<Value, ApiError> {
        json(self.counter.till().settle(&sell::facilitated(request)?).await)
    }

    async fn supported_payments(&self) -> Result<Value, ApiError> {
        json(self.counter.till().supported(Vec::new()))
    }

    async fn paid_resources(&self, query: DiscoveryQuery) -> Result<Value, ApiError> {
        json(self.counter.discover(&query, &self.clock.now().to_rfc3339())?)
    }

    fn events(&self, after: Option<u64>) -> (Vec<EventView>, broadcast::Receiver<EventView>) {
        self.events.follow(after)
    }
}
