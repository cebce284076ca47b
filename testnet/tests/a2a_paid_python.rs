//! A stranger pays inside A2A tasks through the gateway with the unmodified Python SDKs of A2A and x402.

use haggle_base::Usdc;
use haggle_devchain::DevAccount;
use haggle_testnet::{DOCUMENT, Stage, paid};
use haggle_x402::a2a;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// What the built-in digest costs.
const PRICE: u64 = 20_000;

fn client(stage: &Stage, payer: DevAccount, node: usize, did: &str) -> Command {
    let interpreter = std::env::var_os("HAGGLE_PYTHON")
        .expect("HAGGLE_PYTHON names a Python with the peers' requirements: run `cargo xtask test`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/x402-python/a2a_client.py");
    let gateway = stage.node(node).client().expect("the node is up");
    let mut command = Command::new(PathBuf::from(interpreter));
    command.arg(script).arg(format!("{}/a2a/{did}", gateway.base())).kill_on_drop(true);
    command.env("KEY", payer.key().to_string()).args(["--token", gateway.token(), "--text", DOCUMENT]);
    command.args(["--asset", &stage.token().to_string(), "--rpc", &stage.rpc()]);
    command
}

fn all_good(seen: &Value, count: usize) {
    let paid = seen["paid"].as_array().expect("a list");
    assert_eq!(paid.len(), count, "{seen}");
    for answer in paid {
        assert_eq!(answer["state"], "TASK_STATE_INPUT_REQUIRED", "{answer}");
        assert_eq!(answer["done"], "TASK_STATE_COMPLETED", "{answer}");
        assert_eq!(answer["told"][a2a::STATUS], "payment-completed", "{answer}");
        assert_eq!(answer["told"][a2a::RECEIPTS][0]["success"], true, "{answer}");
        assert_eq!(answer["same"], true, "the same payment again gets the same end: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the Python SDKs of A2A and x402: `cargo xtask test` installs them and runs this"]
async fn a_python_stranger_pays_inside_the_task() {
    let stage = Stage::of(PROGRAM, 2).await;
    let agent = stage.serve(1, "digest", 1).await;
    let seller = agent.payment_address.parse().expect("the seller has an address");
    let payer = DevAccount::numbered(3);
    stage.mint(payer.address(), Usdc::from_units(5_000_000)).await;

    // at the seller's own gateway, whole and streamed, under both names of header and extension
    let seen = paid(client(&stage, payer, 1, &agent.did).args(["--times", "2"])).await;
    all_good(&seen, 2);
    assert!(seen["unnamed"].as_str().is_some_and(|error| error.contains(a2a::URI)), "{seen}");
    assert_eq!(seen["extensions"], a2a::URI);
    let older = ["--streams", "--uri", a2a::URI_0_1, "--header", "A2A-Extensions"];
    all_good(&paid(client(&stage, payer, 1, &agent.did).args(older)).await, 1);
    assert_eq!(stage.holds(seller).await, Usdc::from_units(3 * PRICE));

    // by voucher, and across the network through another node's gateway
    let vouchers = ["--scheme", "batch-settlement", "--times", "3"];
    all_good(&paid(client(&stage, payer, 1, &agent.did).args(vouchers)).await, 3);
    all_good(&paid(&mut client(&stage, payer, 2, &agent.did)).await, 1);
    assert_eq!(stage.holds(seller).await, Usdc::from_units(4 * PRICE), "vouchers are claimed later");
    stage.end().await;
}
