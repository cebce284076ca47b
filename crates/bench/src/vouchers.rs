//! Verifying vouchers on one core, beside the curve's bare arithmetic and beside what alloy does by default.
//!
//! A voucher is verified as a seller does it: the payload's fields are read, the digest is made, the signer is recovered and
//! compared. The bare rate is libsecp256k1's recovery of the same signatures, and nothing else. The default is alloy's: the
//! typed data hashed with its domain, and k256. All three take turns in one thread over the same vouchers.

use haggle_base::eip712::channel::{ChannelConfig, Voucher};
use haggle_base::{Address, B256, PaymentKey, Seed, TokenFacts, U256, Usdc};
use haggle_x402::{BatchPayload, ChannelFacts, SignedVoucher};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::hint::black_box;
use std::time::Duration;

use crate::processor;

/// Vouchers that are gone through in turn.
const VOUCHERS: u64 = 512;

/// Signatures per second of one core.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoucherRates {
    /// Vouchers verified, payload read and all.
    pub voucher_verify_per_core: f64,
    /// Bare recoveries by libsecp256k1.
    pub secp_recover_per_core: f64,
    /// Vouchers verified as alloy does by default.
    pub alloy_default_per_core: f64,
}

impl VoucherRates {
    /// How much of the bare rate is left.
    #[must_use]
    pub fn voucher_ratio(&self) -> f64 {
        self.voucher_verify_per_core / self.secp_recover_per_core
    }

    /// How much faster than alloy's default.
    #[must_use]
    pub fn voucher_vs_alloy(&self) -> f64 {
        self.voucher_verify_per_core / self.alloy_default_per_core
    }
}

/// Signed vouchers of one channel, in each of the forms.
#[derive(Debug)]
pub struct Vouchers {
    facts: ChannelFacts,
    payer: Address,
    payloads: Vec<Value>,
    bare: Vec<(Message, RecoverableSignature)>,
    typed: Vec<(Voucher, alloy_primitives::Signature)>,
}

impl Vouchers {
    /// Signs the vouchers.
    #[must_use]
    pub fn sign() -> Self {
        let key = Seed::devnet(7, 0).payment_key(0);
        let token = TokenFacts {
            address: Address::repeat_byte(5),
            name: "USD Coin".to_owned(),
            version: "2".to_owned(),
            symbol: "USDC".to_owned(),
            decimals: 6,
        };
        let facts = ChannelFacts::new(31_337, Address::repeat_byte(4), Address::repeat_byte(6), token);
        let payer = key.address();
        let channel = ChannelConfig { payer, payerAuthorizer: payer, ..ChannelConfig::default() };
        let id = facts.id(&channel);
        let mut all = Self { facts, payer, payloads: Vec::new(), bare: Vec::new(), typed: Vec::new() };
        for number in 1..=VOUCHERS {
            all.add(&key, &channel, id, Usdc::from_units(number * 20_000));
        }
        all
    }

    fn add(&mut self, key: &PaymentKey, channel: &ChannelConfig, id: B256, max_claimable: Usdc) {
        let digest = self.facts.voucher_digest(&id, max_claimable);
        let signature = key.sign_digest(&digest);
        let voucher = SignedVoucher { channel_id: id, max_claimable, signature };
        let payload = BatchPayload::Voucher { channel: channel.clone(), voucher };
        self.payloads.push(payload.to_value());
        let bytes = signature.as_bytes();
        let recovery = if bytes[64] == 27 { RecoveryId::Zero } else { RecoveryId::One };
        if let Ok(bare) = RecoverableSignature::from_compact(&bytes[..64], recovery) {
            self.bare.push((Message::from_digest(digest.0), bare));
        }
        let (r, s) = (U256::from_be_slice(&bytes[..32]), U256::from_be_slice(&bytes[32..64]));
        let plain = Voucher { channelId: id, maxClaimableAmount: u128::from(max_claimable.units()) };
        self.typed.push((plain, alloy_primitives::Signature::new(r, s, bytes[64] == 28)));
    }

    /// Reads and verifies voucher `number`; whether it is good.
    #[must_use]
    pub fn verify(&self, number: usize) -> bool {
        let payload = BatchPayload::read(&self.payloads[number % self.payloads.len()]);
        payload.is_ok_and(|payload| self.facts.is_signed_by(payload.voucher(), self.payer))
    }

    /// Only recovers the key.
    #[must_use]
    pub fn recover(&self, number: usize) -> bool {
        let (message, signature) = &self.bare[number % self.bare.len()];
        SECP256K1.recover_ecdsa(*message, signature).is_ok()
    }

    /// Verifies as alloy does by default.
    #[must_use]
    pub fn verify_by_default(&self, number: usize) -> bool {
        use alloy_sol_types::SolStruct as _;
        let (voucher, signature) = &self.typed[number % self.typed.len()];
        let digest = voucher.eip712_signing_hash(self.facts.domain().facts());
        signature.recover_address_from_prehash(&digest).is_ok_and(|signer| signer == self.payer)
    }

    /// Lets the three take turns, a slice each, until every one has had `time` of this thread's processor.
    #[must_use]
    pub fn rates(&self, time: Duration) -> VoucherRates {
        let mut spent = [(0_u32, Duration::ZERO); 3];
        let ways: [&dyn Fn(usize) -> bool; 3] =
            [&|n| self.verify(n), &|n| self.recover(n), &|n| self.verify_by_default(n)];
        while spent.iter().any(|(_, used)| *used < time) {
            for (way, (count, used)) in ways.iter().zip(&mut spent) {
                let begun = processor::of_thread();
                for number in 0..self.payloads.len() {
                    *count += u32::from(black_box(way(black_box(number))));
                }
                *used += processor::of_thread() - begun;
            }
        }
        let [voucher, bare, default] = spent.map(|(count, used)| f64::from(count) / used.as_secs_f64());
        VoucherRates { voucher_verify_per_core: voucher, secp_recover_per_core: bare, alloy_default_per_core: default }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_agree_that_the_vouchers_are_good() {
        let vouchers = Vouchers::sign();
        for number in 0..8 {
            assert!(vouchers.verify(number) && vouchers.recover(number) && vouchers.verify_by_default(number));
        }
        let mut forged = vouchers;
        forged.payer = Address::repeat_byte(1);
        assert!(!forged.verify(0) && !forged.verify_by_default(0));
    }
}
