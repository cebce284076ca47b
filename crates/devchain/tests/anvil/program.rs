//! Small hand-written programs that touch what the contracts do not.

use alloy::primitives::{Bytes, hex};

/// Init code whose constructor is the program; it leaves no code behind.
pub(crate) struct Program(Vec<u8>);

impl Program {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Opcodes as they are.
    pub(crate) fn op(mut self, ops: &[u8]) -> Self {
        self.0.extend_from_slice(ops);
        self
    }

    /// Pushes a number of up to 32 bytes.
    pub(crate) fn push(mut self, bytes: &[u8]) -> Self {
        let length = u8::try_from(bytes.len()).unwrap();
        self.0.push(0x5f + length);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Logs the top of the stack.
    pub(crate) fn log_top(self) -> Self {
        // PUSH0 MSTORE PUSH1 32 PUSH0 LOG0
        self.op(&[0x5f, 0x52, 0x60, 0x20, 0x5f, 0xa0])
    }

    /// Calls a precompile with `input`, logs whether it went well and what it returned.
    pub(crate) fn precompile(mut self, address: u8, input: &[u8]) -> Self {
        for (index, chunk) in input.chunks(32).enumerate() {
            let mut word = [0; 32];
            word[..chunk.len()].copy_from_slice(chunk);
            self = self.push(&word).push(&u16::try_from(index * 32).unwrap().to_be_bytes()).op(&[0x52]);
        }
        let length = u16::try_from(input.len()).unwrap().to_be_bytes();
        // PUSH0 retSize, PUSH0 retOffset, size, PUSH0 offset, address, GAS, STATICCALL
        self = self.op(&[0x5f, 0x5f]).push(&length).op(&[0x5f]).push(&[address]).op(&[0x5a, 0xfa]).log_top();
        // RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY RETURNDATASIZE PUSH0 LOG0
        self.op(&[0x3d, 0x5f, 0x5f, 0x3e, 0x3d, 0x5f, 0xa0])
    }

    /// Ends without code.
    pub(crate) fn end(self) -> Bytes {
        self.op(&[0x00]).0.into()
    }
}

/// Logs what a contract can see of its block and itself.
pub(crate) fn environment() -> Bytes {
    let mut program = Program::new();
    // ADDRESS ORIGIN CALLER GASPRICE COINBASE TIMESTAMP NUMBER GASLIMIT CHAINID SELFBALANCE BASEFEE BLOBBASEFEE GAS
    for op in [0x30, 0x32, 0x33, 0x3a, 0x41, 0x42, 0x43, 0x45, 0x46, 0x47, 0x48, 0x4a, 0x5a] {
        program = program.op(&[op]).log_top();
    }
    program.end()
}

/// Storage set, cleared and refunded; transient storage; memory copies; a failing inner creation.
pub(crate) fn storage() -> Bytes {
    Program::new()
        .op(&[0x60, 0x2a, 0x60, 0x01, 0x55]) // SSTORE 1 = 42
        .op(&[0x5f, 0x60, 0x01, 0x55]) // SSTORE 1 = 0: a refund
        .op(&[0x60, 0x07, 0x60, 0x02, 0x55]) // SSTORE 2 = 7
        .op(&[0x60, 0x09, 0x60, 0x03, 0x5d]) // TSTORE 3 = 9
        .op(&[0x60, 0x03, 0x5c]) // TLOAD 3
        .log_top()
        .op(&[0x60, 0x20, 0x5f, 0x60, 0x40, 0x5e]) // MCOPY 32 bytes from 0 to 64
        .op(&[0x60, 0x40, 0x51]) // MLOAD 64
        .log_top()
        .op(&[0x60, 0xfe, 0x5f, 0x53, 0x5f, 0x60, 0x01, 0x5f, 0x5f, 0xf5]) // CREATE2 of an invalid program
        .log_top()
        .op(&[0x60, 0x00, 0x5f, 0x53, 0x60, 0x05, 0x60, 0x01, 0x5f, 0x5f, 0xf5]) // CREATE2 of an empty one, salt 5
        .log_top()
        .end()
}

/// Every precompile of the hardfork, with good input where it is short.
pub(crate) fn precompiles() -> Bytes {
    let signed = hex!(
        "18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c"
        "000000000000000000000000000000000000000000000000000000000000001c"
        "73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f"
        "eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549"
    );
    let mut modexp = vec![0; 96];
    (modexp[31], modexp[63], modexp[95]) = (1, 1, 1);
    modexp.extend([3, 5, 7]);
    let mut pair = [0; 128];
    (pair[31], pair[63], pair[95], pair[127]) = (1, 2, 1, 2);
    let mut scaled = pair[..96].to_vec();
    scaled[95] = 9;
    let mut program = Program::new()
        .precompile(1, &signed)
        .precompile(2, b"haggle")
        .precompile(3, b"haggle")
        .precompile(4, b"haggle")
        .precompile(5, &modexp)
        .precompile(6, &pair)
        .precompile(7, &scaled)
        .precompile(8, &[])
        .precompile(9, &[0; 213]);
    // Point evaluation and the curve of EIP-2537: wrong lengths fail the same way, the point at infinity adds up.
    program = program.precompile(0x0b, &[0; 256]).precompile(0x0d, &[0; 512]).precompile(0x0f, &[0; 384]);
    program.end()
}
