//! The number of a purchase, beside its voucher: haggle's addition to the scheme (`docs/protocols/x402-batch.md`, "The number
//! of a purchase").
//!
//! A voucher's sum does not say what it is for: corrected, one purchase has vouchers over several sums, of which each may
//! come again late. A payer counts its purchases on a channel; all vouchers of one have its number, and later ones have
//! higher numbers.

use std::{fmt, num::NonZeroU64};

use haggle_base::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{PaymentPayload, PaymentRequirements, X402Error};

/// In `extra` of a requirement: the seller reads numbers.
pub const ANNOUNCED: &str = "purchaseNumbers";
/// In `payload` of a payment: the number, as decimal text.
pub const FIELD: &str = "purchaseNumber";

/// Which purchase of a channel a voucher is for; each has a higher one than those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PurchaseNumber(NonZeroU64);

impl fmt::Display for PurchaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PurchaseNumber {
    /// The one after `last`: the time, in milliseconds, so that a home that was restored from an old copy goes on above what
    /// it gave out before, and in any case more than the last one. `None` if numbers are used up.
    #[must_use]
    pub fn after(last: Option<Self>, now: Timestamp) -> Option<Self> {
        let least = last.map_or(Some(1), |last| last.0.get().checked_add(1))?;
        NonZeroU64::new(least.max(now.as_millis())).map(Self)
    }

    /// The number a payment carries.
    ///
    /// # Errors
    /// [`X402Error::Malformed`] if it is not decimal text of a number above zero.
    pub fn of(payload: &Value) -> Result<Option<Self>, X402Error> {
        let Some(said) = payload.get(FIELD) else { return Ok(None) };
        let text =
            said.as_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
        let number = text.and_then(|text| text.parse().ok());
        number.map(|number| Some(Self(number))).ok_or(X402Error::Malformed { line: 0, column: 0 })
    }

    /// Adds it to a payment, if the seller says that it reads numbers.
    pub fn attach(self, payment: &mut PaymentPayload) {
        if is_announced(&payment.accepted)
            && let Some(payload) = payment.payload.as_object_mut()
        {
            payload.insert(FIELD.to_owned(), self.0.to_string().into());
        }
    }
}

/// Whether who asks for this reads numbers.
fn is_announced(requirement: &PaymentRequirements) -> bool {
    requirement.rest.get("extra").and_then(|extra| extra.get(ANNOUNCED)) == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(text: &Value) -> Result<Option<u64>, X402Error> {
        PurchaseNumber::of(&json!({ FIELD: text })).map(|number| number.map(|number| number.0.get()))
    }

    #[test]
    fn a_number_is_decimal_text_above_zero() {
        assert_eq!(number(&json!("1763781234567")).unwrap(), Some(1_763_781_234_567));
        assert_eq!(number(&json!("18446744073709551615")).unwrap(), Some(u64::MAX));
        assert!(PurchaseNumber::of(&json!({ "type": "voucher" })).unwrap().is_none());
        for wrong in
            [json!("0"), json!("007"), json!("+7"), json!("-1"), json!(""), json!(7), json!("18446744073709551616")]
        {
            assert!(number(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_rise_also_when_the_clock_does_not() {
        let at = Timestamp::from_millis;
        let first = PurchaseNumber::after(None, at(5)).unwrap();
        let second = PurchaseNumber::after(Some(first), at(5)).unwrap();
        let third = PurchaseNumber::after(Some(second), at(1)).unwrap();
        assert!(first < second && second < third);
        assert_eq!(PurchaseNumber::after(Some(third), at(9_000)).unwrap().0.get(), 9_000);
        assert_eq!(PurchaseNumber::after(None, at(0)).unwrap().0.get(), 1);
        assert_eq!(PurchaseNumber::after(Some(PurchaseNumber(NonZeroU64::MAX)), at(1)), None);
    }
}
