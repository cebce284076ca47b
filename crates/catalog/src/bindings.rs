//! Which address an agent is paid to, and whether it may be believed.

use std::collections::{BTreeSet, HashMap};

use haggle_base::{Address, BindingError, Did, Timestamp};

/// What a card says about payment, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// The payment key signed this DID and no other live card claims the key.
    Verified {
        /// The address.
        address: Address,
        /// Until when.
        expires: Timestamp,
    },
    /// No card, or a card without a binding.
    Missing,
    /// The card carries one that does not verify.
    Invalid(BindingError),
    /// The same key is bound to other DIDs at the same time; all of them show unverified.
    Equivocal {
        /// The address.
        address: Address,
    },
}

impl Binding {
    /// The address, if it may be paid. Without one trade refuses with `binding_missing`.
    #[must_use]
    pub const fn address(&self) -> Option<Address> {
        match self {
            Self::Verified { address, .. } => Some(*address),
            Self::Missing | Self::Invalid(_) | Self::Equivocal { .. } => None,
        }
    }

    /// A word for people and machines.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Verified { .. } => "verified",
            Self::Missing => "missing",
            Self::Invalid(_) => "invalid",
            Self::Equivocal { .. } => "equivocal",
        }
    }
}

/// The bindings of all cards held.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bindings {
    by_did: HashMap<Did, Claim>,
    /// Who claims an address, by when the claim ends.
    by_address: HashMap<Address, BTreeSet<(Timestamp, Did)>>,
}

type Claim = Result<(Address, Timestamp), BindingError>;

impl Bindings {
    /// Notes what an agent's current card says; `None` if it says nothing or is gone.
    pub(crate) fn set(&mut self, did: Did, claim: Option<Claim>) {
        if let Some(Ok((address, expires))) = self.by_did.remove(&did)
            && let Some(dids) = self.by_address.get_mut(&address)
        {
            dids.remove(&(expires, did));
            if dids.is_empty() {
                self.by_address.remove(&address);
            }
        }
        if let Some(claim) = claim {
            if let Ok((address, expires)) = &claim {
                self.by_address.entry(*address).or_default().insert((*expires, did));
            }
            self.by_did.insert(did, claim);
        }
    }

    /// What holds for an agent now.
    pub(crate) fn of(&self, did: &Did, now: Timestamp) -> Binding {
        match self.by_did.get(did) {
            None => Binding::Missing,
            Some(Err(error)) => Binding::Invalid(*error),
            Some(Ok((_, expires))) if *expires <= now => Binding::Missing,
            Some(Ok((address, expires))) => {
                if self.live(address, now).nth(1).is_some() {
                    Binding::Equivocal { address: *address }
                } else {
                    Binding::Verified { address: *address, expires: *expires }
                }
            }
        }
    }

    /// The agent that is bound to this address, if just one is.
    pub(crate) fn bound_to(&self, address: &Address, now: Timestamp) -> Option<Did> {
        let mut live = self.live(address, now);
        live.next().copied().filter(|_| live.next().is_none())
    }

    /// Whether an agent may claim this address without another one doing so too.
    pub(crate) fn is_free_for(&self, address: &Address, agent: &Did, now: Timestamp) -> bool {
        // of two one is another
        self.live(address, now).take(2).all(|claimant| claimant == agent)
    }

    /// Who claims an address now, the longest claim first. Nobody walks over those that are over.
    fn live(&self, address: &Address, now: Timestamp) -> impl Iterator<Item = &Did> {
        let claims = self.by_address.get(address).into_iter().flat_map(|claims| claims.iter().rev());
        claims.take_while(move |(expires, _)| *expires > now).map(|(_, did)| did)
    }
}
