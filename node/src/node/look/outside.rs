//! What a few peers see: of a listing, of all that this node offers, and of the way to them.

use super::{Inner, Way};
use crate::node::api::{coded, read_did};
use futures::StreamExt as _;
use haggle_base::{Hash, PeerId, RecordId, Timestamp};
use haggle_catalog::body::listing_name;
use haggle_catalog::look::{Holding, MAX_QUESTIONS, Question, Reply};
use haggle_catalog::{CatalogError, Place};
use haggle_gateway::ApiError;
use haggle_gateway::view::{HeldView, PingView, VisibilityView, VisibleListing, WhyView};
use haggle_network::Ticket;
use std::time::Duration;

/// Peers that are asked.
const ASKED: usize = 5;
/// Pings of one measurement, unless the caller says otherwise.
const PINGS: usize = 4;
/// How long an answer about our listings counts.
const OUTSIDE_FOR: Duration = Duration::from_secs(60);
/// A listing younger than this may not have come around yet.
const YOUNG: Duration = Duration::from_secs(60);

impl Inner {
    /// A few connected peers, others each time.
    fn some_peers(&self) -> Vec<PeerId> {
        some_of(self.network.peers().into_iter().map(|facts| facts.peer).collect(), self.clock.now())
    }

    fn path_to(&self, peer: &PeerId) -> Option<String> {
        self.network.facts(peer)?.path.map(|path| path.as_str().to_owned())
    }

    /// How a listing stands here and at a few peers.
    pub(in crate::node) async fn why_listing(&self, id: &str) -> Result<WhyView, ApiError> {
        let record: RecordId = id.parse().map_err(|_| {
            ApiError::bad_request(
                "invalid_listing",
                format!("{id:?} is no record id"),
                "the id of a listing has 64 hexadecimal digits; `haggle find` shows it",
            )
        })?;
        let place = self.catalog.place(&record);
        let here = self.catalog.holding(&record, place.as_ref());
        let author = self.catalog.listing(&record).map_err(coded)?.map(|listing| listing.author());
        let hidden = author.and_then(|author| self.catalog.check_standing(&author).err());
        let question = [Question::Record { id: record, place }];
        let asked = futures::stream::iter(self.some_peers()).map(|peer| {
            let question = &question;
            async move {
                let answer = self.look_at(&peer, Way::Typed(&[]), question).await;
                let (holding, took, problem) = match answer.as_deref() {
                    Ok([(Reply::Record { holding }, took)]) => (Some(*holding), Some(*took), None),
                    Ok(_) => (None, None, Some(super::NoAnswer::Nonsense.words())),
                    Err(cause) => (None, None, Some(cause.words())),
                };
                HeldView {
                    peer: peer.to_string(),
                    holding: holding.map(|holding| holding.as_str().to_owned()),
                    by: holding.and_then(Holding::by).map(|by| by.to_string()),
                    path: self.path_to(&peer),
                    micros: took.map(micros),
                    problem,
                }
            }
        });
        let peers: Vec<HeldView> = asked.buffer_unordered(ASKED).collect().await;
        let held = peers.iter().filter(|peer| peer.holding.as_deref() == Some("held")).count();
        // who holds only a part of the market cannot miss what it never was to have
        let counts = |peer: &&HeldView| peer.holding.as_deref().is_some_and(|word| word != Holding::NotHeld.as_str());
        let answered = peers.iter().filter(counts).count();
        Ok(WhyView {
            id: record.to_string(),
            here: here.as_str().to_owned(),
            here_by: here.by().map(|by| by.to_string()),
            because: because(here, hidden.as_ref(), held, answered, peers.len()),
            hidden: hidden.map(|why| why.to_string()),
            peers,
        })
    }

