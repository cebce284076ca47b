//! What the agents of a node show of themselves.

use super::*;
use crate::keyring::Keyring;
use haggle_a2a_transport::CardSigner;
use haggle_base::{ManualClock, NetworkFile, Seed, Timestamp, Usdc};
use haggle_trade::ports::Work;

fn keyring() -> Keyring {
    let somebody = "0x00000000000000000000000000000000000000f1";
    let file: NetworkFile = serde_json::from_value(json!({
        "id": "devnet-7/1", "chain_id": 31_337, "shards": 4, "escrow": somebody, "fee_sinks": [somebody], "bootstrap": [],
        "token": { "address": somebody, "name": "USD Coin", "version": "2", "symbol": "USDC", "decimals": 6 },
        "fee": { "bps": 250, "payer": "buyer", "recipient": somebody },
    }))
    .unwrap();
    Keyring::new(Seed::devnet(7, 1), file, Arc::new(ManualClock::new(Timestamp::from_secs(1_795_000_000))))
}

fn a_row(did: Did, extended: Option<Value>) -> Result<AgentRow, ApiError> {
    let draft =
        AgentDraft { extended, ..AgentDraft::new("echo").price(Usdc::from_units(5)).describe("Says it again.") };
    row(did, &draft, Runner::Embedded)
}

#[test]
fn an_agents_cards_are_valid_and_signed_by_its_own_key_and_no_others() {
    let keys = keyring();
    let (did, other) = (keys.add(1).agent.did(), keys.add(2).agent.did());
    let peer = Seed::devnet(7, 1).node_key().peer_id();
    let extra = json!({ "skills": [{ "id": "vip", "name": "Vip", "description": "For friends.", "tags": ["vip"] }] });
    let cards = a2a_cards(&a_row(did, Some(extra)).unwrap(), peer);
    assert!(card::has_extended(&cards.public));
    for shown in [cards.public, cards.extended.unwrap()] {
        card::check(&shown).unwrap();
        card::verify(&keys.sign(&did, shown.clone()), &did).unwrap();
        assert!(card::verify(&keys.sign(&other, shown.clone()), &did).is_err());
        let stranger = Seed::devnet(7, 2).agent_key(1).did();
        assert_eq!(keys.sign(&stranger, shown.clone()), shown, "a key that is not here signs nothing");
    }
}

#[test]
fn an_agent_without_an_extended_card_does_not_speak_of_one() {
    let did = keyring().add(1).agent.did();
    let cards = a2a_cards(&a_row(did, None).unwrap(), Seed::devnet(7, 1).node_key().peer_id());
    assert_eq!((card::has_extended(&cards.public), cards.extended), (false, None));
    for wrong in [json!([]), json!("text"), json!({ "description": "x".repeat(17_000) })] {
        assert_eq!(a_row(did, Some(wrong)).unwrap_err().code, "invalid_agent");
    }
}

#[tokio::test]
async fn what_is_answered_by_hand_runs_nothing_and_is_sold_by_order_alone() {
    let did = keyring().add(1).agent.did();
    let row = AgentRow { runner: Runner::ByHand, ..a_row(did, None).unwrap() };
    assert_eq!(for_money(&row), [haggle_trade::EXTENSION_URI]);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(1_795_000_000)));
    let engine = Engine::of("echo", &row.runner, &clock).unwrap();
    assert!(engine.is_some(), "it is there without anything that runs it");
    let agents = Agents::default();
    agents.insert(Served { index: 1, row, engine });
    assert!(matches!(agents.run(&did, json!({}), "o-1").await, Err(WorkError::NotNow(_))));
    let work = crate::adapters::trade::OrderWork(agents);
    assert!(work.is_by_hand(&did) && work.posts_delivery(&did) && work.checks_itself(&did));
}
