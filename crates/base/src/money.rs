//! USDC in whole base units (six decimals): no floats, no silent rounding, no overflow.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::U256;
use alloy_primitives::aliases::U96;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::Coded;

/// Decimals of USDC.
pub const USDC_DECIMALS: u32 = 6;

/// Base units in one USDC.
const UNITS_PER_USDC: u64 = 1_000_000;

/// Basis points in one whole.
const BPS: u128 = 10_000;

/// The longest text that is read as an amount: 20 digits of `u64`, the point, some leading zeros.
const MAX_AMOUNT_TEXT: usize = 40;

/// An amount of USDC in base units (1 USDC = 1,000,000 units).
///
/// As text and in JSON it is a decimal string such as `"0.25"`; in CBOR it is the number of units.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usdc(u64);

/// Why a text, number or sum is not an amount.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a plain decimal number (a sign, an exponent, a stray character, an empty text).
    #[error("not a plain decimal amount")]
    BadAmount,
    /// More than six decimals were written.
    #[error("more than 6 decimals")]
    TooManyDecimals,
    /// Larger than 2^64 - 1 base units.
    #[error("amount too large")]
    TooLarge,
}

impl Coded for AmountError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadAmount => "bad_amount",
            Self::TooManyDecimals => "too_many_decimals",
            Self::TooLarge => "amount_too_large",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::BadAmount => "write the amount as digits with at most one point, such as 0.25",
            Self::TooManyDecimals => "USDC has 6 decimals: round the amount to 0.000001",
            Self::TooLarge => "the largest amount is 18446744073709.551615 USDC",
        }
    }
}

impl Usdc {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(u64::MAX);

    /// An amount of base units.
    #[must_use]
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// The number of base units.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// True for nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The exact decimal number of USDC.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::from_i128_with_scale(i128::from(self.0), USDC_DECIMALS).normalize()
    }

    /// The sum, or `None` if it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The difference, or `None` if `other` is larger.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The amount `times` over, or `None` if it does not fit.
    #[must_use]
    pub const fn checked_mul(self, times: u64) -> Option<Self> {
        match self.0.checked_mul(times) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The difference, or zero if `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `bps` hundredths of a percent of the amount, rounded down to a base unit, as the contract
    /// does; saturates only for more than 10,000 bps.
    #[must_use]
    pub fn fee_bps(self, bps: u16) -> Self {
        let fee = u128::from(self.0) * u128::from(bps) / BPS;
        Self(u64::try_from(fee).unwrap_or(u64::MAX))
    }

    /// Reads the raw text of a JSON number or string, so that `0.1` is one tenth and not a nearby
    /// binary float; an exponent (`1e-2`) is read exactly.
    ///
    /// # Errors
    /// As for [`Usdc::from_str`].
    pub fn from_json_text(raw: &str) -> Result<Self, AmountError> {
        let raw = raw.trim();
        let text = match raw.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"').ok_or(AmountError::BadAmount)?,
            None => raw,
        };
        if !text.contains(['e', 'E']) {
            return text.parse();
        }
        if text.len() > MAX_AMOUNT_TEXT || text.len() < raw.len() {
            return Err(AmountError::BadAmount);
        }
        let decimal = Decimal::from_scientific(text).map_err(|_| AmountError::BadAmount)?;
        Self::try_from(decimal)
    }

    /// As Solidity's `uint96`, the width of the amounts of an order.
    #[must_use]
    pub fn to_u96(self) -> U96 {
        U96::from(self.0)
    }

    /// As Solidity's `uint256`, the width of a token amount.
    #[must_use]
    pub fn to_u256(self) -> U256 {
        U256::from(self.0)
    }
}

impl TryFrom<U256> for Usdc {
    type Error = AmountError;

    fn try_from(units: U256) -> Result<Self, AmountError> {
        u64::try_from(units).map(Self).map_err(|_| AmountError::TooLarge)
    }
}

impl TryFrom<U96> for Usdc {
    type Error = AmountError;

    fn try_from(units: U96) -> Result<Self, AmountError> {
        u64::try_from(units).map(Self).map_err(|_| AmountError::TooLarge)
    }
}

impl TryFrom<Decimal> for Usdc {
    type Error = AmountError;

    fn try_from(amount: Decimal) -> Result<Self, AmountError> {
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(AmountError::BadAmount);
        }
        if amount.scale() > USDC_DECIMALS {
            return Err(AmountError::TooManyDecimals);
        }
        let shift = 10_i128.pow(USDC_DECIMALS - amount.scale());
        let units = amount.mantissa().checked_mul(shift).ok_or(AmountError::TooLarge)?;
        u64::try_from(units).map(Self).map_err(|_| AmountError::TooLarge)
    }
}

impl FromStr for Usdc {
    type Err = AmountError;

    /// Reads `12`, `12.5` or `0.000001`: digits, at most one point with digits on both sides, no
    /// sign, no exponent, at most six decimals.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (whole, decimals) = match text.split_once('.') {
            Some((_, "")) => return Err(AmountError::BadAmount),
            Some((whole, decimals)) => (whole, decimals),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if text.len() > MAX_AMOUNT_TEXT || whole.is_empty() || !digits(whole) || !digits(decimals) {
            return Err(AmountError::BadAmount);
        }
        if decimals.len() > USDC_DECIMALS as usize {
            return Err(AmountError::TooManyDecimals);
        }
        let whole: u64 = whole.parse().map_err(|_| AmountError::TooLarge)?;
        let fraction: u64 = format!("{decimals:0<6}").parse().map_err(|_| AmountError::BadAmount)?;
        whole
            .checked_mul(UNITS_PER_USDC)
            .and_then(|units| units.checked_add(fraction))
            .map(Self)
            .ok_or(AmountError::TooLarge)
    }
}

impl fmt::Display for Usdc {
    /// The shortest exact decimal, such as `0.25`, `5` or `0.000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / UNITS_PER_USDC, self.0 % UNITS_PER_USDC);
        if fraction == 0 {
            return f.pad(&whole.to_string());
        }
        let decimals = format!("{fraction:06}");
        f.pad(&format!("{whole}.{}", decimals.trim_end_matches('0')))
    }
}

impl fmt::Debug for Usdc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usdc({self})")
    }
}

impl Serialize for Usdc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Usdc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests;
