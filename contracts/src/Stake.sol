// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "solady/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";

import {IProviderStake} from "./interfaces/IProviderStake.sol";
import {IReceiveWithAuthorization} from "./interfaces/IReceiveWithAuthorization.sol";
import {IStake} from "./interfaces/IStake.sol";
import {TokenTransfer} from "./libraries/TokenTransfer.sol";

/// @title Stake
/// @notice Holds what providers put up against a ruling. No owner, no pause, no upgrade.
/// @dev The escrow and this contract name each other, both for good. Deploy this one first with the address the escrow
/// will have: `CREATE` gives a deployer's next contract the last 20 bytes of keccak256(rlp(deployer, nonce)), so with
/// this contract at nonce n the escrow is the one at nonce n + 1, and its constructor gets this contract's address.
contract Stake is IProviderStake, ReentrancyGuardTransient {
    /// @dev Two slots per provider. `staked` is never less than `locked`, nor than `thawing`.
    struct Account {
        uint96 staked;
        uint96 locked;
        uint96 thawing;
        uint40 thawEnds;
    }

    /// @dev One slot per order that has something locked.
    struct Lock {
        address provider;
        uint96 amount;
    }

    /// @dev How long stake that is asked for can still be slashed by orders that hold it.
    uint40 internal constant THAW_SECS = 7 days;
    /// @dev What the token may spend on sending slashed stake; the rest of what the escrow gives is for writing it down.
    uint256 internal constant TRANSFER_GAS = 150_000;

    /// @inheritdoc IProviderStake
    address public immutable override token;
    /// @inheritdoc IProviderStake
    address public immutable override escrow;

    /// @inheritdoc IProviderStake
    mapping(address provider => Account) public override stakeOf;
    /// @inheritdoc IProviderStake
    mapping(bytes32 orderId => Lock) public override lockOf;
    /// @inheritdoc IProviderStake
    mapping(address account => uint256 amount) public override owed;

    /// @dev The escrow alone.
    modifier onlyEscrow() {
        _checkEscrow();
        _;
    }

    /// @param token_ the one token; it must already be deployed and have EIP-3009 in the `bytes` form
    /// @param escrow_ the one escrow; it may be deployed later
    constructor(address token_, address escrow_) {
        if (token_.code.length == 0 || escrow_ == address(0)) revert ZeroAddress();
        token = token_;
        escrow = escrow_;
    }

    /// @inheritdoc IProviderStake
    function deposit(address provider, uint96 amount, uint256 validBefore, bytes32 nonce, bytes calldata auth)
        external
        override
        nonReentrant
    {
        if (amount == 0) revert ZeroAmount();
        stakeOf[provider].staked += amount;
        emit Staked(provider, amount);

        uint256 before = SafeTransferLib.balanceOf(token, address(this));
        IReceiveWithAuthorization(token)
            .receiveWithAuthorization(provider, address(this), amount, 0, validBefore, nonce, auth);
        uint256 received = SafeTransferLib.balanceOf(token, address(this)) - before;
        if (received != amount) revert DepositMismatch(amount, received);
    }

    /// @inheritdoc IProviderStake
    function requestWithdraw(uint96 amount) external override nonReentrant {
        Account storage account = stakeOf[msg.sender];
        if (amount > account.staked) revert StakeTooLow(msg.sender, account.staked, amount);
        uint40 end = amount == 0 ? 0 : uint40(block.timestamp) + THAW_SECS;
        (account.thawing, account.thawEnds) = (amount, end);
        emit WithdrawRequested(msg.sender, amount, end);
    }

    /// @inheritdoc IProviderStake
    function withdraw(address provider) external override nonReentrant {
        Account memory account = stakeOf[provider];
        if (block.timestamp < account.thawEnds) revert StillThawing(block.timestamp, account.thawEnds);
        uint96 unlocked = account.staked - account.locked;
        uint96 amount = account.thawing < unlocked ? account.thawing : unlocked;
        if (amount == 0) revert NothingToWithdraw(provider);

        account.staked -= amount;
        account.thawing -= amount;
        stakeOf[provider] = account;
        emit StakeWithdrawn(provider, amount);

        SafeTransferLib.safeTransfer(token, provider, amount);
    }

    /// @inheritdoc IProviderStake
    function collect(address account) external override nonReentrant {
        uint256 amount = owed[account];
        if (amount == 0) revert NothingOwed(account);

        owed[account] = 0;
        emit Collected(account, amount);

        SafeTransferLib.safeTransfer(token, account, amount);
    }

    /// @inheritdoc IStake
    function lock(address provider, bytes32 orderId, uint96 amount) external override onlyEscrow {
        if (amount == 0) revert ZeroAmount();
        if (lockOf[orderId].amount != 0) revert AlreadyLocked(orderId);
        uint256 free = available(provider);
        if (amount > free) revert StakeTooLow(provider, free, amount);

        stakeOf[provider].locked += amount;
        lockOf[orderId] = Lock(provider, amount);
        emit Locked(orderId, provider, amount);
    }

    /// @inheritdoc IStake
    /// @dev Not guarded against reentrance: it calls nobody, and has to work whatever is going on.
    function unlock(bytes32 orderId) external override onlyEscrow {
        Lock memory held = lockOf[orderId];
        if (held.amount == 0) return;

        delete lockOf[orderId];
        stakeOf[held.provider].locked -= held.amount;
        emit Unlocked(orderId, held.provider, held.amount);
    }

    /// @inheritdoc IStake
    /// @dev Not guarded against reentrance: everything is written down before the token is called, and it has to work
    /// whatever is going on.
    function slash(bytes32 orderId, address to) external override onlyEscrow {
        Lock memory held = lockOf[orderId];
        if (held.amount == 0) return;

        delete lockOf[orderId];
        Account memory account = stakeOf[held.provider];
        account.staked -= held.amount;
        account.locked -= held.amount;
        if (account.thawing > account.staked) account.thawing = account.staked;
        stakeOf[held.provider] = account;
        emit Slashed(orderId, held.provider, to, held.amount);

        if (TokenTransfer.tryTransfer(token, to, held.amount, TRANSFER_GAS)) return;
        owed[to] += held.amount;
        emit Credited(to, held.amount);
    }

    /// @inheritdoc IProviderStake
    function available(address provider) public view override returns (uint256 amount) {
        Account memory account = stakeOf[provider];
        uint256 bound = uint256(account.locked) + account.thawing;
        return account.staked > bound ? account.staked - bound : 0;
    }

    function _checkEscrow() private view {
        if (msg.sender != escrow) revert NotEscrow(msg.sender);
    }

    /// @dev Transient storage on every chain; the guard's default keeps to storage outside mainnet.
    function _useTransientReentrancyGuardOnlyOnMainnet() internal pure override returns (bool) {
        return false;
    }
}
