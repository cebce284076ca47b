// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {RegistryBase} from "../../base/RegistryBase.sol";
import {IRegistry8004Dev} from "../../mocks/IRegistry8004Dev.sol";

contract GetSummaryTest is RegistryBase {
    function test_a_summary_counts_the_clients_that_were_asked_for(int32 first, int32 second) public {
        _rate(alice, first, 0, "haggle");
        _rate(alice, second, 0, "haggle");
        _rate(alice, 77, 0, "other");
        _rate(address(0xe), 100, 0, "haggle");
        address[] memory clients = new address[](1);
        clients[0] = alice;
        (uint64 count, int128 value, uint8 decimals) = registry.getSummary(agent, clients, "haggle", "");
        vm.assertEq(count, 2, "count");
        vm.assertTrue(value == (int128(first) + second) / 2 && decimals == 0, "average");
        (count,,) = registry.getSummary(agent, clients, "", "");
        vm.assertEq(count, 3, "any tag");
        (count, value, decimals) = registry.getSummary(agent, clients, "haggle", "none");
        vm.assertTrue(count == 0 && value == 0 && decimals == 0, "nothing");
    }

    function test_an_average_is_in_the_decimals_used_most() public {
        _rate(alice, 450, 2, "");
        _rate(alice, 350, 2, "");
        _rate(alice, 1, 0, "");
        address[] memory clients = new address[](1);
        clients[0] = alice;
        (uint64 count, int128 value, uint8 decimals) = registry.getSummary(agent, clients, "", "");
        vm.assertTrue(count == 3 && value == 300 && decimals == 2, "3.00");
    }

    function test_reverts_when_a_summary_is_of_nobody() public {
        vm.expectRevert(IRegistry8004Dev.NoClients.selector);
        registry.getSummary(agent, new address[](0), "", "");
    }
}
