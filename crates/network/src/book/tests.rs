//! Stories of the peer book.

use haggle_base::NodeKey;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn book() -> Book {
    Book::new(Limits { gossip_rate: Rate { per_second: 1, burst: 2 }, streams_per_peer: 4 })
}

fn peer(number: u16) -> PeerId {
    let mut secret = [0; 32];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    NodeKey::from_bytes(&secret).peer_id()
}

fn addr() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/4404".parse().unwrap()
}

fn connection(number: usize) -> ConnectionId {
    ConnectionId::new_unchecked(number)
}

fn linked(book: &mut Book, peer: &PeerId, id: usize) {
    linked_by(book, peer, id, Path::Direct, Duration::ZERO);
}

fn linked_by(book: &mut Book, peer: &PeerId, id: usize, path: Path, elapsed: Duration) {
    book.link(peer, NewLink { id: connection(id), addr: addr(), path, dialled: true }, NOW, elapsed);
}

#[test]
fn a_peer_counts_as_connected_only_after_it_told_who_it_is() {
    let (mut book, alice) = (book(), peer(1));
    assert_eq!(book.admit(&alice, "haggle", vec![], NOW), Admit::NotConnected);
    linked(&mut book, &alice, 1);
    assert!(!book.is_admitted(&alice));
    assert!(book.all_facts(false, NOW).is_empty());
    assert!(matches!(book.admit(&alice, "haggle", vec![addr()], NOW), Admit::Admitted { .. }));
    assert_eq!(book.admit(&alice, "haggle", vec![addr()], NOW), Admit::Known);
    let facts = book.facts(&alice, NOW).unwrap();
    assert_eq!(facts.connected_since, Some(NOW));
    assert_eq!(facts.last_dial_ok, Some(NOW));
    assert_eq!(facts.transport, Some(Transport::Tcp));
}

#[test]
fn a_peer_is_gone_with_its_last_connection_and_its_dids_with_it() {
    let (mut book, alice) = (book(), peer(1));
    linked(&mut book, &alice, 1);
    linked(&mut book, &alice, 2);
    let Admit::Admitted { round, .. } = book.admit(&alice, "haggle", vec![], NOW) else { panic!() };
    let did = haggle_base::AgentKey::from_bytes(&[3; 32]).did();
    assert_eq!(book.proofs_done(&alice, round, vec![did]), [did]);
    assert_eq!(book.speakers(&did), [alice]);
    assert_eq!(book.unlink(&alice, connection(1), NOW), Unlinked::Quiet);
    assert_eq!(book.dids(&alice).0, [did]);
    assert_eq!(book.unlink(&alice, connection(2), NOW), Unlinked::Gone);
    assert!(book.dids(&alice).0.is_empty());
    assert_eq!(book.unlink(&alice, connection(2), NOW), Unlinked::Quiet);
}

#[test]
fn an_older_exchange_of_proofs_does_not_end_a_newer_one() {
    let (mut book, alice) = (book(), peer(1));
    linked(&mut book, &alice, 1);
    let Admit::Admitted { round, .. } = book.admit(&alice, "haggle", vec![], NOW) else { panic!() };
    let newer = book.proofs_pending(&alice).unwrap();
    assert!(book.proofs_done(&alice, round, vec![]).is_empty());
    assert_eq!(book.dids(&alice).1, Proving::Pending);
    assert!(book.proofs_done(&alice, newer, vec![]).is_empty());
    assert_eq!(book.dids(&alice).1, Proving::Done);
}

#[test]
fn penalties_add_up_to_a_ban_and_are_forgiven_with_time() {
    let (mut book, eve) = (book(), peer(9));
    let at = Duration::from_secs;
    assert_eq!(book.penalise(&eve, Severity::High, at(0)), Penalised::Noted { points: 50 });
    assert_eq!(book.penalise(&eve, Severity::Low, at(600)), Penalised::Noted { points: 31 });
    assert_eq!(book.penalise(&eve, Severity::Medium, at(600)), Penalised::Noted { points: 41 });
    assert_eq!(book.penalise(&eve, Severity::High, at(601)), Penalised::Noted { points: 91 });
    assert_eq!(book.penalise(&eve, Severity::Medium, at(602)), Penalised::Ban);
    assert_eq!(book.penalise(&eve, Severity::Fatal, at(603)), Penalised::Ban);
}

