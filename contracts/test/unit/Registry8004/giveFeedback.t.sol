// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {RegistryBase} from "../../base/RegistryBase.sol";
import {IRegistry8004Dev} from "../../mocks/IRegistry8004Dev.sol";

contract GiveFeedbackTest is RegistryBase {
    event NewFeedback(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        int128 value,
        uint8 valueDecimals,
        string indexed indexedTag1,
        string tag1,
        string tag2,
        string endpoint,
        string feedbackURI,
        bytes32 feedbackHash
    );

    function test_anybody_may_and_every_word_of_it_is_told(
        address client,
        int128 value,
        uint8 decimals,
        string[4] memory words,
        bytes32 hash
    ) public {
        vm.assume(client != bob && client != address(0));
        (value, decimals) = (value % 1e38, decimals % 19);
        for (uint64 i = 1; i <= 2; i++) {
            vm.expectEmit(address(registry));
            emit NewFeedback(agent, client, i, value, decimals, words[0], words[0], words[1], words[2], words[3], hash);
            vm.prank(client);
            registry.giveFeedback(agent, value, decimals, words[0], words[1], words[2], words[3], hash);
        }
    }

    function test_reverts_when_there_is_no_such_agent(uint256 id) public {
        id = bound(id, 2, type(uint256).max);
        vm.expectRevert(abi.encodeWithSignature("ERC721NonexistentToken(uint256)", id));
        registry.giveFeedback(id, 1, 0, "", "", "", "", 0);
    }

    function test_reverts_when_the_agent_rates_itself() public {
        vm.expectRevert(abi.encodeWithSelector(IRegistry8004Dev.SelfFeedback.selector, bob));
        vm.prank(bob);
        registry.giveFeedback(agent, 1, 0, "", "", "", "", 0);
    }

    function test_reverts_when_the_value_is_out_of_bounds(uint8 decimals) public {
        decimals = uint8(bound(decimals, 19, 255));
        _refused(1, decimals);
        _refused(1e38 + 1, 0);
        _refused(-1e38 - 1, 0);
    }

    function _refused(int128 value, uint8 decimals) private {
        vm.expectRevert(abi.encodeWithSelector(IRegistry8004Dev.BadValue.selector, value, decimals));
        vm.prank(alice);
        registry.giveFeedback(agent, value, decimals, "", "", "", "", 0);
    }
}
