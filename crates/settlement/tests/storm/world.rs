//! One run: a plan of who dies when, the homes' lives one after the other, and what has to hold in the end.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use haggle_base::eip712::FLAG_FEE_ON_TOP;
use haggle_base::{Address, AgentKey, B256, Hash, ManualClock, Order, PaymentKey, Timestamp, TokenFacts, U256, Usdc};
use haggle_devchain::{Config, DevChain};
use haggle_escrow::{ChainReader, EscrowConfig};
use haggle_settlement::budget::Limits;
use haggle_settlement::channels::{Buying, ChannelSale, ChannelsConfig, Selling, Taken};
use haggle_settlement::facts::Cursor;
use haggle_settlement::purse::Purse;
use haggle_settlement::till::{CreditLimits, Till, TillConfig};
use haggle_settlement::{Settlement, SettlementConfig};
use haggle_store::{Batch, Blobs, Options, Store};
use haggle_x402::{ChannelFacts, EscrowFacts, ExactFacts, PaymentRequired, Resource};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::homes::{Answers, Buyer, Lives, PRICE, Rail, Seen, Seller};
use crate::keyring::Keyring;
use crate::mortal::{Dice, Event, Fuse, Mortal, Side};
use crate::port::chain::ChainPort;
use crate::port::channels::{ChannelPort, KeyAt};
use crate::port::token::{TillPort, TokenPort};

/// What the buyer has.
const PURSE: u64 = 10_000_000;
/// The fee of an order.
const FEE_BPS: u16 = 250;
/// Every so many runs the homes are on disk, and not in memory.
const ON_DISK: u64 = 50;
/// Steps in which most of a run happens.
const STEPS: u64 = 90;
/// How long a reservation stands without a signature.
const RESERVED: Duration = Duration::from_secs(600);
/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who dies when: the lives of each side in steps, one after the other; the one after the last has no end.
#[derive(Debug)]
pub(crate) struct Plan {
    buyer: Vec<u64>,
    seller: Vec<u64>,
    /// Every so many of the chain's answers to what was sent is lost.
    lose_every: u64,
    /// What is bought, all at once or one after the other.
    wants: Vec<Rail>,
    at_once: bool,
}

impl Plan {
    pub(crate) fn thrown(dice: &mut Dice) -> Self {
        let mut lives = |most: u64| (0..dice.throw(most + 1)).map(|_| dice.throw(STEPS)).collect::<Vec<_>>();
        let (buyer, seller) = (lives(2), lives(2));
        let lose_every = [0, 0, 2, 3][usize::try_from(dice.throw(4)).unwrap()];
        let mut wants = vec![Rail::Upfront, Rail::Later, Rail::Voucher, Rail::Voucher, Rail::Voucher, Rail::Escrow];
        for at in (1..wants.len()).rev() {
            wants.swap(at, usize::try_from(dice.throw(at as u64 + 1)).unwrap());
        }
        Self { buyer, seller, lose_every, wants, at_once: dice.throw(2) == 0 }
    }

    /// One death of one side, everything one after the other.
    pub(crate) fn at(side: Side, step: u64) -> Self {
        let lives = |of: Side| if side == of { vec![step] } else { Vec::new() };
        let wants = vec![Rail::Upfront, Rail::Later, Rail::Voucher, Rail::Voucher, Rail::Escrow];
        Self { buyer: lives(Side::Buyer), seller: lives(Side::Seller), lose_every: 0, wants, at_once: false }
    }
}

/// A chain that runs happen on.
pub(crate) struct Ground {
    chain: DevChain,
    token: TokenFacts,
    runtime: Runtime,
}

