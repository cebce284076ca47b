//! Every contract of the market on both chains, and people who know how to sign for them.

use alloy::primitives::{Address, B256, Bytes, TxKind, U256, address};
use alloy::signers::SignerSync as _;
use alloy::sol_types::{Eip712Domain, SolCall, SolStruct, SolValue as _, eip712_domain};
use haggle_devchain::DEV_CHAIN_ID;
use serde_json::json;

use crate::pair::Pair;
use crate::people::Person;

/// The contracts, each with its artifact; a module each, because they share names.
macro_rules! contracts {
    ($($module:ident $name:ident $path:literal;)+) => {
        $(pub(crate) mod $module {
            //! What the committed artifact says.
            alloy::sol!($name, $path);
        })+
    };
}

contracts! {
    token TestUSDC "../../contracts/artifacts/TestUSDC.json";
    escrow Escrow "../../contracts/artifacts/Escrow.json";
    stake Stake "../../contracts/artifacts/Stake.json";
    registry Registry8004 "../../contracts/artifacts/Registry8004.json";
    anchor Anchor "../../contracts/artifacts/Anchor.json";
    panel Panel "../../contracts/artifacts/Panel.json";
    channel Channel "../../contracts/artifacts/Channel.json";
    collector Erc3009Collector "../../contracts/artifacts/Erc3009Collector.json";
    multicall Multicall3 "../../contracts/artifacts/Multicall3.json";
}

pub(crate) mod said {
    //! What is signed.
    alloy::sol! {
        struct Release { bytes32 orderId; }
        struct Refund { bytes32 orderId; }
        struct Split { bytes32 orderId; uint96 pay; uint40 validUntil; }
        struct Verdict { bytes32 orderId; uint96 pay; bytes32 evidence; uint40 validUntil; }
        struct Bond { bytes32 orderId; uint8 side; bytes32 evidence; }
        struct Feedback { bytes32 orderId; uint256 agentId; int128 value; }
        struct Vote { bytes32 orderId; uint8 role; uint96 pay; bytes32 evidence; uint40 validUntil; }
        struct AgentWalletSet { uint256 agentId; address newWallet; address owner; uint256 deadline; }
        struct Permit { address owner; address spender; uint256 value; uint256 nonce; uint256 deadline; }
        struct CancelAuthorization { address authorizer; bytes32 nonce; }
        struct Voucher { bytes32 channelId; uint128 maxClaimableAmount; }
        struct ReceiveWithAuthorization {
            address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce;
        }
        struct TransferWithAuthorization {
            address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce;
        }
    }
}

/// Where x402 clients look for the channel contract and its collector, and everybody for Multicall3.
pub(crate) const CHANNEL: Address = address!("0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");
pub(crate) const COLLECTOR: Address = address!("0x4020806089470a89826cB9fB1f4059150b550004");
pub(crate) const MULTICALL: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");

