//! Kill -9 on every rail: a table of points at which a node dies, and kills at random moments. Whatever died when, each
//! purchase is worked for, answered and paid for, nothing is paid twice, and every unit is somewhere.
//!
//! `HAGGLE_KILLS=1000` makes a thousand runs; `HAGGLE_KILLS_SEED` makes others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{PayRequest, PayView};
use haggle_base::{Address, Seed, Usdc};
use haggle_testnet::Stage;
use serde_json::json;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// The node that sells.
const SELLER: usize = 1;
/// The node that buys.
const BUYER: usize = 2;
/// What the built-in digest costs.
const PRICE: u64 = 20_000;
/// What an order of it costs, fee included.
const ORDER_COST: u64 = 20_500;
/// Purchases in one run until the node has to be dead.
const MOST: usize = 12;
/// The same for orders, which are waited for.
const MOST_ORDERS: usize = 4;
/// How often a waiting story looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A killed QUIC peer is noticed by its silence only; over TCP the other side knows at once.
const TCP_ALONE: (&str, &str) = ("HAGGLE_P2P__LISTEN", "[\"/ip4/127.0.0.1/tcp/0\"]");

/// How a purchase is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rail {
    /// `exact`, settled before the work.
    Upfront,
    /// `exact`, settled after the work.
    Later,
    /// A voucher on a channel; every tenth one needs a deposit, and each is claimed at once.
    Voucher,
    /// As [`Rail::Upfront`], inside an A2A task over libp2p.
    TaskUpfront,
    /// As [`Rail::Later`], inside an A2A task.
    TaskLater,
    /// As [`Rail::Voucher`], inside an A2A task.
    TaskVoucher,
    /// An order in the escrow.
    Escrow,
}

impl Rail {
    const ALL: [Self; 7] = [
        Self::Upfront,
        Self::Later,
        Self::Voucher,
        Self::Escrow,
        Self::TaskUpfront,
        Self::TaskLater,
        Self::TaskVoucher,
    ];

    const fn is_in_task(self) -> bool {
        matches!(self, Self::TaskUpfront | Self::TaskLater | Self::TaskVoucher)
    }

    const fn is_upfront(self) -> bool {
        matches!(self, Self::Upfront | Self::TaskUpfront)
    }

    /// What `haggle pay --rail` calls it.
    const fn word(self) -> &'static str {
        if matches!(self, Self::Voucher | Self::TaskVoucher) { "channel" } else { "exact" }
    }
}

/// Where a node dies.
#[derive(Clone, Debug)]
struct Kill {
    point: String,
    rail: Rail,
    victim: usize,
    /// Times the work is done: once, and once more if it was done and not stored. Unknown at random points.
    works: Option<usize>,
}

