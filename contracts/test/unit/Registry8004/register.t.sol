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

    function test_an_agent_needs_no_card_and_no_metadata(address sender, string memory uri) public {
        vm.assume(sender != address(0));
        vm.prank(sender);
        vm.assertEq(registry.register(), 2, "without a card");
        vm.assertEq(bytes(registry.tokenURI(2)).length, 0, "no card");
        vm.prank(sender);
        vm.assertEq(registry.register(uri), 3, "with one");
        vm.assertEq(keccak256(bytes(registry.tokenURI(3))), keccak256(bytes(uri)), "card");
        vm.assertEq(registry.getAgentWallet(2), registry.getAgentWallet(3), "wallet");
    }

    function test_reverts_when_the_metadata_names_a_wallet() public {
        IRegistry8004Dev.MetadataEntry[] memory metadata = new IRegistry8004Dev.MetadataEntry[](1);
        metadata[0] = IRegistry8004Dev.MetadataEntry("agentWallet", abi.encodePacked(alice));
        vm.expectRevert(IRegistry8004Dev.ReservedKey.selector);
        registry.register("", metadata);
    }
}
