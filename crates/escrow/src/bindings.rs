//! What the contracts look like from Rust, made from the committed artifacts.

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
