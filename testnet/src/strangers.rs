//! People who never heard of haggle: the unmodified x402 clients of JavaScript, Python and Rust, and shops in two of them.

use haggle_base::Address;
use haggle_devchain::DevAccount;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Whose software a client runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// npm `@x402/fetch` with `@x402/evm`.
    JavaScript,
    /// PyPI `x402` with httpx.
    Python,
    /// crates.io `r402-http` with `r402-evm`. It pays in no flow but `authorization`, and cannot pay by vouchers.
    Rust,
}

impl Sdk {
    /// Those that pay on both rails, in every flow.
    pub const ALL: [Self; 2] = [Self::JavaScript, Self::Python];

    /// A command that pays for `url` as `who`, with the token `asset` on the chain at `rpc`.
    #[must_use]
    pub fn client(self, who: DevAccount, url: &str, asset: Address, rpc: &str) -> Command {
        let mut command = match self {
            Self::JavaScript => script("node".into(), "x402-js/client.mjs"),
            Self::Python => {
                let interpreter = std::env::var_os("HAGGLE_PYTHON")
                    .expect("HAGGLE_PYTHON names a Python with the peers' requirements: run `cargo xtask test`");
                script(interpreter.into(), "x402-python/client.py")
            }
            Self::Rust => rust("client"),
        };
        command.env("KEY", who.key().to_string()).arg(url).args(["--asset", &asset.to_string(), "--rpc", rpc]);
        command
    }
}

/// Runs a client to its end; what it printed.
///
/// # Panics
/// It fails.
pub async fn paid(command: &mut Command) -> Value {
    let output = command.output().await.expect("the client runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(printed.trim()).expect("the client prints JSON")
}

/// Runs a client to its end, which is not to be paid; what it printed, and why it says so.
///
/// # Panics
/// It is paid.
pub async fn unpaid(command: &mut Command) -> (Value, String) {
    let output = command.output().await.expect("the client runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{printed}");
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_str(printed.trim()).unwrap_or_else(|_| panic!("no JSON in {printed:?}: {why}")), why)
}

/// A running shop; dropping it kills the process.
#[derive(Debug)]
pub struct Shop {
    /// Its base URL.
    pub url: String,
    _process: Child,
}

impl Shop {
    /// Opens a JavaScript shop whose gas `clerk` pays, selling for `asset` on the chain at `rpc` to `owner`.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn open(clerk: DevAccount, owner: Address, asset: Address, rpc: &str) -> Self {
        let mut command = script("node".into(), "x402-js/shop.mjs");
        command.env("KEY", clerk.key().to_string());
        command.args(["--rpc", rpc, "--asset", &asset.to_string(), "--pay-to", &owner.to_string()]);
        Self::start(command).await
    }

    /// Opens a Rust shop that has its payments verified and settled at `facilitator`, a base URL, where `token` is taken.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn in_rust(facilitator: &str, token: &str, owner: Address, asset: Address) -> Self {
        let mut command = rust("shop");
        command.env("TOKEN", token).args(["--facilitator", facilitator]);
        command.args(["--asset", &asset.to_string(), "--pay-to", &owner.to_string()]);
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the shop's program runs");
        let mut lines = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        let port = lines.next_line().await.expect("the shop's output is read").expect("the shop prints its port");
        Self { url: format!("http://127.0.0.1:{port}"), _process: process }
    }
}

fn script(interpreter: PathBuf, name: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(peers().join(name)).kill_on_drop(true);
    command
}

/// The peer in Rust, as `cargo xtask test` builds it.
fn rust(role: &str) -> Command {
    let program = peers().join("x402-rust/target/debug").join(format!("x402-rust{}", std::env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "{} is not built: run `cargo xtask test`", program.display());
    let mut command = Command::new(program);
    command.arg(role).kill_on_drop(true);
    command
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}
