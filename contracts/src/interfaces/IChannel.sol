// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title Prepaid channels: one deposit, any number of signed vouchers, one claim
/// @notice A payer deposits once and signs vouchers that each say how much of the channel may be claimed in all. The
/// receiver keeps the newest and claims whenever it likes. What was not claimed goes back to the payer, at once if the
/// receiver agrees, after `withdrawDelay` if it does not.
/// @dev The functions, events, errors and EIP-712 types are those of the x402 scheme `batch-settlement` on EVM, so that
/// its clients and facilitators work here unchanged; `claimAndSettle` is ours. Its errors carry no values.
/// @dev Warning: not audited.
/// @dev Warning: a voucher reserves nothing. Only what was claimed is the receiver's: it has to claim within
/// `withdrawDelay` of `WithdrawInitiated`.
/// @dev Warning: whoever signs a voucher owes all of it. A lower one signed later takes nothing back.
/// @dev Warning: tokens sent here by a plain `transfer` cannot be returned.
interface IChannel {
    /// @notice Everything about a channel that never changes. Its EIP-712 digest is the channel's id.
    /// @param payer deposits, and gets back what is not claimed
    /// @param payerAuthorizer signs the vouchers with a plain key; if zero, the payer signs them, ERC-1271 allowed
    /// @param receiver is paid
    /// @param receiverAuthorizer may claim and refund besides the receiver, also by signature; not zero
    /// @param token the token of this contract
    /// @param withdrawDelay seconds the payer has to wait for its money without the receiver's help, 15 minutes to 30 days
    /// @param salt makes two otherwise equal channels different
    struct ChannelConfig {
        address payer;
        address payerAuthorizer;
        address receiver;
        address receiverAuthorizer;
        address token;
        uint40 withdrawDelay;
        bytes32 salt;
    }

    /// @notice What the payer's side signed: how much of the channel may be claimed in all.
    struct Voucher {
        ChannelConfig channel;
        uint128 maxClaimableAmount;
    }

    /// @notice A voucher, its signature, and how much of the channel is to be claimed in all after this claim.
    struct VoucherClaim {
        Voucher voucher;
        bytes signature;
        uint128 totalClaimed;
    }

    /// @notice The channel's first deposit, or the first after it was emptied unclaimed.
    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    /// @notice The channel is empty, and nothing was ever claimed from it.
    event ChannelClosed(bytes32 indexed channelId, ChannelConfig config);
    /// @notice `amount` was added, which makes `newBalance` of deposits less refunds and withdrawals.
    event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
    /// @notice `claimAmount` more is the receiver's, which makes `newTotalClaimed` in all.
    event Claimed(bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed);
    /// @notice A row of `claimAndSettle` failed for `reason`, the selector of its error, and changed nothing.
    event ClaimSkipped(bytes32 indexed channelId, bytes4 reason);
    /// @notice `amount` that was claimed was sent to the receiver.
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    /// @notice The token refused to send the receiver `amount`. It stays claimed, and `settle` can try again.
    event SettleFailed(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    /// @notice `amount` that was not claimed went back to the payer with the receiver's consent.
    event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount);
    /// @notice The payer's side wants `amount` back and gets what is then unclaimed of it from `finalizeAfter` on.
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    /// @notice `amount` that was not claimed went back to the payer.
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

    /// @notice Payer, receiver or receiver authoriser is zero, the token is another one, or the caller is not the payer's side.
    error InvalidChannel();
    /// @notice The withdraw delay is under 15 minutes or over 30 days.
    error WithdrawDelayOutOfRange();
    /// @notice A deposit of nothing.
    error ZeroDeposit();
    /// @notice The channel would hold more than fits.
    error DepositOverflow();
    /// @notice Only the one collector of this contract may bring deposits.
    error InvalidCollector();
    /// @notice The collector did not bring exactly the amount.
    error DepositCollectionFailed();
    /// @notice The signature is not the right signer's over this.
    error InvalidSignature();
    /// @notice A row names another receiver authoriser than the one that signed.
    error NotReceiverAuthorizer();
    /// @notice Only the receiver's side of every channel in it may send a claim.
    error NotAuthorizedToClaim();
    /// @notice Only the receiver's side may refund.
    error NotAuthorizedToRefund();
    /// @notice The claim is above what the voucher allows.
    error ClaimExceedsCeiling();
    /// @notice The claim is above what the channel holds.
    error ClaimExceedsBalance();
    /// @notice The rows of one `claimAndSettle` pay different receivers.
    error MixedReceivers();
    /// @notice There are no rows.
    error EmptyBatch();
    /// @notice So little gas is left that a contract wallet's check might fail for want of it.
    error GasTooLow(uint256 available, uint256 needed);
    /// @notice A withdrawal is under way already.
    error WithdrawalAlreadyPending();
    /// @notice No withdrawal is under way.
    error WithdrawalNotPending();
    /// @notice Only the payer's side may finish its withdrawal.
    error NotAuthorizedToFinalizeWithdraw();
    /// @notice The delay is not over.
    error WithdrawDelayNotElapsed();
    /// @notice A withdrawal of nothing.
    error NothingToWithdraw();
    /// @notice The withdrawal is above what is unclaimed.
    error WithdrawAmountExceedsAvailable();
    /// @notice The refund was signed for another place in the row of refunds.
    error InvalidRefundNonce();
    /// @notice A refund of nothing.
    error ZeroRefund();