    /// Measures the way to a peer, by its id, by the DID of an agent that it serves, or by a ticket.
    pub(in crate::node) async fn ping_peer(&self, target: &str, count: Option<u32>) -> Result<PingView, ApiError> {
        let count = count.map_or(PINGS, |count| usize::try_from(count).unwrap_or(MAX_QUESTIONS));
        let count = count.clamp(1, MAX_QUESTIONS);
        let (card, addrs);
        let hosts: Vec<(PeerId, Way<'_>)> = if target.starts_with("did:") {
            let did = read_did(target)?;
            if self.catalog.card(&did).map_err(coded)?.is_none() {
                // whether it helped shows next
                let _found = self.lookup.meet(&did).await;
            }
            card = self.catalog.card(&did).map_err(coded)?.ok_or_else(|| {
                ApiError::not_found(
                    "agent_not_found",
                    format!("no card of {did} is known here"),
                    "`haggle find` shows the agents this node knows",
                )
            })?;
            card.body().hosts.iter().map(|host| (host.peer, Way::Told(&host.addrs))).collect()
        } else if Ticket::is_meant(target) {
            let ticket = self.read_ticket(target)?;
            addrs = ticket.addrs();
            vec![(ticket.peer(), Way::Typed(&addrs))]
        } else {
            let peer = target.parse().map_err(|_| {
                ApiError::bad_request(
                    "invalid_peer",
                    format!("{target:?} is no peer id, no DID and no ticket"),
                    "`haggle peer list` shows connected peers, `haggle find` agents",
                )
            })?;
            vec![(peer, Way::Typed(&[]))]
        };
        let mut problem = String::from("its card names no host");
        for (peer, way) in hosts {
            match self.look_at(&peer, way, &vec![Question::Ping; count]).await {
                Ok(replies) => {
                    let facts = self.network.facts(&peer);
                    return Ok(PingView {
                        peer: peer.to_string(),
                        path: self.path_to(&peer),
                        address: facts.and_then(|facts| facts.addrs.first().cloned()),
                        micros: replies.iter().map(|(_, took)| micros(*took)).collect(),
                    });
                }
                Err(cause) => problem = cause.words(),
            }
        }
        Err(ApiError::new(
            http::StatusCode::BAD_GATEWAY,
            "peer_unreachable",
            format!("{target} does not answer: {problem}"),
            "look at its own `haggle status`, or try `haggle peer connect` with an address of it",
        ))
    }

    /// What a few peers hold of what this node offers. Asked for anew once a minute.
    pub(in crate::node) async fn seen_from_outside(&self) -> Result<VisibilityView, ApiError> {
        let now = self.clock.now();
        let known = self.looks.outside.lock().clone();
        if let Some((asked, view)) = known
            && now.since(asked) < OUTSIDE_FOR
        {
            return Ok(view);
        }
        let mut ours = Vec::new();
        for agent in self.agents.dids() {
            ours.extend(self.catalog.listings_of(&agent).map_err(coded)?);
            if ours.len() >= MAX_QUESTIONS {
                break;
            }
        }
        ours.truncate(MAX_QUESTIONS);
        let questions: Vec<Question> = ours
            .iter()
            .map(|listing| {
                let place =
                    Place::listing(&listing.author(), listing.record().slot.as_str(), listing.body().category.as_str());
                Question::Record { id: listing.id(), place: Some(place) }
            })
            .collect();
        let peers = if questions.is_empty() { Vec::new() } else { self.some_peers() };
        let asked = futures::stream::iter(peers.clone()).map(|peer| {
            let questions = &questions;
            async move { self.look_at(&peer, Way::Typed(&[]), questions).await }
        });
        let answers: Vec<_> = asked.buffer_unordered(ASKED).collect().await;
        let holds_some = |replies: &Vec<(Reply, Duration)>| {
            !replies.iter().all(|(reply, _)| matches!(reply, Reply::Record { holding: Holding::NotHeld }))
        };
        let answers: Vec<_> = answers.into_iter().filter_map(Result::ok).filter(holds_some).collect();
        let listings = ours.iter().enumerate().map(|(at, listing)| {
            let holds = |replies: &&Vec<(Reply, Duration)>| {
                matches!(replies.get(at), Some((Reply::Record { holding: Holding::Held }, _)))
            };
            let misses = |replies: &&Vec<(Reply, Duration)>| {
                matches!(replies.get(at), Some((Reply::Record { holding }, _)) if !matches!(holding, Holding::Held | Holding::NotHeld))
            };
            let slot = listing.record().slot.as_str();
            VisibleListing {
                id: listing.id().to_string(),
                name: listing_name(slot).to_owned(),
                held_by: answers.iter().filter(holds).count() as u64,
                missed_by: answers.iter().filter(misses).count() as u64,
                young: now.since(listing.record().created) < YOUNG,
            }
        });
        let view =
            VisibilityView { asked: peers.len() as u64, answered: answers.len() as u64, listings: listings.collect() };
        *self.looks.outside.lock() = Some((now, view.clone()));
        Ok(view)
    }
}

