//! Money from nothing: test tokens minted by a signed transaction, ether by decree.

use alloy::consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::primitives::{Address, B256, TxKind, U256};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;

use crate::accounts::{DEV_ACCOUNT_WEI, DevAccount};
use crate::deployment::{balance_call, mint_call, supply_call};
use crate::error::RpcError;
use crate::rpc::Rpc;

/// Gas of one mint, with room.
const MINT_GAS: u64 = 150_000;

impl Rpc {
    /// Adds wei to an account. No transaction shows it.
    pub(crate) fn fund_eth(&self, to: Address, wei: U256) {
        self.with(|world| {
            let balance = world.chain.account(to).balance.saturating_add(wei);
            world.chain.set_balance(to, balance);
        });
    }

    /// Mints base units of the test token; returns the transaction.
    pub(crate) fn mint(&self, to: Address, units: u64) -> Result<B256, RpcError> {
        let token = self.deployment().ok_or(RpcError::NoContracts)?.token;
        let minter = DevAccount::minter();
        let signer = PrivateKeySigner::from_bytes(minter.key()).map_err(|_| RpcError::Internal)?;
        let now = self.now();
        self.with(|world| {
            let chain = &mut world.chain;
            let unsigned = TxEip1559 {
                chain_id: chain.chain_id(),
                nonce: chain.account(minter.address()).nonce,
                gas_limit: MINT_GAS,
                max_fee_per_gas: u128::from(chain.base_fee()),
                to: TxKind::Call(token),
                input: mint_call(to, units),
                ..TxEip1559::default()
            };
            // The minter never runs dry.
            chain.set_balance(minter.address(), DEV_ACCOUNT_WEI);
            let signature = signer.sign_hash_sync(&unsigned.signature_hash()).map_err(|_| RpcError::Internal)?;
            let signed: TxEnvelope = unsigned.into_signed(signature).into();
            let hash = chain.send_raw(&signed.encoded_2718(), now)?;
            match chain.history().transaction(&hash) {
                Some((_, mined)) if mined.success => Ok(hash),
                _ => Err(RpcError::Rejected("the token refused to mint".to_owned())),
            }
        })
    }

    /// Base units an account has of the test token.
    pub(crate) fn balance_usdc(&self, account: Address) -> Result<u64, RpcError> {
        self.ask_token(balance_call(account))
    }

    /// Base units of the test token that exist.
    pub(crate) fn supply_usdc(&self) -> Result<u64, RpcError> {
        self.ask_token(supply_call())
    }

    fn ask_token(&self, call: alloy::primitives::Bytes) -> Result<u64, RpcError> {
        let token = self.deployment().ok_or(RpcError::NoContracts)?.token;
        let request = TransactionRequest::default().to(token).input(call.into());
        let now = self.now();
        let answer = self.with(|world| world.chain.call(&request, now))?;
        U256::try_from_be_slice(&answer).and_then(|units| u64::try_from(units).ok()).ok_or(RpcError::Internal)
    }
}
