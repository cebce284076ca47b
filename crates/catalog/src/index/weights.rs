//! What the parts of the combined order weigh, in whole numbers.

use std::{fmt, str::FromStr};

use haggle_base::Coded;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One, in millionths.
const ONE: u32 = 1_000_000;

/// Digits behind the point.
const DIGITS: usize = 6;

/// A weight from 0 to 1, in millionths. As text a decimal such as `0.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

/// A text that is no weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a weight is a decimal from 0 to 1 with at most six digits behind the point")]
pub struct InvalidWeight;

impl Coded for InvalidWeight {
    fn code(&self) -> &'static str {
        "invalid_weight"
    }

    fn hint(&self) -> &'static str {
        "take a number from 0 to 1, such as 0.3"
    }
}

impl Weight {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All.
    pub const ONE: Self = Self(ONE);

    /// A weight of so many millionths, unless they are more than one.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Option<Self> {
        if millionths > ONE { None } else { Some(Self(millionths)) }
    }

    /// The weight in millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

impl FromStr for Weight {
    type Err = InvalidWeight;

    fn from_str(text: &str) -> Result<Self, InvalidWeight> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let is_decimal = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !matches!(whole, "0" | "1") || !is_decimal(rest) || rest.len() > DIGITS {
            return Err(InvalidWeight);
        }
        let rest: u32 = format!("{rest:0<DIGITS$}").parse().map_err(|_| InvalidWeight)?;
        let whole = if whole == "1" { ONE } else { 0 };
        Self::from_millionths(whole + rest).ok_or(InvalidWeight)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / ONE, self.0 % ONE);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:0DIGITS$}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsTyped)
    }
}

/// A weight as people write it: a text, or a number as it stands.
struct AsTyped;

impl de::Visitor<'_> for AsTyped {
    type Value = Weight;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal from 0 to 1")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Weight, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Weight, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Weight, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Weight, E> {
        self.visit_str(&number.to_string())
    }
}

/// What reputation, cost and speed weigh in the combined order. Only how they stand to each other matters: those that
/// stand alike are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Weights {
    reputation: u32,
    cost: u32,
    speed: u32,
}

impl Default for Weights {
    /// The owner's: 0.3 for reputation, 0.4 for cost, 0.3 for speed.
    fn default() -> Self {
        Self { reputation: 3, cost: 4, speed: 3 }
    }
}

impl Weights {
    /// These weights; `None` if nothing weighs anything.
    #[must_use]
    pub const fn new(reputation: Weight, cost: Weight, speed: Weight) -> Option<Self> {
        let (Weight(reputation), Weight(cost), Weight(speed)) = (reputation, cost, speed);
        match divisor(reputation, divisor(cost, speed)) {
            0 => None,
            all => Some(Self { reputation: reputation / all, cost: cost / all, speed: speed / all }),
        }
    }

    /// As these, but that reputation has this share of the whole. Cost and speed share the rest as before; where neither
    /// weighed anything, in halves.
    #[must_use]
    pub fn with_reputation(self, share: Weight) -> Self {
        let rest = ONE - share.0;
        let (cost, speed) = if self.cost + self.speed == 0 { (1, 1) } else { (self.cost, self.speed) };
        let cost = u64::from(rest) * u64::from(cost) / u64::from(cost + speed);
        let cost = u32::try_from(cost).unwrap_or(rest);
        Self::new(share, Weight(cost), Weight(rest - cost)).unwrap_or(self)
    }

    /// The shares of reputation, cost and speed in the whole.
    pub(super) fn shares(self) -> [f64; 3] {
        let all = f64::from(self.reputation) + f64::from(self.cost) + f64::from(self.speed);
        [self.reputation, self.cost, self.speed].map(|weight| f64::from(weight) / all)
    }

    /// As they stand in a cursor.
    pub(super) fn to_text(self) -> String {
        format!("{:05x}{:05x}{:05x}", self.reputation, self.cost, self.speed)
    }

