//! What a ticket says comes through, and a slip of the hand does not.

use haggle_base::{AgentKey, NodeKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const RELAY: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

fn peer(number: u8) -> PeerId {
    NodeKey::from_bytes(&[number; 32]).peer_id()
}

fn agent(number: u8) -> Did {
    AgentKey::from_bytes(&[number; 32]).did()
}

fn ticket(addrs: &[&str], agent: Option<Did>) -> Ticket {
    let addrs: Vec<String> = addrs.iter().map(|addr| (*addr).to_owned()).collect();
    Ticket::new(network(), peer(1), &addrs, agent, true)
}

fn full() -> Ticket {
    let relayed = format!("/ip4/203.0.113.7/udp/4900/quic-v1/p2p/{RELAY}/p2p-circuit");
    ticket(
        &["/ip4/127.0.0.1/tcp/4900", "/dns4/node.example/udp/4900/quic-v1", "/ip6/::1/tcp/1", &relayed],
        Some(agent(2)),
    )
}

/// `docs/protocols/vectors/tickets.json`, as it is made.
fn vectors() -> Value {
    let shown = |ticket: &Ticket| {
        json!({
            "ticket": ticket.to_string(),
            "network": ticket.network(),
            "peer": ticket.peer(),
            "addresses": ticket.addrs(),
            "agent": ticket.agent(),
        })
    };
    let elsewhere = Ticket { network: "devnet-8/1".parse().unwrap(), ..ticket(&[], None) };
    let made = [full(), ticket(&["/ip4/192.0.2.1/udp/4900/quic-v1"], None), elsewhere];
    json!({ "tickets": made.iter().map(shown).collect::<Vec<_>>() })
}

#[test]
fn an_address_that_is_told_twice_takes_the_room_of_one() {
    let (one, other) = ("/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2");
    assert_eq!(ticket(&[one, other, one, other, one], None).addrs().len(), 2);
}

#[test]
fn tickets_are_those_of_the_specification() {
    let written: Value = serde_json::from_str(include_str!("../../../../docs/protocols/vectors/tickets.json")).unwrap();
    assert_eq!(vectors(), written, "docs/protocols/vectors/tickets.json: {:#}", vectors());
}

#[test]
fn a_ticket_names_the_addresses_that_others_can_dial_and_few_of_them() {
    let many: Vec<String> = (1..9).map(|port| format!("/ip4/10.0.0.1/tcp/{port}/p2p/{}", peer(1))).collect();
    let relayed = (1..9).map(|port| format!("/ip4/9.9.9.9/tcp/{port}/p2p/{RELAY}/p2p-circuit/p2p/{}", peer(1)));
    let open = ["/ip4/8.8.8.8/tcp/1".to_owned()];
    let all: Vec<String> = many.into_iter().chain(relayed).chain(open).collect();
    let ticket = Ticket::new(network(), peer(1), &all, None, false);
    let addrs = ticket.addrs();
    assert_eq!(addrs.len(), MAX_TICKET_ADDRS);
    assert!(addrs[0].starts_with("/ip4/8.8.8.8/") && addrs[1].starts_with("/ip4/10.0.0.1/tcp/1/"), "{addrs:?}");
    assert!(addrs[2..].iter().all(|addr| addr.contains("/p2p-circuit/p2p/")), "{addrs:?}");
    assert!(addrs.iter().all(|addr| addr.ends_with(&peer(1).to_string())));
    let local = ["/ip4/127.0.0.1/tcp/1".to_owned(), "no address".to_owned()];
    assert!(Ticket::new(network(), peer(1), &local, None, false).addrs().is_empty());
}

#[test]
fn a_ticket_may_be_written_large_and_with_blanks_around_it() {
    let text = full().to_string();
    assert_eq!(format!(" {}\n", text.to_ascii_uppercase()).parse(), Ok(full()));
    assert!(text.len() < 420, "{} characters", text.len());
}

#[test]
fn one_wrong_character_is_noticed_and_so_is_a_cut() {
    let text = full().to_string();
    for at in TICKET_PREFIX.len()..text.len() {
        for other in "abcdefghijklmnopqrstuvwxyz234567".bytes().filter(|other| *other != text.as_bytes()[at]) {
            let mut flipped = text.clone().into_bytes();
            flipped[at] = other;
            assert_eq!(String::from_utf8(flipped).unwrap().parse::<Ticket>(), Err(TicketError::Damaged), "at {at}");
        }
        assert_eq!(text[..at].parse::<Ticket>(), Err(TicketError::Damaged));
    }
    for wrong in ["", "haggle", "haggle2abc", "/ip4/127.0.0.1/tcp/1", &"haggle1".repeat(1000)] {
        assert_eq!(wrong.parse::<Ticket>(), Err(TicketError::NotATicket), "{wrong:.40}");
    }
}

#[test]
fn a_whole_ticket_with_nonsense_in_it_is_refused() {
    let written = |payload: &[u8]| {
        let bytes = [payload, &Ticket::checksum(payload)].concat();
        format!("{TICKET_PREFIX}{}", BASE32_NOPAD.encode(&bytes))
    };
    let key = Blob::<32>::try_from(peer(1).public_key().as_slice()).unwrap();
    let payload = |key: &Blob<32>, addr: &str| {
        let addr: Multiaddr = addr.parse().unwrap();
        let addrs = List::try_from(vec![Blob::try_from(addr.to_vec()).unwrap()]).unwrap();
        cbor::to_vec(&Wire(network(), key.clone(), addrs, None)).unwrap()
    };
    assert!(written(&payload(&key, "/ip4/1.2.3.4/tcp/1")).parse::<Ticket>().is_ok());
    let short = Blob::try_from([1_u8; 31].as_slice()).unwrap();
    let named = format!("/ip4/1.2.3.4/tcp/1/p2p/{RELAY}");
    for bad in [payload(&short, "/ip4/1.2.3.4/tcp/1"), payload(&key, "/memory/1"), payload(&key, &named), vec![0xf6]] {
        assert_eq!(written(&bad).parse::<Ticket>(), Err(TicketError::Unreadable));
    }
}

#[test]
fn a_ticket_of_another_network_is_told_apart() {
    let text = full().to_string();
    assert_eq!(Ticket::read(&text, &network()), Ok(full()));
    let elsewhere = "devnet-8/1".parse().unwrap();
    assert_eq!(Ticket::read(&text, &elsewhere).unwrap_err().code(), "ticket_of_other_network");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        ports in prop::collection::vec((any::<[u8; 4]>(), any::<u16>(), any::<bool>()), 0..6),
        number in 1_u8..255,
        named in any::<bool>(),
    ) {
        let addrs: Vec<String> = ports.iter().map(|([a, b, c, d], port, quic)| match quic {
            true => format!("/ip4/{a}.{b}.{c}.{d}/udp/{port}/quic-v1"),
            false => format!("/ip4/{a}.{b}.{c}.{d}/tcp/{port}"),
        }).collect();
        let made = Ticket::new(network(), peer(number), &addrs, named.then(|| agent(number)), true);
        let text = made.to_string();
        prop_assert!(text.len() <= MAX_TICKET_CHARS);
        prop_assert_eq!(text.parse::<Ticket>(), Ok(made));
    }

    #[test]
    fn no_text_makes_reading_panic(text in "(haggle1)?[a-z2-7]{0,80}") {
        prop_assert!(text.parse::<Ticket>().is_err());
    }
}
