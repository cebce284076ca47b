// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {RegistryBase} from "../../base/RegistryBase.sol";
import {IRegistry8004Dev} from "../../mocks/IRegistry8004Dev.sol";

contract SetMetadataTest is RegistryBase {
    function test_the_owner_and_whom_it_approved_may(bytes memory value) public {
        vm.prank(bob);
        registry.approve(alice, agent);
        vm.prank(alice);
        registry.setMetadata(agent, "key", value);
        vm.assertEq(keccak256(registry.getMetadata(agent, "key")), keccak256(value), "value");
    }

    function test_reverts_when_a_stranger_or_the_reserved_key() public {
        vm.expectRevert();
        vm.prank(alice);
        registry.setMetadata(agent, "key", "");
        vm.expectRevert(IRegistry8004Dev.ReservedKey.selector);
        vm.prank(bob);
        registry.setMetadata(agent, "agentWallet", "");
    }
}
