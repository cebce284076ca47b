//! Stories of a keeper and an outbox, without a network; the laws of the ledger; golden vectors.

mod laws;
mod vectors;

use std::sync::Arc;
use std::time::Duration;

use haggle_base::{AgentKey, Blob, Clock, Coded, Hash, List, ManualClock, NetworkId, NodeKey, PeerId, Timestamp};
use haggle_store::Store;
use tokio::io::AsyncWriteExt;

use super::letter::{LETTER_TTL, MAX_LETTER_BYTES, MAX_MESSAGE_BYTES, MAX_TOKEN_BYTES, TOKEN_TTL};
use super::wire::{Half, Question, Refusal};
use super::*;

const START: Timestamp = Timestamp::from_secs(1_795_000_000);

fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

fn key(number: u32) -> AgentKey {
    AgentKey::from_bytes(Hash::of(&number.to_be_bytes()).as_bytes())
}

fn node(number: u8) -> PeerId {
    NodeKey::from_bytes(&[number; 32]).peer_id()
}

fn letter(from: u32, to: u32, bytes: usize, now: Timestamp) -> Letter {
    let message = Blob::try_from(vec![7; bytes]).unwrap();
    Letter::write(&network(), &key(from), &key(to).did(), &Content { message, token: None, pointer: None }, now)
        .unwrap()
}

fn token(recipient: u32, sender: u32) -> Blob<MAX_TOKEN_BYTES> {
    let token = Token { network: network(), sender: key(sender).did(), expires: START.plus(TOKEN_TTL) };
    Blob::try_from(token.sign(&key(recipient)).unwrap()).unwrap()
}

fn receipt(recipient: u32, letter: &Letter) -> Blob<1024> {
    let receipt = Receipt { network: network(), letter: letter.id, from: letter.from, at: START, token: None };
    Blob::try_from(receipt.sign(&key(recipient)).unwrap()).unwrap()
}

/// A keeper at node 1, with a clock that is moved by hand.
struct Desk {
    keeper: Keeper,
    clock: Arc<ManualClock>,
    store: Store,
    home: tempfile::TempDir,
}

impl Desk {
    fn new(limits: Limits) -> Self {
        let (clock, store, home) = (Arc::new(ManualClock::new(START)), Store::memory(), tempfile::tempdir().unwrap());
        let keeper = Self::open(&store, &clock, &home, limits);
        Self { keeper, clock, store, home }
    }

    fn open(store: &Store, clock: &Arc<ManualClock>, home: &tempfile::TempDir, limits: Limits) -> Keeper {
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
        Keeper::open(store.clone(), home.path(), limits, network(), node(1), clock).unwrap()
    }

    /// As after a kill: everything that is not on disk is gone.
    fn restart(&mut self, limits: Limits) {
        self.keeper = Self::open(&self.store, &self.clock, &self.home, limits);
    }

    /// A stream of the node `peer`.
    fn stream(&self, peer: u8) -> tokio::io::DuplexStream {
        let (ours, theirs) = tokio::io::duplex(1024);
        let keeper = self.keeper.clone();
        tokio::spawn(async move { keeper.serve(theirs, node(peer), |_, _| {}).await });
        ours
    }

    /// A visit of the node `peer` for the agent of this number.
    async fn visit(&self, peer: u8, agent: u32, keep: bool) -> Visit<tokio::io::DuplexStream> {
        let mut visit = Visit::new(self.stream(peer));
        visit.open(&network(), &key(agent), (node(peer), node(1)), keep, self.clock.now()).await.unwrap();
        visit
    }

    async fn leave(&self, letter: &Letter, token: Option<Blob<MAX_TOKEN_BYTES>>) -> Result<Deposited, MailError> {
        let letter = Blob::try_from(letter.document()).unwrap();
        deposit(self.stream(9), &Question::Deposit { letter, token }).await
    }

