// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ECDSA} from "solady/utils/ECDSA.sol";
import {EIP712} from "solady/utils/EIP712.sol";
import {ReentrancyGuardTransient} from "solady/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";
import {SignatureCheckerLib} from "solady/utils/SignatureCheckerLib.sol";

import {IChannel} from "./interfaces/IChannel.sol";
import {IDepositCollector} from "./interfaces/IDepositCollector.sol";
import {TokenTransfer} from "./libraries/TokenTransfer.sol";

/// @title Channel
/// @notice Holds one token in prepaid channels. No owner, no pause, no upgrade, no fee.
/// @dev The EIP-712 domain is the address the code runs at, also where the code was put there without a constructor.
contract Channel is IChannel, EIP712, ReentrancyGuardTransient {
    /// @dev One slot per channel. `balance` never falls below `totalClaimed`, which never falls.
    struct ChannelState {
        uint128 balance;
        uint128 totalClaimed;
    }

    /// @dev One slot per withdrawal under way.
    struct WithdrawalState {
        uint128 amount;
        uint40 initiatedAt;
    }

    /// @dev One slot per receiver.
    struct ReceiverState {
        uint128 totalClaimed;
        uint128 totalSettled;
    }

    /// @inheritdoc IChannel
    bytes32 public constant override CHANNEL_CONFIG_TYPEHASH = keccak256(
        "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
    );
    /// @dev EIP-712 type of the payer's word that so much of a channel may be claimed in all.
    bytes32 internal constant VOUCHER_TYPEHASH = keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
    /// @dev EIP-712 type of the receiver's word to return something.
    bytes32 internal constant REFUND_TYPEHASH = keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
    /// @dev EIP-712 types of the receiver's word to claim.
    bytes32 internal constant CLAIM_ENTRY_TYPEHASH =
        keccak256("ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)");
    bytes32 internal constant CLAIM_BATCH_TYPEHASH = keccak256(
        "ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
    );

    /// @dev The shortest time a receiver may have to claim.
    uint256 internal constant MIN_WITHDRAW_DELAY = 15 minutes;
    /// @dev The longest time a payer may have to wait.
    uint256 internal constant MAX_WITHDRAW_DELAY = 30 days;
    /// @dev What a contract wallet may spend on checking one voucher where rows share a transaction.
    uint256 internal constant WALLET_GAS = 100_000;
    /// @dev What the token may spend on a transfer that must not undo the claims it comes with.
    uint256 internal constant TRANSFER_GAS = 200_000;
    /// @dev Spent between measuring the gas and the wallet running: a cold account, the call itself, its memory.
    uint256 internal constant CALL_OVERHEAD_GAS = 10_000;

    /// @inheritdoc IChannel
    address public immutable override token;
    /// @inheritdoc IChannel
    address public immutable override collector;

    /// @inheritdoc IChannel
    mapping(bytes32 channelId => ChannelState) public override channels;
    /// @inheritdoc IChannel
    mapping(bytes32 channelId => WithdrawalState) public override pendingWithdrawals;
    /// @inheritdoc IChannel
    mapping(address receiver => mapping(address token => ReceiverState)) public override receivers;
    /// @inheritdoc IChannel
    mapping(bytes32 channelId => uint256) public override refundNonce;

    /// @param token_ the one token; it must already be deployed
    /// @param collector_ the one collector; it may be deployed later, as it names this contract
    constructor(address token_, address collector_) {
        if (token_.code.length == 0) revert InvalidChannel();
        if (collector_ == address(0)) revert InvalidCollector();
        token = token_;
        collector = collector_;
    }

    /// @inheritdoc IChannel
    function deposit(ChannelConfig calldata config, uint128 amount, address collector_, bytes calldata collectorData)
        external
        override
        nonReentrant
    {
        _checkConfig(config);
        if (amount == 0) revert ZeroDeposit();
        if (collector_ != collector) revert InvalidCollector();

        bytes32 id = getChannelId(config);
        ChannelState memory state = channels[id];
        if (amount > type(uint128).max - state.balance) revert DepositOverflow();
        bool created = state.balance == 0 && state.totalClaimed == 0;
        state.balance += amount;
        channels[id] = state;
        if (created) emit ChannelCreated(id, config);
        emit Deposited(id, msg.sender, amount, state.balance);

        uint256 before = SafeTransferLib.balanceOf(token, address(this));
        IDepositCollector(collector).collect(config.payer, token, amount, id, collectorData);
        if (SafeTransferLib.balanceOf(token, address(this)) != before + amount) revert DepositCollectionFailed();
    }

    /// @inheritdoc IChannel
    function claim(VoucherClaim[] calldata voucherClaims) external override nonReentrant {
        if (voucherClaims.length == 0) revert EmptyBatch();
        for (uint256 i = 0; i < voucherClaims.length; i++) {
            if (!_isReceiverSide(voucherClaims[i].voucher.channel)) revert NotAuthorizedToClaim();
            _claimOrRevert(voucherClaims[i]);
        }
    }

    /// @inheritdoc IChannel
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature)
        external
        override
        nonReentrant
    {
        if (voucherClaims.length == 0) revert EmptyBatch();
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        _checkSignature(authorizer, getClaimBatchDigest(voucherClaims), authorizerSignature);
        for (uint256 i = 0; i < voucherClaims.length; i++) {
            if (voucherClaims[i].voucher.channel.receiverAuthorizer != authorizer) revert NotReceiverAuthorizer();
            _claimOrRevert(voucherClaims[i]);
        }
    }

    /// @inheritdoc IChannel
    function claimAndSettle(VoucherClaim[] calldata voucherClaims) external override nonReentrant {
        if (voucherClaims.length == 0) revert EmptyBatch();
        address receiver = voucherClaims[0].voucher.channel.receiver;
        uint128 claimed = 0;
        for (uint256 i = 0; i < voucherClaims.length; i++) {
            VoucherClaim calldata row = voucherClaims[i];
            if (row.voucher.channel.receiver != receiver) revert MixedReceivers();
            if (!_isReceiverSide(row.voucher.channel)) revert NotAuthorizedToClaim();
            bytes32 id = getChannelId(row.voucher.channel);
            (bytes4 fault, uint128 more) = _claim(row, id, WALLET_GAS);
            if (fault != 0) emit ClaimSkipped(id, fault);
            claimed += more;
        }

        ReceiverState memory state = receivers[receiver][token];
        state.totalClaimed += claimed;
        uint128 amount = state.totalClaimed - state.totalSettled;
        if (amount == 0) return;

        // the money leaves last, and what did not leave is written down again
        receivers[receiver][token] = ReceiverState(state.totalClaimed, state.totalClaimed);
        if (TokenTransfer.tryTransfer(token, receiver, amount, TRANSFER_GAS)) {
            emit Settled(receiver, token, msg.sender, amount);
        } else {
            receivers[receiver][token] = state;
            emit SettleFailed(receiver, token, msg.sender, amount);
        }
    }

    /// @inheritdoc IChannel
    function settle(address receiver, address token_) external override nonReentrant {
        ReceiverState storage state = receivers[receiver][token_];
        uint128 amount = state.totalClaimed - state.totalSettled;
        if (amount == 0) return;

        state.totalSettled = state.totalClaimed;
        emit Settled(receiver, token_, msg.sender, amount);

        SafeTransferLib.safeTransfer(token, receiver, amount);
    }

    /// @inheritdoc IChannel
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external override nonReentrant {
        if (!_isPayerSide(config)) revert InvalidChannel();
        if (amount == 0) revert NothingToWithdraw();
        bytes32 id = getChannelId(config);
        if (pendingWithdrawals[id].initiatedAt != 0) revert WithdrawalAlreadyPending();
        if (amount > _unclaimed(id)) revert WithdrawAmountExceedsAvailable();

        uint40 initiatedAt = uint40(block.timestamp);
        pendingWithdrawals[id] = WithdrawalState(amount, initiatedAt);
        emit WithdrawInitiated(id, amount, initiatedAt + config.withdrawDelay);
    }

    /// @inheritdoc IChannel
    function finalizeWithdraw(ChannelConfig calldata config) external override nonReentrant {
        if (!_isPayerSide(config)) revert NotAuthorizedToFinalizeWithdraw();
        bytes32 id = getChannelId(config);
        WithdrawalState memory pending = pendingWithdrawals[id];
        if (pending.initiatedAt == 0) revert WithdrawalNotPending();
        if (block.timestamp < uint256(pending.initiatedAt) + config.withdrawDelay) revert WithdrawDelayNotElapsed();

        uint128 unclaimed = _unclaimed(id);
        uint128 amount = pending.amount < unclaimed ? pending.amount : unclaimed;
        delete pendingWithdrawals[id];
        channels[id].balance -= amount;
        emit WithdrawFinalized(id, msg.sender, amount);

        _return(config, id, amount);
    }

    /// @inheritdoc IChannel
    function refund(ChannelConfig calldata config, uint128 amount) external override nonReentrant {
        if (!_isReceiverSide(config)) revert NotAuthorizedToRefund();
        _refund(config, getChannelId(config), amount);
    }

    /// @inheritdoc IChannel
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external override nonReentrant {
        bytes32 id = getChannelId(config);
        if (nonce != refundNonce[id]) revert InvalidRefundNonce();
        _checkSignature(config.receiverAuthorizer, getRefundDigest(id, nonce, amount), receiverAuthorizerSignature);
        _refund(config, id, amount);
    }

    /// @inheritdoc IChannel
    function multicall(bytes[] calldata data) external override returns (bytes[] memory results) {
        results = new bytes[](data.length);
        for (uint256 i = 0; i < data.length; i++) {
            // our own code, with the caller as it is; every function that moves anything is guarded by itself
            (bool ok, bytes memory result) = address(this).delegatecall(data[i]);
            if (!ok) {
                /// @solidity memory-safe-assembly
                assembly {
                    revert(add(result, 0x20), mload(result))
                }
            }
            results[i] = result;
        }
    }

    /// @inheritdoc IChannel
    function getChannelId(ChannelConfig calldata config) public view override returns (bytes32) {
        return _hashTypedData(keccak256(abi.encode(CHANNEL_CONFIG_TYPEHASH, config)));
    }

    /// @inheritdoc IChannel
    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) public view override returns (bytes32) {
        return _hashTypedData(keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, maxClaimableAmount)));
    }

    /// @inheritdoc IChannel
    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) public view override returns (bytes32) {
        return _hashTypedData(keccak256(abi.encode(REFUND_TYPEHASH, channelId, nonce, amount)));
    }

    /// @inheritdoc IChannel
    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) public view override returns (bytes32) {
        bytes32[] memory entries = new bytes32[](voucherClaims.length);
        for (uint256 i = 0; i < voucherClaims.length; i++) {
            VoucherClaim calldata row = voucherClaims[i];
            bytes32 id = getChannelId(row.voucher.channel);
            entries[i] =
                keccak256(abi.encode(CLAIM_ENTRY_TYPEHASH, id, row.voucher.maxClaimableAmount, row.totalClaimed));
        }
        return _hashTypedData(keccak256(abi.encode(CLAIM_BATCH_TYPEHASH, keccak256(abi.encodePacked(entries)))));
    }

    /// @dev One row of a claim that has to succeed.
    function _claimOrRevert(VoucherClaim calldata row) private {
        (bytes4 fault, uint128 more) = _claim(row, getChannelId(row.voucher.channel), type(uint256).max);
        if (fault != 0) {
            /// @solidity memory-safe-assembly
            assembly {
                mstore(0x00, fault)
                revert(0x00, 0x04)
            }
        }
        if (more != 0) receivers[row.voucher.channel.receiver][token].totalClaimed += more;
    }

    /// @dev Raises the channel's claim to the row's. Answers how much more that is, for the caller to write down for the
    /// receiver; or the selector of the error, having changed nothing. Nothing more to claim is no error.
    function _claim(VoucherClaim calldata row, bytes32 id, uint256 walletGas)
        private
        returns (bytes4 fault, uint128 more)
    {
        ChannelState memory state = channels[id];
        (uint128 total, uint128 ceiling) = (row.totalClaimed, row.voucher.maxClaimableAmount);
        if (total <= state.totalClaimed) return (0, 0);
        if (total > ceiling) return (ClaimExceedsCeiling.selector, 0);
        if (total > state.balance) return (ClaimExceedsBalance.selector, 0);
        if (!_isPayersWord(row.voucher.channel, getVoucherDigest(id, ceiling), row.signature, walletGas)) {
            return (InvalidSignature.selector, 0);
        }

        more = total - state.totalClaimed;
        channels[id] = ChannelState(state.balance, total);
        emit Claimed(id, msg.sender, more, total);
    }

    /// @dev Sends the payer up to `amount` of what is unclaimed, and lowers a withdrawal under way by as much.
    function _refund(ChannelConfig calldata config, bytes32 id, uint128 amount) private {
        if (amount == 0) revert ZeroRefund();
        refundNonce[id]++;

        uint128 unclaimed = _unclaimed(id);
        if (amount > unclaimed) amount = unclaimed;
        if (amount == 0) return;
        channels[id].balance -= amount;
        WithdrawalState memory pending = pendingWithdrawals[id];
        if (pending.initiatedAt != 0) {
            if (amount >= pending.amount) delete pendingWithdrawals[id];
            else pendingWithdrawals[id].amount = pending.amount - amount;
        }
        emit Refunded(id, msg.sender, amount);

        _return(config, id, amount);
    }

    /// @dev The end of a withdrawal or refund, the balance already lowered.
    function _return(ChannelConfig calldata config, bytes32 id, uint128 amount) private {
        ChannelState memory state = channels[id];
        if (state.balance == 0 && state.totalClaimed == 0) emit ChannelClosed(id, config);
        if (amount != 0) SafeTransferLib.safeTransfer(token, config.payer, amount);
    }

    function _unclaimed(bytes32 id) private view returns (uint128) {
        ChannelState memory state = channels[id];
        return state.balance - state.totalClaimed;
    }

    /// @dev With an authoriser a voucher is checked by `ecrecover` and nothing else: nobody's code can change the answer.
    /// Without one the payer answers, a contract by ERC-1271.
    function _isPayersWord(ChannelConfig calldata config, bytes32 digest, bytes calldata signature, uint256 walletGas)
        private
        view
        returns (bool)
    {
        address authorizer = config.payerAuthorizer;
        if (authorizer != address(0)) return ECDSA.tryRecoverCalldata(digest, signature) == authorizer;
        if (walletGas == type(uint256).max || config.payer.code.length == 0) {
            return SignatureCheckerLib.isValidSignatureNowCalldata(config.payer, digest, signature);
        }
        uint256 available = gasleft() - gasleft() / 64;
        uint256 needed = walletGas + CALL_OVERHEAD_GAS;
        if (available < needed) revert GasTooLow(available, needed);
        return _isWalletsWord(config.payer, digest, signature, walletGas);
    }

    /// @dev ERC-1271 with a bound on what the wallet may spend and on what is read of its answer.
    function _isWalletsWord(address wallet, bytes32 digest, bytes calldata signature, uint256 walletGas)
        private
        view
        returns (bool isValid)
    {
        bytes memory question = abi.encodeWithSelector(0x1626ba7e, digest, signature);
        /// @solidity memory-safe-assembly
        assembly {
            mstore(0x00, 0)
            isValid := staticcall(walletGas, wallet, add(question, 0x20), mload(question), 0x00, 0x20)
            isValid := and(isValid, and(gt(returndatasize(), 0x1f), eq(shr(224, mload(0x00)), 0x1626ba7e)))
        }
    }

    /// @dev ECDSA in the 65 and the 64 byte form, or ERC-1271 where the signer has code.
    function _checkSignature(address signer, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureCheckerLib.isValidSignatureNowCalldata(signer, digest, signature)) revert InvalidSignature();
    }

    /// @dev Everything a channel has to fulfil to be paid into.
    function _checkConfig(ChannelConfig calldata config) private view {
        if (config.payer == address(0) || config.receiver == address(0)) revert InvalidChannel();
        if (config.receiverAuthorizer == address(0) || config.token != token) revert InvalidChannel();
        if (config.withdrawDelay < MIN_WITHDRAW_DELAY || config.withdrawDelay > MAX_WITHDRAW_DELAY) {
            revert WithdrawDelayOutOfRange();
        }
    }

    function _isPayerSide(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.payer || msg.sender == config.payerAuthorizer;
    }

    function _isReceiverSide(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.receiver || msg.sender == config.receiverAuthorizer;
    }

    /// @dev EIP-712 domain.
    function _domainNameAndVersion() internal pure override returns (string memory name, string memory version) {
        return ("x402 Batch Settlement", "1");
    }

    /// @dev Transient storage on every chain; the guard's default keeps to storage outside mainnet.
    function _useTransientReentrancyGuardOnlyOnMainnet() internal pure override returns (bool) {
        return false;
    }
}
