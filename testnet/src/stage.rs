//! A market to tell a story on.

mod asking;

pub use asking::Typed;

use crate::Anvil;
use haggle::cli::CliError;
use haggle::config::A2a;
use haggle::devnet::{Devnet, NodeProcess, Options, PATIENCE, START_BALANCE};
use haggle::view::{AgentSummary, HireRequest, ListingPage, ListingView, OrderView, PayRequest, PayView};
use haggle_base::{Address, Seed, Usdc};
use haggle_escrow::{ChainReader, EscrowConfig};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// What the stories buy a digest of.
pub const DOCUMENT: &str = "The market opens at nine. Agents sell, agents buy, and nobody stands in the middle.";

/// How often a waiting story looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Seed of every market's keys.
const SEED: u64 = 7;
/// Accounts of a node that get ether for gas.
const ACCOUNTS: u32 = 8;

/// Which chain a story is told on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// haggle's own.
    Devchain,
    /// Foundry's anvil, with the same contracts.
    Anvil,
}

/// A running market in a temporary directory.
#[derive(Debug)]
pub struct Stage {
    /// The market.
    pub market: Devnet,
    anvil: Option<Anvil>,
    dir: TempDir,
    program: PathBuf,
}

/// An order that a story follows.
#[derive(Clone, Debug)]
pub struct Hired {
    /// Its key at the buyer.
    pub key: String,
    /// The listing that was bought.
    pub listing: ListingView,
}

impl Stage {
    /// A chain without nodes. `program` is `env!("CARGO_BIN_EXE_haggle-testnet")`.
    ///
    /// # Panics
    /// The chain does not start.
    pub async fn new(program: &str) -> Self {
        Self::with(program, true, true).await
    }

    /// A chain whose nodes gossip and reconcile, or not.
    ///
    /// # Panics
    /// The chain does not start.
    pub async fn with(program: &str, gossip: bool, sync: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("haggle-stage-").tempdir().expect("a temporary directory");
        let (folder, program) = (dir.path().to_owned(), PathBuf::from(program));
        let options = Options { dir: folder, seed: SEED, program, gossip, sync, a2a: A2a::default() };
        let program = options.program.clone();
        let market = Devnet::start(options).await.expect("the chain starts");
        Self { market, anvil: None, dir, program }
    }

    /// A market of `count` nodes on the chain that is asked for.
    ///
    /// # Panics
    /// The chain or a node does not start.
    pub async fn on(program: &str, ground: Ground, count: u32) -> Self {
        let mut stage = Self::new(program).await;
        if ground == Ground::Devchain {
            stage.market.add_nodes(count).await.expect("the nodes start");
            return stage;
        }
        let chain = stage.market.chain();
        let anvil = Anvil::beside(&chain.rpc_url(), chain.deployment().expect("it has contracts")).await;
        for number in 1..=count {
            let seed = Seed::devnet(SEED, number);
            for account in 0..ACCOUNTS {
                anvil.give_gas(seed.payment_key(account).address()).await;
            }
            anvil.mint(seed.payment_key(0).address(), START_BALANCE.units()).await;
            let env = [("HAGGLE_CHAIN__RPC", anvil.url())];
            stage.market.add_node_with(&env).await.expect("the node starts");
        }
        stage.anvil = Some(anvil);
        stage
    }