#[test]
fn the_book_is_bounded_and_keeps_the_connected() {
    let mut book = book();
    let alice = peer(0);
    linked(&mut book, &alice, 1);
    for number in 1..=u16::try_from(MAX_PEERS).unwrap() + 50 {
        book.learn(&peer(number), vec![addr()], Duration::ZERO);
    }
    assert_eq!(book.entries.len(), MAX_PEERS);
    assert!(book.is_linked(&alice));
    assert!(book.facts(&peer(1), NOW).is_none(), "the stalest went first");
}

#[test]
fn gossip_and_questions_are_rationed_per_peer() {
    let (mut book, eve, bob) = (book(), peer(9), peer(2));
    let zero = Duration::ZERO;
    assert!(book.takes_gossip(&eve, zero) && book.takes_gossip(&eve, zero));
    assert!(!book.takes_gossip(&eve, zero));
    assert!(book.takes_gossip(&bob, zero), "Bob's share is his own");
    assert!(book.takes_gossip(&eve, Duration::from_secs(1)));
    let questions = (0..100).filter(|_| book.takes_question(&eve, zero)).count();
    assert_eq!(questions, usize::try_from(QUESTION_RATE.burst).unwrap());
}

#[test]
fn a_peer_that_names_the_meeting_otherwise_has_begun_anew_until_all_connections_are_gone() {
    let (mut book, alice) = (book(), peer(1));
    assert_eq!(book.meeting(&alice, [1; 8]), [1; 8], "nobody is remembered for it");
    assert!(!book.has_begun_anew(&alice, [7; 8]));
    linked(&mut book, &alice, 1);
    assert_eq!(book.meeting(&alice, [2; 8]), [2; 8]);
    assert_eq!(book.meeting(&alice, [3; 8]), [2; 8], "one name as long as she is here");
    assert!(!book.has_begun_anew(&alice, [7; 8]));
    assert!(!book.has_begun_anew(&alice, [7; 8]), "she asks once more");
    linked(&mut book, &alice, 2);
    assert!(book.has_begun_anew(&alice, [8; 8]));
    assert!(book.has_begun_anew(&alice, [8; 8]), "as long as nothing was done about it");
    assert!(book.give_up(&alice) && !book.give_up(&alice));
    for id in [1, 2] {
        let _unlinked = book.unlink(&alice, connection(id), NOW);
    }
    linked(&mut book, &alice, 3);
    assert!(!book.has_begun_anew(&alice, [9; 8]), "nothing stands of before");
    assert_eq!(book.meeting(&alice, [4; 8]), [4; 8]);
}

#[test]
fn a_dead_connection_that_does_not_close_costs_a_peer_one_more_beginning_and_no_more() {
    let (mut book, alice) = (book(), peer(1));
    linked(&mut book, &alice, 1);
    assert!(!book.has_begun_anew(&alice, [7; 8]));
    linked(&mut book, &alice, 2);
    assert!(book.has_begun_anew(&alice, [8; 8]) && book.give_up(&alice));
    assert_eq!(book.unlink(&alice, connection(2), NOW), Unlinked::Quiet);
    linked(&mut book, &alice, 3);
    assert!(!book.has_begun_anew(&alice, [9; 8]), "the first one still closes");
    assert!(!book.give_up(&alice));
    assert_eq!(book.unlink(&alice, connection(1), NOW), Unlinked::NeverGreeted);
    assert!(book.give_up(&alice));
    let _unlinked = book.unlink(&alice, connection(3), NOW);
    linked(&mut book, &alice, 4);
    assert!(!book.has_begun_anew(&alice, [10; 8]));
}

#[test]
fn failed_pings_in_a_row_are_counted() {
    let (mut book, alice) = (book(), peer(1));
    linked(&mut book, &alice, 1);
    assert_eq!(book.pinged(&alice, connection(1), None), 1);
    assert_eq!(book.pinged(&alice, connection(1), None), 2);
    assert_eq!(book.pinged(&alice, connection(1), Some(Duration::from_millis(1))), 0);
    assert_eq!(book.pinged(&alice, connection(2), None), 0, "an unknown connection");
}

