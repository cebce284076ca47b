//! Whether others can dial this node: which of its addresses were tried from outside, and how that came out. No IO, no
//! clock.
//!
//! AutoNAT's word is worth what its peers are worth. An address counts as open once a peer has dialled it, and counts for
//! more once a second one has: one liar cannot make a node give up its relay, or an open address.

mod answering;
mod asking;

use haggle_base::PeerId;
use libp2p::Multiaddr;

pub(crate) use self::answering::Answering;
pub(crate) use self::asking::{Asking, Verdict};

/// Addresses that are tried at most.
pub(crate) const MAX_CLAIMS: usize = 8;
/// Peers that make a verdict certain.
const WITNESSES: usize = 2;
/// Failures in a row after which an open address is closed, though only one peer is there to try.
const MAX_FAILURES: u32 = 3;

/// Whether others can dial this node at an address of its own.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Nobody has tried, or this node does not ask.
    #[default]
    Unknown,
    /// At least one address was dialled from outside.
    Yes,
    /// It listens nowhere, or all that might work was tried and did not.
    No,
}

impl Reach {
    /// The word for it: `unknown`, `yes` or `no`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// What a verdict changes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Change {
    /// Nothing that others see.
    None,
    /// The address is open from now on.
    Opened,
    /// The address is not open any more.
    Closed,
}

/// An address that may be open.
#[derive(Debug)]
struct Claim {
    addr: Multiaddr,
    is_tried: bool,
    is_open: bool,
    witnesses: Vec<PeerId>,
    doubters: Vec<PeerId>,
    failures: u32,
}

/// The addresses that may be open.
#[derive(Debug, Default)]
pub(crate) struct Claims(Vec<Claim>);

impl Claims {
    /// Takes other addresses from now on. Returns the open ones that are gone, and whether there are new ones.
    pub(crate) fn replace(&mut self, mut addrs: Vec<Multiaddr>) -> (Vec<Multiaddr>, bool) {
        addrs.truncate(MAX_CLAIMS);
        let gone = self.0.extract_if(.., |claim| !addrs.contains(&claim.addr));
        let closed = gone.filter(|claim| claim.is_open).map(|claim| claim.addr).collect();
        let known = self.0.len();
        for addr in addrs {
            if !self.0.iter().any(|claim| claim.addr == addr) {
                let (witnesses, doubters) = (Vec::new(), Vec::new());
                self.0.push(Claim { addr, is_tried: false, is_open: false, witnesses, doubters, failures: 0 });
            }
        }
        (closed, self.0.len() > known)
    }

    /// A peer has tried an address.
    pub(crate) fn judge(&mut self, addr: &Multiaddr, by: PeerId, is_open: bool) -> Change {
        let Some(claim) = self.0.iter_mut().find(|claim| claim.addr == *addr) else { return Change::None };
        claim.is_tried = true;
        let said = if is_open { &mut claim.witnesses } else { &mut claim.doubters };
        if said.len() < WITNESSES && !said.contains(&by) {
            said.push(by);
        }
        if is_open {
            claim.doubters.clear();
            claim.failures = 0;
            return if std::mem::replace(&mut claim.is_open, true) { Change::None } else { Change::Opened };
        }
        claim.failures = claim.failures.saturating_add(1);
        if claim.is_open && claim.doubters.len() < WITNESSES && claim.failures < MAX_FAILURES {
            return Change::None;
        }
        claim.witnesses.clear();
        if std::mem::take(&mut claim.is_open) { Change::Closed } else { Change::None }
    }

    pub(crate) fn addrs(&self) -> impl Iterator<Item = &Multiaddr> {
        self.0.iter().map(|claim| &claim.addr)
    }