impl Ground {
    pub(crate) fn lay() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let chain = runtime.block_on(DevChain::start(Config::for_testing())).unwrap();
        let deployed = chain.deployment().unwrap().clone();
        let token = TokenFacts {
            address: deployed.token,
            name: deployed.token_name,
            version: deployed.token_version,
            symbol: deployed.token_symbol,
            decimals: deployed.token_decimals,
        };
        Self { chain, token, runtime }
    }

    fn reader(&self) -> ChainReader {
        let deployed = self.chain.deployment().unwrap();
        let config = EscrowConfig {
            rpc_urls: vec![self.chain.rpc_url()],
            chain_id: deployed.chain_id,
            escrow: deployed.escrow,
            token: deployed.token,
            deployed_at: 0,
            poll_interval: Duration::from_millis(1),
            request_timeout: Duration::from_secs(30),
            slow_after: Duration::from_secs(10),
            stuck_after: Duration::from_secs(60),
            receipt_timeout: Duration::from_secs(60),
            gas_cap: 1_000_000,
            max_gas_price: 1_000_000_000_000,
        };
        // the same chain without sockets in between
        ChainReader::over(self.chain.transport(), config)
    }

    fn exact(&self) -> ExactFacts {
        ExactFacts::new(self.chain.deployment().unwrap().chain_id, self.token.clone())
    }

    fn channels(&self) -> ChannelsConfig {
        let deployed = self.chain.deployment().unwrap();
        let facts = ChannelFacts::new(deployed.chain_id, deployed.channel, deployed.collector, self.token.clone());
        ChannelsConfig::new(facts)
    }

    fn units(&self, account: Address) -> u64 {
        self.chain.balance_usdc(account).unwrap()
    }
}

/// What is left of a home when its process is gone.
struct Home {
    keys: Arc<Keyring>,
    store: Store,
    folder: TempDir,
    on_disk: bool,
    lives: u64,
}

impl Home {
    fn new(name: &str, run: u64) -> Self {
        let seed = |what: &str| *Hash::of(format!("{name} {what} {run}").as_bytes()).as_bytes();
        let keys = Keyring {
            agent: AgentKey::from_bytes(&seed("agent")).did(),
            key: PaymentKey::from_bytes(&seed("money")).unwrap(),
        };
        let folder = TempDir::new().unwrap();
        let on_disk = run.is_multiple_of(ON_DISK);
        let store = if on_disk { open(&folder) } else { Store::memory() };
        Self { keys: Arc::new(keys), store, folder, on_disk, lives: 0 }
    }

    /// Opens the store again. What the dead process had handed to it is written or not, but not later than this.
    async fn opened(&mut self) {
        self.lives += 1;
        let mut last = Batch::new();
        last.put::<Lives>(&(), &self.lives).unwrap();
        self.store.commit(last).await.unwrap();
        if self.on_disk {
            self.store.clone().shutdown().await.unwrap();
            self.store = open(&self.folder);
        }
    }

    fn blobs(&self) -> Blobs {
        Blobs::open(&self.folder.path().join("blobs")).unwrap()
    }
}

fn open(folder: &TempDir) -> Store {
    let options = Options { cache_bytes: 1024 * 1024, ..Options::default() };
    Store::open(&folder.path().join("money"), options).unwrap()
}

/// One run on its ground.
struct World<'a> {
    ground: &'a Ground,
    plan: &'a Plan,
    homes: [Home; 2],
    clock: ManualClock,
    start: Cursor,
    order: Order,
    seen: Arc<Mutex<Seen>>,
    tell: Sender<Event>,
}

