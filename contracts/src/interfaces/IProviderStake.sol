// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IStake} from "./IStake.sol";

/// @title What providers put up against a ruling
/// @notice A provider deposits once. Orders that ask for it lock a part each; a ruling against the provider gives the
/// locked part of that order to its buyer. Whatever is not locked can be taken out seven days after saying so.
/// @dev Warning: not audited.
/// @dev Warning: tokens sent here by a plain `transfer` or a `TransferWithAuthorization` cannot be returned.
interface IProviderStake is IStake {
    /// @notice `provider` put up `amount` more.
    event Staked(address indexed provider, uint256 amount);
    /// @notice `provider` wants `amount` back, from `end` (Unix seconds) on; zero means it does not any more.
    event WithdrawRequested(address indexed provider, uint256 amount, uint40 end);
    /// @notice `provider` took `amount` out.
    event StakeWithdrawn(address indexed provider, uint256 amount);
    /// @notice `amount` of `provider`'s stake stands behind order `orderId`.
    event Locked(bytes32 indexed orderId, address indexed provider, uint256 amount);
    /// @notice It does not any more.
    event Unlocked(bytes32 indexed orderId, address indexed provider, uint256 amount);
    /// @notice It was taken from `provider` and belongs to `to`.
    event Slashed(bytes32 indexed orderId, address indexed provider, address indexed to, uint256 amount);
    /// @notice A transfer to `account` failed, so `amount` waits here for `collect`.
    event Credited(address indexed account, uint256 amount);
    /// @notice `amount` that waited for `account` was sent to it.
    event Collected(address indexed account, uint256 amount);

    /// @notice The token or the escrow is missing.
    error ZeroAddress();
    /// @notice Only the escrow may call.
    error NotEscrow(address caller);
    /// @notice Nothing to do something with.
    error ZeroAmount();
    /// @notice The token did not bring exactly the amount.
    error DepositMismatch(uint256 expected, uint256 received);
    /// @notice The order has something locked already.
    error AlreadyLocked(bytes32 orderId);
    /// @notice The provider has less than `amount` that the call could take.
    error StakeTooLow(address provider, uint256 available, uint256 amount);
    /// @notice The stake can be taken out from `end` on.
    error StillThawing(uint256 time, uint256 end);
    /// @notice Nothing was asked for, or all of it is locked.
    error NothingToWithdraw(address provider);
    /// @notice Nothing waits for `account`.
    error NothingOwed(address account);

    /// @notice Adds to a provider's stake. Anybody may send it and pay the gas.
    /// @param provider whose stake, and who pays
    /// @param amount base units, above zero
    /// @param validBefore Unix seconds; the signature is good strictly before this
    /// @param nonce any 32 bytes the provider has not used with the token: whatever it is, the money goes to its stake
    /// @param auth the provider's signature over the token's `ReceiveWithAuthorization(from = provider, to = this contract,
    /// value = amount, validAfter = 0, validBefore, nonce)`
    function deposit(address provider, uint96 amount, uint256 validBefore, bytes32 nonce, bytes calldata auth) external;

    /// @notice The caller wants `amount` of its stake back, and seven days begin. Replaces what it asked for before; zero
    /// takes it back. What is asked for no longer backs new orders, and can be slashed while an order holds it.
    function requestWithdraw(uint96 amount) external;

    /// @notice Sends `provider` what it asked for, as far as no order holds it; the rest stays asked for. Anybody may call.
    function withdraw(address provider) external;

    /// @notice Sends `account` what waits for it: slashed stake that the token refused to send. Anybody may call.
    function collect(address account) external;

    /// @notice A provider's stake.
    /// @return staked all of it
    /// @return locked the part that stands behind orders
    /// @return thawing the part it wants back; may be locked too
    /// @return thawEnds Unix seconds from which it can have that
    function stakeOf(address provider)
        external
        view
        returns (uint96 staked, uint96 locked, uint96 thawing, uint40 thawEnds);

    /// @notice What new orders can still lock: neither locked nor asked for.
    function available(address provider) external view returns (uint256 amount);

    /// @notice What is locked for an order, and whose it is.
    function lockOf(bytes32 orderId) external view returns (address provider, uint96 amount);

    /// @notice Base units that wait for `account`.
    function owed(address account) external view returns (uint256 amount);

    /// @notice The one token.
    function token() external view returns (address);

    /// @notice The one escrow.
    function escrow() external view returns (address);
}
