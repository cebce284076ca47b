//! Endpoints that are down, lie, or swallow answers: what is known afterwards, and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::primitives::Bytes;
use alloy::rpc::json_rpc::{RequestPacket, Response, ResponsePacket, ResponsePayload};
use alloy::transports::{TransportError, TransportFut};
use haggle_base::{Address, B256, Coded as _};
use haggle_devchain::{Config, DevChain, DevTransport};
use haggle_escrow::{ChainReader, EscrowClient, EscrowConfig, EscrowError, Sent, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::Service;

use crate::town::Town;

#[tokio::test]
async fn an_endpoint_that_is_down_is_rpc_down() {
    let town = Town::open().await;
    let (reader, order) = (town.reader(), town.order(1));
    let bob = town.client(&town.bob).await;
    let payment = town.payment(&order, &town.alice);
    let id = town.id(&order);
    town.chain.shutdown().await;
    let errors = [
        reader.latest().await.unwrap_err(),
        reader.check().await.unwrap_err(),
        reader.status(&id).await.unwrap_err(),
        bob.fund(&order, &payment, None).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), "rpc_down");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn the_second_endpoint_is_asked_when_the_first_is_down() {
    let town = Town::open().await;
    let gone = DevChain::start(Config::for_testing()).await.unwrap();
    let mut config = town.config();
    config.rpc_urls.insert(0, gone.rpc_url());
    gone.shutdown().await;
    let bob = EscrowClient::connect(config, &town.bob).await.unwrap();
    let order = town.order(1);
    assert!(bob.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap().tx().is_some());
}

#[tokio::test]
async fn another_chain_or_another_contract_is_noticed_at_once() {
    let town = Town::open().await;
    let other = DevChain::start(Config { chain_id: 5, ..Config::for_testing() }).await.unwrap();
    let mut config = town.config();
    config.rpc_urls = vec![other.rpc_url()];
    assert_eq!(EscrowClient::connect(config, &town.bob).await.unwrap_err().code(), "wrong_chain");

    for wrong in [Address::repeat_byte(1), town.config().token] {
        let mut config = town.config();
        config.escrow = wrong;
        assert_eq!(EscrowClient::connect(config, &town.bob).await.unwrap_err().code(), "wrong_contract");
    }
    let mut config = town.config();
    config.token = Address::repeat_byte(2);
    assert_eq!(EscrowClient::connect(config, &town.bob).await.unwrap_err().code(), "wrong_contract");
}

#[tokio::test]
async fn urls_that_are_none_are_refused() {
    let town = Town::open().await;
    for url in ["", "nonsense", "ftp://127.0.0.1", "file:///etc/passwd"] {
        let mut config = town.config();
        config.rpc_urls = vec![url.to_owned()];
        assert_eq!(ChainReader::new(config).unwrap_err().code(), "rpc_bad_url");
    }
    let mut config = town.config();
    config.rpc_urls.clear();
    assert_eq!(ChainReader::new(config).unwrap_err().code(), "rpc_bad_url");
}

#[tokio::test]
async fn an_endpoint_that_talks_nonsense_harms_nobody() {
    let town = Town::open().await;
    for nonsense in
        ["{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"never\":\"mind\"}}", "<html>never mind</html>", "{}", ""]
    {
        let (url, liar) = liar(nonsense).await;
        let config = EscrowConfig { rpc_urls: vec![url], ..town.config() };
        let error = ChainReader::new(config).unwrap().latest().await.unwrap_err();
        assert_eq!(error.code(), "rpc_bad_answer");
        liar.abort();
    }
}

#[tokio::test]
async fn the_second_endpoint_is_asked_when_the_first_does_not_talk_rpc() {
    let town = Town::open().await;
    let (url, liar) = liar("<html>never mind</html>").await;
    let mut config = town.config();
    config.rpc_urls.insert(0, url);
    assert!(ChainReader::new(config).unwrap().status(&town.id(&town.order(1))).await.is_ok());
    liar.abort();
}

/// An endpoint that answers everything with `body`.
async fn liar(body: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let liar = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _read = stream.read(&mut asked).await;
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, liar)
}

#[tokio::test]
async fn a_transaction_without_a_receipt_has_an_unknown_outcome_until_the_chain_is_asked() {
    let town = Town::open().await;
    let mut config = town.config();
    config.receipt_timeout = Duration::from_millis(50);
    let forgetful = ChainReader::over(Forgetful(town.chain.transport()), config);
    let bob = EscrowClient::new(forgetful, &town.bob).unwrap();
    let order = town.order(1);
    let payment = town.payment(&order, &town.alice);

    let error = bob.fund(&order, &payment, None).await.unwrap_err();

    assert!(matches!(error, EscrowError::UnknownOutcome { .. }) && error.is_unknown_outcome());
    let again = bob.fund(&order, &payment, None).await.unwrap();
    assert!(matches!(again, Sent::AlreadyDone(state) if state.status == Status::Funded));
    town.assert_conserved();
}

