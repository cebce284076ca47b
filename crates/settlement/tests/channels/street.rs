//! Two homes on one embedded chain.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haggle_base::{
    Address, B256, Did, EvmSignature, Hash, ManualClock, Order, PaymentKey, Seed, Timestamp, TokenFacts, U256, Usdc,
};
use haggle_devchain::{Config, DevChain};
use haggle_escrow::{ChainReader, EscrowConfig};
use haggle_settlement::budget::Limits;
use haggle_settlement::channels::{Buying, ChannelSale, ChannelsConfig, Next, Selling, Taken};
use haggle_settlement::facts::Cursor;
use haggle_settlement::ports::{Chain, ChainError, News, NoKey, OnChain, TxRef, Wallet};
use haggle_settlement::{Settlement, SettlementConfig};
use haggle_store::{Blobs, Store};
use haggle_x402::{ChannelFacts, EscrowFacts, PaymentRequirements};

use crate::port::channels::{ChannelPort, KeyAt};

pub(crate) const PRICE: Usdc = Usdc::from_units(20_000);
pub(crate) const PURSE: u64 = 100_000_000;
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What channels need of the token and the clock of the chain; no order is on the escrow.
struct Token(ChainReader);

const NO_ORDERS: ChainError = ChainError::Down;

#[async_trait]
impl Chain for Token {
    async fn fund(&self, _: &Order, _: &EvmSignature, _: &EvmSignature) -> Result<TxRef, ChainError> {
        Err(NO_ORDERS)
    }
    async fn release(&self, _: &Order, _: &EvmSignature) -> Result<TxRef, ChainError> {
        Err(NO_ORDERS)
    }
    async fn refund(&self, _: &Order, _: &EvmSignature) -> Result<TxRef, ChainError> {
        Err(NO_ORDERS)
    }
    async fn deliver(&self, _: &Order, _: B256) -> Result<TxRef, ChainError> {
        Err(NO_ORDERS)
    }
    async fn finalize(&self, _: &Order) -> Result<TxRef, ChainError> {
        Err(NO_ORDERS)
    }
    async fn dispute(&self, _: &Order, _: B256, _: &EvmSignature) -> Result<TxRef, ChainError> {
        Err(NO_ORDERS)
    }
    async fn counter(&self, _: &Order, _: &EvmSignature) -> Result<TxRef, ChainError> {
        Err(NO_ORDERS)
    }
    async fn status(&self, _: &Order) -> Result<OnChain, ChainError> {
        Err(NO_ORDERS)
    }
    async fn balance(&self, account: Address) -> Result<Usdc, ChainError> {
        self.0.balance_of(account).await.map_err(|_| ChainError::Down)
    }
    async fn now(&self) -> Result<Timestamp, ChainError> {
        Ok(self.0.latest().await.map_err(|_| ChainError::Down)?.time)
    }
    async fn poll(&self, _: &Cursor) -> Result<News, ChainError> {
        Err(NO_ORDERS)
    }
}

#[derive(Clone)]
struct Keys(Arc<Vec<(Did, PaymentKey)>>);

impl Wallet for Keys {
    fn address(&self, agent: &Did) -> Option<Address> {
        self.0.iter().find(|(did, _)| did == agent).map(|(_, key)| key.address())
    }
    fn agent_at(&self, address: &Address) -> Option<Did> {
        self.0.iter().find(|(_, key)| key.address() == *address).map(|(did, _)| *did)
    }
    fn sign(&self, agent: &Did, digest: &B256) -> Result<EvmSignature, NoKey> {
        self.0.iter().find(|(did, _)| did == agent).map(|(_, key)| key.sign_digest(digest)).ok_or(NoKey)
    }
}

pub(crate) struct Street {
    pub(crate) chain: DevChain,
    pub(crate) alice: Did,
    pub(crate) bob: Did,
    keys: Keys,
    pub(crate) homes: [Settlement; 2],
    pub(crate) buying: Buying,
    pub(crate) selling: Selling,
    /// Bob's long answers.
    _files: tempfile::TempDir,
}

