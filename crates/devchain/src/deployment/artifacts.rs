//! The committed contracts, compiled into the program.

use alloy::primitives::Bytes;
use serde::Deserialize;

use crate::error::RpcError;

#[derive(Deserialize)]
struct Contents {
    bytecode: Bytes,
}

/// One file of `contracts/artifacts` per variant.
macro_rules! artifacts {
    ($($name:ident)+) => {
        /// A contract of the market.
        #[derive(Clone, Copy)]
        pub(super) enum Artifact {
            $($name,)+
        }

        impl Artifact {
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => {
                        include_str!(concat!("../../../../contracts/artifacts/", stringify!($name), ".json"))
                    })+
                }
            }
        }
    };
}

artifacts! { Anchor Channel Erc3009Collector Escrow Multicall3 Panel Registry8004 Stake TestUSDC }

impl Artifact {
    /// The code that runs once to make the contract, without the constructor's arguments.
    pub(super) fn bytecode(self) -> Result<Bytes, RpcError> {
        let contents: Contents =
            serde_json::from_str(self.text()).map_err(|error| RpcError::InvalidParams(error.to_string()))?;
        Ok(contents.bytecode)
    }
}
