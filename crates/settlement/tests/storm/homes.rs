//! The two homes of a run, as they stand on the street: a seller that serves every rail, and a buyer that uses them all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haggle_base::{EvmSignature, Hash, Order, Text, Usdc};
use haggle_settlement::Settlement;
use haggle_settlement::channels::{self, Buying, ChannelSale, Next, Selling};
use haggle_settlement::purse::{Purse, Wanted};
use haggle_settlement::till::{Caller, Sale, Taken, Till};
use haggle_store::{Batch, Store};
use haggle_x402::{PaymentPayload, PaymentRequired, Reason, Resource, SettleResponse};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::keyring::Keyring;
use crate::mortal::Fuse;

/// What everything costs.
pub(crate) const PRICE: Usdc = Usdc::from_units(20_000);
/// Times a purchase is tried in one life until something is wrong with it.
const TRIES: usize = 300;
/// How long a buyer waits before it tries again.
const PAUSE: Duration = Duration::from_millis(10);

haggle_store::tables! {
    /// What a seller made for a funded order, stored before it leaves, as a job stores it.
    pub(crate) Outputs = "storm-outputs-1": String => String;
    /// What a buyer was answered, stored before it counts.
    pub(crate) Answers = "storm-answers-1": String => String;
    /// Written last before a store is opened again: whatever the dead process handed over was written before it.
    pub(crate) Lives = "storm-lives-1": () => u64;
}

/// How a purchase is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rail {
    Upfront,
    Later,
    Voucher,
    Escrow,
}

/// What the world outside saw, whoever died.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Times the work of a purchase was done.
    pub(crate) works: BTreeMap<String, u64>,
    /// The answer of a purchase.
    pub(crate) answers: BTreeMap<String, String>,
}

impl Seen {
    fn work(&mut self, key: &str) -> String {
        let times = self.works.entry(key.to_owned()).or_default();
        *times += 1;
        format!("{key}, done for the {times}. time")
    }
}

/// One life of the seller.
pub(crate) struct Seller {
    pub(crate) keys: Arc<Keyring>,
    pub(crate) store: Store,
    pub(crate) settlement: Settlement,
    pub(crate) till: Till,
    pub(crate) selling: Selling,
    pub(crate) fuse: Arc<Fuse>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    /// One turn at the orders at a time, as the desk of a node takes them.
    pub(crate) orders: tokio::sync::Mutex<()>,
}

/// What a stranger is answered.
enum Heard {
    Sold { answer: String, settled: Box<SettleResponse> },
    Asked(Box<PaymentRequired>),
}

impl Seller {
    fn sale(&self, key: &str) -> Sale {
        Sale {
            seller: self.keys.agent,
            listing: "words".try_into().unwrap(),
            resource: "http://seller/words".try_into().unwrap(),
            amount: PRICE,
            request: Hash::of(key.as_bytes()),
            caller: Caller::at([192, 0, 2, 1].into()),
        }
    }

    fn offer(&self, rail: Rail, key: &str) -> PaymentRequired {
        let vouchers = self.selling.requirement(&self.keys.agent, PRICE).unwrap();
        let refused = (rail == Rail::Upfront).then(|| Reason::Flow.into());
        self.till.offer(&self.sale(key), vec![vouchers], refused.as_ref()).unwrap()
    }

    /// `exact`, as the node's counter does it.
    async fn sell_exact(&self, rail: Rail, key: &str, payment: &PaymentPayload) -> Heard {
        loop {
            self.fuse.burn().await;
            let ticket = match self.till.take(&self.sale(key), payment).await {
                Ok(Taken::Work(ticket)) => ticket,
                Ok(Taken::Answered { answer, settlement }) => return sold(&answer, settlement),
                Ok(Taken::Busy(waiting)) => {
                    waiting.done().await;
                    continue;
                }
                Err(_) => return Heard::Asked(Box::new(self.offer(rail, key))),
            };
            self.fuse.burn().await;
            let answer = self.seen.lock().work(key);
            self.fuse.burn().await;
            let settled = self.till.worked(ticket, answer.clone().into_bytes()).await;
            self.fuse.burn().await;
            return match settled {
                Ok(settled) => sold(answer.as_bytes(), settled),
                Err(_) => Heard::Asked(Box::new(self.offer(rail, key))),
            };
        }
    }

