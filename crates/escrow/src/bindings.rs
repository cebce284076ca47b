//! What the contracts look like from Rust, made from the committed artifacts.
#![expect(clippy::too_many_arguments, reason = "the functions mirror the contracts'")]

use alloy::sol;

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    Escrow,
    "../../contracts/artifacts/Escrow.json"
);

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    TestUSDC,
    "../../contracts/artifacts/TestUSDC.json"
);