/// Both chains with everything on them. Alice buys, bob works, carol judges, dave sends what anybody may send.
pub(crate) struct Stage {
    pub(crate) pair: Pair,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) carol: Person,
    pub(crate) dave: Person,
    pub(crate) token: Address,
    pub(crate) escrow: Address,
    pub(crate) stake: Address,
    pub(crate) registry: Address,
    pub(crate) anchor: Address,
    pub(crate) panel: Address,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let pair = Pair::start().await;
        let [alice, bob, carol, dave] = [0, 1, 2, 3].map(Person::new);
        for person in [&alice, &bob, &carol, &dave] {
            pair.tell("anvil_setBalance", json!([person.address(), U256::from(10_u128.pow(21))])).await;
        }
        let deployer = dave.address();
        let at = |nonce| deployer.create(nonce);
        let (token, escrow, stake, registry, anchor, panel) = (at(0), at(1), at(2), at(3), at(4), at(5));
        let mut stage = Self { pair, alice, bob, carol, dave, token, escrow, stake, registry, anchor, panel };
        let minter = stage.dave.address();
        stage.create(token, &token::TestUSDC::BYTECODE, minter.abi_encode()).await;
        stage.create(escrow, &escrow::Escrow::BYTECODE, (token, stake, registry).abi_encode()).await;
        stage.create(stake, &stake::Stake::BYTECODE, (token, escrow).abi_encode()).await;
        stage.create(registry, &registry::Registry8004::BYTECODE, Vec::new()).await;
        stage.create(anchor, &anchor::Anchor::BYTECODE, Vec::new()).await;
        let members = vec![stage.carol.address()];
        stage.create(panel, &panel::Panel::BYTECODE, (escrow, members, U256::from(1)).abi_encode_params()).await;
        stage.place(CHANNEL, at(6), &channel::Channel::BYTECODE, (token, COLLECTOR).abi_encode()).await;
        stage.place(COLLECTOR, at(7), &collector::Erc3009Collector::BYTECODE, CHANNEL.abi_encode()).await;
        stage.place(MULTICALL, at(8), &multicall::Multicall3::BYTECODE, Vec::new()).await;
        for person in [stage.alice.address(), stage.bob.address()] {
            let mint = token::TestUSDC::mintCall { to: person, value: U256::from(1_000_000_000) };
            stage.done("a mint", Who::Dave, token, &mint).await;
        }
        stage
    }

    async fn create(&mut self, place: Address, bytecode: &Bytes, arguments: Vec<u8>) {
        let init: Bytes = [&bytecode[..], &arguments].concat().into();
        let mut tx = self.dave.tx(TxKind::Create, init);
        tx.gas_limit = 16_000_000;
        let raw = self.dave.sign(tx);
        self.dave.nonce += 1;
        let made = self.pair.send("a creation", &raw).await;
        assert_eq!((&made["status"], &made["contractAddress"]), (&json!("0x1"), &json!(place)));
        self.pair.same("eth_getCode", json!([place, "latest"])).await;
    }

    /// Constructs a contract and puts its code where clients look for it, as genesis does.
    async fn place(&mut self, place: Address, made: Address, bytecode: &Bytes, arguments: Vec<u8>) {
        self.create(made, bytecode, arguments).await;
        let code = self.pair.same("eth_getCode", json!([made, "latest"])).await;
        self.pair.tell("anvil_setCode", json!([place, code])).await;
    }

    pub(crate) fn person(&mut self, who: Who) -> &mut Person {
        match who {
            Who::Alice => &mut self.alice,
            Who::Bob => &mut self.bob,
            Who::Carol => &mut self.carol,
            Who::Dave => &mut self.dave,
        }
    }

    /// A call that goes well, the same on both.
    pub(crate) async fn done(&mut self, what: &str, who: Who, to: Address, call: &impl SolCall) {
        let raw = self.person(who).next_call(to, call.abi_encode());
        let receipt = self.pair.send(what, &raw).await;
        assert_eq!(receipt["status"], "0x1", "{what}");
    }

    /// A call that reverts with the same data when asked, and is mined as the same failure when sent.
    pub(crate) async fn fails(&mut self, what: &str, who: Who, to: Address, call: &impl SolCall) {
        let data = Bytes::from(call.abi_encode());
        let from = self.person(who).address();
        self.pair.call(what, json!({"from": from, "to": to, "data": data})).await;
        let raw = self.person(who).next_call(to, data);
        assert_eq!(self.pair.send(what, &raw).await["status"], "0x0", "{what}");
    }

    /// A question that both answer the same.
    pub(crate) async fn asks(&self, what: &str, to: Address, call: &impl SolCall) {
        self.pair.call(what, json!({"to": to, "data": Bytes::from(call.abi_encode())})).await;
    }

    pub(crate) fn usdc(&self) -> Eip712Domain {
        eip712_domain! { name: "USD Coin", version: "2", chain_id: DEV_CHAIN_ID, verifying_contract: self.token, }
    }

    pub(crate) fn market(&self) -> Eip712Domain {
        eip712_domain! { name: "haggle Escrow", version: "1", chain_id: DEV_CHAIN_ID, verifying_contract: self.escrow, }
    }

    /// The token signature that brings `value` from a person to `to`.
    pub(crate) fn payment(&self, from: &Person, to: Address, value: u64, before: u64, nonce: B256) -> Bytes {
        let payment = said::ReceiveWithAuthorization {
            from: from.address(),
            to,
            value: U256::from(value),
            validAfter: U256::ZERO,
            validBefore: U256::from(before),
            nonce,
        };
        says(from, &payment, &self.usdc())
    }
}

/// Who sends.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    Alice,
    Bob,
    Carol,
    Dave,
}

/// A person's signature over a structure.
pub(crate) fn says(person: &Person, what: &impl SolStruct, domain: &Eip712Domain) -> Bytes {
    person.key.sign_hash_sync(&what.eip712_signing_hash(domain)).unwrap().as_bytes().into()
}
