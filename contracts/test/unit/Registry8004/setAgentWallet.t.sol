// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {RegistryBase} from "../../base/RegistryBase.sol";
import {IRegistry8004Dev} from "../../mocks/IRegistry8004Dev.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract SetAgentWalletTest is RegistryBase {
    function test_the_wallet_consents_and_is_cleared_by_a_transfer(uint16 secs) public {
        uint256 deadline = NOW + bound(secs, 0, 5 minutes);
        bytes memory sig = _walletSig(WALLET_KEY, agent, wallet, bob, deadline);
        vm.prank(bob);
        registry.setAgentWallet(agent, wallet, deadline, sig);
        vm.assertEq(registry.getAgentWallet(agent), wallet, "wallet");
        vm.assertEq(
            keccak256(registry.getMetadata(agent, "agentWallet")), keccak256(abi.encodePacked(wallet)), "as metadata"
        );
        vm.prank(bob);
        registry.transferFrom(bob, alice, agent);
        vm.assertEq(registry.getAgentWallet(agent), address(0), "cleared");
    }

    function test_a_contract_wallet_consents_by_its_code() public {
        address contractWallet = address(new Wallet1271(wallet));
        bytes memory sig = _walletSig(WALLET_KEY, agent, contractWallet, bob, NOW);
        vm.prank(bob);
        registry.setAgentWallet(agent, contractWallet, NOW, sig);
        vm.assertEq(registry.getAgentWallet(agent), contractWallet, "wallet");
    }

    function test_reverts_when_nobody_consented_or_the_deadline_is_wrong(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        _refused(bob, wallet, NOW, key, abi.encodeWithSelector(IRegistry8004Dev.BadWallet.selector, wallet));
        _refused(bob, address(0), NOW, key, abi.encodeWithSelector(IRegistry8004Dev.BadWallet.selector, address(0)));
        uint256[2] memory wrong = [NOW - 1, NOW + 5 minutes + 1];
        for (uint256 i = 0; i < 2; i++) {
            bytes memory answer = abi.encodeWithSelector(IRegistry8004Dev.BadDeadline.selector, NOW, wrong[i]);
            _refused(bob, wallet, wrong[i], WALLET_KEY, answer);
        }
        bytes memory sig = _walletSig(WALLET_KEY, agent, wallet, bob, NOW);
        vm.expectRevert(abi.encodeWithSignature("ERC721InsufficientApproval(address,uint256)", alice, agent));
        vm.prank(alice);
        registry.setAgentWallet(agent, wallet, NOW, sig);
    }

    function _refused(address sender, address to, uint256 deadline, uint256 key, bytes memory answer) private {
        bytes memory sig = _walletSig(key, agent, to, bob, deadline);
        vm.expectRevert(answer);
        vm.prank(sender);
        registry.setAgentWallet(agent, to, deadline, sig);
    }
}
