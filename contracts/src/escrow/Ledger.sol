// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "solady/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IReceiveWithAuthorization} from "../interfaces/IReceiveWithAuthorization.sol";

/// @title The token: how it comes in, how it goes out, and what waits
abstract contract Ledger is IEscrow, ReentrancyGuardTransient {
    /// @dev A failed transfer counts as refused by the token, and not as starved by the caller, from this much gas on.
    uint256 internal constant TRANSFER_GAS = 150_000;
    /// @dev What a transfer may use in a batch.
    uint256 internal constant BATCH_TRANSFER_GAS = 300_000;
    /// @dev Spent between measuring the gas and the called contract running: a cold account, the call, its memory.
    uint256 internal constant CALL_OVERHEAD_GAS = 5000;

    /// @inheritdoc IEscrow
    address public immutable override token;

    /// @inheritdoc IEscrow
    mapping(address account => uint256 amount) public override owed;

    constructor(address token_) {
        if (token_.code.length == 0) revert ZeroAddress();
        token = token_;
    }

    /// @inheritdoc IEscrow
    function withdraw(address account) external override nonReentrant {
        uint256 amount = owed[account];
        if (amount == 0) revert NothingOwed(account);

        owed[account] = 0;
        emit Withdrawn(account, amount);

        SafeTransferLib.safeTransfer(token, account, amount);
    }

    /// @dev Takes `value` from `from` on its authorisation, with at most `gasCap` gas, and wants to see exactly that much
    /// arrive.
    function _pull(
        address from,
        uint256 value,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata authorization,
        uint256 gasCap
    ) internal {
        uint256 before = SafeTransferLib.balanceOf(token, address(this));
        IReceiveWithAuthorization(token).receiveWithAuthorization{gas: gasCap}(
            from, address(this), value, 0, validBefore, nonce, authorization
        );
        uint256 received = SafeTransferLib.balanceOf(token, address(this)) - before;
        if (received != value) revert DepositMismatch(value, received);
    }

    /// @dev Sends `amount` to `to` with at most `gasCap` gas, or keeps it for `withdraw` if the token refuses (a
    /// denylisted party must not block the other one). Whoever sends the transaction could fake a refusal by giving it
    /// little gas: that reverts.
    function _pay(address to, uint256 amount, uint256 gasCap) internal {
        if (amount == 0) return;
        uint256 available = gasleft();
        available -= available / 64;
        if (_tryTransfer(to, amount, gasCap)) return;

        uint256 needed = TRANSFER_GAS + CALL_OVERHEAD_GAS;
        if (available < needed) revert TransferGasTooLow(available, needed);
        owed[to] += amount;
        emit Credited(to, amount);
    }

    /// @dev ERC-20 `transfer`; true if the call succeeded and answered true or nothing. Copies at most one word of the
    /// answer, so a huge one costs the token and not us.
    function _tryTransfer(address to, uint256 amount, uint256 gasCap) private returns (bool sent) {
        address token_ = token;
        /// @solidity memory-safe-assembly
        assembly {
            let m := mload(0x40)
            mstore(m, 0xa9059cbb00000000000000000000000000000000000000000000000000000000)
            mstore(add(m, 0x04), and(to, 0xffffffffffffffffffffffffffffffffffffffff))
            mstore(add(m, 0x24), amount)
            sent := call(gasCap, token_, 0, m, 0x44, 0x00, 0x20)
            let answered := or(iszero(returndatasize()), and(gt(returndatasize(), 0x1f), eq(mload(0x00), 1)))
            sent := and(sent, answered)
        }
    }

    /// @dev Transient storage on every chain; the guard's default keeps to storage outside mainnet.
    function _useTransientReentrancyGuardOnlyOnMainnet() internal pure override returns (bool) {
        return false;
    }
}
