// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IRegistry8004Dev} from "../mocks/IRegistry8004Dev.sol";
import {Eip712} from "./Eip712.sol";

/// @title Two agents, the second bob's, for every test of the development registry
abstract contract RegistryBase is Eip712 {
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant WALLET_KEY = uint256(keccak256("bob's wallet"));
    address internal bob = address(0xb0b);
    address internal alice = address(0xa11ce);
    address internal wallet = vm.addr(WALLET_KEY);
    IRegistry8004Dev internal registry;
    uint256 internal agent;

    function setUp() public {
        vm.warp(NOW);
        registry = IRegistry8004Dev(vm.deployCode("out/Registry8004.sol/Registry8004.json", ""));
        registry.register();
        vm.prank(bob);
        agent = registry.register("ipfs://bob");
    }

    function _walletSig(uint256 key, uint256 id, address to, address owner, uint256 deadline)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256("AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)");
        bytes32 domain = _domain("ERC8004IdentityRegistry", "1", address(registry));
        return _sign(key, _digest(domain, keccak256(abi.encode(typehash, id, to, owner, deadline))));
    }

    function _rate(address client, int128 value, uint8 decimals, string memory tag) internal {
        vm.prank(client);
        registry.giveFeedback(agent, value, decimals, tag, "", "", "", 0);
    }
}
