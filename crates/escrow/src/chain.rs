//! The connection to a chain that all clients of a node share: reading, and nothing that needs a key.

use std::sync::Arc;

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{Provider as _, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::types::Block;
use alloy::transports::Transport;
use haggle_base::{OrderId, Timestamp, Usdc};

use crate::bindings::{Escrow, TestUSDC};
use crate::config::EscrowConfig;
use crate::endpoints::{EndpointReport, Endpoints, Trust};
use crate::error::EscrowError;
use crate::nonce::Signers;
use crate::status::{OnChain, Status};
use crate::transport::Failover;

/// The latest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time: the chain time that orders' deadlines are read against.
    pub time: Timestamp,
}

/// Reads a chain. Clones share one connection.
#[derive(Debug, Clone)]
pub struct ChainReader {
    pub(crate) provider: RootProvider,
    pub(crate) config: Arc<EscrowConfig>,
    pub(crate) signers: Arc<Signers>,
    endpoints: Option<Arc<Endpoints>>,
}

impl ChainReader {
    /// A reader over the configured endpoints. Nothing is asked yet; see [`Self::check`].
    ///
    /// # Errors
    /// [`EscrowError::BadUrl`].
    pub fn new(config: EscrowConfig) -> Result<Self, EscrowError> {
        let transport = Failover::new(&config)?;
        let endpoints = transport.endpoints();
        Ok(Self { endpoints: Some(endpoints), ..Self::over(transport, config) })
    }

    /// A reader over any alloy transport, such as a chain in the same process.
    #[must_use]
    pub fn over<T: Transport + Clone>(transport: T, config: EscrowConfig) -> Self {
        let client = RpcClient::new(transport, true);
        client.set_poll_interval(config.poll_interval);
        Self { provider: RootProvider::new(client), config: Arc::new(config), signers: Arc::default(), endpoints: None }
    }

    /// How each endpoint stands, in the order of the configuration; empty over a transport of one's own.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointReport> {
        self.endpoints.as_ref().map(|known| known.report()).unwrap_or_default()
    }

    /// How far the endpoints' word is taken.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.endpoints.as_ref().map_or(Trust::Single, |known| known.trust())
    }

    /// Asks whether the endpoint serves the right chain, and the escrow's address holds the right contract, if the network
    /// has one.
    ///
    /// # Errors
    /// [`EscrowError::WrongChain`], [`EscrowError::WrongContract`], or that nobody answers.
    pub async fn check(&self) -> Result<(), EscrowError> {
        let got = self.chain_id().await?;
        if got != self.config.chain_id {
            return Err(EscrowError::WrongChain { expected: self.config.chain_id, got });
        }
        let (escrow, token) = (self.config.escrow, self.config.token);
        if escrow.is_zero() {
            return Ok(());
        }
        match contract_answer(self.escrow().token().call().await) {
            Ok(held) if held == token => Ok(()),
            Err(error @ EscrowError::RpcDown { .. }) => Err(error),
            _ => Err(EscrowError::WrongContract { escrow, token }),
        }
    }

    /// The chain id the endpoint says it serves.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn chain_id(&self) -> Result<u64, EscrowError> {
        Ok(self.provider.get_chain_id().await?)
    }

    /// The latest block.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn latest(&self) -> Result<ChainHead, EscrowError> {
        self.block(BlockNumberOrTag::Latest).await?.ok_or(EscrowError::RpcBadAnswer)
    }

    /// The hash of the block of this number, if the chain has it.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn block_hash(&self, number: u64) -> Result<Option<B256>, EscrowError> {
        Ok(self.block(BlockNumberOrTag::Number(number)).await?.map(|head| head.hash))
    }

    /// The block of this number, if the chain has it.
    pub(crate) async fn block(&self, number: BlockNumberOrTag) -> Result<Option<ChainHead>, EscrowError> {
        let block: Option<Block> = self.provider.get_block_by_number(number).await?;
        let is_another =
            |block: &Block| matches!(number, BlockNumberOrTag::Number(asked) if asked != block.header.number);
        if block.as_ref().is_some_and(is_another) {
            return Err(EscrowError::RpcBadAnswer);
        }
        Ok(block.map(|block| ChainHead {
            number: block.header.number,
            hash: block.header.hash,
            time: Timestamp::from_secs(block.header.timestamp),
        }))
    }

    /// USDC an account has, at the latest block.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn balance_of(&self, account: Address) -> Result<Usdc, EscrowError> {
        self.token().balance_of(account).await
    }

    /// Wei an account has, at the latest block.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn eth_balance(&self, account: Address) -> Result<U256, EscrowError> {
        Ok(self.provider.get_balance(account).await?)
    }

    /// Whether a payment with this nonce was used or cancelled by its payer.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn authorization_used(&self, payer: Address, nonce: B256) -> Result<bool, EscrowError> {
        self.token().authorization_used(payer, nonce).await
    }

    /// Where an order stands. An order that was never funded is [`Status::None`].
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn status(&self, order: &OrderId) -> Result<OnChain, EscrowError> {
        let answer = contract_answer(self.escrow().statusOfId(*order.as_b256()).call().await)?;
        let window_ends = answer.reviewEnds.to::<u64>();
        Ok(OnChain {
            status: Status::from_code(answer.status),
            closed_by: haggle_base::ClosedBy::from_outcome(answer.outcome),
            consented: answer.consented,
            window_ends: (window_ends > 0).then(|| Timestamp::from_secs(window_ends)),
        })
    }

    /// What waits in the escrow for an account: fees, and transfers that failed.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn owed(&self, account: Address) -> Result<Usdc, EscrowError> {
        usdc(contract_answer(self.escrow().owed(account).call().await)?)
    }

    /// Reads the token alone.
    #[must_use]
    pub fn token(&self) -> TokenClient {
        TokenClient { token: TestUSDC::new(self.config.token, self.provider.clone()) }
    }

    /// The settings this reader was made with.
    #[must_use]
    pub fn config(&self) -> &EscrowConfig {
        &self.config
    }

    pub(crate) fn escrow(&self) -> Escrow::EscrowInstance<RootProvider> {
        Escrow::new(self.config.escrow, self.provider.clone())
    }
}

/// Reads the token. What it uses of it, every USDC has.
#[derive(Debug, Clone)]
pub struct TokenClient {
    token: TestUSDC::TestUSDCInstance<RootProvider>,
}

impl TokenClient {
    /// USDC an account has, at the latest block.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn balance_of(&self, account: Address) -> Result<Usdc, EscrowError> {
        usdc(contract_answer(self.token.balanceOf(account).call().await)?)
    }

    /// USDC that exists.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn total_supply(&self) -> Result<Usdc, EscrowError> {
        usdc(contract_answer(self.token.totalSupply().call().await)?)
    }

    /// Whether a payment with this nonce was used or cancelled by its payer.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn authorization_used(&self, payer: Address, nonce: B256) -> Result<bool, EscrowError> {
        contract_answer(self.token.authorizationState(payer, nonce).call().await)
    }
}

pub(crate) fn usdc(units: U256) -> Result<Usdc, EscrowError> {
    Usdc::try_from(units).map_err(|_| EscrowError::AmountTooLarge(units))
}

/// A contract's answer; one that cannot be read comes from something that is not the contract.
pub(crate) fn contract_answer<T>(answer: Result<T, alloy::contract::Error>) -> Result<T, EscrowError> {
    answer.map_err(|error| match error {
        alloy::contract::Error::TransportError(error) => error.into(),
        _ => EscrowError::RpcBadAnswer,
    })
}