/// Every point of the rails without orders, by HTTP and inside A2A tasks; the steps of orders are in `buyer_crashes` and `provider_crashes`.
const TABLE: [(&str, Rail, usize, usize); 48] = [
    ("exact_sending", Rail::Upfront, SELLER, 1),
    ("exact_mined", Rail::Upfront, SELLER, 1),
    ("exact_taken", Rail::Upfront, SELLER, 1),
    ("exact_worked", Rail::Upfront, SELLER, 2),
    ("exact_taken", Rail::Later, SELLER, 1),
    ("exact_worked", Rail::Later, SELLER, 2),
    ("exact_sending", Rail::Later, SELLER, 1),
    ("exact_mined", Rail::Later, SELLER, 1),
    ("exact_answered", Rail::Later, SELLER, 1),
    ("deposit_sending", Rail::Voucher, SELLER, 1),
    ("deposit_mined", Rail::Voucher, SELLER, 1),
    ("voucher_taken", Rail::Voucher, SELLER, 1),
    ("voucher_worked", Rail::Voucher, SELLER, 2),
    ("voucher_kept", Rail::Voucher, SELLER, 1),
    ("claim_sending", Rail::Voucher, SELLER, 1),
    ("claim_mined", Rail::Voucher, SELLER, 1),
    ("payment_signed", Rail::Later, BUYER, 1),
    ("payment_sent", Rail::Later, BUYER, 1),
    ("payment_heard", Rail::Later, BUYER, 1),
    ("payment_answered", Rail::Later, BUYER, 1),
    ("voucher_signed", Rail::Voucher, BUYER, 1),
    ("voucher_sent", Rail::Voucher, BUYER, 1),
    ("voucher_charged", Rail::Voucher, BUYER, 1),
    ("voucher_answered", Rail::Voucher, BUYER, 1),
    ("exact_sending", Rail::TaskUpfront, SELLER, 1),
    ("exact_mined", Rail::TaskUpfront, SELLER, 1),
    ("exact_taken", Rail::TaskUpfront, SELLER, 1),
    ("exact_worked", Rail::TaskUpfront, SELLER, 2),
    ("exact_taken", Rail::TaskLater, SELLER, 1),
    ("exact_worked", Rail::TaskLater, SELLER, 2),
    ("exact_sending", Rail::TaskLater, SELLER, 1),
    ("exact_mined", Rail::TaskLater, SELLER, 1),
    ("exact_answered", Rail::TaskLater, SELLER, 1),
    ("deposit_sending", Rail::TaskVoucher, SELLER, 1),
    ("deposit_mined", Rail::TaskVoucher, SELLER, 1),
    ("voucher_taken", Rail::TaskVoucher, SELLER, 1),
    ("voucher_worked", Rail::TaskVoucher, SELLER, 2),
    ("voucher_kept", Rail::TaskVoucher, SELLER, 1),
    ("claim_sending", Rail::TaskVoucher, SELLER, 1),
    ("claim_mined", Rail::TaskVoucher, SELLER, 1),
    ("payment_signed", Rail::TaskLater, BUYER, 1),
    ("payment_sent", Rail::TaskLater, BUYER, 1),
    ("payment_heard", Rail::TaskLater, BUYER, 1),
    ("payment_answered", Rail::TaskLater, BUYER, 1),
    ("voucher_signed", Rail::TaskVoucher, BUYER, 1),
    ("voucher_sent", Rail::TaskVoucher, BUYER, 1),
    ("voucher_charged", Rail::TaskVoucher, BUYER, 1),
    ("voucher_answered", Rail::TaskVoucher, BUYER, 1),
];

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }

    fn kill(&mut self) -> Kill {
        let rail = Rail::ALL[usize::try_from(self.throw(7)).unwrap()];
        let victim = if self.throw(2) == 0 { SELLER } else { BUYER };
        let deepest = if rail == Rail::Escrow { 12 } else { 7 };
        Kill { point: format!("any:{}", self.throw(deepest) + 1), rail, victim, works: None }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The market, and what was bought on it.
struct Story {
    stage: Stage,
    url: String,
    /// The selling agent's DID.
    agent: String,
    seller: Address,
    buyer: Address,
    bought: u64,
    orders: u64,
    began: (u64, u64),
}

impl Story {
    async fn begin() -> Self {
        let mut stage = Stage::new(PROGRAM).await;
        for number in [SELLER, BUYER] {
            let env = env(number, Rail::Later);
            stage.market.add_node_with(&env).await.expect("the node starts");
        }
        let agent = stage.serve(SELLER, "digest", 1).await;
        let base = stage.node(SELLER).client().unwrap().base().to_owned();
        let seller = agent.payment_address.parse().unwrap();
        let buyer = Seed::devnet(7, u32::try_from(BUYER).unwrap()).payment_key(0).address();
        let (url, agent, began) = (format!("{base}/x402/digest"), agent.did, (0, 0));
        let mut story = Self { stage, url, agent, seller, buyer, bought: 0, orders: 0, began };
        story.began = (story.units(seller), story.purse());
        story
    }

    fn units(&self, account: Address) -> u64 {
        self.stage.market.chain().balance_usdc(account).unwrap()
    }

    /// What the buyer has, with what lies in its channels.
    fn purse(&self) -> u64 {
        let chain = self.stage.market.chain();
        self.units(self.buyer) + self.units(chain.deployment().unwrap().channel)
    }

    /// How often work began at the seller.
    fn works(&self) -> usize {
        self.stage.node(SELLER).log().lines().filter(|line| line.contains("began work on")).count()
    }

    /// Buys once under a key; `None` if a node is gone.
    async fn buy(&self, rail: Rail, key: &str) -> Option<PayView> {
        let input = json!({"text": key});
        let (url, body, message) = if rail.is_in_task() {
            (self.agent.clone(), None, Some(input))
        } else {
            (self.url.clone(), Some(input.to_string()), None)
        };
        let request = PayRequest { url, body, rail: Some(rail.word().to_owned()), message, ..PayRequest::default() };
        let client = self.stage.node(BUYER).client().ok()?;
        let answer: PayView = client.post_once("/v1/pay", key, &request).await.ok()?;
        assert_eq!((answer.status, answer.cost), (200, Usdc::from_units(PRICE)), "{key}: {answer:?}");
        Some(answer)
    }

    /// Buys until it is answered, with the same key.
    async fn buy_surely(&self, rail: Rail, key: &str) -> PayView {
        let trying = async {
            loop {
                if let Some(answer) = self.buy(rail, key).await {
                    return answer;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let bought = tokio::time::timeout(haggle::devnet::PATIENCE, trying).await;
        bought.unwrap_or_else(|_| panic!("{key} is never answered\n{}", self.logs()))
    }

    fn logs(&self) -> String {
        let end = |number: usize| {
            let log = self.stage.node(number).log();
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(60)..].join("\n")
        };
        format!("seller:\n{}\nbuyer:\n{}", end(SELLER), end(BUYER))
    }

    /// One run: arms the victim, buys until it is dead, starts it again, and holds everybody to what was bought.
    async fn run(&mut self, number: usize, kill: &Kill) {
        let crash = ("HAGGLE_CRASH_AFTER", kill.point.as_str());
        let armed: Vec<_> = env(kill.victim, kill.rail).into_iter().chain([crash]).collect();
        self.stage.market.node_mut(kill.victim).restart(&armed).await.expect("it starts");
        let works = self.works();
        let keys = self.buy_until_dead(number, kill).await;
        let again = env(kill.victim, kill.rail);
        self.stage.market.node_mut(kill.victim).restart(&again).await.expect("it starts again");

        if kill.rail == Rail::Escrow {
            self.orders_end(&keys).await;
        } else {
            for key in &keys {
                let answer = self.buy_surely(kill.rail, key).await;
                let same = self.buy_surely(kill.rail, key).await;
                assert_eq!((same.text, same.cost), (answer.text, answer.cost), "{kill:?}: a key has one answer");
                self.bought += 1;
            }
            let worked = self.works() - works;
            let once = keys.len();
            match kill.works {
                Some(times) => assert_eq!(worked, once - 1 + times, "{kill:?}\n{}", self.logs()),
                None => assert!((once..=once + 1).contains(&worked), "{kill:?}: worked {worked} times for {once}"),
            }
        }
        self.all_is_paid(kill).await;
        self.stage.assert_conserved();
    }

    /// Buys under new keys until the victim is gone. At a random point that is not reached it is killed from outside.
    async fn buy_until_dead(&mut self, number: usize, kill: &Kill) -> Vec<String> {
        let mut keys = Vec::new();
        for turn in 0..if kill.rail == Rail::Escrow { MOST_ORDERS } else { MOST } {
            let key = format!("run-{number}-{turn}");
            keys.push(key.clone());
            let went_well = match kill.rail {
                Rail::Escrow => {
                    let listing = self.stage.listing(BUYER, "digest").await;
                    self.stage.try_hire(BUYER, &listing, &key).await.is_ok()
                }
                rail => self.buy(rail, &key).await.is_some(),
            };
            if self.is_dead(kill, went_well).await {
                return keys;
            }
        }
        assert!(kill.works.is_none(), "{kill:?} was not reached\n{}", self.logs());
        self.stage.market.node_mut(kill.victim).kill().await;
        keys
    }

    /// Whether the victim has died. After a purchase that failed it has to; after one that went well it may be about to.
    async fn is_dead(&mut self, kill: &Kill, went_well: bool) -> bool {
        let patience = match (went_well, kill.point.as_str()) {
            (false, _) => haggle::devnet::PATIENCE,
            (true, "claim_sending" | "claim_mined") => Duration::from_secs(10),
            (true, _) if kill.rail == Rail::Escrow => Duration::from_secs(2),
            (true, _) => Duration::from_millis(50),
        };
        let victim = self.stage.market.node_mut(kill.victim);
        tokio::time::timeout(patience, victim.until_ended()).await.is_ok()
    }

    async fn orders_end(&mut self, keys: &[String]) {
        let listing = self.stage.listing(BUYER, "digest").await;
        for key in keys {
            let hired = self.stage.hire(BUYER, &listing, key).await;
            let order = self.stage.until_state(BUYER, &hired.key, "settled").await;
            let id = order.id.expect("a settled order has an id");
            self.stage.until_step(SELLER, &id, "attested").await;
            assert_eq!(self.stage.runs(SELLER, &id), 1, "an order is worked for once");
            self.orders += 1;
        }
    }

    /// The seller has the price of everything, to the unit and never more; the buyer has the rest.
    async fn all_is_paid(&self, kill: &Kill) {
        let (seller, purse) = self.began;
        let earned = seller + (self.bought + self.orders) * PRICE;
        let left = purse - self.bought * PRICE - self.orders * ORDER_COST;
        let waiting = async {
            while self.units(self.seller) < earned {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let paid = tokio::time::timeout(haggle::devnet::PATIENCE, waiting).await;
        assert!(paid.is_ok(), "{kill:?}: {} of {earned} came\n{}", self.units(self.seller), self.logs());
        assert_eq!((self.units(self.seller), self.purse()), (earned, left), "{kill:?}\n{}", self.logs());
    }
}

/// What a node runs with.
fn env(number: usize, rail: Rail) -> Vec<(&'static str, &'static str)> {
    let mut env = vec![TCP_ALONE];
    if number == SELLER {
        env.push(("HAGGLE_PAYMENTS__CLAIM_AT", "0.02"));
        env.push(("HAGGLE_PAYMENTS__CREDIT", if rail.is_upfront() { "0.0" } else { "0.05" }));
    } else {
        env.push(("HAGGLE_BUDGET__PER_CALL", "0.2"));
        env.push(("HAGGLE_BUDGET__PER_DAY", "90.0"));
    }
    env
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_anywhere_on_any_rail_loses_no_voucher_and_settles_nothing_twice() {
    let mut dice = Dice::new(number("HAGGLE_KILLS_SEED").unwrap_or(1));
    let table =
        TABLE.map(|(point, rail, victim, works)| Kill { point: point.to_owned(), rail, victim, works: Some(works) });
    let runs = usize::try_from(number("HAGGLE_KILLS").unwrap_or(52)).unwrap();
    let mut story = Story::begin().await;
    for number in 0..runs {
        let kill = table.get(number).cloned().unwrap_or_else(|| dice.kill());
        story.run(number, &kill).await;
        eprintln!("{number}: {} of {:?}, node {}", kill.point, kill.rail, kill.victim);
    }
    eprintln!("{runs} kills, {} calls, {} orders", story.bought, story.orders);
    story.stage.end().await;
}
