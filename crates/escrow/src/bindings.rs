//! What the contracts look like from Rust, made from the committed artifacts. A module each: they share names.
#![expect(clippy::too_many_arguments, reason = "the functions mirror the contracts'")]

pub(crate) use escrow::{Escrow, IEscrow};
pub(crate) use token::TestUSDC;

pub(crate) mod escrow {
    //! Orders.
    alloy::sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        Escrow,
        "../../contracts/artifacts/Escrow.json"
    );
}

pub(crate) mod token {
    //! The token, as far as every USDC has it.
    alloy::sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        TestUSDC,
        "../../contracts/artifacts/TestUSDC.json"
    );
}

pub(crate) mod channel {
    //! Prepaid channels.
    alloy::sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        Channel,
        "../../contracts/artifacts/Channel.json"
    );
}

pub(crate) mod collector {
    //! What brings deposits to channels.
    alloy::sol!(
        #[derive(Debug)]
        Erc3009Collector,
        "../../contracts/artifacts/Erc3009Collector.json"
    );
}

pub(crate) mod stake {
    //! What providers put up.
    alloy::sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        Stake,
        "../../contracts/artifacts/Stake.json"
    );
}

pub(crate) mod panel {
    //! Validators and arbitrators of several members.
    alloy::sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        Panel,
        "../../contracts/artifacts/Panel.json"
    );
}

pub(crate) mod anchor {
    //! Roots of attestations.
    alloy::sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        Anchor,
        "../../contracts/artifacts/Anchor.json"
    );
}

pub(crate) mod registry {
    //! The stand-in for the ERC-8004 registries, whose errors come through the escrow.
    alloy::sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        Registry8004,
        "../../contracts/artifacts/Registry8004.json"
    );
}

pub(crate) mod multicall {
    //! Many calls in one.
    alloy::sol!(
        #[derive(Debug)]
        Multicall3,
        "../../contracts/artifacts/Multicall3.json"
    );
}
