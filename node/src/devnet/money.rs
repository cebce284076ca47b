//! Counting all money of a devnet.

use super::FUNDED_ACCOUNTS;
use crate::cli::CliError;
use alloy_primitives::U256;
use haggle_base::{Seed, Usdc};
use haggle_devchain::{DEV_ACCOUNTS, DevAccount, DevChain};
use serde::{Deserialize, Serialize};

/// What was issued and what lies anywhere: equal, or money was made or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conservation {
    /// Total supply of the token.
    pub issued: Usdc,
    /// Balances of every account of the devnet, the escrow's included.
    pub accounted: Usdc,
}

impl Conservation {
    /// Whether not one unit was made or lost.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.issued == self.accounted
    }
}

/// What one account gets for gas.
pub(super) fn one_ether() -> U256 {
    U256::from(1_000_000_000_000_000_000_u64)
}

pub(super) fn conservation(chain: &DevChain, seed: u64, nodes: usize) -> Result<Conservation, CliError> {
    let unreadable = |cause: haggle_devchain::DevChainError| {
        CliError::failure("rpc_down", cause.to_string(), "is the chain still up?")
    };
    let deployment = chain.deployment().map_err(unreadable)?;
    let judge = super::arbitrator::key(seed).address();
    let mut accounts = vec![deployment.escrow, deployment.channel, deployment.fee_sink, judge];
    accounts.extend((0..DEV_ACCOUNTS).map(|number| DevAccount::numbered(number).address()));
    for number in 1..=u32::try_from(nodes).unwrap_or(u32::MAX) {
        let seed = Seed::devnet(seed, number);
        accounts.extend((0..FUNDED_ACCOUNTS).map(|account| seed.payment_key(account).address()));
    }
    accounts.sort();
    accounts.dedup();
    let mut units = 0_u64;
    for account in accounts {
        let balance = chain.balance_usdc(account).map_err(unreadable)?;
        units = units.saturating_add(balance);
    }
    let issued = chain.total_supply_usdc().map_err(unreadable)?;
    Ok(Conservation { issued: Usdc::from_units(issued), accounted: Usdc::from_units(units) })
}
