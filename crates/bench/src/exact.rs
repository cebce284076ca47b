//! Signed payments of the scheme `exact`, as the body that a facilitator is asked with.

use haggle_base::{Address, B256, PaymentKey, Timestamp, U256, Usdc};
use haggle_x402::exact::{self, ExactAuthorization};
use haggle_x402::{ExactFacts, FacilitatorRequest, PaymentFlow, PaymentRequirements, Resource, X402Error, X402Version};
use std::time::Duration;

/// What each pays.
pub const AMOUNT: Usdc = Usdc::from_units(1000);
/// How long each is good.
const GOOD_FOR: Duration = Duration::from_secs(3600);

/// Who pays whom, and on which chain. Nonces are counted, so a chain takes the payments of one of these.
#[derive(Debug)]
pub struct Payments {
    facts: ExactFacts,
    payer: PaymentKey,
    asked: PaymentRequirements,
    now: Timestamp,
    next: u64,
}

impl Payments {
    /// From `payer` to `pay_to`, signed at `now`.
    ///
    /// # Errors
    /// Never with an amount above nothing.
    pub fn new(facts: ExactFacts, payer: PaymentKey, pay_to: Address, now: Timestamp) -> Result<Self, X402Error> {
        let asked = exact::requirement(&facts, pay_to, AMOUNT, GOOD_FOR, &PaymentFlow::Authorization)?;
        Ok(Self { facts, payer, asked, now, next: 1 })
    }

    /// Signs so many more; each is the JSON body of `POST /verify` and `POST /settle`.
    ///
    /// # Errors
    /// Never with payments of this kind.
    pub fn sign(&mut self, count: u64) -> Result<Vec<String>, X402Error> {
        (0..count).map(|_| self.sign_one()).collect()
    }

    fn sign_one(&mut self) -> Result<String, X402Error> {
        let nonce = B256::from(U256::from(self.next));
        self.next += 1;
        let authorization = ExactAuthorization::paying(&self.asked, self.payer.address(), self.now, nonce)?;
        let digest = authorization.digest(&self.facts).map_err(|_| X402Error::BadAmount)?;
        let signature = self.payer.sign_digest(&digest);
        let resource = Resource::new("http://127.0.0.1/sold");
        let payload = exact::payload(self.asked.clone(), &resource, authorization, &signature, None)?;
        let request = FacilitatorRequest {
            x402_version: X402Version,
            payment_payload: payload,
            payment_requirements: self.asked.clone(),
            rest: serde_json::Map::new(),
        };
        Ok(serde_json::to_string(&request)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_base::{Seed, TokenFacts};
    use haggle_x402::exact::Transfer;
    use std::collections::BTreeSet;

    #[test]
    fn every_body_is_another_good_payment() {
        let token = TokenFacts {
            address: Address::repeat_byte(5),
            name: "USD Coin".to_owned(),
            version: "2".to_owned(),
            symbol: "USDC".to_owned(),
            decimals: 6,
        };
        let (facts, key) = (ExactFacts::new(31_337, token), Seed::devnet(7, 0).payment_key(0));
        let now = Timestamp::from_secs(1_795_000_000);
        let mut payments = Payments::new(facts.clone(), key, Address::repeat_byte(6), now).unwrap();
        let read = |body: &String| {
            let request: FacilitatorRequest = serde_json::from_str(body).unwrap();
            Transfer::of(&request.payment_payload, &request.payment_requirements, &facts).unwrap()
        };
        let bodies = [payments.sign(3).unwrap(), payments.sign(2).unwrap()].concat();
        let nonces: BTreeSet<B256> = bodies.iter().map(|body| read(body).nonce).collect();
        assert_eq!(nonces.len(), 5);
        assert!(read(&bodies[0]).check_time(now, Duration::ZERO).is_ok());
    }
}
