//! Where channels are: the chain, the contract, its collector and its token, with their EIP-712 domains.

use alloy_primitives::{Address, B256, U256};

use haggle_base::{
    TokenFacts, Usdc,
    eip712::{
        Domain, ReceiveWithAuthorization,
        channel::{ChannelConfig, channel_domain, channel_id, deposit_nonce, voucher_digest},
        digest, token_domain,
    },
};

use super::{DepositTerms, SignedVoucher};

/// One channel contract. Clones share the domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFacts {
    chain_id: u64,
    contract: Address,
    collector: Address,
    token: TokenFacts,
    domain: Domain,
    token_domain: Domain,
}

impl ChannelFacts {
    /// The contract at this address, with its collector, holding this token.
    #[must_use]
    pub fn new(chain_id: u64, contract: Address, collector: Address, token: TokenFacts) -> Self {
        let (domain, token_domain) = (channel_domain(chain_id, contract), token_domain(chain_id, &token));
        Self { chain_id, contract, collector, token, domain, token_domain }
    }

    /// The chain.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The contract.
    #[must_use]
    pub const fn contract(&self) -> Address {
        self.contract
    }

    /// Where deposits are made out to.
    #[must_use]
    pub const fn collector(&self) -> Address {
        self.collector
    }

    /// The token.
    #[must_use]
    pub const fn token(&self) -> &TokenFacts {
        &self.token
    }

    /// The contract's EIP-712 domain.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The channel's id.
    #[must_use]
    pub fn id(&self, channel: &ChannelConfig) -> B256 {
        channel_id(channel, &self.domain)
    }

    /// What a payer's authoriser signs to allow `max_claimable` of a channel in all.
    #[must_use]
    pub fn voucher_digest(&self, channel_id: &B256, max_claimable: Usdc) -> B256 {
        voucher_digest(channel_id, u128::from(max_claimable.units()), &self.domain)
    }

    /// Whether the payer's authoriser signed this voucher. Needs no chain.
    #[must_use]
    pub fn is_signed_by(&self, voucher: &SignedVoucher, authorizer: Address) -> bool {
        let digest = self.voucher_digest(&voucher.channel_id, voucher.max_claimable);
        voucher.signature.verify(&digest, authorizer).is_ok()
    }

    /// The nonce of a deposit's payment, which no other channel can use.
    #[must_use]
    pub fn deposit_nonce(&self, channel_id: &B256, salt: U256) -> B256 {
        deposit_nonce(channel_id, salt)
    }

    /// What the payer signs to pay `terms` into a channel.
    #[must_use]
    pub fn deposit_digest(&self, payer: Address, channel_id: &B256, terms: &DepositTerms) -> B256 {
        let authorization = ReceiveWithAuthorization {
            from: payer,
            to: self.collector,
            value: terms.amount.to_u256(),
            validAfter: U256::from(terms.valid_after.as_secs()),
            validBefore: U256::from(terms.valid_before.as_secs()),
            nonce: deposit_nonce(channel_id, terms.salt),
        };
        digest(&authorization, &self.token_domain)
    }
}
