//! Nodes that know nothing of each other are joined by one pasted line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{PeerList, PingView, TicketView};
use haggle_testnet::{Stage, Typed};
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Generous: real processes beside other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command prints that is run at the home of node `number`, and whether it went well.
async fn typed(stage: &Stage, number: usize, words: &[&str]) -> (bool, String, String) {
    let Typed { ok, out, err } = stage.typed(number, words).await;
    (ok, out.trim().to_owned(), err.trim().to_owned())
}

/// Adds a node whose network file names nobody, like the first node's.
async fn add_stranger(stage: &mut Stage, env: &[(&str, &str)]) {
    let home = stage.market.make_next_home().unwrap();
    std::fs::copy(stage.node(1).home().network(), home.network()).unwrap();
    stage.market.add_node_with(env).await.unwrap();
}

async fn peers(stage: &Stage, number: usize) -> Vec<String> {
    let list: PeerList = stage.node(number).client().unwrap().get("/v1/peers").await.unwrap();
    list.items.into_iter().map(|peer| peer.peer).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_connects_pings_and_starts_by_a_ticket() {
    // nothing spreads by gossip or reconciliation: the card comes with the ticket
    let mut stage = Stage::with(PROGRAM, false, false).await;
    stage.market.add_node().await.unwrap();
    let echo = stage.node(1).serve_builtin("echo").await.unwrap();
    add_stranger(&mut stage, &[]).await;
    assert!(peers(&stage, 2).await.is_empty());

    let (ok, ticket, said) = typed(&stage, 1, &["peer", "ticket", "--agent", "echo"]).await;
    assert!(ok && said.is_empty() && ticket.starts_with("haggle1") && ticket.lines().count() == 1, "{ticket} {said}");
    let told: TicketView = serde_json::from_str(&typed(&stage, 1, &["peer", "ticket", "--json"]).await.1).unwrap();
    assert_eq!((told.agent, told.network.as_str()), (None, "devnet-7/1"));
    assert!(told.addresses.iter().all(|address| address.ends_with(&told.peer)) && !told.addresses.is_empty());

    let (ok, shown, said) = typed(&stage, 2, &["peer", "connect", &ticket]).await;
    assert!(ok && shown.contains(&told.peer), "{shown} {said}");
    assert_eq!(peers(&stage, 2).await, std::slice::from_ref(&told.peer));
    let agent: Value = stage.get(2, &format!("/v1/agents/{}", echo.did)).await;
    assert_eq!(agent["name"], "echo", "the agent that the ticket is for is known at once");
    let (ok, pinged, _) = typed(&stage, 2, &["peer", "ping", "--json", &ticket]).await;
    let pinged: PingView = serde_json::from_str(&pinged).unwrap();
    assert!(ok && pinged.peer == told.peer && pinged.path.as_deref() == Some("direct"), "{pinged:?}");

    let known = format!("[\"{}\"]", told.ticket);
    add_stranger(&mut stage, &[("HAGGLE_P2P__BOOTSTRAP", &known)]).await;
    let joined = async {
        while !peers(&stage, 3).await.contains(&told.peer) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, joined).await.expect("it finds the node of the ticket");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_leads_nowhere_is_refused_with_a_reason() {
    let stage = Stage::of(PROGRAM, 1).await;
    let (_, ticket, _) = typed(&stage, 1, &["peer", "ticket"]).await;
    let gateway = stage.node(1).client().unwrap();
    let refused = async |ticket: &str| {
        let body = json!({ "address": ticket });
        gateway.post::<_, PeerList>("/v1/peers", &body).await.unwrap_err()
    };
    assert_eq!(refused(&ticket).await.code, "own_ticket");
    let last = if ticket.ends_with('a') { "b" } else { "a" };
    let damaged = format!("{}{last}", &ticket[..ticket.len() - 1]);
    assert_eq!(refused(&damaged).await.code, "ticket_damaged");
    assert_eq!(refused("haggle1").await.code, "ticket_damaged");
    // one of the golden vectors, whose network is another name of this one's form
    let vectors: Value = serde_json::from_str(include_str!("../../docs/protocols/vectors/tickets.json")).unwrap();
    let foreign = vectors["tickets"].as_array().unwrap().last().unwrap();
    let other = refused(foreign["ticket"].as_str().unwrap()).await;
    assert_eq!(other.code, "ticket_of_other_network");
    assert!(other.to_string().contains("devnet-8/1") && other.hint.contains("network file"), "{other} {}", other.hint);
    let (ok, _, said) = typed(&stage, 1, &["peer", "ticket", "--agent", "nobody"]).await;
    assert!(!ok && said.contains("agent_not_found"), "{said}");
    stage.end().await;
}