impl Street {
    /// Alice and Bob have a hundred dollars each; Bob's node and Alice have gas. `ours`: whether claims may use our own call.
    pub(crate) async fn open(ours: bool) -> Self {
        let chain = DevChain::start(Config::for_testing()).await.unwrap();
        let deployed = chain.deployment().unwrap().clone();
        let agents = [0, 1].map(|index| Seed::devnet(7, index));
        let keys = agents.map(|seed| (seed.agent_key(0).did(), seed.payment_key(0)));
        let node = Seed::devnet(7, 2).payment_key(0);
        for (_, key) in &keys {
            chain.mint_usdc(key.address(), PURSE).unwrap();
        }
        for account in [keys[0].1.address(), node.address()] {
            chain.fund_eth(account, U256::from(10).pow(U256::from(18)));
        }
        let token = TokenFacts {
            address: deployed.token,
            name: deployed.token_name.clone(),
            version: deployed.token_version.clone(),
            symbol: deployed.token_symbol.clone(),
            decimals: deployed.token_decimals,
        };
        let reader = ChainReader::new(EscrowConfig {
            rpc_urls: vec![chain.rpc_url()],
            chain_id: deployed.chain_id,
            escrow: deployed.escrow,
            token: deployed.token,
            deployed_at: 0,
            poll_interval: Duration::from_millis(10),
            request_timeout: Duration::from_secs(30),
            slow_after: Duration::from_secs(10),
            stuck_after: Duration::from_secs(60),
            receipt_timeout: Duration::from_secs(60),
            gas_cap: 1_000_000,
            max_gas_price: 1_000_000_000_000,
        })
        .unwrap();
        let (alice, bob) = (keys[0].0, keys[1].0);
        let keys = Keys(Arc::new(keys.into()));
        let clock = ManualClock::new(Timestamp::from_secs(chain.head().1));
        let config = SettlementConfig {
            escrow: EscrowFacts::new(deployed.chain_id, deployed.escrow, token.clone()),
            limits: Limits::default(),
            reservation_lives: Duration::from_secs(600),
            start: Cursor { block: 0, hash: B256::ZERO },
        };
        let home = || {
            let (clock, chain) = (Arc::new(clock.clone()), Arc::new(Token(reader.clone())));
            Settlement::open(Store::memory(), config.clone(), clock, chain, Arc::new(keys.clone()))
        };
        let homes = [home().await.unwrap(), home().await.unwrap()];
        let facts = ChannelFacts::new(deployed.chain_id, deployed.channel, deployed.collector, token);
        let held = keys.clone();
        let key_at: KeyAt = Arc::new(move |address| {
            held.0.iter().find(|(_, key)| key.address() == *address).map(|(_, key)| key.clone())
        });
        let port = |key_at: &KeyAt| {
            let (channel, collector) = (deployed.channel, deployed.collector);
            Arc::new(ChannelPort::new(reader.clone(), channel, collector, &node, Arc::clone(key_at), ours).unwrap())
        };
        let channels = ChannelsConfig::new(facts);
        let buying = Buying::open(homes[0].clone(), port(&key_at), channels.clone()).unwrap();
        let files = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(files.path()).unwrap();
        let selling = Selling::open(homes[1].clone(), port(&key_at), blobs, channels).unwrap();
        Self { _files: files, alice, bob, keys, homes, buying, selling, chain }
    }

    pub(crate) fn sale(&self, request: &str) -> ChannelSale {
        ChannelSale { seller: self.bob, amount: PRICE, request: Hash::of(request.as_bytes()) }
    }

    pub(crate) fn requirement(&self) -> PaymentRequirements {
        self.selling.requirement(&self.bob, PRICE).unwrap()
    }

    pub(crate) async fn call(&self, key: &str) {
        let paying = self.buying.pay(&self.alice, key, &self.requirement(), None).await.unwrap();
        let Taken::Work(ticket) = self.selling.take(&self.sale(key), &paying.payment).await.unwrap() else {
            panic!("work to do")
        };
        let settled = self.selling.worked(ticket, key.as_bytes()).await.unwrap();
        let next = self.buying.answered(&self.alice, key, &settled).await.unwrap();
        assert_eq!(next, Next::Charged(PRICE));
    }

    pub(crate) fn balance(&self, agent: &Did) -> u64 {
        self.chain.balance_usdc(self.keys.address(agent).unwrap()).unwrap()
    }

    /// Transactions on the chain so far: each is a block of its own.
    pub(crate) fn mined(&self) -> u64 {
        self.chain.head().0
    }
}
