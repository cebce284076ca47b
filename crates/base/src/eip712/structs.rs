//! The structures as Solidity writes them; a changed letter here changes every digest.

use alloy_primitives::U256;
use alloy_primitives::aliases::U96;
use alloy_sol_types::sol;

use super::FLAG_FEE_ON_TOP;

sol! {
    /// The whole agreement of one paid order, as the escrow contract knows it. Amounts are base
    /// units of the token, times are Unix seconds of chain time.
    #[derive(Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
    struct Order {
        /// Who pays.
        address buyer;
        /// Who is paid.
        address provider;
        /// Who may settle by verdict, or zero.
        address validator;
        /// Who rules in a dispute, or zero.
        address arbitrator;
        /// Who gets the fee.
        address feeTo;
        /// The price.
        uint96 amount;
        /// What each side puts up in a dispute.
        uint96 bond;
        /// What the provider loses to the buyer by a ruling.
        uint96 stake;
        /// The fee in hundredths of a percent of what is paid, at most 1000.
        uint16 feeBps;
        /// What the provider gets if the arbitrator stays silent.
        uint16 silentBps;
        /// 1: fee on top; 2: an undelivered order pays.
        uint8 flags;
        /// The payment must be mined before this.
        uint40 fundBy;
        /// The delivery must be on chain, or released, before this.
        uint40 deliverBy;
        /// How long the buyer may review what was delivered on chain.
        uint32 reviewSecs;
        /// How long the provider may answer a dispute.
        uint32 counterSecs;
        /// How long the arbitrator may take.
        uint32 ruleSecs;
        /// The hash of the terms document.
        bytes32 terms;
        /// Makes two equal orders different.
        uint256 salt;
    }

    /// The buyer lets the provider be paid in full.
    #[derive(Debug, PartialEq, Eq)]
    struct Release {
        /// Which order.
        bytes32 orderId;
    }

    /// The provider gives everything back.
    #[derive(Debug, PartialEq, Eq)]
    struct Refund {
        /// Which order.
        bytes32 orderId;
    }

    /// Buyer and provider agree on a division.
    #[derive(Debug, PartialEq, Eq)]
    struct Split {
        /// Which order.
        bytes32 orderId;
        /// Base units of the order's amount for the provider.
        uint96 pay;
        /// Unix seconds; good strictly before this.
        uint40 validUntil;
    }

    /// The order's validator decides.
    #[derive(Debug, PartialEq, Eq)]
    struct Verdict {
        /// Which order.
        bytes32 orderId;
        /// Base units of the order's amount for the provider.
        uint96 pay;
        /// Hash of what the verdict is based on.
        bytes32 evidence;
        /// Unix seconds; good strictly before this.
        uint40 validUntil;
    }

    /// What a side's bond is for. Its digest is the nonce of the bond's payment.
    #[derive(Debug, PartialEq, Eq)]
    struct Bond {
        /// Which order.
        bytes32 orderId;
        /// [`BOND_BUYER`](super::BOND_BUYER) or [`BOND_PROVIDER`](super::BOND_PROVIDER).
        uint8 side;
        /// Hash of what the buyer says went wrong.
        bytes32 evidence;
    }

    /// The buyer's rating of a paid order, for the ERC-8004 registry.
    #[derive(Debug, PartialEq, Eq)]
    struct Feedback {
        /// Which order.
        bytes32 orderId;
        /// The provider's agent in the registry.
        uint256 agentId;
        /// The rating, without decimals.
        int128 value;
    }

    /// A panel member's voice, in the domain of its panel.
    #[derive(Debug, PartialEq, Eq)]
    struct Vote {
        /// Which order.
        bytes32 orderId;
        /// [`VOTE_VALIDATOR`](super::VOTE_VALIDATOR) or [`VOTE_ARBITRATOR`](super::VOTE_ARBITRATOR).
        uint8 role;
        /// Base units of the order's amount for the provider.
        uint96 pay;
        /// Hash of what a verdict is based on; for a ruling, the evidence of the dispute.
        bytes32 evidence;
        /// Unix seconds; good strictly before this.
        uint40 validUntil;
    }

    /// EIP-3009: a payment that only the receiver may submit. The escrow takes no other.
    #[derive(Debug, PartialEq, Eq)]
    struct ReceiveWithAuthorization {
        /// Who pays.
        address from;
        /// The escrow.
        address to;
        /// Base units.
        uint256 value;
        /// Unix seconds.
        uint256 validAfter;
        /// Unix seconds: the order's `fundBy`.
        uint256 validBefore;
        /// The order's id.
        bytes32 nonce;
    }

    /// EIP-3009: a payment that anyone may submit (x402 `exact`).
    #[derive(Debug, PartialEq, Eq)]
    struct TransferWithAuthorization {
        /// Who pays.
        address from;
        /// Who is paid.
        address to;
        /// Base units.
        uint256 value;
        /// Unix seconds.
        uint256 validAfter;
        /// Unix seconds.
        uint256 validBefore;
        /// Spent once per payer.
        bytes32 nonce;
    }

    /// An EVM key says which DID it belongs to; the DID says the same by signing its card.
    #[derive(Debug, PartialEq, Eq)]
    struct DidBinding {
        /// The id of the network file.
        string network;
        /// The agent.
        string did;
        /// Unix seconds.
        uint40 expires;
    }

    /// What one side says about a settled order, signed by its payment key so that a contract can
    /// check it. Chain and escrow stand in the domain.
    #[derive(Debug, PartialEq, Eq)]
    struct SettledReceipt {
        /// Which order.
        bytes32 orderId;
        /// 0 receipt, 1 rating.
        uint8 kind;
        /// 0 buyer, 1 provider: who says it.
        uint8 side;
        /// The agent it is about.
        string subject;
        /// The buying agent.
        string buyer;
        /// The providing agent.
        string provider;
        /// blake3 of the parties document.
        bytes32 partiesHash;
        /// blake3 of the rest of the terms.
        bytes32 termsRest;
        /// What was bought.
        string capability;
        /// The price in base units.
        uint256 amount;
        /// The fee in base units.
        uint256 fee;
        /// The outcome code of the escrow contract.
        uint8 closedBy;
        /// What the provider was paid, in base units.
        uint256 paid;
        /// From request to answer.
        uint32 latencyMs;
        /// blake3 of the input.
        bytes32 requestHash;
        /// blake3 of the output, or zero.
        bytes32 responseHash;
        /// 1 to 5, or 0 for none.
        uint8 rating;
    }
}

impl Order {
    /// What the buyer pays in: the amount, and the fee if it comes on top. `None` if the sum does
    /// not fit the width of an amount; nobody owns so much.
    #[must_use]
    pub fn deposit(&self) -> Option<U96> {
        let deposit = self.payment_value();
        (deposit <= U256::from(U96::MAX)).then(|| deposit.to::<U96>())
    }

    /// The deposit at the full width of a token payment, exactly as the contract computes it.
    #[must_use]
    pub fn payment_value(&self) -> U256 {
        let amount = U256::from(self.amount);
        if self.flags & FLAG_FEE_ON_TOP == 0 { amount } else { amount + self.wide_fee(self.amount) }
    }

    /// The fee on a payment of `pay` base units, rounded down as the contract does; saturates
    /// only for a fee above 10,000 bps, which the contract refuses.
    #[must_use]
    pub fn fee_on(&self, pay: U96) -> U96 {
        self.wide_fee(pay).min(U256::from(U96::MAX)).to::<U96>()
    }

    fn wide_fee(&self, pay: U96) -> U256 {
        U256::from(pay) * U256::from(self.feeBps) / U256::from(10_000)
    }
}