/// A life: the runtime is the process.
fn process() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl World<'_> {
    fn home(&self, side: Side) -> &Home {
        &self.homes[usize::from(side == Side::Seller)]
    }

    /// The fuse of the next life of a side.
    fn fuse(&self, side: Side, life: usize) -> Arc<Fuse> {
        let lives = if side == Side::Buyer { &self.plan.buyer } else { &self.plan.seller };
        Fuse::new(side, lives.get(life).copied(), self.plan.lose_every, self.tell.clone())
    }

    async fn settlement(&self, side: Side, fuse: &Arc<Fuse>, reader: &ChainReader) -> Settlement {
        let home = self.home(side);
        let deployed = self.ground.chain.deployment().unwrap();
        let config = SettlementConfig {
            escrow: EscrowFacts::new(deployed.chain_id, deployed.escrow, self.ground.token.clone()),
            limits: Limits { per_call: Usdc::from_units(200_000), per_day: Usdc::from_units(PURSE) },
            reservation_lives: RESERVED,
            start: self.start,
        };
        let port = ChainPort::new(reader.clone(), 0, Arc::clone(&home.keys), home.keys.key.clone());
        let chain = Arc::new(Mortal { port, fuse: Arc::clone(fuse) });
        let clock = Arc::new(self.clock.clone());
        Settlement::open(home.store.clone(), config, clock, chain, Arc::<Keyring>::clone(&home.keys)).await.unwrap()
    }

    fn channel_port(&self, side: Side, fuse: &Arc<Fuse>, reader: &ChainReader) -> Arc<Mortal<ChannelPort>> {
        let (deployed, keys) = (self.ground.chain.deployment().unwrap(), Arc::clone(&self.home(side).keys));
        let gas = keys.key.clone();
        let key_at: KeyAt = Arc::new(move |address| keys.at(address).map(|(_, key)| key));
        let port = ChannelPort::new(reader.clone(), deployed.channel, deployed.collector, &gas, key_at, true);
        Arc::new(Mortal { port: port.unwrap(), fuse: Arc::clone(fuse) })
    }

    async fn seller(&self, fuse: Arc<Fuse>) -> Arc<Seller> {
        let (home, reader) = (self.home(Side::Seller), self.ground.reader());
        let settlement = self.settlement(Side::Seller, &fuse, &reader).await;
        let credit = CreditLimits { payer: PRICE, caller: PRICE, listing: PRICE, ..CreditLimits::default() };
        let config = TillConfig { credit, ..TillConfig::new(self.ground.exact()) };
        let port = Mortal { port: TillPort::new(reader.clone(), &home.keys.key).unwrap(), fuse: Arc::clone(&fuse) };
        let till = Till::open(settlement.clone(), Arc::new(port), home.blobs(), config).unwrap();
        let channels = self.channel_port(Side::Seller, &fuse, &reader);
        let selling = Selling::open(settlement.clone(), channels, home.blobs(), self.ground.channels()).unwrap();
        let (keys, store, seen) = (Arc::clone(&home.keys), home.store.clone(), Arc::clone(&self.seen));
        Arc::new(Seller { keys, store, settlement, till, selling, fuse, seen, orders: tokio::sync::Mutex::default() })
    }

    async fn buyer(&self, fuse: Arc<Fuse>, shop: crate::homes::Shop) -> Arc<Buyer> {
        let (home, reader) = (self.home(Side::Buyer), self.ground.reader());
        let settlement = self.settlement(Side::Buyer, &fuse, &reader).await;
        let port = TokenPort::new(reader.clone(), Arc::clone(&home.keys), home.keys.key.clone());
        let port = Arc::new(Mortal { port, fuse: Arc::clone(&fuse) });
        let purse = Purse::new(settlement.clone(), self.ground.exact(), home.blobs(), port);
        let channels = self.channel_port(Side::Buyer, &fuse, &reader);
        let buying = Buying::open(settlement.clone(), channels, self.ground.channels()).unwrap();
        let (keys, store, seen) = (Arc::clone(&home.keys), home.store.clone(), Arc::clone(&self.seen));
        // as the node does it: what was answered before the last life ended holds no channel
        for (agent, key) in buying.unanswered() {
            if store.contains::<Answers>(&key).unwrap() {
                buying.give_up(&agent, &key).unwrap();
            }
        }
        Arc::new(Buyer { keys, store, settlement, purse, buying, fuse, seen, shop, order: self.order.clone() })
    }
}

/// The process of a side, and what runs in it.
struct Alive {
    process: Runtime,
    life: usize,
}

impl World<'_> {
    /// Opens the shop in a new process.
    fn open_shop(&self, life: usize, street: &watch::Sender<Option<(tokio::runtime::Handle, Arc<Seller>)>>) -> Alive {
        let process = process();
        let seller = process.block_on(self.seller(self.fuse(Side::Seller, life)));
        let looking = Arc::clone(&seller);
        process.spawn(async move {
            for _ in 0..LOOKS {
                // whatever goes wrong here is tried again at the next look, or in the end
                drop(looking.till.follow_once().await);
                drop(looking.selling.tick().await);
                drop(looking.settlement.follow_once().await);
            }
        });
        street.send_replace(Some((process.handle().clone(), seller)));
        Alive { process, life }
    }

    /// Sends the buyer out in a new process.
    fn send_buyer(&self, life: usize, shop: crate::homes::Shop) -> Alive {
        let process = process();
        let buyer = process.block_on(self.buyer(self.fuse(Side::Buyer, life), shop));
        let looking = Arc::clone(&buyer);
        process.spawn(async move {
            drop(looking.purse.settle_up_all().await);
            drop(looking.buying.tick().await);
            drop(looking.settlement.follow_once().await);
        });
        let (wants, at_once, tell) = (self.wants(), self.plan.at_once, self.tell.clone());
        let errands = process.spawn(async move {
            if at_once {
                futures::future::join_all(wants.iter().map(|(rail, key)| buyer.buy(*rail, key))).await;
            } else {
                for (rail, key) in &wants {
                    buyer.buy(*rail, key).await;
                }
            }
        });
        process.spawn(async move {
            let event = match errands.await {
                Ok(()) => Event::Done,
                Err(broken) => Event::Broken(format!("{:?}", broken.into_panic().downcast_ref::<String>())),
            };
            // nobody listens when the run is over
            drop(tell.send(event));
        });
        Alive { process, life }
    }

    fn wants(&self) -> Vec<(Rail, String)> {
        self.plan.wants.iter().enumerate().map(|(at, rail)| (*rail, format!("{rail:?} {at}"))).collect()
    }
}