    /// The addresses that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Multiaddr> {
        self.0.iter().filter(|claim| claim.is_open).map(|claim| &claim.addr)
    }

    pub(crate) fn reach(&self) -> Reach {
        if self.0.iter().any(|claim| claim.is_open) {
            Reach::Yes
        } else if !self.0.is_empty() && self.0.iter().all(|claim| claim.is_tried) {
            Reach::No
        } else {
            Reach::Unknown
        }
    }

    /// Whether two peers have dialled an address that is open.
    pub(crate) fn is_certain(&self) -> bool {
        self.0.iter().any(|claim| claim.is_open && claim.witnesses.len() >= WITNESSES)
    }

    /// Whether somebody could not dial an address that others could.
    pub(crate) fn is_doubted(&self) -> bool {
        self.0.iter().any(|claim| claim.is_open && !claim.doubters.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::NodeKey;

    use super::*;

    fn peer(number: u8) -> PeerId {
        NodeKey::from_bytes(&[number; 32]).peer_id()
    }

    fn at(port: u16) -> Multiaddr {
        format!("/ip4/198.51.100.7/tcp/{port}").parse().unwrap()
    }

    fn claims(ports: impl IntoIterator<Item = u16>) -> Claims {
        let mut claims = Claims::default();
        let _first = claims.replace(ports.into_iter().map(at).collect());
        claims
    }

    #[test]
    fn a_node_is_reachable_at_one_open_address_and_not_when_all_were_tried_in_vain() {
        let mut claims = claims([1, 2]);
        assert_eq!(claims.reach(), Reach::Unknown);
        assert_eq!(claims.judge(&at(1), peer(1), false), Change::None);
        assert_eq!(claims.reach(), Reach::Unknown, "the other was not tried");
        assert_eq!(claims.judge(&at(2), peer(1), false), Change::None);
        assert_eq!(claims.reach(), Reach::No);
        assert_eq!(claims.judge(&at(2), peer(2), true), Change::Opened);
        assert_eq!(claims.judge(&at(2), peer(2), true), Change::None);
        assert_eq!(claims.reach(), Reach::Yes);
        assert_eq!(Claims::default().reach(), Reach::Unknown, "nobody told of an address");
    }

    #[test]
    fn it_takes_two_peers_to_be_certain() {
        let mut claims = claims([1]);
        for _ in 0..3 {
            let _change = claims.judge(&at(1), peer(1), true);
            assert!(!claims.is_certain());
        }
        assert_eq!(claims.judge(&at(1), peer(2), true), Change::None);
        assert!(claims.is_certain());
    }

    #[test]
    fn one_peer_that_cannot_dial_closes_no_address_that_another_dialled() {
        let mut claims = claims([1]);
        assert_eq!(claims.judge(&at(1), peer(1), true), Change::Opened);
        assert_eq!(claims.judge(&at(1), peer(2), false), Change::None);
        assert!(claims.is_doubted());
        assert_eq!(claims.judge(&at(1), peer(1), true), Change::None);
        assert!(!claims.is_doubted());
        assert_eq!(claims.judge(&at(1), peer(2), false), Change::None);
        assert_eq!(claims.judge(&at(1), peer(3), false), Change::Closed);
        assert_eq!(claims.reach(), Reach::No);
    }

    #[test]
    fn an_address_that_only_one_peer_can_try_is_closed_in_the_end() {
        let mut claims = claims([1]);
        assert_eq!(claims.judge(&at(1), peer(1), true), Change::Opened);
        assert_eq!(claims.judge(&at(1), peer(1), false), Change::None);
        assert_eq!(claims.judge(&at(1), peer(1), false), Change::None);
        assert_eq!(claims.judge(&at(1), peer(1), false), Change::Closed);
    }

    #[test]
    fn addresses_come_and_go_and_are_few() {
        let mut claims = claims(1..100);
        assert_eq!(claims.addrs().count(), MAX_CLAIMS);
        assert_eq!(claims.judge(&at(1), peer(1), true), Change::Opened);
        assert_eq!(claims.judge(&at(99), peer(1), true), Change::None, "an address nobody asked about");
        assert_eq!(claims.replace(vec![at(2)]), (vec![at(1)], false));
        assert_eq!(claims.replace(vec![at(2), at(3)]), (vec![], true));
        assert_eq!(claims.reach(), Reach::Unknown);
    }
}
