//! Which rail a call is paid on, decided from what is known and said in plain words; nothing is done here.

use crate::config::Prefer;
use haggle_base::Usdc;
use std::fmt;

/// Payments of their own to one seller, since the node started, after which the next call opens a channel.
pub(crate) const SEVERAL: u32 = 3;

/// A way to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rail {
    /// One signed payment for one call.
    Exact,
    /// A voucher on a prepaid channel.
    Channel,
    /// An order whose money lies in the escrow contract until the work is accepted.
    Escrow,
}

impl Rail {
    const ALL: [Self; 3] = [Self::Exact, Self::Channel, Self::Escrow];

    /// Its word in requests, answers and on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Channel => "channel",
            Self::Escrow => "escrow",
        }
    }

    /// The rail of this word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rail| rail.word() == word)
    }
}

impl fmt::Display for Rail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is known when a call is to be paid.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// What a payment of its own costs, if the seller takes one that this node can make within the caller's maximum.
    pub(crate) exact: Option<Usdc>,
    /// What a voucher costs, likewise.
    pub(crate) channel: Option<Usdc>,
    /// Whether a channel with the seller is open.
    pub(crate) is_open: bool,
    /// Calls that were paid singly to this seller since the node started.
    pub(crate) earlier: u32,
    /// What the caller asked for.
    pub(crate) asked: Option<Rail>,
    /// What the operator prefers.
    pub(crate) prefer: Prefer,
    /// From this price on a call is not paid for ahead of the work; nothing if there is no such price.
    pub(crate) escrow_from: Option<Usdc>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) rail: Rail,
    /// What the call costs on it.
    pub(crate) price: Usdc,
    /// Why, in one sentence for people.
    pub(crate) why: String,
}

/// Why there is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// The seller takes nothing that this node can sign within the maximum.
    Nothing,
    /// It takes something, but not what was asked for.
    NotThat(Rail),
    /// The price asks for escrow, which calls of this kind do not have.
    TooDear {
        /// What it costs.
        price: Usdc,
        /// The operator's bound.
        from: Usdc,
    },
}

/// Chooses the rail of one call. What the caller asks for comes first, then the price that the operator wants in escrow, then
/// an open channel, then the operator's preference, then what is cheaper, then how often the seller was paid before.
pub(crate) fn route(known: &Known) -> Result<Route, NoRoute> {
    let on = |rail, price, why: String| Ok(Route { rail, price, why });
    if let Some(asked) = known.asked {
        let price = match asked {
            Rail::Exact => known.exact,
            Rail::Channel => known.channel,
            Rail::Escrow => None,
        };
        let price = price.ok_or(NoRoute::NotThat(asked))?;
        return on(asked, price, format!("{price} USDC by {}, as was asked for.", words(asked)));
    }
    let cheapest = known.exact.into_iter().chain(known.channel).min().ok_or(NoRoute::Nothing)?;
    if let Some(from) = known.escrow_from.filter(|from| cheapest >= *from) {
        return Err(NoRoute::TooDear { price: cheapest, from });
    }
    let (exact, channel) = match (known.exact, known.channel) {
        (Some(exact), Some(channel)) => (exact, channel),
        (Some(exact), None) => {
            return on(
                Rail::Exact,
                exact,
                format!("{exact} USDC in a payment of its own: the seller takes nothing else."),
            );
        }
        (None, Some(channel)) => {
            return on(Rail::Channel, channel, format!("{channel} USDC by voucher: the seller takes nothing else."));
        }
        (None, None) => return Err(NoRoute::Nothing),
    };
    let single = |why: &str| on(Rail::Exact, exact, format!("{exact} USDC in a payment of its own: {why}."));
    let voucher = |why: &str| on(Rail::Channel, channel, format!("{channel} USDC by voucher: {why}."));
    match known.prefer {
        Prefer::Exact => single("the operator wants no money in channels"),
        Prefer::Auto | Prefer::Channel if known.is_open => {
            voucher("a channel with this seller is open, so no transaction is needed")
        }
        Prefer::Channel => voucher("the operator prefers channels, and one is opened now"),
        Prefer::Auto if exact < channel => single("that is the cheaper way"),
        Prefer::Auto if channel < exact => voucher("that is the cheaper way, and a channel is opened now"),
        Prefer::Auto if known.earlier >= SEVERAL => {
            voucher(&format!("{} calls were paid singly here, and one deposit pays for many", known.earlier))
        }
        Prefer::Auto => single("for a first few calls a deposit is not worth it"),
    }
}

