// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title Deploys what it is told to, one contract after the other, and reverts as their constructors do
contract Deployer {
    function deploy(bytes calldata code) external returns (address made) {
        bytes memory init = code;
        assembly {
            made := create(0, add(init, 0x20), mload(init))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    /// @notice Where the deployment number `nonce` (1 to 127) will stand.
    function addressAt(uint8 nonce) external view returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes2(0xd694), address(this), nonce)))));
    }
}
