//! The market's contracts in genesis, at the same addresses on every dev chain.

mod artifacts;

use alloy::primitives::{Address, Bytes, U256, address};
use alloy::sol;
use alloy::sol_types::{SolCall as _, SolValue as _};
use serde::{Deserialize, Serialize};

use artifacts::Artifact;

use crate::accounts::{DEV_ACCOUNT_WEI, DEV_ACCOUNTS, DevAccount};
use crate::chain::Chain;
use crate::error::{DevChainError, RpcError};

/// Where the test token is on every dev chain.
pub const TOKEN_ADDRESS: Address = address!("0x05b9a9571f92c3137e518733605652d44525d39a");
/// Where the escrow is on every dev chain.
pub const ESCROW_ADDRESS: Address = address!("0x85ec45e5286ccff83ee107c6d162b85fa606de20");

/// Where the channel contract is on every dev chain: x402 clients look for it there.
pub const CHANNEL_ADDRESS: Address = address!("0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");
/// Where its collector is on every dev chain: x402 clients sign their deposits to it.
pub const COLLECTOR_ADDRESS: Address = address!("0x4020806089470a89826cB9fB1f4059150b550004");
/// Where Multicall3 is on every dev chain, as on every public one.
pub const MULTICALL_ADDRESS: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");

/// The deployer's transactions in the order they are made; each one's contract has an address that follows from it.
const STAKE_NONCE: u64 = 2;
const REGISTRY_NONCE: u64 = 3;

sol! {
    interface Token {
        function mint(address to, uint256 value) external;
        function balanceOf(address account) external view returns (uint256);
        function totalSupply() external view returns (uint256);
    }
}

/// What a client of the local market has to know about its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The chain's id, part of every signature's domain.
    pub chain_id: u64,
    /// The test token: USDC's interface, six decimals.
    pub token: Address,
    /// EIP-712 domain name of the token.
    pub token_name: String,
    /// EIP-712 domain version of the token.
    pub token_version: String,
    /// Ticker of the token.
    pub token_symbol: String,
    /// Decimals of the token.
    pub token_decimals: u8,
    /// The escrow that holds that token.
    pub escrow: Address,
    /// What providers put up for that escrow.
    #[serde(default)]
    pub stake: Address,
    /// The stand-in for the ERC-8004 registries, which takes that escrow's feedback.
    #[serde(default)]
    pub registry: Address,
    /// Roots of attestations.
    #[serde(default)]
    pub anchor: Address,
    /// An example of a panel for that escrow: two of the last three funded accounts.
    #[serde(default)]
    pub panel: Address,
    /// Prepaid channels in that token.
    #[serde(default)]
    pub channel: Address,
    /// What brings deposits to channels.
    #[serde(default)]
    pub collector: Address,
    /// Many calls in one.
    #[serde(default)]
    pub multicall: Address,
    /// Where the local market's fees go.
    pub fee_sink: Address,
}

/// Puts contracts and funded accounts into a chain that has only its genesis block.
pub(crate) fn install(chain: &mut Chain) -> Result<Deployment, DevChainError> {
    let deployer = DevAccount::deployer().address();
    let minter = DevAccount::minter().address();
    let mut genesis = Genesis { chain, deployer };
    let token = genesis.create(Artifact::TestUSDC, &minter.abi_encode())?;
    let (stake, registry) = (deployer.create(STAKE_NONCE), deployer.create(REGISTRY_NONCE));
    let escrow = genesis.create(Artifact::Escrow, &(token, stake, registry).abi_encode())?;
    genesis.create_at(stake, Artifact::Stake, &(token, escrow).abi_encode())?;
    genesis.create_at(registry, Artifact::Registry8004, &[])?;
    let anchor = genesis.create(Artifact::Anchor, &[])?;
    let (members, threshold) = panel_members();
    let panel = genesis.create(Artifact::Panel, &(escrow, members, threshold).abi_encode_params())?;
    genesis.place(CHANNEL_ADDRESS, Artifact::Channel, &(token, COLLECTOR_ADDRESS).abi_encode())?;
    genesis.place(COLLECTOR_ADDRESS, Artifact::Erc3009Collector, &CHANNEL_ADDRESS.abi_encode())?;
    genesis.place(MULTICALL_ADDRESS, Artifact::Multicall3, &[])?;
    for account in (0..DEV_ACCOUNTS).map(DevAccount::numbered).chain([DevAccount::minter(), DevAccount::deployer()]) {
        chain.set_balance(account.address(), DEV_ACCOUNT_WEI);
    }
    Ok(Deployment {
        chain_id: chain.chain_id(),
        token,
        token_name: "USD Coin".to_owned(),
        token_version: "2".to_owned(),
        token_symbol: "USDC".to_owned(),
        token_decimals: 6,
        escrow,
        stake,
        registry,
        anchor,
        panel,
        channel: CHANNEL_ADDRESS,
        collector: COLLECTOR_ADDRESS,
        multicall: MULTICALL_ADDRESS,
        fee_sink: DevAccount::fee_sink().address(),
    })
}

/// The example panel: two of the last three funded accounts.
fn panel_members() -> (Vec<Address>, U256) {
    let mut members: Vec<Address> =
        (DEV_ACCOUNTS - 3..DEV_ACCOUNTS).map(|index| DevAccount::numbered(index).address()).collect();
    members.sort_unstable();
    (members, U256::from(2))
}

/// A chain that has no block yet but its first, and who fills it.
struct Genesis<'a> {
    chain: &'a mut Chain,
    deployer: Address,
}

impl Genesis<'_> {
    /// Creates a contract where the deployer's next one belongs.
    fn create(&mut self, artifact: Artifact, arguments: &[u8]) -> Result<Address, DevChainError> {
        let contract = artifact.name();
        let genesis = |source| DevChainError::Genesis { contract, source };
        let init_code: Bytes = [&artifact.bytecode().map_err(genesis)?[..], arguments].concat().into();
        self.chain.deploy(self.deployer, init_code).map_err(genesis)
    }

    /// The same, where others were already told it would be.
    fn create_at(&mut self, place: Address, artifact: Artifact, arguments: &[u8]) -> Result<(), DevChainError> {
        let made = self.create(artifact, arguments)?;
        if made == place {
            return Ok(());
        }
        let source = RpcError::Rejected(format!("it is at {made} instead of {place}"));
        Err(DevChainError::Genesis { contract: artifact.name(), source })
    }

    /// Constructs a contract, and puts the code that makes at `place`.
    fn place(&mut self, place: Address, artifact: Artifact, arguments: &[u8]) -> Result<(), DevChainError> {
        let made = self.create(artifact, arguments)?;
        let code = self.chain.code(made);
        self.chain.set_code(place, code).map_err(|source| DevChainError::Genesis { contract: artifact.name(), source })
    }
}

/// Calldata that mints `units` to an account.
pub(crate) fn mint_call(to: Address, units: u64) -> Bytes {
    Token::mintCall { to, value: U256::from(units) }.abi_encode().into()
}

/// Calldata that asks an account's balance.
pub(crate) fn balance_call(account: Address) -> Bytes {
    Token::balanceOfCall { account }.abi_encode().into()
}

/// Calldata that asks how much was ever issued.
pub(crate) fn supply_call() -> Bytes {
    Token::totalSupplyCall {}.abi_encode().into()
}
