//! Those who judge together, and those who write things down: panel, registry, anchor.

use alloy::primitives::aliases::U96;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use haggle_base::eip712::{BOND_BUYER, BOND_PROVIDER, Bond, Feedback, digest};
use haggle_base::{EvmSignature, Order, Timestamp};
use haggle_devchain::{DEV_ACCOUNTS, DevAccount};
use haggle_escrow::{
    AnchorClient, AnchorRefusal, Ballot, Decision, EscrowError, PanelClient, PanelRefusal, RegistryClient, Revert,
    Sent, Status, panel_word,
};

use crate::town::{HOUR, PURSE, Town};

const EVIDENCE: B256 = B256::repeat_byte(0xee);
const BOND: u64 = 1_000_000;

/// The three members of the town's panel.
fn members() -> [PrivateKeySigner; 3] {
    let key = |index| PrivateKeySigner::from_bytes(DevAccount::numbered(index).key()).unwrap();
    [key(DEV_ACCOUNTS - 1), key(DEV_ACCOUNTS - 3), key(DEV_ACCOUNTS - 2)]
}

fn votes(voters: &[PrivateKeySigner], said: B256) -> Vec<Ballot> {
    let vote = |voter: &PrivateKeySigner| Ballot {
        member: voter.address(),
        signature: voter.sign_hash_sync(&said).unwrap().as_bytes().into(),
    };
    voters.iter().map(vote).collect()
}

async fn judged_by_the_panel(town: &Town, salt: u64) -> Order {
    let panel = town.chain.deployment().unwrap().panel;
    let mut order = town.order(salt);
    (order.validator, order.arbitrator, order.bond) = (panel, panel, U96::from(BOND));
    let consent = town.consent(&order, &town.bob);
    town.client(&town.bob).await.fund(&order, &town.payment(&order, &town.alice), Some(&consent)).await.unwrap();
    order
}

fn panel(town: &Town) -> PanelClient {
    PanelClient::new(town.reader(), town.chain.deployment().unwrap().panel, &town.eve).unwrap()
}

fn decided(town: &Town, pay: u64) -> Decision {
    Decision { pay: U96::from(pay), valid_until: Timestamp::from_secs(town.chain.head().1 + u64::from(HOUR)) }
}

#[tokio::test]
async fn two_of_three_members_rule_and_share_the_losers_bond() {
    let town = Town::open().await;
    let order = judged_by_the_panel(&town, 1).await;
    let (id, panel) = (town.id(&order), panel(&town));
    let bob = town.client(&town.bob).await;
    bob.deliver(&order, B256::ZERO).await.unwrap();
    for (side, key) in [(BOND_BUYER, &town.alice), (BOND_PROVIDER, &town.bob)] {
        let nonce = digest(&Bond { orderId: *id.as_b256(), side, evidence: EVIDENCE }, &town.escrow);
        let end = bob.status(&id).await.unwrap().window_ends.unwrap();
        let bond: EvmSignature =
            town.payment_to(town.chain.deployment().unwrap().escrow, BOND, end.as_secs(), nonce, key);
        let sent = match side {
            BOND_BUYER => bob.dispute(&order, EVIDENCE, &bond).await,
            _ => bob.counter(&order, &bond).await,
        };
        assert!(sent.unwrap().tx().is_some());
    }

    let decision = decided(&town, 1_000_000);
    let said = panel.ruling_digest(&id, decision, EVIDENCE);
    let ballots = votes(&members(), said);
    let few = panel.rule(&order, decision, &ballots[..1]).await;
    assert!(matches!(few, Err(EscrowError::Reverted(Revert::Panel(PanelRefusal::TooFewBallots)))));
    let verdict = votes(&members(), panel.verdict_digest(&id, decision, EVIDENCE));
    let other = panel.rule(&order, decision, &verdict).await;
    assert!(matches!(other, Err(EscrowError::Reverted(Revert::Panel(PanelRefusal::BadBallot)))), "{other:?}");
    assert!(panel.rule(&order, decision, &ballots[..2]).await.unwrap().tx().is_some());
    assert!(matches!(panel.rule(&order, decision, &ballots).await.unwrap(), Sent::AlreadyDone(_)));
    assert_eq!(town.balance(town.bob.address()), PURSE - BOND + 900_000, "his bond is lost, a fifth is paid");

    let member = members()[0].address();
    assert_eq!(panel.earned(member).await.unwrap().units(), BOND / 3);
    let before = town.balance(member);
    assert!(panel.pay_out(member).await.unwrap().is_some());
    assert!(panel.pay_out(member).await.unwrap().is_none());
    assert_eq!(town.balance(member), before + BOND / 3);
    assert!(panel.earned(town.eve.address()).await.is_err());
}

