//! The market's contracts in genesis: the test token and the escrow, at the same addresses on every dev chain.

use alloy::primitives::{Address, Bytes, U256, address};
use alloy::sol;
use alloy::sol_types::{SolCall as _, SolValue as _};
use serde::{Deserialize, Serialize};

use crate::accounts::{DEV_ACCOUNT_WEI, DEV_ACCOUNTS, DevAccount};
use crate::chain::Chain;
use crate::error::{DevChainError, RpcError};

/// Where the test token is on every dev chain.
pub const TOKEN_ADDRESS: Address = address!("0x05b9a9571f92c3137e518733605652d44525d39a");
/// Where the escrow is on every dev chain.
pub const ESCROW_ADDRESS: Address = address!("0x85ec45e5286ccff83ee107c6d162b85fa606de20");

const TOKEN_ARTIFACT: &str = include_str!("../../../contracts/artifacts/TestUSDC.json");
const ESCROW_ARTIFACT: &str = include_str!("../../../contracts/artifacts/Escrow.json");

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
    /// Where the local market's fees go.
    pub fee_sink: Address,
}

#[derive(Deserialize)]
struct Artifact {
    bytecode: Bytes,
}

/// Puts contracts and funded accounts into a chain that has only its genesis block.
pub(crate) fn install(chain: &mut Chain) -> Result<Deployment, DevChainError> {
    let deployer = DevAccount::deployer().address();
    let minter = DevAccount::minter().address();
    let token = create(chain, "TestUSDC", TOKEN_ARTIFACT, deployer, minter)?;
    let escrow = create(chain, "Escrow", ESCROW_ARTIFACT, deployer, token)?;
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
        fee_sink: DevAccount::fee_sink().address(),
    })
}

/// Creates a contract whose constructor takes one address.
fn create(
    chain: &mut Chain,
    contract: &'static str,
    artifact: &str,
    from: Address,
    argument: Address,
) -> Result<Address, DevChainError> {
    let artifact: Artifact = serde_json::from_str(artifact)
        .map_err(|error| RpcError::InvalidParams(error.to_string()))
        .map_err(|source| DevChainError::Genesis { contract, source })?;
    let init_code: Bytes = [&artifact.bytecode[..], &argument.abi_encode()].concat().into();
    chain.deploy(from, init_code).map_err(|source| DevChainError::Genesis { contract, source })
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