#[test]
fn the_best_way_counts_and_is_told() {
    let (mut book, alice) = (book(), peer(1));
    assert_eq!(book.path(&alice), None);
    linked_by(&mut book, &alice, 1, Path::Relayed, Duration::ZERO);
    assert_eq!(book.facts(&alice, NOW).unwrap().path, None, "she has not told who she is");
    assert!(matches!(book.admit(&alice, "haggle", vec![], NOW), Admit::Admitted { .. }));
    assert_eq!(book.facts(&alice, NOW).unwrap().path, Some(Path::Relayed));
    assert!(book.has_lane(&alice, true) && !book.has_lane(&alice, false));
    linked(&mut book, &alice, 2);
    book.punched(&alice, connection(2));
    assert_eq!(book.path(&alice), Some(Path::Punched));
    linked(&mut book, &alice, 3);
    assert_eq!(book.paths(), [1, 0, 0]);
    assert_eq!(book.unlink(&alice, connection(3), NOW), Unlinked::Quiet);
    assert_eq!(book.unlink(&alice, connection(2), NOW), Unlinked::Quiet);
    assert_eq!(book.paths(), [0, 0, 1]);
}

#[test]
fn a_replaced_connection_is_closed_once_no_stream_uses_it_or_after_long() {
    let (mut book, alice) = (book(), peer(1));
    let (settled, longest) = (Duration::from_secs(1), Duration::from_secs(60));
    let at = Duration::from_secs;
    linked_by(&mut book, &alice, 1, Path::Relayed, at(0));
    assert!(book.replaced(at(100), settled, longest).is_empty(), "there is nothing better");
    linked_by(&mut book, &alice, 2, Path::Punched, at(100));
    assert!(book.replaced(at(100), settled, longest).is_empty(), "the other side may not know yet");
    let stream = book.hold(&alice, true, at(100));
    assert!(book.replaced(at(110), settled, longest).is_empty(), "a stream is still on it");
    assert_eq!(book.replaced(at(160), settled, longest), [connection(1)], "it has had its time");
    drop(stream);
    assert_eq!(book.replaced(at(110), settled, longest), [connection(1)]);
}

#[test]
fn a_relayed_connection_is_upgraded_once_at_the_addresses_that_the_peer_told() {
    let (mut book, alice) = (book(), peer(1));
    let circuit: Multiaddr = format!("{}/p2p/{}/p2p-circuit", addr(), peer(2)).parse().unwrap();
    linked_by(&mut book, &alice, 1, Path::Relayed, Duration::ZERO);
    assert!(book.take_upgrade(&alice).is_empty(), "she has told no address");
    let _admitted = book.admit(&alice, "haggle", vec![addr(), circuit], NOW);
    assert_eq!(book.take_upgrade(&alice), [addr()], "what leads through a relay is no better");
    assert!(book.take_upgrade(&alice).is_empty(), "it was tried");
    linked_by(&mut book, &alice, 2, Path::Relayed, Duration::ZERO);
    assert_eq!(book.take_upgrade(&alice), [addr()]);
    linked(&mut book, &alice, 3);
    linked_by(&mut book, &alice, 4, Path::Relayed, Duration::ZERO);
    assert!(book.take_upgrade(&alice).is_empty(), "she is reached directly");
}

#[test]
fn who_speaks_a_protocol_is_known_as_long_as_it_can_be_reached() {
    let (mut book, alice, bob) = (book(), peer(1), peer(2));
    let name = || std::iter::once("/haggle/devnet-7/1/search/1".to_owned());
    for (number, peer) in [(1, &alice), (2, &bob)] {
        linked(&mut book, peer, number);
        assert!(matches!(book.admit(peer, "haggle", vec![addr()], NOW), Admit::Admitted { .. }));
        book.speaks(peer, name());
    }
    let since = NOW.minus(Duration::from_secs(60));
    let mut both = vec![alice, bob];
    both.sort_unstable();
    assert_eq!(book.speaking("/haggle/devnet-7/1/search/1", since), (both, vec![]));
    assert_eq!(book.speaking("/haggle/devnet-7/1/look/1", since), (vec![], vec![]));
    assert_eq!(book.unlink(&alice, connection(1), NOW), Unlinked::Gone);
    assert_eq!(book.speaking("/haggle/devnet-7/1/search/1", since), (vec![bob], vec![alice]));
    book.dial_failed(&alice, NOW);
    assert_eq!(book.speaking("/haggle/devnet-7/1/search/1", since), (vec![bob], vec![]), "not so soon again");
    assert_eq!(book.speaking("/haggle/devnet-7/1/search/1", NOW), (vec![bob], vec![alice]));
    book.speaks(&bob, (0..1000).map(|number| number.to_string()));
    assert_eq!(book.speaking("31", since).0, [bob]);
    assert!(book.speaking("32", since).0.is_empty(), "of one peer few are remembered");
}