const fn words(rail: Rail) -> &'static str {
    match rail {
        Rail::Exact => "a payment of its own",
        Rail::Channel => "voucher",
        Rail::Escrow => "escrow",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn usdc(units: u64) -> Usdc {
        Usdc::from_units(units)
    }

    const BOTH: Known = Known {
        exact: Some(usdc(100)),
        channel: Some(usdc(100)),
        is_open: false,
        earlier: 0,
        asked: None,
        prefer: Prefer::Auto,
        escrow_from: Some(usdc(5_000)),
    };

    #[test]
    fn each_reason_has_its_rail_and_is_said() {
        let rows = [
            (BOTH, Rail::Exact, "first few calls"),
            (Known { is_open: true, ..BOTH }, Rail::Channel, "is open"),
            (Known { earlier: SEVERAL, ..BOTH }, Rail::Channel, "3 calls were paid singly"),
            (Known { prefer: Prefer::Channel, ..BOTH }, Rail::Channel, "operator prefers"),
            (Known { prefer: Prefer::Exact, is_open: true, ..BOTH }, Rail::Exact, "no money in channels"),
            (Known { exact: Some(usdc(99)), ..BOTH }, Rail::Exact, "cheaper"),
            (Known { channel: Some(usdc(99)), ..BOTH }, Rail::Channel, "cheaper"),
            (Known { channel: None, is_open: true, ..BOTH }, Rail::Exact, "nothing else"),
            (Known { exact: None, prefer: Prefer::Exact, ..BOTH }, Rail::Channel, "nothing else"),
            (Known { asked: Some(Rail::Channel), prefer: Prefer::Exact, ..BOTH }, Rail::Channel, "asked for"),
            (Known { asked: Some(Rail::Exact), is_open: true, ..BOTH }, Rail::Exact, "asked for"),
        ];
        for (known, rail, said) in rows {
            let route = route(&known).unwrap();
            assert_eq!(route.rail, rail, "{known:?}");
            assert!(route.why.contains(said) && route.why.contains("USDC"), "{}", route.why);
        }
    }

    #[test]
    fn what_cannot_be_paid_says_which_of_the_reasons_it_is() {
        let dear = Known { exact: Some(usdc(5_000)), channel: Some(usdc(6_000)), ..BOTH };
        assert_eq!(route(&dear), Err(NoRoute::TooDear { price: usdc(5_000), from: usdc(5_000) }));
        assert_eq!(route(&Known { escrow_from: None, ..dear }).unwrap().price, usdc(5_000));
        assert_eq!(route(&Known { asked: Some(Rail::Exact), ..dear }).unwrap().price, usdc(5_000), "asked for by name");
        assert_eq!(route(&Known { exact: None, channel: None, ..BOTH }), Err(NoRoute::Nothing));
        let only = Known { exact: None, asked: Some(Rail::Exact), ..BOTH };
        assert_eq!(route(&only), Err(NoRoute::NotThat(Rail::Exact)));
        assert_eq!(route(&Known { asked: Some(Rail::Escrow), ..BOTH }), Err(NoRoute::NotThat(Rail::Escrow)));
    }

    fn any_known() -> impl Strategy<Value = Known> {
        let price = || prop::option::of((1..200_u64).prop_map(usdc));
        let asked = prop::option::of(prop::sample::select(Rail::ALL.to_vec()));
        let prefer = prop::sample::select(vec![Prefer::Auto, Prefer::Channel, Prefer::Exact]);
        (price(), price(), any::<bool>(), 0..6_u32, asked, prefer, price()).prop_map(
            |(exact, channel, is_open, earlier, asked, prefer, escrow_from)| Known {
                exact,
                channel,
                is_open,
                earlier,
                asked,
                prefer,
                escrow_from,
            },
        )
    }

    proptest! {
        #[test]
        fn nobody_pays_on_a_rail_that_is_not_open_another_price_or_against_what_was_asked(known in any_known()) {
            match route(&known) {
                Ok(route) => {
                    let price = match route.rail {
                        Rail::Exact => known.exact,
                        Rail::Channel => known.channel,
                        Rail::Escrow => None,
                    };
                    prop_assert_eq!(price, Some(route.price));
                    prop_assert!(known.asked.is_none_or(|asked| asked == route.rail));
                    let least = known.exact.into_iter().chain(known.channel).min();
                    let is_small = known.escrow_from.is_none_or(|from| least.is_some_and(|least| least < from));
                    prop_assert!(known.asked.is_some() || is_small);
                    prop_assert!(route.why.ends_with('.'));
                }
                Err(NoRoute::Nothing) => prop_assert!(known.exact.is_none() && known.channel.is_none()),
                Err(NoRoute::NotThat(rail)) => prop_assert_eq!(known.asked, Some(rail)),
                Err(NoRoute::TooDear { price, from }) => prop_assert!(price >= from && known.asked.is_none()),
            }
        }
    }
}
