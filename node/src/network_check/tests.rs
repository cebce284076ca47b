//! The network files of the repository hold, and a slip in one is found.

use super::*;
use haggle_base::network_file::{Channels, MAX_SHARDS};
use std::path::PathBuf;

fn shipped(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

/// Name of the file, chain, token, and the token's name in its EIP-712 domain.
const SHIPPED: [(&str, u64, &str, &str); 2] = [
    ("base.toml", 8_453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin"),
    ("base-sepolia.toml", 84_532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC"),
];

#[test]
fn the_shipped_files_name_their_chain_and_its_dollars_with_checksums() {
    for (name, chain, token, domain) in SHIPPED {
        let file = setup::read_network(&shipped(name)).unwrap();
        assert_eq!((file.chain_id, file.shards), (chain, MAX_SHARDS), "{name}");
        let domain_of = (file.token.name.as_str(), file.token.version.as_str(), file.token.decimals);
        assert_eq!(domain_of, (domain, "2", 6), "{name}");
        assert_eq!(file.channels, Some(Channels::CANONICAL), "{name}");
        let report = check(&shipped(name)).unwrap();
        assert_eq!(report.token, format!("USDC {token}"), "{name}");
        assert_eq!(report.chain, format!("eip155:{chain}"));
        assert!(report.unchecked.is_empty(), "{name}: {:?}", report.unchecked);
    }
}

#[test]
fn without_our_escrow_two_rails_are_left_and_it_is_said_why() {
    for (name, ..) in SHIPPED {
        let report = check(&shipped(name)).unwrap();
        let offered: Vec<_> = report.rails.iter().map(|rail| (rail.scheme, rail.offered)).collect();
        assert_eq!(offered, [("exact", true), ("batch-settlement", true), ("haggle-escrow", false)], "{name}");
        assert!(report.rails[2].why.contains("not deployed"), "{}", report.rails[2].why);
    }
}

#[test]
fn a_slip_in_an_address_is_found_by_its_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slip.toml");
    let good = std::fs::read_to_string(shipped("base.toml")).unwrap();
    for (right, wrong) in [("bdA02913", "bdA02914"), ("0x833589fCD6", "0x833589fcD6"), ("D02a10003", "d02a10003")] {
        assert!(good.contains(right), "{right}");
        std::fs::write(&path, good.replace(right, wrong)).unwrap();
        let refused = check(&path).unwrap_err().to_string();
        assert!(refused.contains("checksum"), "{refused}");
    }
    let lower = "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913";
    std::fs::write(&path, good.replace("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", lower)).unwrap();
    assert_eq!(check(&path).unwrap().unchecked, ["token.address"]);
}

#[test]
fn a_file_that_is_too_large_or_of_another_form_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.toml");
    let good = std::fs::read_to_string(shipped("base.toml")).unwrap();
    for text in [format!("{good}# {}", "x".repeat(64 * 1024)), good.replace("shards", "shard"), String::new()] {
        std::fs::write(&path, text).unwrap();
        assert!(check(&path).is_err());
    }
}