#[tokio::test]
async fn a_panel_that_validates_signs_with_its_members_votes() {
    let town = Town::open().await;
    let order = judged_by_the_panel(&town, 1).await;
    let (id, panel) = (town.id(&order), panel(&town));
    let house = panel.panelists().await.unwrap();
    assert_eq!((house.members.len(), house.threshold), (3, 2));
    assert_eq!(house.escrow, town.chain.deployment().unwrap().escrow);
    assert!(house.members.is_sorted());

    let decision = decided(&town, 3_000_000);
    let ballots = votes(&members(), panel.verdict_digest(&id, decision, EVIDENCE));
    let eve = town.client(&town.eve).await;
    let one = panel_word(&id, decision, EVIDENCE, &ballots[..1]);
    assert!(matches!(
        eve.verdict(&order, decision, EVIDENCE, one).await,
        Err(EscrowError::Reverted(Revert::BadSignature { .. }))
    ));
    let two = panel_word(&id, decision, EVIDENCE, &ballots[1..]);
    eve.verdict(&order, decision, EVIDENCE, two).await.unwrap();
    assert_eq!(eve.status(&id).await.unwrap().status, Status::Settled);
    assert_eq!(town.balance(town.bob.address()), PURSE + 2_700_000);
    town.assert_conserved();
}

#[tokio::test]
async fn feedback_on_a_paid_order_reaches_the_registry_once_and_from_the_escrow() {
    let town = Town::open().await;
    let facts = town.chain.deployment().unwrap().clone();
    let registry = RegistryClient::new(town.reader(), facts.registry, &town.bob).unwrap();
    let strangers = RegistryClient::new(town.reader(), facts.registry, &town.eve).unwrap();
    let agent = registry.register("https://bob.example/card".to_owned()).await.unwrap().agent_id;
    assert_eq!(registry.wallet_of(agent).await.unwrap(), Some(town.bob.address()));
    assert_eq!(registry.wallet_of(agent + U256::from(1)).await.unwrap(), None);
    let (key, value) = ("libp2p.peerId".to_owned(), Bytes::from(vec![1, 2, 3]));
    registry.set_metadata(agent, key.clone(), value.clone()).await.unwrap();
    assert!(strangers.set_metadata(agent, key.clone(), Bytes::new()).await.is_err());
    assert_eq!(registry.metadata(agent, key).await.unwrap(), value);

    let order = town.funded(1).await;
    let bob = town.client(&town.bob).await;
    bob.release(&order, &town.release(&order, &town.alice)).await.unwrap();
    let said = Feedback { orderId: *town.id(&order).as_b256(), agentId: agent, value: 5 };
    let word = town.alice.sign_digest(&digest(&said, &town.escrow));
    assert!(bob.publish_feedback(&order, agent, 5, &word).await.unwrap().tx().is_some());
    assert!(bob.publish_feedback(&order, agent, 5, &word).await.unwrap().tx().is_none(), "asked twice, said once");

    let by = |client: Address| registry.summary(agent, vec![client], String::new());
    let paid = by(facts.escrow).await.unwrap();
    assert_eq!((paid.count, paid.value, paid.decimals), (1, 5, 0));
    assert_eq!(by(town.alice.address()).await.unwrap().count, 0, "only the escrow's word is a paid one");
    assert!(registry.summary(agent, Vec::new(), String::new()).await.is_err());
}

#[tokio::test]
async fn a_posted_root_proves_what_was_in_the_batch_and_nothing_else() {
    let town = Town::open().await;
    let anchor = AnchorClient::new(town.reader(), town.chain.deployment().unwrap().anchor, &town.bob).unwrap();
    let bob = town.bob.address();
    let [one, two] = [1, 2].map(B256::repeat_byte);
    let leaf = |attestation: B256| keccak256([&[0], &attestation[..]].concat());
    let (mut low, mut high) = (leaf(one), leaf(two));
    if low > high {
        (low, high) = (high, low);
    }
    let root = keccak256([&[1], &low[..], &high[..]].concat());

    assert_eq!(anchor.root_of(bob, U256::ZERO).await.unwrap(), None);
    let empty = anchor.post(B256::ZERO, Bytes::new()).await;
    assert!(matches!(empty, Err(EscrowError::Reverted(Revert::Anchor(AnchorRefusal::ZeroRoot)))));
    for expected in 0..2 {
        let posted = anchor.post(root, Bytes::from(vec![1; 36])).await.unwrap();
        assert_eq!(posted.epoch, U256::from(expected));
    }
    assert_eq!(anchor.epochs(bob).await.unwrap(), U256::from(2));
    assert_eq!(anchor.root_of(bob, U256::ZERO).await.unwrap(), Some(root));
    assert!(anchor.verify(bob, U256::ZERO, one, vec![leaf(two)]).await.unwrap());
    assert!(!anchor.verify(bob, U256::ZERO, one, vec![leaf(one)]).await.unwrap());
    assert!(!anchor.verify(town.eve.address(), U256::ZERO, one, vec![leaf(two)]).await.unwrap());
    assert!(!anchor.verify(bob, U256::from(2), one, vec![leaf(two)]).await.unwrap());
}

#[tokio::test]
async fn votes_that_ran_out_rule_nothing() {
    let town = Town::open().await;
    let order = judged_by_the_panel(&town, 1).await;
    let panel = panel(&town);
    let decision = Decision { pay: U96::from(1), valid_until: Timestamp::from_secs(town.chain.head().1) };
    let ballots = votes(&members(), panel.ruling_digest(&town.id(&order), decision, EVIDENCE));
    let late = panel.rule(&order, decision, &ballots).await;
    assert!(matches!(late, Err(EscrowError::Reverted(Revert::Panel(PanelRefusal::VotesExpired)))), "{late:?}");
}