#[test]
fn whom_this_node_has_lost_is_given_in_turn_and_whoever_is_here_is_not() {
    let (mut book, alice, bob, carol) = (book(), peer(1), peer(2), peer(3));
    for (number, peer) in [(1, &alice), (2, &bob), (3, &carol)] {
        linked(&mut book, peer, number);
        assert!(matches!(book.admit(peer, "haggle", vec![addr()], NOW), Admit::Admitted { .. }));
    }
    let at = Duration::from_secs;
    let anybody = |_: &PeerId| true;
    assert_eq!(book.next_lost(at(0), anybody), None, "all are here");
    assert_eq!(book.unlink(&alice, connection(1), NOW), Unlinked::Gone);
    assert_eq!(book.unlink(&bob, connection(2), NOW.plus(at(1))), Unlinked::Gone);
    let turns: Vec<_> = (1..=4).map(|second| book.next_lost(at(second), anybody)).collect();
    assert_eq!(turns, [Some(bob), Some(alice), Some(bob), Some(alice)], "the one that was seen last comes first");
    assert_eq!(book.next_lost(at(5), |peer| *peer != bob), Some(alice), "whom one may not dial is left out");
}

#[test]
fn a_connection_is_unused_once_no_stream_was_wanted_for_long_and_only_this_sides_own_counts() {
    let (mut book, idle) = (book(), Duration::from_secs(30));
    let at = Duration::from_secs;
    let (alice, bob, carol) = (peer(1), peer(2), peer(3));
    linked_by(&mut book, &alice, 1, Path::Direct, at(0));
    linked_by(&mut book, &bob, 2, Path::Direct, at(5));
    let theirs = NewLink { id: connection(3), addr: addr(), path: Path::Direct, dialled: false };
    book.link(&carol, theirs, NOW, at(0));
    assert!(book.unused(at(100), idle).is_empty(), "they have not told who they are");
    for peer in [&alice, &bob, &carol] {
        assert!(matches!(book.admit(peer, "haggle", vec![], NOW), Admit::Admitted { .. }));
    }
    assert!(book.unused(at(29), idle).is_empty(), "somebody may want to use it");
    assert_eq!(book.unused(at(40), idle), [bob, alice], "the newest first");
    assert_eq!(book.own_dials(), 2);
    let streams = [book.hold(&alice, false, at(40)), book.hold(&bob, true, at(41))];
    assert!(book.unused(at(100), idle).is_empty(), "streams are on them");
    drop(streams);
    assert_eq!(book.unused(at(100), idle), [bob, alice]);
    book.wanted(&alice, at(90));
    assert_eq!(book.unused(at(100), idle), [bob], "a stream is about to be opened");
    assert_eq!(book.dialled(&bob), [connection(2)]);
    assert!(book.dialled(&carol).is_empty());
}

#[test]
fn the_relays_that_connections_go_through_are_known() {
    let (mut book, alice, relay) = (book(), peer(1), peer(9));
    let through = addr().with_p2p(address::to_libp2p(&relay)).unwrap().with(libp2p::multiaddr::Protocol::P2pCircuit);
    let link = |id, addr, path| NewLink { id: connection(id), addr, path, dialled: true };
    book.link(&alice, link(1, addr(), Path::Direct), NOW, Duration::ZERO);
    assert!(book.relays().is_empty());
    book.link(&alice, link(2, through, Path::Relayed), NOW, Duration::ZERO);
    assert_eq!(book.relays(), [relay]);
}
