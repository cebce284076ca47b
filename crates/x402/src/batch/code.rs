//! The scheme's words for what is wrong, as the standard's clients know them. Two of them make a client correct itself.

/// The voucher is not over what was charged plus the price. A client looks at `channelState` and tries again.
pub const CUMULATIVE_MISMATCH: &str = "invalid_batch_settlement_evm_cumulative_amount_mismatch";
/// The voucher is not over more than was claimed. A client looks at `channelState` and tries again.
pub const BELOW_CLAIMED: &str = "invalid_batch_settlement_evm_cumulative_below_claimed";
/// The voucher is over more than the channel holds.
pub const EXCEEDS_BALANCE: &str = "invalid_batch_settlement_evm_cumulative_exceeds_balance";
/// The voucher is not by the payer's authoriser.
pub const VOUCHER_SIGNATURE: &str = "invalid_batch_settlement_evm_voucher_signature";
/// Another voucher of this channel is being worked on. The same payment may be sent again later.
pub const CHANNEL_BUSY: &str = "invalid_batch_settlement_evm_channel_busy";
/// There is no such channel with money in it.
pub const CHANNEL_NOT_FOUND: &str = "invalid_batch_settlement_evm_channel_not_found";
/// The channel's id is not the digest of its configuration.
pub const CHANNEL_ID_MISMATCH: &str = "invalid_batch_settlement_evm_channel_id_mismatch";
/// The channel pays somebody else.
pub const RECEIVER_MISMATCH: &str = "invalid_batch_settlement_evm_receiver_mismatch";
/// The channel's receiver authoriser is not the one that was asked for.
pub const AUTHORIZER_MISMATCH: &str = "invalid_batch_settlement_evm_receiver_authorizer_mismatch";
/// The channel names no payer authoriser, so that its vouchers could not be verified without the chain.
pub const PAYER_AUTHORIZER_MISSING: &str = "invalid_batch_settlement_evm_authorizer_not_configured";
/// The channel holds another token.
pub const TOKEN_MISMATCH: &str = "invalid_batch_settlement_evm_token_mismatch";
/// The channel's withdraw delay is not the one that was asked for.
pub const DELAY_MISMATCH: &str = "invalid_batch_settlement_evm_withdraw_delay_mismatch";
/// The payload is none of deposit, voucher, refund and receipt, or lacks a field.
pub const PAYLOAD_TYPE: &str = "invalid_batch_settlement_evm_payload_type";
/// The entry that was chosen is not the one that is asked for.
pub const REQUIREMENTS: &str = "invalid_payment_requirements";
/// The payment is for another chain.
pub const NETWORK_MISMATCH: &str = "invalid_batch_settlement_evm_network_mismatch";
/// The deposit's authorisation is not by the payer.
pub const DEPOSIT_SIGNATURE: &str = "invalid_batch_settlement_evm_receive_authorization_signature";
/// The deposit's authorisation is over, or nearly.
pub const DEPOSIT_EXPIRED: &str = "invalid_batch_settlement_evm_payload_authorization_valid_before";
/// The deposit's authorisation is not good yet.
pub const DEPOSIT_EARLY: &str = "invalid_batch_settlement_evm_payload_authorization_valid_after";
/// The deposit is smaller than what is worth a transaction.
pub const DEPOSIT_TOO_SMALL: &str = "invalid_batch_settlement_evm_deposit_below_min_deposit";
/// The chain refused the deposit.
pub const DEPOSIT_FAILED: &str = "invalid_batch_settlement_evm_deposit_transaction_failed";
/// The deposit is not by EIP-3009.
pub const DEPOSIT_METHOD: &str = "invalid_batch_settlement_evm_erc3009_authorization_required";
/// Nothing is left to give back.
pub const REFUND_NOTHING: &str = "invalid_batch_settlement_evm_refund_no_balance";
/// The chain refused the refund.
pub const REFUND_FAILED: &str = "invalid_batch_settlement_evm_refund_transaction_failed";
/// The channel's state could not be read.
pub const STATE_UNAVAILABLE: &str = "invalid_batch_settlement_evm_verification_state_unavailable";