    /// A voucher, as the node's counter does it.
    async fn sell_voucher(&self, key: &str, payment: &PaymentPayload) -> Heard {
        let sale = ChannelSale { seller: self.keys.agent, amount: PRICE, request: Hash::of(key.as_bytes()) };
        loop {
            self.fuse.burn().await;
            let ticket = match self.selling.take(&sale, payment).await {
                Ok(channels::Taken::Work(ticket)) => ticket,
                Ok(channels::Taken::Answered { answer, settled }) => {
                    return sold(&answer.expect("a short answer is kept"), *settled);
                }
                Ok(channels::Taken::AtWork(waiting)) => {
                    waiting.over().await;
                    continue;
                }
                Ok(channels::Taken::Returned(_) | channels::Taken::Receipt(_)) => panic!("nobody asked for that"),
                Err(refusal) => {
                    let requirement = self.selling.requirement(&self.keys.agent, PRICE).unwrap();
                    let entry = refusal.correct(requirement).unwrap();
                    let mut offer = PaymentRequired::new(Resource::new("http://seller/words"), vec![entry]);
                    offer.rest.insert("error".to_owned(), Value::String(refusal.code.to_owned()));
                    return Heard::Asked(Box::new(offer));
                }
            };
            self.fuse.burn().await;
            let answer = self.seen.lock().work(key);
            self.fuse.burn().await;
            let Ok(settled) = self.selling.worked(ticket, answer.as_bytes()).await else {
                return Heard::Asked(Box::new(self.offer(Rail::Voucher, key)));
            };
            self.fuse.burn().await;
            return sold(answer.as_bytes(), settled);
        }
    }

    /// The seller's part of an order: funds it, works once it stands, and stores what it made before it leaves.
    async fn fund(&self, key: &str, order: &Order, buyer: &EvmSignature) -> Option<String> {
        self.fuse.burn().await;
        let consent = self.settlement.sign_order(&self.keys.agent, order).unwrap();
        let _done = self.settlement.submit_fund(order, buyer, &consent).await.ok()?;
        self.settlement.follow_once().await.ok()?;
        self.settlement.facts_of(&self.settlement.escrow().order_id(order)).unwrap().funded?;
        let row = key.to_owned();
        let _turn = self.orders.lock().await;
        if let Some(made) = self.store.get::<Outputs>(&row).unwrap() {
            return Some(made);
        }
        self.fuse.burn().await;
        let made = self.seen.lock().work(key);
        self.fuse.burn().await;
        let mut batch = Batch::new();
        batch.require_absent::<Outputs>(&row).put::<Outputs>(&row, &made).unwrap();
        self.store.commit(batch).await.ok()?;
        self.fuse.burn().await;
        Some(made)
    }

    async fn release(&self, order: &Order, release: &EvmSignature) -> Option<()> {
        self.fuse.burn().await;
        let _done = self.settlement.submit_release(order, release).await.ok()?;
        self.settlement.follow_once().await.ok()?;
        self.fuse.burn().await;
        Some(())
    }
}

fn sold(answer: &[u8], settled: SettleResponse) -> Heard {
    Heard::Sold { answer: String::from_utf8(answer.to_vec()).unwrap(), settled: Box::new(settled) }
}

/// The seller as the street knows it: whoever lives there now.
pub(crate) type Shop = watch::Receiver<Option<(Handle, Arc<Seller>)>>;

/// One life of the buyer.
pub(crate) struct Buyer {
    pub(crate) keys: Arc<Keyring>,
    pub(crate) store: Store,
    pub(crate) settlement: Settlement,
    pub(crate) purse: Purse,
    pub(crate) buying: Buying,
    pub(crate) fuse: Arc<Fuse>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) shop: Shop,
    /// What orders look like; each purchase has its own salt.
    pub(crate) order: Order,
}

