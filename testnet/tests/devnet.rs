//! Markets beside each other on one machine, and how they end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_testnet::Terminal;
use serde_json::Value;
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

/// The API address that node `number` of a terminal's market wrote down.
fn api(terminal: &Terminal, number: usize) -> String {
    let path = terminal.dir().join(format!("haggle-devnet/node{number}/run.json"));
    let running: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    running["api"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn markets_beside_each_other_come_up_whole_and_end_when_told_to() {
    let terminals = [Terminal::new(PROGRAM), Terminal::new(PROGRAM), Terminal::new(PROGRAM)];
    let [first, second, third] = &terminals;
    let (one, two, three) = tokio::join!(first.market_up(), second.market_up(), third.market_up());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (terminal, market) in terminals.iter().zip([one, two, three]) {
        let gates: Vec<String> = (1..=5).map(|number| format!("{}/livez", api(terminal, number))).collect();
        for gate in &gates {
            assert!(http.get(gate).send().await.unwrap().status().is_success(), "{gate}");
        }
        // what a service manager sends
        let pid = market.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        Terminal::until_ended(market).await;
        for gate in &gates {
            assert!(http.get(gate).send().await.unwrap_err().is_connect(), "{gate}: a node outlived its market");
        }
    }
}