#[tokio::test]
async fn the_nonce_of_a_dropped_transaction_is_used_again() {
    let town = Town::open().await;
    let mut config = town.config();
    config.receipt_timeout = Duration::from_millis(500);
    let drops = Arc::new(AtomicBool::new(true));
    let chain = Dropping { chain: town.chain.transport(), drops: Arc::clone(&drops) };
    let bob = EscrowClient::new(ChainReader::over(chain, config), &town.bob).unwrap();
    let order = town.order(1);
    let payment = town.payment(&order, &town.alice);
    assert!(bob.fund(&order, &payment, None).await.unwrap_err().is_unknown_outcome());
    assert_eq!(town.held(), 0);

    drops.store(false, Ordering::Relaxed);
    drop(bob.fund(&order, &payment, None).await);
    assert_eq!(town.held(), 5_000_000);
}

#[tokio::test]
async fn a_key_used_from_elsewhere_finds_its_nonce_again() {
    let town = Town::open().await;
    let here = town.client(&town.bob).await;
    let elsewhere = town.client(&town.bob).await;
    for (salt, client) in [(1, &here), (2, &elsewhere), (3, &elsewhere), (4, &here), (5, &elsewhere)] {
        let order = town.order(salt);
        assert!(client.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap().tx().is_some());
    }
    assert_eq!(town.held(), 25_000_000);
}

/// A chain that never tells what became of a transaction.
#[derive(Clone)]
struct Forgetful(DevTransport);

impl Service<RequestPacket> for Forgetful {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        match request.as_single() {
            Some(single) if single.method() == "eth_getTransactionReceipt" => {
                let null = serde_json::value::to_raw_value(&()).unwrap();
                let response = Response { id: single.id().clone(), payload: ResponsePayload::Success(null) };
                Box::pin(async move { Ok(ResponsePacket::Single(response)) })
            }
            _ => self.0.call(request),
        }
    }
}

/// A chain whose pool takes every transaction and mines only those that pay enough.
#[derive(Clone)]
struct Choosy {
    chain: DevTransport,
    price: u128,
    left: Arc<std::sync::atomic::AtomicUsize>,
}

impl Service<RequestPacket> for Choosy {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        match request.as_single() {
            Some(single)
                if single.method() == "eth_sendRawTransaction"
                    && transaction(single.params().unwrap().get()).max_fee_per_gas() < self.price =>
            {
                self.left.fetch_add(1, Ordering::Relaxed);
                let hash = serde_json::value::to_raw_value(&B256::ZERO).unwrap();
                let response = Response { id: single.id().clone(), payload: ResponsePayload::Success(hash) };
                Box::pin(async move { Ok(ResponsePacket::Single(response)) })
            }
            _ => self.chain.call(request),
        }
    }
}

#[tokio::test]
async fn a_stuck_transaction_is_replaced_under_its_own_nonce_until_it_pays_enough() {
    let town = Town::open().await;
    let config = EscrowConfig { stuck_after: Duration::from_millis(30), ..town.config() };
    let left = Arc::default();
    let choosy = Choosy { chain: town.chain.transport(), price: 3_000_000_000, left: Arc::clone(&left) };
    let bob = EscrowClient::new(ChainReader::over(choosy, config), &town.bob).unwrap();
    let order = town.order(1);
    let sent = bob.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap();
    assert!(left.load(Ordering::Relaxed) > 1, "it was left lying, and so was the first replacement");
    assert!(sent.tx().is_some());
    assert_eq!(town.held(), 5_000_000);
    let second = town.order(2);
    assert!(bob.fund(&second, &town.payment(&second, &town.alice), None).await.unwrap().tx().is_some());
}

#[tokio::test]
async fn a_stuck_transaction_never_pays_more_than_the_limit() {
    let town = Town::open().await;
    let config = EscrowConfig {
        stuck_after: Duration::from_millis(20),
        receipt_timeout: Duration::from_millis(600),
        max_gas_price: 2_500_000_000,
        ..town.config()
    };
    let left = Arc::default();
    let choosy = Choosy { chain: town.chain.transport(), price: 2_500_000_001, left };
    let bob = EscrowClient::new(ChainReader::over(choosy, config), &town.bob).unwrap();
    let order = town.order(1);
    assert!(bob.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap_err().is_unknown_outcome());
    assert_eq!(town.held(), 0);
}

fn transaction(params: &str) -> TxEnvelope {
    let (raw,): (Bytes,) = serde_json::from_str(params).unwrap();
    TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap()
}

fn nonce_of(params: &str) -> u64 {
    transaction(params).nonce()
}

/// A chain that accepts transactions and, while `drops` is set, loses them. Later ones it keeps until the account's
/// first nonce is used, as a pool does.
#[derive(Clone)]
struct Dropping {
    chain: DevTransport,
    drops: Arc<AtomicBool>,
}

impl Service<RequestPacket> for Dropping {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        match request.as_single() {
            Some(single)
                if single.method() == "eth_sendRawTransaction"
                    && (self.drops.load(Ordering::Relaxed) || nonce_of(single.params().unwrap().get()) > 0) =>
            {
                let hash = serde_json::value::to_raw_value(&B256::ZERO).unwrap();
                let response = Response { id: single.id().clone(), payload: ResponsePayload::Success(hash) };
                Box::pin(async move { Ok(ResponsePacket::Single(response)) })
            }
            _ => self.chain.call(request),
        }
    }
}
