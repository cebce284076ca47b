//! Laws that hold in whatever order calls, repeats, lost answers, restarts, claims and withdrawals come.

use std::{collections::BTreeMap, time::Duration};

use haggle_x402::{PaymentPayload, PaymentRequired, SettleResponse};
use proptest::prelude::*;

use super::{
    Next, Taken,
    testing::{PRICE, Street},
};
use crate::{ports::ChannelChain as _, testing::usdc};

/// Calls that may be waiting for an answer at once, one less than the channels of a pair.
const WAITING: usize = 7;
/// How long a payer waits for a channel. A payment that need not wait takes far less; whoever goes away in the middle harms
/// nobody.
const PATIENCE: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Alice signs for a key, or repeats what she signed.
    Pay(u8),
    /// Something she signed arrives at Bob, who does the work.
    Arrive(prop::sample::Index),
    /// It arrives, and Bob's node stops before the work is done.
    ArriveAndCrash(prop::sample::Index),
    /// What Bob answered arrives at Alice.
    Hear(prop::sample::Index),
    /// What Bob answered is lost.
    Lose(prop::sample::Index),
    GiveUp(u8),
    RestartAlice,
    RestartBob,
    Claim,
    Pass(u64),
    Withdraw(prop::sample::Index),
    Refund(prop::sample::Index),
    /// Bob sends back what he has not claimed, as the contract lets him, and nobody asked for it.
    SendBack(prop::sample::Index),
    RpcDown(bool),
    LoseTransactions(bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        10 => (0..40u8).prop_map(Step::Pay),
        12 => index().prop_map(Step::Arrive),
        2 => index().prop_map(Step::ArriveAndCrash),
        10 => index().prop_map(Step::Hear),
        1 => index().prop_map(Step::Lose),
        1 => (0..40u8).prop_map(Step::GiveUp),
        2 => Just(Step::RestartAlice),
        2 => Just(Step::RestartBob),
        2 => Just(Step::Claim),
        2 => (1..8u64).prop_map(Step::Pass),
        1 => index().prop_map(Step::Withdraw),
        1 => index().prop_map(Step::Refund),
        1 => index().prop_map(Step::SendBack),
        1 => any::<bool>().prop_map(Step::RpcDown),
        1 => any::<bool>().prop_map(Step::LoseTransactions),
    ]
}

#[derive(Debug)]
enum Answer {
    Settled(SettleResponse),
    Refused(PaymentRequired),
}

/// What is on the wire, and what was done.
struct World {
    street: Street,
    transit: Vec<(String, PaymentPayload)>,
    answers: Vec<(String, Answer)>,
    worked: BTreeMap<String, u64>,
    waiting: BTreeMap<String, ()>,
}

