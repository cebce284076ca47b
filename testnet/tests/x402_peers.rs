//! Before haggle takes part: the stock clients pay the stock shop, on the embedded chain as on anvil, on both rails.

use haggle_base::Usdc;
use haggle_devchain::DevAccount;
use haggle_testnet::{Ground, Sdk, Shop, Stage, paid};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// What the shop asks.
const PRICE: u64 = 20_000;

async fn strangers_trade(ground: Ground) {
    let stage = Stage::on(PROGRAM, ground, 0).await;
    let (clerk, owner) = (DevAccount::numbered(0), DevAccount::numbered(1).address());
    let shop = Shop::open(clerk, owner, stage.token(), &stage.rpc()).await;
    let mut earned = 0;
    for (sdk, buyer) in Sdk::ALL.into_iter().zip(2..) {
        let buyer = DevAccount::numbered(buyer);
        stage.mint(buyer.address(), Usdc::from_units(5_000_000)).await;
        let client = |path: &str| sdk.client(buyer, &format!("{}{path}", shop.url), stage.token(), &stage.rpc());

        for path in ["/exact", "/upfront"] {
            let seen = paid(client(path).args(["--times", "2"])).await;
            for answer in seen["paid"].as_array().expect("two answers") {
                assert_eq!(answer["status"], 200, "{sdk:?} {path}: {answer}");
                assert_eq!(answer["settled"]["success"], true, "{sdk:?} {path}: {answer}");
            }
            earned += 2 * PRICE;
        }
        assert_eq!(stage.holds(owner).await, Usdc::from_units(earned), "{sdk:?}");

        let seen = paid(client("/channel").args(["--scheme", "batch-settlement", "--times", "5"])).await;
        for answer in seen["paid"].as_array().expect("five answers") {
            assert_eq!(answer["status"], 200, "{sdk:?}: {answer}");
        }
        let claimed =
            reqwest::Client::new().post(format!("{}/claim", shop.url)).send().await.expect("the shop answers");
        assert!(claimed.status().is_success(), "{sdk:?}: {:?}", claimed.text().await);
        earned += 5 * PRICE;
        assert_eq!(stage.holds(owner).await, Usdc::from_units(earned), "{sdk:?}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the x402 SDKs: `cargo xtask test` installs them and runs this"]
async fn stock_clients_pay_the_stock_shop_on_the_embedded_chain() {
    strangers_trade(Ground::Devchain).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the x402 SDKs and anvil: `cargo xtask test` installs them and runs this"]
async fn stock_clients_pay_the_stock_shop_on_anvil() {
    strangers_trade(Ground::Anvil).await;
}
