// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title A contract wallet that says yes to everything, after spending as much gas as it was told to
contract GreedyWallet {
    uint256 public gasToBurn;

    function setGasToBurn(uint256 amount) external {
        gasToBurn = amount;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        uint256 amount = gasToBurn;
        require(gasleft() > amount, "out of gas");
        uint256 end = gasleft() - amount;
        while (gasleft() > end) {}
        return 0x1626ba7e;
    }
}
