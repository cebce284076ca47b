//! Anvil and a dev chain side by side, told the same things.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::{Provider as _, RootProvider};
use haggle_devchain::{BLOCK_GAS_LIMIT, Config, DEFAULT_BASE_FEE, DEV_CHAIN_ID, DevChain};
use serde_json::{Value, json};

/// Genesis time of both.
const START: u64 = 1_795_000_000;

/// Both chains, and the time of their next block.
pub(crate) struct Pair {
    anvil: RootProvider,
    ours: RootProvider,
    clock: u64,
    _chain: DevChain,
    process: Child,
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

impl Pair {
    pub(crate) async fn start() -> Self {
        let (process, url) = start_anvil();
        let config = Config { contracts: false, now: Arc::new(|| START), ..Config::for_testing() };
        let chain = DevChain::start(config).await.unwrap();
        let provider = |url: &str| RootProvider::new_http(url.parse().unwrap());
        let pair =
            Self { anvil: provider(&url), ours: provider(&chain.rpc_url()), clock: START, _chain: chain, process };
        // A port may have been taken by another anvil in between: this one is fresh and has our genesis time.
        let genesis = pair.anvil.get_block_by_number(0.into()).await.unwrap().unwrap();
        assert_eq!((genesis.header.timestamp, pair.anvil.get_block_number().await.unwrap()), (START, 0));
        pair
    }

    /// Asks both the same and wants the same answer.
    pub(crate) async fn same(&self, method: &'static str, params: Value) -> Value {
        let anvil = self.ask(&self.anvil, method, &params).await;
        let ours = self.ask(&self.ours, method, &params).await;
        assert_eq!(ours, anvil, "{method} {params}");
        ours
    }

    /// Tells both the same; what they answer does not matter.
    pub(crate) async fn tell(&self, method: &'static str, params: Value) {
        for provider in [&self.anvil, &self.ours] {
            let _answer = provider.raw_request::<_, Value>(method.into(), params.clone()).await.unwrap();
        }
    }

    async fn ask(&self, provider: &RootProvider, method: &'static str, params: &Value) -> Value {
        provider.raw_request::<_, Value>(method.into(), params.clone()).await.unwrap()
    }

    /// Sends one signed transaction to both and compares all that can be seen of it.
    pub(crate) async fn send(&mut self, what: &str, raw: &Bytes) -> Value {
        self.next_block().await;
        let hash = self.same("eth_sendRawTransaction", json!([raw])).await;
        let anvil = seen(&self.mined_on_anvil(&hash).await);
        let ours = seen(&self.ask(&self.ours, "eth_getTransactionReceipt", &json!([hash])).await);
        assert_eq!(ours, anvil, "{what}");
        let sender: Address = serde_json::from_value(ours["from"].clone()).unwrap();
        for account in [sender, Address::ZERO] {
            self.same("eth_getBalance", json!([account, "latest"])).await;
            self.same("eth_getTransactionCount", json!([account, "latest"])).await;
        }
        self.same("eth_blockNumber", json!([])).await;
        ours
    }

    /// Anvil answers before it mines, so its receipt is asked for until it is there.
    async fn mined_on_anvil(&self, hash: &Value) -> Value {
        let asked = async {
            loop {
                let receipt = self.ask(&self.anvil, "eth_getTransactionReceipt", &json!([hash])).await;
                if !receipt.is_null() {
                    return receipt;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked).await.expect("anvil mines what it took")
    }

    /// A transaction neither takes; their words may differ.
    pub(crate) async fn refused(&mut self, what: &str, raw: &Bytes) {
        self.next_block().await;
        for provider in [&self.anvil, &self.ours] {
            let sent = provider.raw_request::<_, B256>("eth_sendRawTransaction".into(), json!([raw])).await;
            assert!(sent.is_err(), "{what}");
        }
    }

    /// A call that ends the same on both: the same output, or the same revert data.
    pub(crate) async fn call(&self, what: &str, call: Value) {
        let mut answers = Vec::new();
        for provider in [&self.anvil, &self.ours] {
            let answer = provider.raw_request::<_, Bytes>("eth_call".into(), json!([call, "latest"])).await;
            answers.push(answer.map_err(|error| error.as_error_resp().and_then(|payload| payload.as_revert_data())));
        }
        assert_eq!(answers[1], answers[0], "{what}");
    }

    /// Gas estimates may differ by their method, not by more than a fiftieth.
    pub(crate) async fn estimates(&self, what: &str, call: Value) {
        let ask = |provider: RootProvider| {
            let call = call.clone();
            async move { provider.raw_request::<_, U256>("eth_estimateGas".into(), json!([call])).await.unwrap() }
        };
        let (anvil, ours) = (ask(self.anvil.clone()).await, ask(self.ours.clone()).await);
        assert!(ours.abs_diff(anvil) <= anvil / U256::from(50), "{what}: {ours} here, {anvil} on anvil");
    }

    /// Time of the latest block the contracts were told of.
    pub(crate) const fn now(&self) -> u64 {
        self.clock
    }

    /// Lets chain time pass before the next block.
    pub(crate) const fn wait(&mut self, secs: u64) {
        self.clock += secs;
    }

    async fn next_block(&mut self) {
        self.clock += 13;
        self.tell("evm_setNextBlockTimestamp", json!([self.clock])).await;
        let fee = json!([U256::from(DEFAULT_BASE_FEE)]);
        let _pinned = self.ask(&self.anvil, "anvil_setNextBlockBaseFeePerGas", &fee).await;
    }
}

/// A receipt without the hash of its block, which holds a state root that only anvil computes, and without the fields
/// only anvil has.
fn seen(receipt: &Value) -> Value {
    let mut receipt = receipt.clone();
    let fields = receipt.as_object_mut().unwrap();
    for field in ["blockHash", "blockTimestamp", "blobGasPrice", "blobGasUsed", "authorizationList"] {
        fields.remove(field);
    }
    for log in fields["logs"].as_array_mut().unwrap() {
        log.as_object_mut().unwrap().remove("blockHash");
    }
    receipt
}

fn start_anvil() -> (Child, String) {
    let path = anvil_path();
    assert!(path.is_file(), "no anvil at {}: run `cargo xtask contracts`, or set HAGGLE_ANVIL", path.display());
    let settings = [
        ("--port", "0".to_owned()),
        ("--chain-id", DEV_CHAIN_ID.to_string()),
        ("--hardfork", "prague".to_owned()),
        ("--base-fee", DEFAULT_BASE_FEE.to_string()),
        ("--gas-limit", BLOCK_GAS_LIMIT.to_string()),
        ("--timestamp", START.to_string()),
    ];
    let mut process = Command::new(path)
        .args(settings.iter().flat_map(|(name, value)| [*name, value]))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let addr = lines
        .find_map(|line| Some(line.unwrap().strip_prefix("Listening on ")?.to_owned()))
        .expect("anvil says where it listens");
    // Anvil logs on; somebody has to read it, or it blocks.
    std::thread::spawn(move || lines.for_each(drop));
    (process, format!("http://{addr}"))
}

fn anvil_path() -> PathBuf {
    if let Some(path) = std::env::var_os("HAGGLE_ANVIL") {
        return path.into();
    }
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let machine = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    let file = if system == "win32" { "anvil.exe" } else { "anvil" };
    [
        env!("CARGO_MANIFEST_DIR"),
        "../../contracts/node_modules/@foundry-rs",
        &format!("anvil-{system}-{machine}"),
        "bin",
        file,
    ]
    .iter()
    .collect()
}
