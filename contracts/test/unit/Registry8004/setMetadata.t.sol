// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {RegistryBase} from "../../base/RegistryBase.sol";
import {IRegistry8004Dev} from "../../mocks/IRegistry8004Dev.sol";

contract SetMetadataTest is RegistryBase {
    function test_the_owner_and_whom_it_approved_may(string memory key, bytes memory value) public {
        vm.assume(keccak256(bytes(key)) != keccak256("agentWallet"));
        vm.prank(bob);
        registry.approve(alice, agent);
        vm.prank(alice);
        registry.setMetadata(agent, key, value);
        vm.assertEq(keccak256(registry.getMetadata(agent, key)), keccak256(value), "value");
    }

    function test_reverts_when_a_stranger_or_the_reserved_key(address stranger) public {
        vm.assume(stranger != bob && stranger != address(0));
        vm.expectRevert(abi.encodeWithSignature("ERC721InsufficientApproval(address,uint256)", stranger, agent));
        vm.prank(stranger);
        registry.setMetadata(agent, "key", "");
        vm.expectRevert(IRegistry8004Dev.ReservedKey.selector);
        vm.prank(bob);
        registry.setMetadata(agent, "agentWallet", "");
    }
}
