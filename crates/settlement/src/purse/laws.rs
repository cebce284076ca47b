//! Laws of the purse that hold whatever happens in whatever order: a key pays once, and the books say what the chain says.

use std::collections::BTreeMap;

use proptest::prelude::*;

use haggle_x402::exact::Transfer;

use super::{testing::Shopper, *};
use crate::testing::{NOON, usdc};

const MINTED: u64 = 1_000;

/// One thing that can happen. Keys are numbered; the first ones buy, the others send.
#[derive(Debug, Clone, Copy)]
enum Step {
    Buy(u8),
    Send(u8),
    /// Whoever holds a signed payment submits it: the newest, the one before, and so on.
    Submit(u8, usize),
    SettleUp,
    LookAgain,
    ChainTime(u64),
    Reorganise(u64),
    Restart,
    RpcDown(bool),
    LoseAnswers,
}

/// Time between two blocks, in seconds.
const BLOCK_SECS: u64 = 12;

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3u8).prop_map(Step::Buy),
        3 => (3..5u8).prop_map(Step::Send),
        6 => (0..5u8, 0..3usize).prop_map(|(key, back)| Step::Submit(key, back)),
        4 => Just(Step::SettleUp),
        2 => Just(Step::LookAgain),
        2 => (0..400u64).prop_map(Step::ChainTime),
        1 => (0..3u64).prop_map(Step::Reorganise),
        2 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::RpcDown),
        1 => Just(Step::LoseAnswers),
    ]
}

/// The purse, and every transfer that was ever signed under each key.
struct Life {
    alice: Shopper,
    signed: BTreeMap<u8, Vec<Transfer>>,
    chain_secs: u64,
}

impl Life {
    fn remember(&mut self, key: u8, purchase: &Purchase) {
        let transfer = purchase.transfer(&super::testing::facts()).unwrap();
        let known = self.signed.entry(key).or_default();
        if !known.contains(&transfer) {
            known.push(transfer);
        }
    }

    async fn take(mut self, step: Step) -> Self {
        match step {
            Step::Buy(key) => {
                if let Ok(purchase) = self.alice.buy(&key.to_string(), 40 + 30 * u64::from(key)).await {
                    self.remember(key, &purchase);
                }
            }
            Step::Send(key) => {
                let wanted = self.alice.wanted(&key.to_string(), "a gift");
                drop(self.alice.purse.transfer(&wanted, super::testing::SHOP, usdc(90)).await);
                if let Some(purchase) = self.alice.purse.find(&self.alice.home.alice, &key.to_string()).unwrap() {
                    self.remember(key, &purchase);
                }
            }
            Step::Submit(key, back) => {
                let known = self.signed.get(&key);
                if let Some(transfer) = known.and_then(|known| known.iter().nth_back(back)) {
                    drop(self.alice.submitted(transfer).await);
                }
            }
            Step::SettleUp => drop(self.alice.purse.settle_up_all().await),
            Step::LookAgain => drop(self.alice.purse.look_again().await),
            Step::ChainTime(secs) => {
                // the time of a chain passes with its blocks
                let blocks = (self.chain_secs + secs) / BLOCK_SECS - self.chain_secs / BLOCK_SECS;
                self.chain_secs += secs;
                self.alice.home.chain.pass(blocks).await;
                self.alice.home.chain.set_time(NOON.plus(Duration::from_secs(self.chain_secs))).await;
            }
            Step::Reorganise(depth) => {
                let head = self.alice.home.chain.head().await.block;
                self.alice.home.chain.reorganise(head.saturating_sub(depth)).await;
            }
            Step::Restart => self.alice = self.alice.restarted().await,
            Step::RpcDown(down) => self.alice.home.chain.set_down(down).await,
            Step::LoseAnswers => self.alice.home.chain.lose_answers().await,
        }
        self
    }

    /// At no time are two transfers of one key on the chain.
    async fn check_once(&self) {
        for (key, signed) in &self.signed {
            let mut made = 0;
            for transfer in signed {
                made += usize::from(self.alice.home.chain.has(transfer).await);
            }
            assert!(made <= 1, "key {key} paid {made} times");
        }
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_key_pays_once_and_the_books_say_what_the_chain_says(steps in prop::collection::vec(any_step(), 0..60)) {
        run(async {
            let alice = Shopper::with_balance(MINTED).await;
            let mut life = Life { alice, signed: BTreeMap::new(), chain_secs: 0 };
            for step in steps {
                life = life.take(step).await;
                life.check_once().await;
            }
            life.alice.home.chain.set_down(false).await;
            life.alice.purse.settle_up_all().await.unwrap();
            life.alice.purse.look_again().await.unwrap();
            life.alice.home.check_books(MINTED).await;
            let life = life.take(Step::Restart).await;
            life.alice.home.check_books(MINTED).await;
            life.check_once().await;
        });
    }
}
