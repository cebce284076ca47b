//! Anvil with the market's contracts where the embedded chain has them, for stories that are told on both.

use haggle_base::Address;
use haggle_devchain::{BLOCK_GAS_LIMIT, DEFAULT_BASE_FEE, DEV_CHAIN_ID, Deployment, DevAccount};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Wei that an account gets for gas: a thousand ether.
const GAS_MONEY: &str = "0x3635c9adc5dea00000";
/// The token's `mint(address,uint256)`.
const MINT: &str = "0x40c10f19";

/// A running anvil; dropping it kills the process.
#[derive(Debug)]
pub struct Anvil {
    url: String,
    token: Address,
    client: reqwest::Client,
    _process: Child,
}

impl Anvil {
    /// Starts anvil and puts every contract of the embedded chain at `rpc` to the same address. None of them keeps
    /// anything in storage from its construction.
    ///
    /// # Panics
    /// There is no anvil, or it does not do as it is told.
    pub async fn beside(rpc: &str, deployment: &Deployment) -> Self {
        let (process, url) = start().await;
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let anvil = Self { url, token: deployment.token, client, _process: process };
        let places = [
            deployment.token,
            deployment.escrow,
            deployment.stake,
            deployment.registry,
            deployment.anchor,
            deployment.channel,
            deployment.collector,
            deployment.multicall,
        ];
        for place in places {
            let code = ask(&anvil.client, rpc, "eth_getCode", json!([place, "latest"])).await;
            anvil.tell("anvil_setCode", json!([place, code])).await;
        }
        for account in (0..haggle_devchain::DEV_ACCOUNTS).map(DevAccount::numbered).chain([DevAccount::minter()]) {
            anvil.give_gas(account.address()).await;
        }
        anvil.tell("anvil_impersonateAccount", json!([DevAccount::minter().address()])).await;
        anvil
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Gives an account ether.
    ///
    /// # Panics
    /// As [`Anvil::beside`].
    pub async fn give_gas(&self, account: Address) {
        self.tell("anvil_setBalance", json!([account, GAS_MONEY])).await;
    }

    /// Mints base units of the token to an account.
    ///
    /// # Panics
    /// As [`Anvil::beside`].
    pub async fn mint(&self, to: Address, units: u64) {
        let data = format!("{MINT}{:0>64}{units:064x}", to.to_string().trim_start_matches("0x"));
        let minter = DevAccount::minter().address();
        let sent = self.tell("eth_sendTransaction", json!([{"from": minter, "to": self.token, "data": data}])).await;
        self.tell("evm_mine", json!([])).await;
        let receipt = self.tell("eth_getTransactionReceipt", json!([sent])).await;
        assert_eq!(receipt["status"], "0x1", "anvil mints {units} to {to}: {receipt}");
    }

    async fn tell(&self, method: &str, params: Value) -> Value {
        ask(&self.client, &self.url, method, params).await
    }
}

/// Asks a chain over JSON-RPC.
async fn ask(client: &reqwest::Client, url: &str, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = client.post(url).json(&body).send().await.expect("the chain answers");
    let mut answer: Value = answer.json().await.expect("the chain answers in JSON");
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].take()
}

async fn start() -> (Child, String) {
    let path = program();
    assert!(path.is_file(), "no anvil at {}: run `cargo xtask contracts`, or set HAGGLE_ANVIL", path.display());
    let settings = [
        ("--port", "0".to_owned()),
        ("--chain-id", DEV_CHAIN_ID.to_string()),
        ("--hardfork", "prague".to_owned()),
        ("--base-fee", DEFAULT_BASE_FEE.to_string()),
        ("--gas-limit", BLOCK_GAS_LIMIT.to_string()),
    ];
    let mut command = Command::new(path);
    command.args(settings.iter().flat_map(|(name, value)| [*name, value])).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().expect("anvil starts");
    let mut lines = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
    let address = loop {
        let line = lines.next_line().await.expect("anvil's output is read").expect("anvil says where it listens");
        if let Some(address) = line.strip_prefix("Listening on ") {
            break address.to_owned();
        }
    };
    // anvil logs on; somebody has to read it, or it blocks
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (process, format!("http://{address}"))
}

fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("HAGGLE_ANVIL") {
        return path.into();
    }
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules/@foundry-rs");
    packages.join(format!("anvil-{system}-{machine}")).join("bin/anvil")
}
