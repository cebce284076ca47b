//! A small shop for the tests of the till: a token in memory, Bob who sells, Alice who pays from outside, and crashes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::Notify;

use haggle_base::{Did, EvmSignature, Hash, ManualClock, PaymentKey, Timestamp, Usdc, eip712};
use haggle_store::{Blobs, Store};
use haggle_x402::{
    ExactFacts, PaymentFlow, PaymentPayload, PaymentRequirements, Resource,
    exact::{self, ExactAuthorization, Transfer},
    extensions::payment_identifier::{self, PaymentId},
};

use super::{Caller, Refused, Sale, Taken, Ticket, Till, TillConfig};
use crate::{
    Settlement,
    ports::exact::{ExactChain, Head, Mined, Standing, TransferError, TransferRefusal},
    testing::{Keys, MemoryChain, NOON, config, escrow, usdc},
};

/// The price of one call: two cents.
pub(crate) const PRICE: u64 = 20_000;
/// What alice has.
pub(crate) const PURSE: u64 = 1_000_000;

/// Where the chain stops answering for ever, as before a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Asked to simulate.
    InSimulation,
    /// Asked to send, before it did.
    BeforeSending,
    /// Sent and mined, before it says so.
    AfterMining,
}

#[derive(Debug, Clone)]
struct Block {
    hash: B256,
    time: Timestamp,
    transfers: Vec<Transfer>,
}

#[derive(Debug)]
struct State {
    blocks: Vec<Block>,
    minted: HashMap<Address, u64>,
    cancelled: HashSet<(Address, B256)>,
    time: Timestamp,
    forks: u64,
    sent: usize,
    down: bool,
    lose_answers: bool,
    refuse: Option<TransferRefusal>,
    stop: Option<Stop>,
}

/// The token and its chain. A block for each transfer.
#[derive(Debug)]
pub(crate) struct TokenChain {
    facts: ExactFacts,
    state: Mutex<State>,
    signed: Mutex<Vec<Transfer>>,
    pub(crate) stopped: Notify,
}