/// A few of these peers: those whom the moment has drawn.
fn some_of(mut peers: Vec<PeerId>, now: Timestamp) -> Vec<PeerId> {
    let moment = now.as_millis().to_be_bytes();
    peers.sort_by_cached_key(|peer| Hash::of_parts(&[&moment, peer.to_string().as_bytes()]));
    peers.truncate(ASKED);
    peers
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// The answer to the question in a sentence.
fn because(here: Holding, hidden: Option<&CatalogError>, held: usize, answered: usize, asked: usize) -> String {
    let there = match (asked, answered) {
        (0, _) => "no peer is connected, so nobody else could be asked".to_owned(),
        (asked, 0) => format!("none of the {asked} peers that were asked answered and could hold it"),
        (asked, answered) => {
            format!("{held} of {answered} peers that answered and could hold it do ({asked} were asked)")
        }
    };
    let here = match here {
        Holding::Held => "This node holds it",
        Holding::Replaced { .. } => "Its author has replaced it with a newer one",
        Holding::Withdrawn { .. } => "Its author has withdrawn it",
        Holding::Refused => "This node had no room for it: an author who has paid for nothing has four listings",
        Holding::Unknown => "This node does not hold it: it never came, was replaced, or has expired",
        Holding::NotHeld => {
            "This node does not hold it, and holds only a part of the market (market.role): the listing may lie elsewhere"
        }
    };
    match hidden {
        Some(CatalogError::InsufficientReputation { net, least }) => format!(
            "{here}, but shows it in no search: Insufficient reputation, the buyers its author served well less those it failed are {net}, and \
             {least} is the least (market.min_reputation); {there}."
        ),
        _ => format!("{here}; {there}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_base::Seed;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_held_and_not_shown_is_said_to_be_so() {
        let why = CatalogError::InsufficientReputation { net: -2, least: 0 };
        let told = because(Holding::Held, Some(&why), 1, 2, 2);
        assert!(told.starts_with("This node holds it, but shows it in no search: Insufficient reputation,"), "{told}");
        assert!(told.contains("are -2, and 0 is the least (market.min_reputation); 1 of 2 peers"), "{told}");
        assert_eq!(
            because(Holding::Held, None, 1, 2, 2),
            "This node holds it; 1 of 2 peers that answered and could hold it do (2 were asked)."
        );
    }

    #[test]
    fn five_of_twelve_peers_are_asked_and_in_time_all_of_them() {
        let peers: Vec<PeerId> = (0..12).map(|number| Seed::devnet(7, number).node_key().peer_id()).collect();
        let start = Timestamp::from_secs(1_795_000_000);
        let asked = |minute: u64| some_of(peers.clone(), start.plus(Duration::from_secs(60 * minute)));
        let mut all = BTreeSet::new();
        for minute in 0..60 {
            let five: BTreeSet<PeerId> = asked(minute).into_iter().collect();
            assert_eq!(five.len(), 5);
            all.extend(five);
        }
        assert_eq!(all, peers.iter().copied().collect());
        assert_ne!(asked(0), asked(1));
        assert_eq!(some_of(peers[..3].to_vec(), start).len(), 3, "if there are no more");
    }
}
