//! Bodies about what others see: of a listing, of this node, and of the way to them.

use serde::{Deserialize, Serialize};

/// `GET /v1/listings/{id}/why`: where a listing stands, and why it may not be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyView {
    /// The listing's record.
    pub id: String,
    /// How it stands here: `held`, `replaced`, `withdrawn`, `refused` or `unknown`; `not_held` at a node that holds only a
    /// part of the market, and not this.
    pub here: String,
    /// The record that stands here instead.
    pub here_by: Option<String>,
    /// Why no search shows it here although it is held: `Insufficient reputation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<String>,
    /// All of it in a sentence.
    pub because: String,
    /// What a few connected peers say, others each time.
    pub peers: Vec<HeldView>,
}

/// What one peer says of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    /// The peer.
    pub peer: String,
    /// How it stands there, in the words of [`WhyView::here`]; absent if the peer did not answer.
    pub holding: Option<String>,
    /// The record that stands there instead.
    pub by: Option<String>,
    /// The way to the peer: `direct`, `punched` or `relayed`.
    pub path: Option<String>,
    /// How long the answer took, in microseconds.
    pub micros: Option<u64>,
    /// Why there is no answer.
    pub problem: Option<String>,
}

/// `POST /v1/peers/{peer}/ping`: the way to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingView {
    /// The peer that answered.
    pub peer: String,
    /// `direct`, `punched` or `relayed`.
    pub path: Option<String>,
    /// An address of it.
    pub address: Option<String>,
    /// Each answer's time, in microseconds.
    pub micros: Vec<u64>,
}

/// `GET /v1/peers/ticket`: one line that says how to reach this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketView {
    /// The ticket, to be pasted elsewhere; there is no secret in it.
    pub ticket: String,
    /// The network it is for.
    pub network: String,
    /// The peer it leads to.
    pub peer: String,
    /// Addresses in it. Without one, whoever has the ticket must find the peer in the DHT.
    pub addresses: Vec<String>,
    /// DID of the agent it was made for.
    pub agent: Option<String>,
}

/// `GET /v1/visibility`: what a few peers hold of what this node offers, asked at most once a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisibilityView {
    /// Peers that were asked.
    pub asked: u64,
    /// Those that answered, and hold that part of the market.
    pub answered: u64,
    /// This node's listings, sixteen at most.
    pub listings: Vec<VisibleListing>,
}

/// One listing of this node, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisibleListing {
    /// The listing's record.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Peers that hold it, of those that answered.
    pub held_by: u64,
    /// Those that do not, although it lies in the part of the market that they hold.
    #[serde(default)]
    pub missed_by: u64,
    /// Signed within the last minute: it may not have come around yet.
    pub young: bool,
}

impl VisibilityView {
    /// Whether anything that had time to come around is held by nobody who answered and could hold it.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        let is_hidden = |listing: &VisibleListing| listing.held_by == 0 && listing.missed_by > 0 && !listing.young;
        self.listings.iter().any(is_hidden)
    }

    /// All of it in a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        match (self.listings.len(), self.answered) {
            (0, _) => "nothing is offered here".to_owned(),
            (_, 0) if self.asked == 0 => "no peer to ask".to_owned(),
            (_, 0) => format!("none of {} peers answered", self.asked),
            (count, answered) => {
                let least = self.listings.iter().map(|listing| listing.held_by).min().unwrap_or(0);
                let what = if count == 1 { "the listing is held by" } else { "each listing is held by at least" };
                format!("{what} {least} of {answered} peers asked")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(asked: u64, answered: u64, listings: &[(u64, u64, bool)]) -> VisibilityView {
        let listing = |&(held_by, missed_by, young): &(u64, u64, bool)| VisibleListing {
            id: "00".repeat(32),
            name: "digest".to_owned(),
            held_by,
            missed_by,
            young,
        };
        VisibilityView { asked, answered, listings: listings.iter().map(listing).collect() }
    }

    #[test]
    fn what_nobody_holds_is_hidden_unless_it_is_young_or_nobody_could_hold_it() {
        for (listings, is_hidden) in [
            (&[(0, 5, false)][..], true),
            (&[(5, 0, false), (0, 1, false)], true),
            (&[(0, 5, true)], false),
            (&[(1, 4, false)], false),
            (&[(0, 0, false)], false),
            (&[], false),
        ] {
            assert_eq!(seen(5, 5, listings).is_hidden(), is_hidden, "{listings:?}");
        }
    }

    #[test]
    fn what_was_seen_is_said_in_a_sentence() {
        let one = &[(3, 1, false)][..];
        assert_eq!(seen(5, 4, one).words(), "the listing is held by 3 of 4 peers asked");
        assert_eq!(
            seen(5, 4, &[(3, 1, false), (0, 4, true)]).words(),
            "each listing is held by at least 0 of 4 peers asked"
        );
        assert_eq!(seen(5, 0, one).words(), "none of 5 peers answered");
        assert_eq!(seen(0, 0, one).words(), "no peer to ask");
        assert_eq!(seen(5, 5, &[]).words(), "nothing is offered here");
    }
}