/// Looks at the chain that a seller's life begins with.
const LOOKS: usize = 2;

/// Makes one run, and holds everybody to what was bought. Returns how many lives ended.
pub(crate) fn run(ground: &Ground, number: u64, plan: &Plan) -> usize {
    let (tell, events) = channel();
    let homes = [Home::new("buyer", number), Home::new("seller", number)];
    let (buyer, seller) = (homes[0].keys.key.address(), homes[1].keys.key.address());
    ground.chain.mint_usdc(buyer, PURSE).unwrap();
    for account in [buyer, seller] {
        ground.chain.fund_eth(account, U256::from(10).pow(U256::from(18)));
    }
    let head = ground.runtime.block_on(async { ground.reader().latest().await }).unwrap();
    let order = Order {
        buyer,
        provider: seller,
        feeTo: ground.chain.deployment().unwrap().fee_sink,
        amount: PRICE.to_u96(),
        feeBps: FEE_BPS,
        flags: FLAG_FEE_ON_TOP,
        fundBy: head.time.plus(Duration::from_secs(300)).to_u40(),
        deliverBy: head.time.plus(Duration::from_secs(3_600)).to_u40(),
        reviewSecs: 3_600,
        counterSecs: 3_600,
        ruleSecs: 3_600,
        terms: B256::repeat_byte(7),
        ..Order::default()
    };
    let mut world = World {
        ground,
        plan,
        homes,
        clock: ManualClock::new(Timestamp::from_secs(head.time.as_secs())),
        start: Cursor { block: head.number, hash: head.hash },
        order,
        seen: Arc::default(),
        tell,
    };
    let before = world.elsewhere();
    let deaths = world.live(&events);
    world.check(before, deaths);
    deaths[0] + deaths[1]
}

