//! The benches run, and print what they promise. Their figures are read by people, never by a test.

use serde_json::Value;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
const KEYS: [&str; 16] = [
    "agents",
    "concurrent",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "rss_mib",
    "errors",
    "libp2p_p50_ratio",
    "libp2p_rate_ratio",
    "lost",
    "http_vs_python",
    "http_vs_rust",
    "hop_vs_python",
    "hop_vs_rust",
    "durable_vs_rust",
    "growth_mib_500k",
];

const PAY_KEYS: [&str; 8] = [
    "voucher_verify_per_core",
    "secp_recover_per_core",
    "voucher_ratio",
    "voucher_vs_alloy",
    "paid_added_cpu_us",
    "paid_rate_ratio",
    "exact_verify_ratio",
    "exact_settle_ratio",
];

const DISCOVERY_KEYS: [&str; 12] = [
    "verify_gate_ratio",
    "ingest_ratio",
    "bulk_ingest_ratio",
    "search_1m_p99_ms",
    "search_vs_tantivy",
    "search_vs_fts5",
    "propagation_50_ratio",
    "delivery_cpu_ratio",
    "copies_per_delivery",
    "sync_bytes_20_of_100k",
    "idle_rss_ratio",
    "anon_200k_mib",
];

#[test]
fn the_bench_of_calls_prints_its_figures_as_one_object() {
    let bench = ["bench", "a2a", "--json", "--quick", "--agents", "50", "--concurrent", "100"];
    let output = Command::new(PROGRAM).args(bench).args(["--seconds", "1", "--calls", "200"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = KEYS;
    expected.sort_unstable();
    let mut seen = keys;
    seen.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!((&report["agents"], &report["concurrent"]), (&50.into(), &100.into()));
    assert_eq!((&report["errors"], &report["lost"]), (&0.into(), &0.into()));
    assert!(report["p50_ms"].as_f64().unwrap() > 0.0 && report["rss_mib"].as_f64().unwrap() > 0.0);
    assert!(report["http_vs_python"].is_null(), "nothing else runs unless asked for");
}

#[test]
fn the_bench_of_payments_prints_its_figures_as_one_object() {
    let output = Command::new(PROGRAM).args(["bench", "pay", "--json", "--quick"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut seen: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    seen.sort_unstable();
    let mut expected = PAY_KEYS;
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert!(report["exact_verify_ratio"].is_null(), "nothing else runs unless asked for");
    for measured in ["voucher_verify_per_core", "voucher_ratio", "voucher_vs_alloy", "paid_rate_ratio"] {
        assert!(report[measured].as_f64().is_some_and(|figure| figure > 0.0), "{report:?}");
    }
}

#[test]
fn the_bench_of_discovery_prints_its_figures_as_one_object() {
    let small = ["--listings", "300", "--many", "300", "--taken-in", "100", "--queries", "5", "--crowd", "6"];
    let bench = [
        "bench",
        "discovery",
        "--json",
        "--messages",
        "4",
        "--common",
        "300",
        "--simulated",
        "20",
        "--rest-seconds",
        "1",
    ];
    let output = Command::new(PROGRAM).args(bench).args(small).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = report.as_object().unwrap();
    let mut expected = DISCOVERY_KEYS;
    expected.sort_unstable();
    let mut seen: Vec<&str> = report.keys().map(String::as_str).collect();
    seen.sort_unstable();
    assert_eq!(seen, expected);
    for counted in ["copies_per_delivery", "sync_bytes_20_of_100k", "idle_rss_ratio", "anon_200k_mib"] {
        assert!(report[counted].as_f64().is_some_and(|figure| figure > 0.0), "{report:?}");
    }
}
