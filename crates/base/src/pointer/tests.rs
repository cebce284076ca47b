//! What lies in the DHT under an agent's key, and what does not pass for it.

use super::*;
use crate::keys::Seed;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

fn alice() -> AgentKey {
    Seed::devnet(7, 0).agent_key(0)
}

fn host(number: u32, addrs: &[&str]) -> PointerHost {
    let addrs: Vec<Text<128>> = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
    PointerHost { peer: Seed::devnet(7, number).node_key().peer_id(), addrs: addrs.try_into().unwrap() }
}

fn pointer(hosts: Vec<PointerHost>) -> Pointer {
    let card = Some(RecordId::from(Hash::of(b"a card")));
    Pointer { card, hosts: hosts.try_into().unwrap(), mailboxes: List::new() }
}

fn here() -> Pointer {
    pointer(vec![host(0, &["/ip4/127.0.0.1/tcp/4404"])])
}

fn code(key: &[u8], value: &[u8], now: Timestamp) -> &'static str {
    check(&network(), key, value, now).unwrap_err().code()
}

#[test]
fn a_pointer_passes_at_the_key_of_its_author_until_it_ends() {
    let signed = here().sign(&network(), 1, NOW, &alice()).unwrap();
    let at = key(&network(), &alice().did());
    let read = check(&network(), at.as_bytes(), signed.bytes(), NOW).unwrap();
    assert_eq!((read.author(), read.body()), (alice().did(), &here()));
    assert!(check(&network(), at.as_bytes(), signed.bytes(), NOW.plus(POINTER_TTL - MINUTE)).is_ok());
    assert_eq!(code(at.as_bytes(), signed.bytes(), NOW.plus(POINTER_TTL)), "expired");
}

#[test]
fn what_somebody_else_says_is_no_pointer_of_the_agent() {
    let at = key(&network(), &alice().did());
    let eve = Seed::devnet(7, 9).agent_key(0);
    let foreign = here().sign(&network(), 9, NOW, &eve).unwrap();
    assert_eq!(code(at.as_bytes(), foreign.bytes(), NOW), "wrong_slot", "eve's own, where alice's belongs");
    let genuine = here().sign(&network(), 1, NOW, &alice()).unwrap();
    let other = key(&network(), &eve.did());
    assert_eq!(code(other.as_bytes(), genuine.bytes(), NOW), "wrong_slot", "alice's, where eve's belongs");
    assert_eq!(code(&at.as_bytes()[..31], genuine.bytes(), NOW), "wrong_slot");

    let mut forged = genuine.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(code(at.as_bytes(), &forged, NOW), "bad_signature");
    for end in [0, 1, forged.len() / 2, forged.len() - 1] {
        assert!(check(&network(), at.as_bytes(), &genuine.bytes()[..end], NOW).is_err(), "cut at {end}");
    }

    let elsewhere: NetworkId = "devnet-8/1".parse().unwrap();
    let abroad = here().sign(&elsewhere, 1, NOW, &alice()).unwrap();
    assert_eq!(code(at.as_bytes(), abroad.bytes(), NOW), "wrong_network");
    assert_ne!(key(&elsewhere, &alice().did()), at, "each network has its own keys");
    assert_eq!(code(at.as_bytes(), genuine.bytes(), NOW.minus(11 * MINUTE)), "created_in_future");
}

#[test]
fn the_newest_counts_and_a_tie_goes_to_the_lower_id() {
    let sign = |body: Pointer, seq| body.sign(&network(), seq, NOW, &alice()).unwrap();
    let (old, new) = (sign(here(), 1), sign(Pointer::withdrawn(), 2));
    assert!(newness(&new) > newness(&old));
    let other = sign(pointer(vec![host(1, &[])]), 1);
    let lower = if other.id() < old.id() { &other } else { &old };
    assert_eq!([&old, &other].into_iter().max_by_key(|held| newness(held)).unwrap().id(), lower.id());
}

#[test]
fn addresses_that_do_not_fit_are_left_out_and_hosts_are_not() {
    let longest = format!("/dns4/{}/tcp/4404", "a".repeat(113));
    let full = [longest.as_str(); 4];
    let signed =
        pointer((0..4).map(|number| host(number, &full)).collect()).sign(&network(), 1, NOW, &alice()).unwrap();
    assert!(signed.bytes().len() <= MAX_POINTER_BYTES);
    let hosts = &signed.body().hosts;
    assert_eq!(hosts.len(), 4);
    assert!(hosts.iter().map(|host| host.addrs.len()).sum::<usize>() >= 1, "{hosts:?}");
    let alone = pointer(vec![host(0, &full)]).sign(&network(), 1, NOW, &alice()).unwrap();
    assert!(alone.body().hosts[0].addrs.len() >= 3, "{} bytes", alone.bytes().len());
}

#[test]
fn a_pointer_that_contradicts_itself_is_refused() {
    let twice = pointer(vec![host(0, &[]), host(0, &[])]);
    let nowhere = pointer(Vec::new());
    let cardless = Pointer { card: None, ..here() };
    let peer = host(0, &[]).peer;
    let two_mailboxes = Pointer { mailboxes: vec![peer, peer].try_into().unwrap(), ..here() };
    for wrong in [twice, nowhere, cardless, two_mailboxes] {
        assert_eq!(wrong.sign(&network(), 1, NOW, &alice()).unwrap_err().code(), "bad_pointer");
    }
    assert!(Pointer::withdrawn().sign(&network(), 1, NOW, &alice()).is_ok());
}