impl Buyer {
    /// Asks the seller, whoever lives there; `None` if it died over it.
    async fn ask<T, W>(&self, question: impl FnOnce(Arc<Seller>) -> W) -> Option<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let mut shop = self.shop.clone();
        self.fuse.burn().await;
        let (runtime, seller) = shop.wait_for(Option::is_some).await.ok()?.clone()?;
        let asked = runtime.spawn(question(seller)).await;
        self.fuse.burn().await;
        match asked {
            Ok(answer) => Some(answer),
            Err(gone) if gone.is_panic() => std::panic::resume_unwind(gone.into_panic()),
            Err(_) => {
                // it died: somebody else will live there, or nobody does for now
                drop(shop.changed().await);
                None
            }
        }
    }

    /// Buys until it has the answer, and stores that.
    pub(crate) async fn buy(&self, rail: Rail, key: &str) {
        let row = key.to_owned();
        for _ in 0..TRIES {
            if let Some(stored) = self.store.get::<Answers>(&row).unwrap() {
                let mut seen = self.seen.lock();
                let first = seen.answers.entry(row).or_insert_with(|| stored.clone());
                assert_eq!(*first, stored, "a purchase has one answer");
                return;
            }
            let bought = match rail {
                Rail::Upfront | Rail::Later => self.buy_exact(rail, key).await,
                Rail::Voucher => self.buy_voucher(key).await,
                Rail::Escrow => self.buy_order(key).await,
            };
            if let Some(answer) = bought {
                self.keep(key, &answer).await;
            }
            // what was in the way, such as another purchase that holds the budget, takes the chain's time to go
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{key} comes to no end");
    }

    async fn keep(&self, key: &str, answer: &str) {
        let mut batch = Batch::new();
        batch.put::<Answers>(&key.to_owned(), &answer.to_owned()).unwrap();
        self.store.commit(batch).await.unwrap();
        self.fuse.burn().await;
    }

    async fn offer(&self, rail: Rail, key: &str) -> Option<PaymentRequired> {
        let wanted = key.to_owned();
        self.ask(move |seller| async move { seller.offer(rail, &wanted) }).await
    }

    /// As the node's `pay` does it.
    async fn buy_exact(&self, rail: Rail, key: &str) -> Option<String> {
        let known = self.purse.find(&self.keys.agent, key).unwrap();
        let purchase = match known {
            Some(known) => self.purse.settle_up(&known).await.unwrap_or(known),
            None => {
                let offer = self.offer(rail, key).await?;
                let entry = self.purse.choose(&offer, PRICE).unwrap();
                let wanted = Wanted {
                    agent: self.keys.agent,
                    key: Text::try_from(key).unwrap(),
                    request: Hash::of(key.as_bytes()),
                    about: Text::try_from("words").unwrap(),
                };
                self.purse.sign(&wanted, &offer, entry).await.ok()?
            }
        };
        self.fuse.burn().await;
        let (payment, wanted) = (self.purse.payload(&purchase).unwrap(), key.to_owned());
        let heard = self.ask(move |seller| async move { seller.sell_exact(rail, &wanted, &payment).await }).await?;
        let Heard::Sold { answer, settled } = heard else { return None };
        assert!(settled.success, "{key}: {settled:?}");
        drop(self.purse.heard(&purchase, &settled).await.unwrap());
        self.fuse.burn().await;
        Some(answer)
    }

    /// As the node's `pay` does it on a channel.
    async fn buy_voucher(&self, key: &str) -> Option<String> {
        let agent = &self.keys.agent;
        let offer = self.offer(Rail::Voucher, key).await?;
        let entry = offer.accepts.iter().find(|entry| entry.scheme == haggle_x402::Scheme::BatchSettlement).unwrap();
        let mut paying = self.buying.pay(agent, key, entry, Some(&offer)).await.ok()?;
        for _ in 0..4 {
            self.fuse.burn().await;
            let (payment, wanted) = (paying.payment.clone(), key.to_owned());
            let heard = self.ask(move |seller| async move { seller.sell_voucher(&wanted, &payment).await }).await;
            match heard {
                // it may have been charged: the channel waits for this key
                None => return None,
                Some(Heard::Sold { answer, settled }) => {
                    // before the channel is free for another key
                    self.keep(key, &answer).await;
                    let next = self.buying.answered(agent, key, &settled).await.ok()?;
                    assert!(matches!(next, Next::Charged(PRICE) | Next::Over), "{key}: {next:?}");
                    self.fuse.burn().await;
                    return Some(answer);
                }
                Some(Heard::Asked(again)) => match self.buying.refused(agent, key, entry, &again).await.ok()? {
                    Next::Again(corrected) => paying = *corrected,
                    Next::Anew => paying = self.buying.pay(agent, key, entry, Some(&again)).await.ok()?,
                    Next::Later => {}
                    over => panic!("{key}: a good voucher is not taken: {over:?}, {:?}", again.rest.get("error")),
                },
            }
        }
        None
    }

    /// One order: reserved, signed, funded, delivered, released, settled. Each step can be taken again.
    async fn buy_order(&self, key: &str) -> Option<String> {
        let agent = &self.keys.agent;
        let order = Order {
            salt: haggle_base::U256::from_be_bytes(*Hash::of(key.as_bytes()).as_bytes()),
            ..self.order.clone()
        };
        let id = self.settlement.escrow().order_id(&order);
        if self.settlement.payment(&id).unwrap().is_none() {
            let total = haggle_x402::deposit_of(&order).unwrap();
            self.settlement.reserve(key, agent, total).await.ok()?;
        }
        let payment = self.settlement.authorise(key, agent, &order).await.ok()?;
        self.fuse.burn().await;
        let (wanted, asked) = (key.to_owned(), order.clone());
        let made = self.ask(move |seller| async move { seller.fund(&wanted, &asked, &payment).await }).await??;
        self.settlement.follow_once().await.ok()?;
        self.fuse.burn().await;
        let release = self.settlement.sign_release(agent, &order).ok()?;
        let asked = order.clone();
        self.ask(move |seller| async move { seller.release(&asked, &release).await }).await??;
        self.settlement.follow_once().await.ok()?;
        self.settlement.facts_of(&id).unwrap().settled.map(|_| made)
    }
}