impl World<'_> {
    /// Everybody's lives, until the buyer has all it wanted. Returns how often each side died.
    fn live(&mut self, events: &Receiver<Event>) -> [usize; 2] {
        let (street, shop) = watch::channel(None);
        let mut seller = self.open_shop(0, &street);
        let mut buyer = self.send_buyer(0, shop.clone());
        loop {
            match events.recv_timeout(PATIENCE) {
                Ok(Event::Died(Side::Seller)) => {
                    street.send_replace(None);
                    drop(seller.process);
                    self.ground.runtime.block_on(self.homes[1].opened());
                    seller = self.open_shop(seller.life + 1, &street);
                }
                Ok(Event::Died(Side::Buyer)) => {
                    drop(buyer.process);
                    self.ground.runtime.block_on(self.homes[0].opened());
                    buyer = self.send_buyer(buyer.life + 1, shop.clone());
                }
                Ok(Event::Done) => break,
                Ok(Event::Broken(why)) => panic!("{why} in {:?}", self.plan),
                Err(error) => panic!("{error} in {:?}: {:?}", self.plan, self.seen.lock()),
            }
        }
        street.send_replace(None);
        [buyer.life, seller.life]
    }

    /// What lies in the channel contract, and as fees.
    fn elsewhere(&self) -> (u64, u64) {
        let deployed = self.ground.chain.deployment().unwrap();
        let fees = self.ground.units(deployed.escrow) + self.ground.units(deployed.fee_sink);
        (self.ground.units(deployed.channel), fees)
    }

    /// Both homes are opened once more, catch up with the chain, and are counted to the unit.
    fn check(&mut self, (channel_before, fees_before): (u64, u64), [buyer_deaths, seller_deaths]: [usize; 2]) {
        let wants = self.wants();
        let about = format!("{:?}", self.plan);
        {
            let seen = self.seen.lock();
            assert_eq!(seen.answers.len(), wants.len(), "everything is answered: {about}");
            let works: u64 = seen.works.values().sum();
            assert_eq!(seen.works.len(), wants.len(), "{about}");
            let most = wants.len() + seller_deaths * if self.plan.at_once { wants.len() } else { 1 };
            assert!(works <= most as u64, "{:?} in {about}", seen.works);
            assert!(
                buyer_deaths == 0 || seller_deaths > 0 || works == wants.len() as u64,
                "{:?} in {about}",
                seen.works
            );
        }
        let (count, vouchers) =
            (wants.len() as u64, wants.iter().filter(|(rail, _)| *rail == Rail::Voucher).count() as u64);
        let process = process();
        for home in &mut self.homes {
            self.ground.runtime.block_on(home.opened());
        }
        let (_street, shop) = watch::channel(None);
        let endless = |side| Fuse::new(side, None, 0, self.tell.clone());
        let (buyer, seller) = process.block_on(async {
            (self.buyer(endless(Side::Buyer), shop).await, self.seller(endless(Side::Seller)).await)
        });
        let (bought, earned) = process.block_on(async {
            let charged: u64 = seller.selling.channels(None).iter().map(|channel| channel.charged.units()).sum();
            assert_eq!(charged, vouchers * PRICE.units(), "every voucher is held, and no other: {about}");
            for _ in 0..2 {
                seller.till.follow_once().await.unwrap();
                seller.settlement.follow_once().await.unwrap();
            }
            seller.selling.claim(None).await.unwrap();
            assert_eq!(seller.selling.claim(None).await.unwrap().claims, [], "nothing is left to claim: {about}");
            buyer.purse.settle_up_all().await.unwrap();
            // what was reserved and never signed on comes back with time
            self.clock.advance(RESERVED);
            buyer.settlement.follow_once().await.unwrap();
            for (_, key) in &wants {
                buyer.buying.give_up(&buyer.keys.agent, key).unwrap();
            }
            for channel in buyer.buying.channels(None) {
                close(&buyer, &seller, &channel.id).await;
            }
            assert!(buyer.buying.channels(None).iter().all(|channel| channel.closed), "{about}");
            (
                buyer.settlement.wallet(&buyer.keys.agent).await.unwrap(),
                seller.settlement.wallet(&seller.keys.agent).await.unwrap(),
            )
        });
        let fee = PRICE.units() * u64::from(FEE_BPS) / 10_000;
        let (channel, fees) = self.elsewhere();
        assert_eq!(channel, channel_before, "nothing is left in channels: {about}");
        let spent = count * PRICE.units();
        assert_eq!(earned.on_chain.units(), spent, "the seller has every price, once: {about}");
        assert_eq!(bought.on_chain.units(), PURSE - spent - fee, "the buyer has the rest: {about}");
        assert_eq!(fees - fees_before, fee, "the fee of one order: {about}");

        let signed = |units: u64| i64::try_from(units).unwrap();
        let books = bought.accounts;
        assert_eq!((books.sum(), books.reserved, bought.reserved.units()), (0, 0, 0), "{about}");
        assert_eq!((books.spent, books.fees, books.channels), (signed(spent), signed(fee), 0), "{about}");
        assert_eq!(books.available, signed(bought.on_chain.units()) - signed(PURSE), "{about}");
        let books = earned.accounts;
        assert_eq!((books.sum(), books.earned, books.available), (0, -signed(spent), signed(spent)), "{about}");
    }
}

/// The buyer asks for what is left of a channel, and the seller sends it.
async fn close(buyer: &Buyer, seller: &Seller, channel: &B256) {
    let (agent, requirement) = (&buyer.keys.agent, seller.selling.requirement(&seller.keys.agent, PRICE).unwrap());
    for _ in 0..2 {
        let asked = buyer.buying.refund(agent, channel, &requirement, None).await.unwrap();
        let sale = ChannelSale { seller: seller.keys.agent, amount: PRICE, request: Hash::of(b"refund") };
        match seller.selling.take(&sale, &asked).await {
            Ok(Taken::Returned(settled)) => {
                let _returned = buyer.buying.refunded(channel, &settled).await.unwrap();
                return;
            }
            Ok(taken) => panic!("there is no work in a refund: {taken:?}"),
            // the last voucher was not charged: the seller proves what was
            Err(refusal) => {
                let entry = refusal.correct(requirement.clone()).unwrap();
                let answer = PaymentRequired::new(Resource::new("http://seller/words"), vec![entry]);
                buyer.buying.refund_refused(channel, &answer).await.unwrap();
            }
        }
    }
    panic!("the seller does not give back what is left of {channel}");
}
