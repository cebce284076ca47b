//! A chain with alice who buys, bob who works, and eve who tries things.

use std::time::Duration;

use alloy::primitives::aliases::{U40, U96};
use alloy::sol;
use haggle_base::eip712::{
    Domain, ReceiveWithAuthorization, Refund, Release, digest, escrow_domain, order_id, token_domain,
};
use haggle_base::{Address, B256, EvmSignature, Order, OrderId, PaymentKey, Seed, TokenFacts, U256, Usdc};
use haggle_devchain::{Config, DevChain};
use haggle_escrow::{ChainReader, EscrowClient, EscrowConfig};

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    RawEscrow,
    "../../contracts/artifacts/Escrow.json"
);

/// What everybody starts with: a hundred dollars.
pub(crate) const PURSE: u64 = 100_000_000;

/// An hour in seconds, the shortest review window.
pub(crate) const HOUR: u32 = 3_600;

pub(crate) struct Town {
    pub(crate) chain: DevChain,
    pub(crate) alice: PaymentKey,
    pub(crate) bob: PaymentKey,
    pub(crate) eve: PaymentKey,
    pub(crate) sink: Address,
    pub(crate) escrow: Domain,
    token: Domain,
}

impl Town {
    /// Everybody has money, only bob and eve have gas: alice needs none.
    pub(crate) async fn open() -> Self {
        let chain = DevChain::start(Config::for_testing()).await.unwrap();
        let [alice, bob, eve] = [0, 1, 2].map(|index| Seed::devnet(7, index).payment_key(0));
        for key in [&alice, &bob, &eve] {
            chain.mint_usdc(key.address(), PURSE).unwrap();
        }
        for key in [&bob, &eve] {
            chain.fund_eth(key.address(), U256::from(10).pow(U256::from(18)));
        }
        let facts = chain.deployment().unwrap().clone();
        let token = TokenFacts {
            address: facts.token,
            name: facts.token_name,
            version: facts.token_version,
            symbol: facts.token_symbol,
            decimals: facts.token_decimals,
        };
        Self {
            alice,
            bob,
            eve,
            sink: facts.fee_sink,
            escrow: escrow_domain(facts.chain_id, facts.escrow),
            token: token_domain(facts.chain_id, &token),
            chain,
        }
    }

    pub(crate) fn config(&self) -> EscrowConfig {
        let facts = self.chain.deployment().unwrap();
        EscrowConfig {
            rpc_urls: vec![self.chain.rpc_url()],
            chain_id: facts.chain_id,
            escrow: facts.escrow,
            token: facts.token,
            deployed_at: 0,
            poll_interval: Duration::from_millis(10),
            request_timeout: Duration::from_secs(30),
            slow_after: Duration::from_secs(2),
            stuck_after: Duration::from_secs(30),
            receipt_timeout: Duration::from_secs(60),
            gas_cap: 1_000_000,
            max_gas_price: 500_000_000_000,
        }
    }

    /// The token's domain.
    pub(crate) const fn token(&self) -> &Domain {
        &self.token
    }

    pub(crate) fn reader(&self) -> ChainReader {
        ChainReader::new(self.config()).unwrap()
    }

    pub(crate) async fn client(&self, key: &PaymentKey) -> EscrowClient {
        EscrowClient::connect(self.config(), key).await.unwrap()
    }

    /// Five dollars of work for alice by bob, due in an hour, with a tenth for the sink out of bob's part.
    pub(crate) fn order(&self, salt: u64) -> Order {
        let (_, now) = self.chain.head();
        Order {
            buyer: self.alice.address(),
            provider: self.bob.address(),
            feeTo: self.sink,
            amount: U96::from(5_000_000),
            feeBps: 1_000,
            fundBy: U40::from(now + 300),
            deliverBy: U40::from(now + u64::from(HOUR)),
            reviewSecs: HOUR,
            counterSecs: HOUR,
            ruleSecs: HOUR,
            terms: B256::repeat_byte(7),
            salt: U256::from(salt),
            ..Order::default()
        }
    }

    pub(crate) fn id(&self, order: &Order) -> OrderId {
        order_id(order, &self.escrow)
    }

    /// `payer`'s signature over the payment for the order.
    pub(crate) fn payment(&self, order: &Order, payer: &PaymentKey) -> EvmSignature {
        let payment = ReceiveWithAuthorization {
            from: order.buyer,
            to: self.chain.deployment().unwrap().escrow,
            value: order.deposit().unwrap().to(),
            validAfter: U256::ZERO,
            validBefore: order.fundBy.to(),
            nonce: *self.id(order).as_b256(),
        };
        payer.sign_digest(&digest(&payment, &self.token))
    }

    /// `payer`'s signature over a payment of `units` to a contract.
    pub(crate) fn payment_to(
        &self,
        to: Address,
        units: u64,
        before: u64,
        nonce: B256,
        payer: &PaymentKey,
    ) -> EvmSignature {
        let payment = ReceiveWithAuthorization {
            from: payer.address(),
            to,
            value: U256::from(units),
            validAfter: U256::ZERO,
            validBefore: U256::from(before),
            nonce,
        };
        payer.sign_digest(&digest(&payment, &self.token))
    }

    /// `provider`'s signature over the order's id.
    pub(crate) fn consent(&self, order: &Order, provider: &PaymentKey) -> EvmSignature {
        provider.sign_digest(self.id(order).as_b256())
    }

    pub(crate) fn release(&self, order: &Order, buyer: &PaymentKey) -> EvmSignature {
        buyer.sign_digest(&digest(&Release { orderId: *self.id(order).as_b256() }, &self.escrow))
    }

    pub(crate) fn refund(&self, order: &Order, provider: &PaymentKey) -> EvmSignature {
        provider.sign_digest(&digest(&Refund { orderId: *self.id(order).as_b256() }, &self.escrow))
    }

    /// Bob brings alice's deposit, with his consent.
    pub(crate) async fn funded(&self, salt: u64) -> Order {
        let order = self.order(salt);
        let sent = self
            .client(&self.bob)
            .await
            .fund(&order, &self.payment(&order, &self.alice), Some(&self.consent(&order, &self.bob)))
            .await;
        assert!(sent.unwrap().tx().is_some());
        order
    }

    pub(crate) fn balance(&self, account: Address) -> u64 {
        self.chain.balance_usdc(account).unwrap()
    }

    pub(crate) fn held(&self) -> u64 {
        self.balance(self.chain.deployment().unwrap().escrow)
    }

    /// Every unit that was ever issued is somewhere.
    pub(crate) fn assert_conserved(&self) {
        let everybody = [&self.alice, &self.bob, &self.eve].map(|key| self.balance(key.address()));
        let accounted = everybody.iter().sum::<u64>() + self.balance(self.sink) + self.held();
        assert_eq!(accounted, self.chain.total_supply_usdc().unwrap());
    }
}

/// The amount as USDC.
pub(crate) const fn usdc(units: u64) -> Usdc {
    Usdc::from_units(units)
}