impl World {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Pay(key) => self.pay(&format!("call {key}")).await,
            Step::Arrive(index) => self.arrive(index, true).await,
            Step::ArriveAndCrash(index) => self.arrive(index, false).await,
            Step::Hear(index) => self.hear(index).await,
            Step::Lose(index) => {
                if !self.answers.is_empty() {
                    self.answers.remove(index.index(self.answers.len()));
                }
            }
            Step::GiveUp(key) => self.street.buying.give_up(&self.street.alice, &format!("call {key}")).unwrap(),
            Step::RestartAlice => self.restart_alice().await,
            Step::RestartBob => {
                let before = self.charged();
                self.street.restart_bob().await;
                assert_eq!(self.charged(), before, "every voucher was on disk");
            }
            // Whatever the chain says: it is asked again later.
            Step::Claim => drop(self.street.selling.claim(None).await),
            Step::Pass(hours) => self.pass(hours).await,
            Step::Withdraw(index) => {
                if let Some(id) = self.any_channel(index) {
                    drop(self.street.buying.withdraw(&self.street.alice, &id).await);
                }
            }
            Step::Refund(index) => self.refund(index).await,
            Step::SendBack(index) => self.send_back(index).await,
            Step::RpcDown(down) => {
                self.street.contract.set_down(down);
                self.street.chain.set_down(down).await;
            }
            Step::LoseTransactions(lose) => self.street.contract.lose_answers(lose),
        }
    }

    /// As the node does: channels whose answer has come are free again.
    async fn restart_alice(&mut self) {
        self.street.restart_alice().await;
        for (agent, key) in self.street.buying.unanswered() {
            if !self.waiting.contains_key(&key) {
                self.street.buying.give_up(&agent, &key).unwrap();
            }
        }
    }

    async fn pay(&mut self, key: &str) {
        if !self.waiting.contains_key(key) && self.waiting.len() >= WAITING {
            return;
        }
        // one that has to wait for a channel goes away
        if let Ok(Ok(paying)) = tokio::time::timeout(PATIENCE, self.street.pay(key)).await {
            self.waiting.insert(key.to_owned(), ());
            let sent = (key.to_owned(), paying.payment);
            if !self.transit.contains(&sent) {
                self.transit.push(sent);
            }
        }
    }

    /// Everything that was ever signed may arrive at any time, and again.
    async fn arrive(&mut self, index: prop::sample::Index, finish: bool) {
        if self.transit.is_empty() {
            return;
        }
        let (key, payment) = self.transit[index.index(self.transit.len())].clone();
        let answer = match self.street.selling.take(&self.street.sale(&key), &payment).await {
            Ok(Taken::Work(ticket)) if finish => {
                *self.worked.entry(key.clone()).or_default() += 1;
                Answer::Settled(self.street.selling.worked(ticket, key.as_bytes()).await.unwrap())
            }
            Ok(Taken::Work(_)) => return self.street.restart_bob().await,
            Ok(Taken::Answered { answer, settled }) => {
                assert_eq!(answer.unwrap(), key.as_bytes(), "everybody gets its own answer");
                Answer::Settled(*settled)
            }
            Ok(Taken::AtWork(_) | Taken::Returned(_) | Taken::Receipt(_)) => {
                panic!("nobody is at work or wished anything")
            }
            Err(refusal) => Answer::Refused(self.street.refusal(&refusal)),
        };
        self.answers.push((key, answer));
    }

    async fn hear(&mut self, index: prop::sample::Index) {
        if self.answers.is_empty() {
            return;
        }
        let (key, answer) = self.answers.swap_remove(index.index(self.answers.len()));
        let (street, alice) = (&self.street, &self.street.alice);
        let next = match &answer {
            Answer::Settled(settled) => street.buying.answered(alice, &key, settled).await,
            Answer::Refused(refused) => street.buying.refused(alice, &key, &street.requirement(), refused).await,
        };
        match next {
            Ok(Next::Again(paying)) => self.transit.push((key, paying.payment)),
            Ok(Next::Later | Next::Anew) => {}
            Ok(Next::Charged(_) | Next::Over | Next::Paid) => {
                self.waiting.remove(&key);
            }
            Err(_) => self.answers.push((key, answer)),
        }
    }

    /// Hours go by, and Bob's node is there for them.
    async fn pass(&mut self, hours: u64) {
        self.street.contract.set_down(false);
        self.street.contract.lose_answers(false);
        self.street.chain.set_down(false).await;
        self.street.selling.tick().await.unwrap();
        self.street.pass(Duration::from_secs(hours * 3_600)).await;
        self.street.selling.tick().await.unwrap();
        self.street.buying.tick().await.unwrap();
    }

    fn any_channel(&self, index: prop::sample::Index) -> Option<alloy_primitives::B256> {
        let mut ids: Vec<_> = self.street.buying.channels(None).into_iter().map(|channel| channel.id).collect();
        ids.sort();
        (!ids.is_empty()).then(|| ids[index.index(ids.len())])
    }

    async fn refund(&mut self, index: prop::sample::Index) {
        let street = &self.street;
        let Some(id) = self.any_channel(index) else { return };
        let Ok(payment) = street.buying.refund(&street.alice, &id, &street.requirement(), None).await else { return };
        match street.selling.take(&street.sale("refund"), &payment).await {
            Ok(Taken::Returned(settled)) => drop(street.buying.refunded(&id, &settled).await),
            Ok(_) => panic!("there is no work in a refund"),
            Err(refusal) => drop(street.buying.refund_refused(&id, &street.refusal(&refusal)).await),
        }
    }

    async fn send_back(&mut self, index: prop::sample::Index) {
        let sold: BTreeMap<_, _> =
            self.street.selling.channels(None).into_iter().map(|channel| (channel.id, channel.channel)).collect();
        let ids: Vec<_> = sold.keys().copied().collect();
        if ids.is_empty() || self.street.selling.claim(None).await.is_err() {
            return;
        }
        let id = ids[index.index(ids.len())];
        let charged = self.street.selling.channels(None).into_iter().find(|channel| channel.id == id).unwrap().charged;
        let is_down = self.street.selling.read_again(&[id]).await.is_err();
        if is_down || self.street.contract.channel(&id).claimed < charged {
            return;
        }
        drop(self.street.contract.refund(&sold[&id], usdc(1_000_000)).await);
        self.street.selling.read_again(&[id]).await.unwrap();
    }

    fn charged(&self) -> u64 {
        self.street.selling.channels(None).iter().map(|channel| channel.charged.units()).sum()
    }

    fn check(&self) {
        let works: u64 = self.worked.values().sum();
        assert_eq!(self.charged(), works * PRICE.units(), "what was charged is what was worked");
        for (key, times) in &self.worked {
            assert_eq!(*times, 1, "{key} was worked for and paid once");
        }
        let signed: BTreeMap<_, _> =
            self.street.buying.channels(None).into_iter().map(|channel| (channel.id, channel.signed)).collect();
        for sold in self.street.selling.channels(None) {
            assert!(sold.charged <= signed[&sold.id], "nothing is charged above what was signed");
        }
    }

    /// In the end everything is up again: Bob gets all he worked for, Alice the rest.
    async fn settle(mut self) {
        self.pass(1).await;
        self.street.selling.claim(None).await.unwrap();
        let works: u64 = self.worked.values().sum();
        assert_eq!(self.street.on_chain(&self.street.bob).await, usdc(works * PRICE.units()));
        let earned = self.street.homes[1].wallet(&self.street.bob).await.unwrap().accounts.earned;
        assert_eq!(earned, -i64::try_from(works * PRICE.units()).unwrap());
        // every answer that is out is given up, so that every channel can be closed
        for key in 0..40u8 {
            self.street.buying.give_up(&self.street.alice, &format!("call {key}")).unwrap();
        }
        for channel in self.street.buying.channels(None) {
            self.street.buying.withdraw(&self.street.alice, &channel.id).await.unwrap();
        }
        for _ in 0..5 {
            self.pass(7).await;
        }
        assert!(self.street.buying.channels(None).iter().all(|channel| channel.closed));
        let home = self.street.homes[0].wallet(&self.street.alice).await.unwrap();
        assert_eq!(home.accounts.channels, 0, "nothing is left in channels");
        assert_eq!(home.reserved, usdc(0));
        assert_eq!(home.accounts.spent, i64::try_from(works * PRICE.units()).unwrap());
        let (alice, purse) = (self.street.on_chain(&self.street.alice).await, self.street.purse);
        assert_eq!(alice.units(), purse.units() - works * PRICE.units());
        self.street.check().await;
    }
}

/// Runs of the storm: a dozen others each time, or as many as `HAGGLE_STORM` says.
fn storm() -> ProptestConfig {
    let runs = std::env::var("HAGGLE_STORM").ok().and_then(|runs| runs.parse().ok());
    ProptestConfig::with_cases(runs.unwrap_or(12))
}

proptest! {
    #![proptest_config(storm())]

    #[test]
    fn nobody_loses_pays_or_works_twice(steps in prop::collection::vec(any_step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let street = Street::open().await;
            let mut world = World {
                street,
                transit: Vec::new(),
                answers: Vec::new(),
                worked: BTreeMap::new(),
                waiting: BTreeMap::new(),
            };
            for step in steps {
                world.step(step).await;
                world.check();
            }
            world.street.check_when_up().await;
            world.settle().await;
        });
    }
}
