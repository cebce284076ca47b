// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {RegistryBase} from "../../base/RegistryBase.sol";
import {IRegistry8004Dev} from "../../mocks/IRegistry8004Dev.sol";

contract RegisterTest is RegistryBase {
    function test_an_agent_is_its_senders(address sender, string memory uri, bytes memory peer) public {
        vm.assume(sender != address(0));
        IRegistry8004Dev.MetadataEntry[] memory metadata = new IRegistry8004Dev.MetadataEntry[](1);
        metadata[0] = IRegistry8004Dev.MetadataEntry("libp2p.peerId", peer);
        vm.expectEmit(address(registry));
        emit IRegistry8004Dev.Registered(2, uri, sender);
        vm.prank(sender);
        uint256 id = registry.register(uri, metadata);
        vm.assertEq(id, 2, "numbered from zero");
        vm.assertEq(registry.ownerOf(id), sender, "owner");
        vm.assertEq(registry.getAgentWallet(id), sender, "wallet");
        vm.assertEq(keccak256(bytes(registry.tokenURI(id))), keccak256(bytes(uri)), "card");
        vm.assertEq(keccak256(registry.getMetadata(id, "libp2p.peerId")), keccak256(peer), "peer");
        vm.assertEq(registry.getIdentityRegistry(), address(registry), "identity registry");
    }
}
