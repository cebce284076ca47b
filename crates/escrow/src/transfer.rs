//! The token's signed transfers (EIP-3009), which anybody may send: x402's `exact`.

use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolCall as _;
use haggle_base::PaymentKey;
use haggle_base::eip712::TransferWithAuthorization;

use crate::bindings::token::TestUSDC::{transferWithAuthorization_0Call, transferWithAuthorization_1Call};
use crate::chain::ChainReader;
use crate::error::EscrowError;
use crate::sender::{Sender, Tx};

/// Length of a key's own signature: r, s, v.
const KEY_SIGNATURE: usize = 65;

/// The token through one payment key, which signs transactions and pays their gas.
#[derive(Debug, Clone)]
pub struct TransferClient {
    sender: Sender,
}

impl TransferClient {
    /// A client of the token over an existing connection. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn new(chain: ChainReader, signer: &PaymentKey) -> Result<Self, EscrowError> {
        Ok(Self { sender: Sender::new(chain, signer)? })
    }

    /// Reads the chain without a key.
    #[must_use]
    pub const fn reader(&self) -> &ChainReader {
        &self.sender.chain
    }

    /// Who pays the gas.
    #[must_use]
    pub fn address(&self) -> Address {
        self.sender.address()
    }

    /// Makes the transfer and waits until it is mined. `signature` is the payer's, of a key or of a wallet contract.
    ///
    /// # Errors
    /// [`EscrowError::Reverted`] if the token refuses, and whatever sending says.
    pub async fn transfer(&self, transfer: &TransferWithAuthorization, signature: &[u8]) -> Result<Tx, EscrowError> {
        let chain = &self.sender.chain;
        let receipt =
            self.sender.send_encoded(chain.config.token, calldata(transfer, signature), chain.config.gas_cap).await?;
        Ok(Tx::of(&receipt))
    }

    /// Asks whether the transfer would go through now, without sending it.
    ///
    /// # Errors
    /// [`EscrowError::Reverted`] if the token would refuse; that nobody answers.
    pub async fn would_pass(&self, transfer: &TransferWithAuthorization, signature: &[u8]) -> Result<(), EscrowError> {
        let chain = &self.sender.chain;
        let input = calldata(transfer, signature);
        let request = TransactionRequest::default().from(self.address()).to(chain.config.token).input(input.into());
        chain.provider.call(request).await?;
        Ok(())
    }
}

/// The call in the form every USDC has for this kind of signature: older ones know only a key's.
fn calldata(transfer: &TransferWithAuthorization, signature: &[u8]) -> Bytes {
    let TransferWithAuthorization { from, to, value, validAfter, validBefore, nonce } = transfer.clone();
    match <[u8; KEY_SIGNATURE]>::try_from(signature) {
        Ok(key) => {
            let half = |at: usize| U256::from_be_slice(&key[at..at + 32]).into();
            let (r, s, v) = (half(0), half(32), key[64]);
            transferWithAuthorization_1Call { from, to, value, validAfter, validBefore, nonce, v, r, s }.abi_encode()
        }
        Err(_) => {
            let signature = Bytes::copy_from_slice(signature);
            transferWithAuthorization_0Call { from, to, value, validAfter, validBefore, nonce, signature }.abi_encode()
        }
    }
    .into()
}