    async fn refused(&self, letter: &Letter, token: Option<Blob<MAX_TOKEN_BYTES>>) -> Refusal {
        match self.leave(letter, token).await {
            Err(MailError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_letter_is_kept_over_a_crash_collected_once_and_receipted() {
    let mut desk = Desk::new(Limits::default());
    let long = letter(1, 2, MAX_MESSAGE_BYTES, START);
    assert!(long.document().len() <= MAX_LETTER_BYTES);
    assert_eq!(desk.refused(&long, None).await, Refusal::NotKept, "nobody asked for that");
    drop(desk.visit(2, 2, true).await);
    assert_eq!(desk.leave(&long, None).await.unwrap(), Deposited::Kept);
    assert_eq!(desk.leave(&long, None).await.unwrap(), Deposited::Kept, "the same again is the same");
    let short = letter(3, 2, 10, START);
    assert_eq!(desk.leave(&short, None).await.unwrap(), Deposited::Kept);
    assert_eq!(desk.keeper.status().await.letters, 2);

    desk.restart(Limits::default());
    let mut visit = desk.visit(2, 2, true).await;
    let first = visit.collect(Half::Open).await.unwrap();
    assert!(first == [long.document(), short.document()], "the oldest first");
    assert!(visit.collect(Half::Open).await.unwrap() == first, "until they are acknowledged");
    assert!(visit.collect(Half::Known).await.unwrap().is_empty());
    let opened = Letter::read(first[0].clone(), &network(), START).unwrap().open(&network(), &key(2)).unwrap();
    assert_eq!(opened.message.len(), MAX_MESSAGE_BYTES);
    visit.acknowledge(long.id, Some(receipt(2, &long))).await.unwrap();
    visit.acknowledge(long.id, Some(receipt(2, &long))).await.unwrap();
    assert!(visit.collect(Half::Open).await.unwrap() == [short.document()]);
    visit.acknowledge(short.id, None).await.unwrap();
    assert!(visit.collect(Half::Open).await.unwrap().is_empty());
    assert_eq!(desk.keeper.status().await.bytes, 0);
    assert_eq!(std::fs::read_dir(desk.home.path()).unwrap().count(), 0, "the file of the long one went with it");

    desk.restart(Limits::default());
    let mut sender = desk.visit(3, 1, false).await;
    assert!(sender.receipts().await.unwrap() == [receipt(2, &long).into_vec()]);
    sender.forget(List::try_from(vec![long.id]).unwrap()).await.unwrap();
    assert!(sender.receipts().await.unwrap().is_empty());
    let mut other = desk.visit(3, 3, false).await;
    assert!(other.receipts().await.unwrap().is_empty(), "a letter that cannot be used has no receipt");
}

#[tokio::test]
async fn what_is_forged_or_somebody_elses_is_refused() {
    let desk = Desk::new(Limits::default());
    drop(desk.visit(2, 2, true).await);
    let good = letter(1, 2, 100, START);
    for at in (0..good.document().len()).step_by(7) {
        let mut forged = good.document().to_vec();
        forged[at] ^= 1;
        let question = Question::Deposit { letter: Blob::try_from(forged).unwrap(), token: None };
        let refused = deposit(desk.stream(9), &question).await.unwrap_err();
        assert_eq!(refused.code(), "bad_letter");
    }
    assert_eq!(desk.refused(&good, Some(token(3, 1))).await, Refusal::BadToken, "of another recipient");
    assert_eq!(desk.refused(&good, Some(token(2, 3))).await, Refusal::BadToken, "for another sender");
    desk.leave(&good, Some(token(2, 1))).await.map(drop).unwrap();

    // the pass is the agent's own word, for this node and this keeper, for a minute
    let now = desk.clock.now();
    for (shown_by, shown_to, at) in [
        (3, 1, now),
        (4, 5, now),
        (4, 1, now.minus(Duration::from_secs(61))),
        (4, 1, now.plus(Duration::from_secs(601))),
    ] {
        let mut visit = Visit::new(desk.stream(4));
        let nodes = (node(shown_by), node(shown_to));
        let refused = visit.open(&network(), &key(2), nodes, true, at).await.unwrap_err();
        assert_eq!(refused.code(), "bad_mail_pass");
        assert_eq!(visit.collect(Half::Known).await.unwrap_err().code(), "mail_not_open");
    }
    let mut stranger = desk.visit(4, 3, true).await;
    assert!(stranger.collect(Half::Known).await.unwrap().is_empty());
    stranger.acknowledge(good.id, None).await.unwrap();
    let mut owner = desk.visit(2, 2, true).await;
    assert_eq!(owner.collect(Half::Known).await.unwrap().len(), 1, "still there");
    for wrong in [receipt(3, &good), receipt(2, &letter(1, 2, 5, START)), receipt(2, &letter(3, 2, 5, START))] {
        let refused = owner.acknowledge(good.id, Some(wrong)).await.unwrap_err();
        assert_eq!(refused.code(), "bad_mail_receipt");
    }

    // only its recipient opens it, and nobody sends its text on as a letter of its own
    assert_eq!(good.open(&network(), &key(3)).unwrap_err().code(), "wrong_receiver");
    assert_eq!(good.open(&"devnet-8/1".parse().unwrap(), &key(2)).unwrap_err().code(), "seal_broken");
    let mut stolen = good.clone();
    stolen.from = key(3).did();
    assert_eq!(stolen.open(&network(), &key(2)).unwrap_err().code(), "seal_broken");
}

#[tokio::test]
async fn a_letter_lives_for_three_days_and_no_longer() {
    let desk = Desk::new(Limits::default());
    drop(desk.visit(2, 2, true).await);
    let early = letter(1, 2, 5, START.plus(Duration::from_secs(601)));
    assert_eq!(desk.refused(&early, None).await, Refusal::BadLetter, "its clock is ahead");
    let first = letter(1, 2, 5, START);
    desk.leave(&first, None).await.map(drop).unwrap();
    desk.clock.advance(LETTER_TTL - Duration::from_millis(1));
    let mut visit = desk.visit(2, 2, true).await;
    assert_eq!(visit.collect(Half::Open).await.unwrap().len(), 1);
    desk.clock.advance(Duration::from_millis(1));
    assert!(visit.collect(Half::Open).await.unwrap().is_empty());
    assert_eq!(desk.refused(&first, None).await, Refusal::BadLetter);
    assert_eq!(desk.keeper.status().await.letters, 0);
    // a place that nobody comes for is given to another after a week
    desk.clock.advance(ledger::PLACE_TTL);
    drop(desk.visit(3, 3, true).await);
    assert_eq!(desk.keeper.status().await.recipients, 1);
}

#[test]
fn a_flood_by_a_thousand_senders_leaves_the_other_half_free() {
    let limits = Limits::default();
    let mut ledger = ledger::Ledger::new(limits);
    let to = key(2).did();
    ledger.greet(to, node(2), START).unwrap();
    let mut leave = |sender: u32, bytes: usize, half| {
        let size = ledger::Held::size_of(bytes);
        let id = Hash::of_parts(&[&sender.to_be_bytes(), &bytes.to_be_bytes()]);
        let held = ledger::Held { id, from: key(sender).did(), size, half, expires: START.plus(LETTER_TTL) };
        match ledger.room_for(&to, &held) {
            ledger::Deposit::Room { number, evicted } if evicted.is_empty() => {
                ledger.add(to, number, held);
                Ok(())
            }
            other => Err(other),
        }
    };
    let kept = (1000..2000).filter(|sender| leave(*sender, 900, Half::Open).is_ok()).count();
    assert_eq!(kept, 512, "small ones count a kibibyte");
    for sender in 10..18 {
        leave(sender, MAX_LETTER_BYTES, Half::Known).unwrap();
        assert_eq!(leave(sender, 2048, Half::Known), Err(ledger::Deposit::Refused(Refusal::SenderFull)));
    }
}

#[tokio::test]
async fn strangers_fill_their_half_over_the_stream_and_a_token_opens_the_other() {
    let desk = Desk::new(Limits { half: 4096, sender: 4096, ..Limits::default() });
    drop(desk.visit(2, 2, true).await);
    for sender in 10..14 {
        desk.leave(&letter(sender, 2, 10, START), None).await.map(drop).unwrap();
    }
    let next = letter(14, 2, 10, START);
    assert_eq!(desk.refused(&next, None).await, Refusal::MailboxFull);
    desk.leave(&next, Some(token(2, 14))).await.map(drop).unwrap();
}

#[tokio::test]
async fn a_peer_leaves_so_much_in_an_hour_and_no_more() {
    let desk = Desk::new(Limits::default());
    drop(desk.visit(2, 2, true).await);
    // what is no letter counts too
    let junk = Blob::try_from(vec![0; MAX_LETTER_BYTES]).unwrap();
    let question = Question::Deposit { letter: junk, token: None };
    for _ in 0..8 * 1024 / 63 {
        assert_eq!(deposit(desk.stream(9), &question).await.unwrap_err().code(), "bad_letter");
    }
    assert_eq!(deposit(desk.stream(9), &question).await.unwrap_err().code(), "mail_too_often");
    assert_eq!(deposit(desk.stream(8), &question).await.unwrap_err().code(), "bad_letter", "others have theirs");
    desk.clock.advance(Duration::from_secs(3600));
    let next = letter(1, 2, 100, desk.clock.now());
    desk.leave(&next, None).await.map(drop).unwrap();
}

#[tokio::test]
async fn what_is_no_question_ends_the_stream() {
    let desk = Desk::new(Limits::default());
    for (bytes, code) in [(vec![0, 2, 0, 0], "frame_too_large"), (vec![0, 0, 0, 1, 0xa0], "bad_frame")] {
        let (mut asker, theirs) = tokio::io::duplex(1024);
        asker.write_all(&bytes).await.unwrap();
        let error = desk.keeper.serve(theirs, node(2), |_, _| {}).await.unwrap_err();
        assert_eq!((error.code(), error.is_peers_fault()), (code, true));
    }
}

#[tokio::test]
async fn an_outbox_remembers_where_a_letter_is_until_somebody_signs_for_it() {
    let (store, home) = (Store::memory(), tempfile::tempdir().unwrap());
    let open = || Outbox::open(store.clone(), home.path(), network()).unwrap();
    let outbox = open();
    let (ours, theirs) = (key(1), key(2).did());
    let post = async |outbox: &Outbox, name: &str, message: &[u8]| {
        let prepared = outbox.prepare(&ours, &theirs, (name, Purpose::Asks), message, None, START).await.unwrap();
        let mut batch = haggle_store::Batch::new();
        prepared.write(&mut batch).unwrap();
        store.commit(batch).await.unwrap();
        outbox.posted(prepared).await.unwrap();
        outbox.find(&ours.did(), name).unwrap().unwrap()
    };
    let sent = post(&outbox, "m-1", &[9; 5000]).await;
    let other = post(&outbox, "m-2", b"short").await;
    let long = outbox.prepare(&ours, &theirs, ("m-3", Purpose::Asks), &[9; MAX_MESSAGE_BYTES + 1], None, START).await;
    let long = long.unwrap_err();
    assert_eq!(long.code(), "letter_too_long");
    outbox.left_at(sent.number, node(4)).await.unwrap();
    outbox.left_at(sent.number, node(4)).await.unwrap();

    let outbox = open();
    let under_way = outbox.under_way();
    assert_eq!(under_way.iter().map(|sent| sent.keepers.len()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(outbox.find(&ours.did(), "m-1").unwrap().as_ref(), under_way.first());
    let (question, _) = outbox.questions(sent.number, START).unwrap().unwrap();
    let Question::Deposit { letter, token: None } = question else { panic!("{question:?}") };
    let letter = Letter::read(letter.into_vec(), &network(), START).unwrap();
    let content = letter.open(&network(), &key(2)).unwrap();
    assert!(content.token.is_some() && outbox.knows(&ours.did(), &theirs, START).unwrap(), "they may answer");
    let stranger = key(3).did();
    for round in 0..8 {
        let name = format!("re-{round}");
        let what = (name.as_str(), Purpose::Answers);
        let answer = outbox.prepare(&ours, &stranger, what, b"no", None, START).await.unwrap();
        let (Question::Deposit { letter, .. }, _) = answer.questions(None).unwrap() else { panic!() };
        let letter = Letter::read(letter.into_vec(), &network(), START).unwrap();
        assert!(letter.open(&network(), &key(3)).unwrap().token.is_none(), "an answer makes nobody known");
        let mut batch = haggle_store::Batch::new();
        answer.write(&mut batch).unwrap();
        store.commit(batch).await.unwrap();
        let number = outbox.posted(answer).await.unwrap();
        assert_eq!(outbox.has_room(&stranger, Purpose::Answers).is_err(), round == 7);
        if round == 7 {
            for sent in outbox.under_way().iter().filter(|sent| sent.to == stranger) {
                outbox.end(sent.number, Ending::Expired).await.unwrap();
            }
            assert!(outbox.under_way().iter().all(|sent| sent.number != number));
        }
    }
    assert!(!outbox.knows(&ours.did(), &stranger, START).unwrap());

    // a receipt of somebody else counts for nothing; the right one brings a token
    let signed = |by: u32, token| {
        let receipt = Receipt { network: network(), letter: letter.id, from: ours.did(), at: START, token };
        receipt.sign(&key(by)).unwrap()
    };
    assert_eq!(outbox.signed_for(&signed(3, None), "mailbox", START).await.unwrap_err().code(), "wrong_receiver");
    assert!(outbox.signed_for(&signed(2, Some(token(2, 1))), "mailbox", START).await.unwrap());
    assert!(!outbox.signed_for(&signed(2, None), "mailbox", START).await.unwrap(), "once");
    let ended = open().find(&ours.did(), "m-1").unwrap().unwrap().ending.unwrap();
    assert_eq!(ended, Ending::Delivered { at: START, path: "mailbox".try_into().unwrap() });
    assert!(outbox.questions(sent.number, START).unwrap().is_none(), "its bytes are gone");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    let (question, _) = outbox.questions(other.number, START).unwrap().unwrap();
    assert!(matches!(question, Question::Deposit { token: Some(_), .. }), "the next one goes as a known sender's");
    outbox.sweep(START.plus(LETTER_TTL)).await.unwrap();
    assert_eq!(outbox.find(&ours.did(), "m-2").unwrap().unwrap().ending, Some(Ending::Expired));
    assert!(outbox.under_way().is_empty());
}
