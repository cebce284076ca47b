// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title The part of Multicall3 that wallets and x402 clients call
/// @notice Development chains have this at the address where every public chain has the well-known contract.
/// @dev Holds nothing and keeps nothing: everybody may make it call anything. It takes no ETH either.
contract Multicall3 {
    struct Call {
        address target;
        bytes callData;
    }

    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    /// @notice Call number `index` failed and was not allowed to.
    error CallFailed(uint256 index);

    /// @notice Makes all calls; reverts at the first failure if `requireSuccess`.
    function tryAggregate(bool requireSuccess, Call[] calldata calls) external returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            returnData[i] = _call(i, calls[i].target, calls[i].callData, !requireSuccess);
        }
    }

    /// @notice Makes all calls; reverts at the first failure that is not allowed.
    function aggregate3(Call3[] calldata calls) external returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            returnData[i] = _call(i, calls[i].target, calls[i].callData, calls[i].allowFailure);
        }
    }

    /// @notice The ETH that `account` has.
    function getEthBalance(address account) external view returns (uint256 balance) {
        return account.balance;
    }

    function _call(uint256 index, address target, bytes calldata data, bool mayFail)
        private
        returns (Result memory result)
    {
        (result.success, result.returnData) = target.call(data);
        if (!result.success && !mayFail) revert CallFailed(index);
    }
}
