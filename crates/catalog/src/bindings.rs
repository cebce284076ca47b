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
    by_address: HashMap<Address, BTreeSet<Did>>,
}

type Claim = Result<(Address, Timestamp), BindingError>;

impl Bindings {
    /// Notes what an agent's current card says; `None` if it says nothing or is gone.
    pub(crate) fn set(&mut self, did: Did, claim: Option<Claim>) {
        if let Some(Ok((address, _))) = self.by_did.remove(&did)
            && let Some(dids) = self.by_address.get_mut(&address)
        {
            dids.remove(&did);
            if dids.is_empty() {
                self.by_address.remove(&address);
            }
        }
        if let Some(claim) = claim {
            if let Ok((address, _)) = &claim {
                self.by_address.entry(*address).or_default().insert(did);
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
                let claimants = self.by_address.get(address).into_iter().flatten();
                let live = claimants.filter(|claimant| self.is_live(claimant, now)).count();
                if live > 1 {
                    Binding::Equivocal { address: *address }
                } else {
                    Binding::Verified { address: *address, expires: *expires }
                }
            }
        }
    }

    /// The agents whose cards claim this address.
    pub(crate) fn claimants(&self, address: &Address) -> Vec<Did> {
        self.by_address.get(address).into_iter().flatten().copied().collect()
    }

    fn is_live(&self, did: &Did, now: Timestamp) -> bool {
        matches!(self.by_did.get(did), Some(Ok((_, expires))) if *expires > now)
    }
}
