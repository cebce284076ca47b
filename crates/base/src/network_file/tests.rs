//! A network file is right or says which key is wrong.

use super::*;

const DEVNET: &str = r#"
id = "devnet-7/1"
chain_id = 31337
shards = 4
escrow = "0x7AdeD95d1666F5Dae65495CBc95B4CE397BFdA06"
fee_sinks = ["0xE02558616A64ca06C0C12C2a64d53e93315948bb"]
bootstrap = ["/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"]

[token]
address = "0xE140033a951A57ECde105113E944892b0D9ba79F"
name = "USD Coin"
version = "2"
symbol = "USDC"
decimals = 6

[fee]
bps = 250
payer = "buyer"
recipient = "0xE02558616A64ca06C0C12C2a64d53e93315948bb"
"#;

fn devnet() -> NetworkFile {
    toml::from_str(DEVNET).unwrap()
}

fn complaint(change: impl FnOnce(&mut NetworkFile)) -> NetworkFileError {
    let mut file = devnet();
    change(&mut file);
    file.check().unwrap_err()
}

#[test]
fn a_devnet_file_reads_checks_and_writes() {
    let file = devnet();
    assert_eq!(file.check(), Ok(()));
    assert!(file.is_devnet());
    let written = toml::to_string(&file).unwrap();
    assert_eq!(toml::from_str::<NetworkFile>(&written).unwrap(), file);
}

#[test]
fn a_misspelt_key_is_an_error_and_never_a_default() {
    let misspelt = DEVNET.replace("fee_sinks", "fee_sink");
    assert!(toml::from_str::<NetworkFile>(&misspelt).unwrap_err().to_string().contains("fee_sink"));
}

#[test]
fn a_listing_fee_is_a_tenth_unless_told_and_needs_a_sink_to_be_one() {
    let mut file = devnet();
    let fee = ListingFee { amount: Usdc::from_units(100_000), sinks: file.fee_sinks.clone() };
    assert_eq!(file.listing_fee(), Some(fee));
    file.listing_fee = Usdc::ZERO;
    assert_eq!((file.check(), file.listing_fee()), (Ok(()), None));
    file.listing_fee = MIN_LISTING_FEE;
    assert_eq!(file.check(), Ok(()));
    file.fee_sinks.clear();
    assert_eq!((file.check(), file.listing_fee()), (Ok(()), None));
}

#[test]
fn each_wrong_fact_is_named() {
    use NetworkFileError as E;
    let sink = Address::repeat_byte(1);
    assert_eq!(complaint(|f| f.chain_id = 0), E::NoChain);
    assert_eq!(complaint(|f| f.chain_id = 8453), E::DevnetMismatch);
    assert_eq!(complaint(|f| f.id = "base/1".parse().unwrap()), E::DevnetMismatch);
    for shards in [0, 3, 128] {
        assert_eq!(complaint(|f| f.shards = shards), E::BadShards);
    }
    assert_eq!(complaint(|f| f.escrow = Address::ZERO), E::ZeroAddress("escrow"));
    assert_eq!(complaint(|f| f.token.address = Address::ZERO), E::ZeroAddress("token.address"));
    assert_eq!(complaint(|f| f.token.decimals = 18), E::BadDecimals);
    assert_eq!(complaint(|f| f.token.name.clear()), E::BadTokenText("name"));
    assert_eq!(complaint(|f| f.token.version = "2".repeat(65)), E::BadTokenText("version"));
    assert_eq!(complaint(|f| f.fee.bps = 1001), E::FeeTooHigh);
    assert_eq!(complaint(|f| f.fee.recipient = Address::ZERO), E::ZeroAddress("fee.recipient"));
    assert_eq!(complaint(|f| f.fee_sinks = vec![sink; 17]), E::TooMany("fee_sinks"));
    assert_eq!(complaint(|f| f.fee_sinks.push(Address::ZERO)), E::ZeroAddress("an entry of fee_sinks"));
    assert_eq!(complaint(|f| f.bootstrap = vec![String::new(); 65]), E::TooMany("bootstrap"));
    for units in [1, 999, 1_000_000_001] {
        assert_eq!(complaint(|f| f.listing_fee = Usdc::from_units(units)), E::BadListingFee);
    }
    let channels = |change: fn(&mut Channels)| {
        complaint(|f| {
            let mut channels = Channels::CANONICAL;
            change(&mut channels);
            f.channels = Some(channels);
        })
    };
    assert_eq!(channels(|c| c.contract = Address::ZERO), E::BadChannels("contract"));
    assert_eq!(channels(|c| c.contract = devnet().token.address), E::BadChannels("contract"));
    assert_eq!(channels(|c| c.collector = Address::ZERO), E::BadChannels("collector"));
    assert_eq!(channels(|c| c.collector = c.contract), E::BadChannels("collector"));
    for address in ["", "127.0.0.1:4001", "/ip4/127.0.0.1/tcp/4001", "/ip4/1.2.3.4/p2p/me"] {
        assert_eq!(complaint(|f| f.bootstrap.push(address.to_owned())), E::BadBootstrap(2));
    }
    assert_eq!(complaint(|f| f.chain_id = 0).code(), "bad_network_file");
}

#[test]
fn a_network_without_our_escrow_says_so_in_words() {
    let base = DEVNET
        .replace("devnet-7/1", "base/1")
        .replace("31337", "8453")
        .replace("0x7AdeD95d1666F5Dae65495CBc95B4CE397BFdA06", "none");
    let mut file: NetworkFile = toml::from_str(&base).unwrap();
    assert_eq!((file.check(), file.has_escrow()), (Ok(()), false));
    let written = toml::to_string(&file).unwrap();
    assert!(written.contains("escrow = \"none\""), "{written}");
    assert_eq!(toml::from_str::<NetworkFile>(&written).unwrap(), file);
    let zero = base.replace("\"none\"", "\"0x0000000000000000000000000000000000000000\"");
    assert!(toml::from_str::<NetworkFile>(&zero).unwrap_err().to_string().contains("write \"none\""));
    let left_out = base.replace("escrow = \"none\"\n", "");
    assert!(toml::from_str::<NetworkFile>(&left_out).unwrap_err().to_string().contains("escrow"));
    file.arbitration = Some(Arbitration {
        arbitrator: Address::repeat_byte(0xab),
        bond_bps: 0,
        counter_secs: 3_600,
        rule_secs: 3_600,
        silent_bps: 0,
    });
    assert_eq!(file.check(), Err(NetworkFileError::ZeroAddress("escrow")), "nobody rules where nothing is held");
}