    /// @notice Adds `amount` to the channel. Anybody may send it and pay the gas.
    /// @param config the channel
    /// @param amount base units, above zero
    /// @param collector the collector of this contract
    /// @param collectorData what it needs to take the money from the payer, see `Erc3009Collector`
    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData)
        external;

    /// @notice Makes more of each channel the receiver's. Only the receiver's side of every row may send it.
    /// @dev A row that claims no more than was claimed before is passed over. A row that fails reverts them all.
    function claim(VoucherClaim[] calldata voucherClaims) external;

    /// @notice The same for anybody, with the signature of the one receiver authoriser of all rows.
    /// @param authorizerSignature over `ClaimBatch(ClaimEntry[] claims)`
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external;

    /// @notice Claims as `claim` does and sends the one receiver of all rows everything that is claimed for it.
    /// @dev A row that fails is skipped with `ClaimSkipped`, and costs the others nothing. If the token refuses the
    /// transfer, the claims hold and `SettleFailed` says so. A contract wallet that signs vouchers itself gets at most
    /// 100,000 gas for it; the whole call reverts if it could get less.
    function claimAndSettle(VoucherClaim[] calldata voucherClaims) external;

    /// @notice Sends `receiver` everything that is claimed for it. Anybody may call.
    function settle(address receiver, address token) external;

    /// @notice The payer's side wants `amount` back and starts the delay.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external;

    /// @notice After the delay, sends the payer what it wanted back, as far as it is unclaimed. Only the payer's side.
    function finalizeWithdraw(ChannelConfig calldata config) external;

    /// @notice Sends the payer `amount` of what is unclaimed, or all of it if it is less. Only the receiver's side.
    /// @dev Uses up a refund nonce even if nothing is left to refund.
    function refund(ChannelConfig calldata config, uint128 amount) external;

    /// @notice The same for anybody, with the receiver authoriser's signature.
    /// @param receiverAuthorizerSignature over `Refund(bytes32 channelId,uint256 nonce,uint128 amount)`
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external;

    /// @notice Several calls in one transaction, all or none.
    function multicall(bytes[] calldata data) external returns (bytes[] memory results);

    /// @notice The channel's id: its EIP-712 digest under this contract's domain ("x402 Batch Settlement", "1").
    function getChannelId(ChannelConfig calldata config) external view returns (bytes32);

    /// @notice What a voucher's signer signs.
    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32);

    /// @notice What a receiver authoriser signs to refund.
    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) external view returns (bytes32);

    /// @notice What a receiver authoriser signs to claim.
    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32);

    /// @notice Deposits less refunds and withdrawals, and what was claimed of them in all. Claims never go down.
    function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed);

    /// @notice The withdrawal under way; `initiatedAt` is zero if there is none.
    function pendingWithdrawals(bytes32 channelId) external view returns (uint128 amount, uint40 initiatedAt);

    /// @notice What was claimed for a receiver, and how much of it was sent.
    function receivers(address receiver, address token)
        external
        view
        returns (uint128 totalClaimed, uint128 totalSettled);

    /// @notice The nonce that the next refund has to be signed for.
    function refundNonce(bytes32 channelId) external view returns (uint256);

    /// @notice The one token that channels here are in.
    function token() external view returns (address);

    /// @notice The one collector that brings deposits.
    function collector() external view returns (address);

    /// @notice EIP-712 type of a channel.
    function CHANNEL_CONFIG_TYPEHASH() external view returns (bytes32);
}