impl TokenChain {
    fn new(facts: ExactFacts) -> Self {
        let genesis = Block { hash: B256::ZERO, time: NOON, transfers: Vec::new() };
        let state = State {
            blocks: vec![genesis],
            minted: HashMap::new(),
            cancelled: HashSet::new(),
            time: NOON,
            forks: 0,
            sent: 0,
            down: false,
            lose_answers: false,
            refuse: None,
            stop: None,
        };
        Self { facts, state: Mutex::new(state), signed: Mutex::default(), stopped: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mint(&self, account: Address, units: u64) {
        *self.state().minted.entry(account).or_default() += units;
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Transfers are mined from now on, but nobody hears of it; or they are heard of again.
    pub(crate) fn lose_answers(&self, lose: bool) {
        self.state().lose_answers = lose;
    }

    /// The next transfers are refused when they are sent, although their simulation went well.
    pub(crate) fn refuse(&self, refusal: Option<TransferRefusal>) {
        self.state().refuse = refusal;
    }

    pub(crate) fn stop_at(&self, stop: Option<Stop>) {
        self.state().stop = stop;
    }

    pub(crate) fn set_time(&self, time: Timestamp) {
        self.state().time = time;
    }

    pub(crate) fn cancel(&self, payer: Address, nonce: B256) {
        self.state().cancelled.insert((payer, nonce));
    }

    /// The same if the nonce was not used.
    pub(crate) fn cancel_if_unused(&self, payer: Address, nonce: B256) {
        let mut state = self.state();
        let used = |block: &Block| block.transfers.iter().any(|one| one.from == payer && one.nonce == nonce);
        if !state.blocks.iter().any(used) {
            state.cancelled.insert((payer, nonce));
        }
    }

    /// How many transfers were mined, whether they still stand or not.
    pub(crate) fn sent(&self) -> usize {
        self.state().sent
    }

    /// How many transfers stand.
    pub(crate) fn standing(&self) -> usize {
        self.state().blocks.iter().map(|block| block.transfers.len()).sum()
    }

    pub(crate) fn height(&self) -> u64 {
        self.state().blocks.len() as u64 - 1
    }

    pub(crate) fn mine_empty(&self, blocks: usize) {
        let mut state = self.state();
        for _ in 0..blocks {
            state.mine(None);
        }
    }

    /// Throws away the last `depth` blocks, and mines as many and one more in their place: with the same transfers if
    /// `again`, or without.
    pub(crate) fn reorganise(&self, depth: usize, again: bool) {
        let mut state = self.state();
        let keep = state.blocks.len().saturating_sub(depth).max(1);
        let gone = state.blocks.split_off(keep);
        state.forks += 1;
        state.mine(None);
        for block in gone {
            let transfer = block.transfers.first().filter(|_| again).cloned();
            state.mine(transfer);
        }
    }

    pub(crate) fn balance(&self, account: Address) -> u64 {
        self.state().balance(account)
    }

    /// Ends here for ever if it was told to stop here.
    async fn perhaps_stop(&self, at: Stop) {
        let stops = self.state().stop == Some(at);
        if stops {
            self.stopped.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Whether the payer signed it. One that was looked at before is not looked at again.
    fn is_signed(&self, transfer: &Transfer) -> bool {
        let mut seen = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(transfer) {
            return true;
        }
        let digest = eip712::digest(&transfer.message(), self.facts.domain());
        let good = haggle_base::secp::verify_signature(&digest, &transfer.signature, transfer.from).is_ok();
        if good {
            seen.push(transfer.clone());
        }
        good
    }

    /// What the token would say to a transfer now.
    fn run(&self, state: &State, transfer: &Transfer) -> Result<(), TransferRefusal> {
        let now = U256::from(state.time.as_secs());
        if now <= transfer.valid_after {
            return Err(TransferRefusal::NotYetValid);
        }
        if now >= transfer.valid_before {
            return Err(TransferRefusal::Expired);
        }
        if state.cancelled.contains(&(transfer.from, transfer.nonce)) || state.find(transfer).is_some() {
            return Err(TransferRefusal::Used);
        }
        if !self.is_signed(transfer) {
            return Err(TransferRefusal::Signature);
        }
        if state.balance(transfer.from) < transfer.value.units() {
            return Err(TransferRefusal::Funds);
        }
        Ok(())
    }
}

impl State {
    fn mine(&mut self, transfer: Option<Transfer>) -> Mined {
        let block = self.blocks.len() as u64;
        let last = self.blocks.last().map(|block| block.hash).unwrap_or_default();
        let seed = [last.as_slice(), &block.to_be_bytes(), &self.forks.to_be_bytes()].concat();
        let hash = B256::from(*Hash::of(&seed).as_bytes());
        let tx = transfer.as_ref().map(tx_of).unwrap_or_default();
        self.blocks.push(Block { hash, time: self.time, transfers: transfer.into_iter().collect() });
        Mined { tx, block, hash, time: self.time }
    }

    /// Where the nonce of a transfer was used, and by which transfer.
    fn find(&self, transfer: &Transfer) -> Option<(Mined, &Transfer)> {
        self.blocks.iter().enumerate().find_map(|(number, block)| {
            let found = block.transfers.iter().find(|one| one.from == transfer.from && one.nonce == transfer.nonce)?;
            let mined = Mined { tx: tx_of(found), block: number as u64, hash: block.hash, time: block.time };
            Some((mined, found))
        })
    }

    fn balance(&self, account: Address) -> u64 {
        let mut balance = self.minted.get(&account).copied().unwrap_or_default();
        for transfer in self.blocks.iter().flat_map(|block| &block.transfers) {
            if transfer.to == account {
                balance += transfer.value.units();
            }
            if transfer.from == account {
                balance -= transfer.value.units();
            }
        }
        balance
    }
}

fn tx_of(transfer: &Transfer) -> B256 {
    B256::from(*Hash::of(&[transfer.from.as_slice(), transfer.nonce.as_slice()].concat()).as_bytes())
}

#[async_trait]
impl ExactChain for TokenChain {
    async fn simulate(&self, transfer: &Transfer) -> Result<(), TransferError> {
        self.perhaps_stop(Stop::InSimulation).await;
        let state = self.state();
        if state.down {
            return Err(TransferError::Down);
        }
        self.run(&state, transfer).map_err(TransferError::Refused)
    }

    async fn transfer(&self, transfer: &Transfer) -> Result<Mined, TransferError> {
        self.perhaps_stop(Stop::BeforeSending).await;
        let mined = {
            let mut state = self.state();
            if state.down {
                return Err(TransferError::Down);
            }
            if let Some(refusal) = state.refuse.clone() {
                return Err(TransferError::Refused(refusal));
            }
            self.run(&state, transfer).map_err(TransferError::Refused)?;
            state.sent += 1;
            state.mine(Some(transfer.clone()))
        };
        self.perhaps_stop(Stop::AfterMining).await;
        if self.state().lose_answers {
            return Err(TransferError::OutcomeUnknown { tx: Some(mined.tx) });
        }
        Ok(mined)
    }

    async fn standing(&self, transfer: &Transfer) -> Result<Standing, TransferError> {
        let state = self.state();
        if state.down {
            return Err(TransferError::Down);
        }
        if state.cancelled.contains(&(transfer.from, transfer.nonce)) {
            return Ok(Standing::Void);
        }
        Ok(match state.find(transfer) {
            None => Standing::Open,
            Some((mined, found)) if found.message() == transfer.message() => Standing::Paid(mined),
            Some(_) => Standing::Void,
        })
    }

    async fn block_hash(&self, block: u64) -> Result<Option<B256>, TransferError> {
        let state = self.state();
        if state.down {
            return Err(TransferError::Down);
        }
        Ok(usize::try_from(block).ok().and_then(|at| state.blocks.get(at)).map(|block| block.hash))
    }

    async fn head(&self) -> Result<Head, TransferError> {
        let state = self.state();
        if state.down {
            return Err(TransferError::Down);
        }
        Ok(Head { block: state.blocks.len() as u64 - 1, time: state.time })
    }

    fn senders(&self) -> Vec<Address> {
        vec![Address::repeat_byte(0x9a)]
    }
}

/// One home with Bob's till, on a chain of its own.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) till: Till,
    pub(crate) settlement: Settlement,
    pub(crate) token: Arc<TokenChain>,
    pub(crate) clock: ManualClock,
    pub(crate) store: Store,
    pub(crate) files: Arc<TempDir>,
    pub(crate) config: TillConfig,
    pub(crate) alice: PaymentKey,
    pub(crate) bob: Did,
    keys: Arc<Keys>,
}

pub(crate) fn facts() -> ExactFacts {
    ExactFacts::new(31_337, escrow().token().clone())
}

/// A payment key that needs no seed.
pub(crate) fn key(number: u8) -> PaymentKey {
    PaymentKey::from_bytes(&[number; 32]).unwrap()
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with(TillConfig { confirmations: 3, ..TillConfig::new(facts()) }).await
    }

    pub(crate) async fn with(config: TillConfig) -> Self {
        let bob = haggle_base::AgentKey::from_bytes(&[0xb0; 32]).did();
        let keys = Arc::new(Keys(vec![(bob, key(0xb0))]));
        let token = Arc::new(TokenChain::new(facts()));
        token.mint(key(0xa1).address(), PURSE);
        let files = Arc::new(TempDir::new().unwrap());
        Self::start(token, ManualClock::new(NOON), Store::memory(), files, config, bob, keys).await
    }

    async fn start(
        token: Arc<TokenChain>,
        clock: ManualClock,
        store: Store,
        files: Arc<TempDir>,
        config: TillConfig,
        bob: Did,
        keys: Arc<Keys>,
    ) -> Self {
        let escrow_chain = Arc::new(MemoryChain::new(escrow()));
        let settlement =
            Settlement::open(store.clone(), self::config(), Arc::new(clock.clone()), escrow_chain, keys.clone())
                .await
                .unwrap();
        let blobs = Blobs::open(files.path()).unwrap();
        let till = Till::open(settlement.clone(), token.clone(), blobs, config.clone()).unwrap();
        Self { till, settlement, token, clock, store, files, config, alice: key(0xa1), bob, keys }
    }

    /// The same shop after a restart: only what was stored, and the chain, is left.
    pub(crate) async fn restarted(self) -> Self {
        let Self { token, clock, store, files, config, bob, keys, .. } = self;
        Self::start(token, clock, store, files, config, bob, keys).await
    }

    /// What is left of a shop whose process is gone.
    pub(crate) fn remains(&self) -> Remains {
        Remains {
            token: self.token.clone(),
            clock: self.clock.clone(),
            store: self.store.clone(),
            files: self.files.clone(),
            config: self.config.clone(),
            bob: self.bob,
            keys: self.keys.clone(),
        }
    }

    /// Both clocks move.
    pub(crate) fn wait(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
        self.token.set_time(haggle_base::Clock::now(&self.clock));
    }

    pub(crate) fn bob_address(&self) -> Address {
        self.keys.0[0].1.address()
    }

    /// A call of bob's listing by caller number `caller` with a body.
    pub(crate) fn sale_by(&self, caller: u8, body: &str) -> Sale {
        Sale {
            seller: self.bob,
            listing: "digest".try_into().unwrap(),
            resource: "http://bob/x402/digest".try_into().unwrap(),
            amount: usdc(PRICE),
            request: Hash::of(format!("POST /x402/digest {body}").as_bytes()),
            caller: Caller::at([192, 0, 2 + caller, 7].into()),
        }
    }

    pub(crate) fn sale(&self) -> Sale {
        self.sale_by(0, "hello")
    }

    pub(crate) fn entry(&self, sale: &Sale, flow: &PaymentFlow) -> PaymentRequirements {
        exact::requirement(&facts(), self.bob_address(), sale.amount, self.config.timeout, flow).unwrap()
    }

    /// `payer`'s payment of an entry, with the nonce of this number.
    pub(crate) fn paying(&self, entry: &PaymentRequirements, payer: &PaymentKey, nonce: u8) -> PaymentPayload {
        let now = haggle_base::Clock::now(&self.clock);
        let authorization = ExactAuthorization::paying(entry, payer.address(), now, B256::repeat_byte(nonce)).unwrap();
        let signature: EvmSignature = payer.sign_digest(&authorization.digest(&facts()).unwrap());
        let resource = Resource::new("http://bob/x402/digest");
        exact::payload(entry.clone(), &resource, authorization, &signature, None).unwrap()
    }

    /// Alice's payment upfront.
    pub(crate) fn upfront(&self, nonce: u8) -> PaymentPayload {
        self.paying(&self.entry(&self.sale(), &PaymentFlow::Upfront), &self.alice, nonce)
    }

    /// Alice's payment after the work.
    pub(crate) fn later(&self, nonce: u8) -> PaymentPayload {
        self.paying(&self.entry(&self.sale(), &PaymentFlow::Authorization), &self.alice, nonce)
    }

    pub(crate) async fn ticket(&self, payload: &PaymentPayload) -> Ticket {
        match self.till.take(&self.sale(), payload).await.unwrap() {
            Taken::Work(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    /// Takes, works and hands in: what a server does with one request. Counts its executions in `done`.
    pub(crate) async fn serve(
        &self,
        sale: &Sale,
        payload: &PaymentPayload,
        done: &std::sync::atomic::AtomicUsize,
    ) -> Result<(Vec<u8>, haggle_x402::SettleResponse), Refused> {
        loop {
            match self.till.take(sale, payload).await? {
                Taken::Work(ticket) => {
                    done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    let answer = format!("worked for {}", ticket.payer()).into_bytes();
                    let settlement = self.till.worked(ticket, answer.clone()).await?;
                    return Ok((answer, settlement));
                }
                Taken::Answered { answer, settlement } => return Ok((answer, settlement)),
                Taken::Busy(waiting) => waiting.done().await,
            }
        }
    }

    /// What bob has is what his books say, every entry sums to zero, and no unit was made.
    pub(crate) async fn check_books(&self) {
        let accounts = self.accounts().await;
        let has = self.token.balance(self.bob_address());
        assert_eq!(accounts.available, i64::try_from(has).unwrap(), "bob's books and the chain");
        assert_eq!((accounts.earned, accounts.sum()), (-accounts.available, 0));
        assert_eq!(has + self.token.balance(self.alice.address()), PURSE, "no unit is made or lost");
        for (_, entry) in self.settlement.history(&self.bob, None, 10_000).unwrap() {
            assert_eq!(entry.moves.iter().map(|(_, delta)| delta).sum::<i64>(), 0);
            assert!(entry.tx.is_some());
        }
    }

    pub(crate) async fn accounts(&self) -> crate::ledger::Accounts {
        let books = self.settlement.inner.books.lock().await;
        books.agents.get(&self.bob).map(|own| own.accounts).unwrap_or_default()
    }
}

/// See [`Shop::remains`].
#[derive(Debug, Clone)]
pub(crate) struct Remains {
    pub(crate) token: Arc<TokenChain>,
    clock: ManualClock,
    pub(crate) store: Store,
    files: Arc<TempDir>,
    config: TillConfig,
    bob: Did,
    keys: Arc<Keys>,
}

impl Remains {
    pub(crate) async fn started(self) -> Shop {
        let Self { token, clock, store, files, config, bob, keys } = self;
        // What the dead process had handed to the store is written or not, but not later than this.
        let mut last = haggle_store::Batch::new();
        last.delete::<super::record::TillProven>(&[0; 20]);
        store.commit(last).await.unwrap();
        Shop::start(token, clock, store, files, config, bob, keys).await
    }
}

/// The payment with an identifier of alice's.
pub(crate) fn identified(mut payload: PaymentPayload, number: u8) -> PaymentPayload {
    let id = PaymentId::try_from(format!("purchase_number_{number}").as_str()).unwrap();
    payment_identifier::attach(&mut payload, &id);
    payload
}

/// Runs one life of a process: everything that is not finished when `life` is, is dropped where it waits.
pub(crate) fn live<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(life)
}

/// An amount.
pub(crate) fn amount(units: u64) -> Usdc {
    usdc(units)
}
