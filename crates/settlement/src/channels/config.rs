//! What channels are told about their network and their operator's wishes.

use std::time::Duration;

use haggle_base::Usdc;
use haggle_x402::ChannelFacts;

const HOUR: Duration = Duration::from_secs(3_600);

/// Settings of prepaid channels.
#[derive(Debug, Clone)]
pub struct ChannelsConfig {
    /// The chain, the contract, its collector and its token.
    pub facts: ChannelFacts,
    /// Selling: how long a payer waits for its money without us. At least 24 hours; only such channels are taken.
    pub withdraw_delay: Duration,
    /// Selling: the deposit that is asked for, in prices of a call.
    pub deposit_calls: u64,
    /// Selling: the most that is asked for; a price above it asks for one call.
    pub deposit_wish_at_most: Usdc,
    /// Selling: the least deposit that is worth a transaction of ours, in prices of a call.
    pub deposit_calls_at_least: u64,
    /// Selling: how long a voucher may wait for its claim. Never more than a quarter of the withdraw delay.
    pub claim_every: Duration,
    /// Selling: unclaimed value of a channel that is claimed at once.
    pub claim_at: Usdc,
    /// Selling: unclaimed value below which a channel is not worth its row, unless its payer withdraws.
    pub claim_at_least: Usdc,
    /// Selling: the most a payer may have unclaimed over all its channels.
    pub unclaimed_per_payer: Usdc,
    /// Selling: how long a deposit's authorisation is asked to be good.
    pub deposit_timeout: Duration,
    /// Selling: the block before which no withdrawal can have been started.
    pub start_block: u64,
    /// Buying: channels one agent has with one receiver.
    pub channels_per_pair: usize,
    /// Buying: the most that is paid into a channel at once.
    pub deposit_at_most: Usdc,
    /// Buying: the longest withdraw delay that is agreed to.
    pub withdraw_delay_at_most: Duration,
    /// Buying: how long an answer is waited for before the channel is used for something else.
    pub answer_within: Duration,
    /// Buying: how long it is remembered what a key paid for.
    pub keys_kept: Duration,
}

impl ChannelsConfig {
    /// A day of withdraw delay, claims every six hours, deposits of a thousand calls.
    #[must_use]
    pub fn new(facts: ChannelFacts) -> Self {
        Self {
            facts,
            withdraw_delay: HOUR * 24,
            deposit_calls: 1_000,
            deposit_wish_at_most: Usdc::from_units(5_000_000),
            deposit_calls_at_least: 10,
            claim_every: HOUR * 6,
            claim_at: Usdc::from_units(5_000_000),
            claim_at_least: Usdc::from_units(10_000),
            unclaimed_per_payer: Usdc::from_units(20_000_000),
            deposit_timeout: Duration::from_secs(300),
            start_block: 0,
            channels_per_pair: 8,
            deposit_at_most: Usdc::from_units(5_000_000),
            withdraw_delay_at_most: HOUR * 24 * 7,
            answer_within: Duration::from_secs(600),
            keys_kept: HOUR * 24 * 30,
        }
    }

    /// How long a voucher waits for its claim at most.
    pub(crate) fn claim_within(&self) -> Duration {
        self.claim_every.min(self.withdraw_delay / 4)
    }

    /// The deposit that is asked for at this price.
    pub(crate) fn deposit_wish(&self, price: Usdc) -> Usdc {
        let wish = price.checked_mul(self.deposit_calls).unwrap_or(Usdc::MAX);
        wish.min(self.deposit_wish_at_most).max(price)
    }

    /// The least deposit that is taken at this price.
    pub(crate) fn deposit_least(&self, price: Usdc) -> Usdc {
        let least = price.checked_mul(self.deposit_calls_at_least).unwrap_or(Usdc::MAX);
        least.min(self.deposit_wish(price))
    }
}