    /// Where the chain of the story answers.
    #[must_use]
    pub fn rpc(&self) -> String {
        self.anvil.as_ref().map_or_else(|| self.market.chain().rpc_url(), |anvil| anvil.url().to_owned())
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> Address {
        self.market.network().token.address
    }

    /// Mints to anybody.
    ///
    /// # Panics
    /// The chain refuses.
    pub async fn mint(&self, to: Address, amount: Usdc) {
        match &self.anvil {
            Some(anvil) => anvil.mint(to, amount.units()).await,
            None => drop(self.market.chain().mint_usdc(to, amount.units()).expect("the chain mints")),
        }
    }

    /// What anybody has on the chain.
    ///
    /// # Panics
    /// The chain does not answer.
    pub async fn holds(&self, account: Address) -> Usdc {
        let network = self.market.network();
        let config = EscrowConfig::for_network(network, vec![self.rpc()]);
        let reader = ChainReader::new(config).expect("the chain's URL is one");
        reader.balance_of(account).await.expect("the chain answers")
    }

    /// A market of `count` nodes.
    ///
    /// # Panics
    /// A node does not start.
    pub async fn of(program: &str, count: u32) -> Self {
        let mut stage = Self::new(program).await;
        stage.market.add_nodes(count).await.expect("the nodes start");
        stage
    }

    /// Where the homes lie.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Node `number`, counted from 1.
    #[must_use]
    pub fn node(&self, number: usize) -> &NodeProcess {
        self.market.node(number)
    }

    /// Serves a built-in agent on node `number` and waits until every node sees it.
    ///
    /// # Panics
    /// The node refuses it, or it does not spread.
    pub async fn serve(&self, number: usize, name: &str, listings: u64) -> AgentSummary {
        let agent = self.node(number).serve_builtin(name).await.expect("the agent is served");
        self.market.until_all_see(listings).await.expect("the listing spreads");
        agent
    }

    /// A market of two: node 1 sells digests, and node 2 has nothing yet. Says who sells, and where.
    ///
    /// # Panics
    /// The nodes do not start, or the listing does not spread.
    pub async fn with_shop(program: &str) -> (Self, AgentSummary, String) {
        let stage = Self::of(program, 2).await;
        let seller = stage.serve(1, "digest", 1).await;
        let shop = format!("{}/x402/digest", stage.node(1).client().expect("the node is up").base());
        (stage, seller, shop)
    }

    /// Node `number` buys a digest at a shop by a rail, under `key`.
    ///
    /// # Errors
    /// What the node answers.
    ///
    /// # Panics
    /// The node is not up.
    pub async fn buy_digest(&self, number: usize, shop: &str, rail: &str, key: &str) -> Result<PayView, CliError> {
        let request = PayRequest {
            url: shop.to_owned(),
            body: Some(json!({"text": DOCUMENT}).to_string()),
            rail: Some(rail.to_owned()),
            ..PayRequest::default()
        };
        self.node(number).client().expect("the node is up").post_once("/v1/pay", key, &request).await
    }

    /// The listing of that name, as node `number` finds it.
    ///
    /// # Panics
    /// It is not there.
    pub async fn listing(&self, number: usize, name: &str) -> ListingView {
        let client = self.node(number).client().expect("the node is up");
        let page: ListingPage = client.get("/v1/listings?limit=100").await.expect("the node searches");
        page.items.into_iter().find(|listing| listing.name == name).expect("the listing is found")
    }

    /// Node `number` hires `listing` under `key`.
    ///
    /// # Panics
    /// The node refuses the order.
    pub async fn hire(&self, number: usize, listing: &ListingView, key: &str) -> Hired {
        self.try_hire(number, listing, key).await.expect("the order starts")
    }

    /// As [`Stage::hire`], for a node that may be killed before it answers.
    ///
    /// # Errors
    /// What the node refuses, or that it is gone.
    pub async fn try_hire(&self, number: usize, listing: &ListingView, key: &str) -> Result<Hired, CliError> {
        let request =
            HireRequest { listing: listing.id.clone(), input: json!({"text": DOCUMENT}), max_price: None, buyer: None };
        let order: OrderView = self.node(number).client()?.post_once("/v1/orders", key, &request).await?;
        Ok(Hired { key: order.key, listing: listing.clone() })
    }

    /// Waits until `look` says yes about the order at node `number`.
    ///
    /// # Panics
    /// It never does; the panic shows the order and the node's log.
    pub async fn until<F: Fn(&OrderView) -> bool>(&self, number: usize, key: &str, look: F) -> OrderView {
        let mut last = None;
        let waiting = async {
            loop {
                if let Ok(order) = self.order(number, key).await {
                    if look(&order) {
                        return order;
                    }
                    last = Some(order);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("order {key} at node {number} stays {last:#?}\n{}", self.node(number).log()))
    }

    /// Waits until the order at node `number` has this state.
    ///
    /// # Panics
    /// As [`Stage::until`].
    pub async fn until_state(&self, number: usize, key: &str, state: &str) -> OrderView {
        self.until(number, key, |order| order.state == state).await
    }

    /// Waits until a step of the order is on node `number`'s life line.
    ///
    /// # Panics
    /// As [`Stage::until`].
    pub async fn until_step(&self, number: usize, key: &str, step: &str) -> OrderView {
        self.until(number, key, |order| order.steps.iter().any(|line| line.step == step)).await
    }

    /// The provider's view of the same order.
    ///
    /// # Panics
    /// As [`Stage::until`].
    pub async fn until_step_of(&self, number: usize, id: &str, step: &str) -> OrderView {
        self.until_step(number, id, step).await
    }

    async fn order(&self, number: usize, key: &str) -> Result<OrderView, CliError> {
        self.node(number).client()?.get(&format!("/v1/orders/{key}")).await
    }

    /// What agent `did` at node `number` has on chain.
    ///
    /// # Panics
    /// The node has no such agent.
    pub async fn balance(&self, number: usize, did: &str) -> Usdc {
        let wallets = self.node(number).wallets().await.expect("the node answers");
        wallets.items.into_iter().find(|wallet| wallet.agent == did).expect("the agent is here").balance
    }

    /// The buying agent of node `number`, and what it has.
    ///
    /// # Panics
    /// The node does not answer.
    pub async fn buyer(&self, number: usize) -> (String, Usdc) {
        let wallets = self.node(number).wallets().await.expect("the node answers");
        let own = &wallets.items[0];
        (own.agent.clone(), own.balance)
    }

    /// How far it is from a fresh order to half a minute before the deadline of the built-in agents, in chain time: the
    /// buyer leaves four minutes for funding, the agents promise five for the work.
    #[must_use]
    pub const fn until_near_deadline(&self) -> Duration {
        Duration::from_secs(4 * 60 + 5 * 60 - 30)
    }

    /// Moves the chain's clock, not the machine's.
    pub fn forward(&self, time: Duration) {
        self.market.chain().increase_time(time.as_secs());
    }

    /// Waits for the process of node `number` to end by itself, which a crash point makes it do.
    ///
    /// # Panics
    /// It goes on.
    pub async fn until_dead(&mut self, number: usize) {
        let ended = tokio::time::timeout(PATIENCE, self.market.node_mut(number).until_ended()).await;
        assert!(ended.is_ok(), "node {number} goes on: its crash point was not reached\n{}", self.node(number).log());
    }

    /// Checks that not one unit was made or lost.
    ///
    /// # Panics
    /// Money was made or lost.
    pub fn assert_conserved(&self) {
        let conservation = self.market.conservation().expect("the chain answers");
        assert!(conservation.holds(), "money was made or lost: {conservation:?}");
    }

    /// Stops everything in order.
    pub async fn end(self) {
        self.assert_conserved();
        self.market.shutdown().await;
    }

    /// How often the log of node `number` says that work on the order began.
    #[must_use]
    pub fn runs(&self, number: usize, order: &str) -> usize {
        let needle = format!("began work on {order}");
        self.node(number).log().lines().filter(|line| line.contains(&needle)).count()
    }

    /// A JSON body from node `number`.
    ///
    /// # Panics
    /// The node does not answer.
    pub async fn get(&self, number: usize, path: &str) -> Value {
        self.node(number).client().expect("the node is up").get(path).await.expect("the node answers")
    }
}