    /// Reads what stands in a cursor.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let weight = |from: usize| {
            let digits = text.get(from..from + 5)?;
            Weight::from_millionths(u32::from_str_radix(digits, 16).ok()?)
        };
        let weights = Self::new(weight(0)?, weight(5)?, weight(10)?)?;
        (text.len() == 15).then_some(weights)
    }
}

/// The greatest number that divides both; nought if both are.
const fn divisor(mut one: u32, mut other: u32) -> u32 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weight(text: &str) -> Weight {
        text.parse().unwrap()
    }

    fn weights(reputation: &str, cost: &str, speed: &str) -> Weights {
        Weights::new(weight(reputation), weight(cost), weight(speed)).unwrap()
    }

    #[test]
    fn weights_are_read_as_people_write_them() {
        for (text, millionths) in [("0", 0), ("1", ONE), ("1.0", ONE), ("0.3", 300_000), ("0.000001", 1)] {
            assert_eq!(weight(text).millionths(), millionths, "{text}");
        }
        for text in ["", ".3", "0.", "-0.1", "+1", "1.000001", "2", "0.0000001", "NaN", "inf", "1e-1", "00.3", "0.3 "] {
            assert_eq!(text.parse::<Weight>(), Err(InvalidWeight), "{text}");
        }
        for json in ["\"0.3\"", "0.3"] {
            assert_eq!(serde_json::from_str::<Weight>(json).unwrap(), weight("0.3"));
        }
        assert_eq!(serde_json::from_str::<Weight>("1").unwrap(), Weight::ONE);
        assert!(serde_json::from_str::<Weight>("-1").is_err() && serde_json::from_str::<Weight>("null").is_err());
        assert_eq!(serde_json::to_string(&weight("0.30")).unwrap(), "\"0.3\"");
    }

    #[test]
    fn only_how_they_stand_to_each_other_matters() {
        assert_eq!(weights("0.3", "0.4", "0.3"), Weights::default());
        assert_eq!(weights("0.6", "0.8", "0.6"), Weights::default());
        assert_eq!(Weights::default().shares(), [0.3, 0.4, 0.3]);
        assert_ne!(weights("0.4", "0.3", "0.3"), Weights::default());
        assert_eq!(Weights::new(Weight::ZERO, Weight::ZERO, Weight::ZERO), None);
    }

    #[test]
    fn another_weight_of_reputation_leaves_the_others_in_proportion() {
        let owners = Weights::default();
        assert_eq!(owners.with_reputation(weight("0.3")), owners);
        assert_eq!(owners.with_reputation(weight("0.65")), weights("0.65", "0.2", "0.15"));
        assert_eq!(owners.with_reputation(Weight::ONE).shares(), [1.0, 0.0, 0.0]);
        assert_eq!(weights("1", "0", "0").with_reputation(weight("0.5")), weights("0.5", "0.25", "0.25"));
        assert_eq!(weights("1", "0", "0.1").with_reputation(Weight::ZERO).shares(), [0.0, 0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn a_weight_is_read_as_it_is_written(millionths in 0..=ONE) {
            let weight = Weight::from_millionths(millionths).unwrap();
            prop_assert_eq!(weight.to_string().parse(), Ok(weight));
        }

        #[test]
        fn shares_add_up_to_one_and_a_cursor_has_them_all(parts in [0..=ONE, 0..=ONE, 0..=ONE], share in 0..=ONE) {
            let [reputation, cost, speed] = parts.map(Weight);
            let Some(weights) = Weights::new(reputation, cost, speed) else { return Ok(()) };
            for weights in [weights, weights.with_reputation(Weight(share))] {
                prop_assert!((weights.shares().iter().sum::<f64>() - 1.0).abs() < 1e-12);
                prop_assert!(weights.shares().iter().all(|share| (0.0..=1.0).contains(share)));
                prop_assert_eq!(Weights::from_text(&weights.to_text()), Some(weights));
            }
            let asked = weights.with_reputation(Weight(share)).shares()[0];
            prop_assert!((asked - f64::from(share) / f64::from(ONE)).abs() < 1e-12);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,24}") {
            let _read = Weights::from_text(&text);
        }
    }
}
