// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {IDepositCollector} from "../../../src/interfaces/IDepositCollector.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {Deployer} from "../../mocks/Deployer.sol";

contract CollectTest is ChannelBase {
    function test_the_channel_contract_is_paid(uint128 amount, bytes32 channelId, uint256 salt) public {
        usdc.mint(payer, amount);
        bytes memory data = _data(amount, channelId, salt);
        vm.prank(CHANNEL);
        IDepositCollector(COLLECTOR).collect(payer, address(usdc), amount, channelId, data);
        _assertMoney(0, 0, amount);
        vm.assertTrue(usdc.authorizationState(payer, keccak256(abi.encode(channelId, salt))), "nonce");
        vm.assertEq(IDepositCollector(COLLECTOR).channel(), CHANNEL, "channel");
    }

    function test_what_was_sent_to_it_stays_out_of_it(uint64 gift, uint64 amount) public {
        usdc.mint(COLLECTOR, gift);
        usdc.mint(payer, amount);
        bytes memory data = _data(amount, 0, 0);
        vm.prank(CHANNEL);
        IDepositCollector(COLLECTOR).collect(payer, address(usdc), amount, 0, data);
        _assertMoney(0, 0, amount);
        vm.assertEq(usdc.balanceOf(COLLECTOR), gift, "the gift");
    }

    function test_reverts_when_anybody_else_calls(address sender) public {
        vm.assume(sender != CHANNEL);
        usdc.mint(payer, 100);
        bytes memory data = _data(100, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IDepositCollector.NotChannel.selector, sender));
        vm.prank(sender);
        IDepositCollector(COLLECTOR).collect(payer, address(usdc), 100, 0, data);
    }

    function test_reverts_when_the_channel_is_another(bytes32 other) public {
        vm.assume(other != 0);
        usdc.mint(payer, 100);
        bytes memory data = _data(100, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, payer));
        vm.prank(CHANNEL);
        IDepositCollector(COLLECTOR).collect(payer, address(usdc), 100, other, data);
    }

    function test_reverts_when_the_data_is_not_an_authorisation(bytes memory data) public {
        usdc.mint(payer, 100);
        vm.prank(CHANNEL);
        (bool ok,) = COLLECTOR.call(abi.encodeCall(IDepositCollector.collect, (payer, address(usdc), 100, 0, data)));
        vm.assertTrue(!ok, "not paid");
        _assertMoney(100, 0, 0);
    }

    function test_reverts_when_built_without_a_channel() public {
        Deployer deployer = new Deployer();
        bytes memory code = vm.getCode("out/Erc3009Collector.sol/Erc3009Collector.json");
        vm.expectRevert(abi.encodeWithSelector(IDepositCollector.NotChannel.selector, address(0)));
        deployer.deploy(abi.encodePacked(code, abi.encode(address(0))));
    }

    function _data(uint128 amount, bytes32 channelId, uint256 salt) private view returns (bytes memory) {
        bytes32 nonce = keccak256(abi.encode(channelId, salt));
        bytes32 digest = _receiveDigest(address(usdc), payer, COLLECTOR, amount, 0, NOW + 1, nonce);
        return abi.encode(uint256(0), NOW + 1, salt, _sign(PAYER_KEY, digest));
    }
}
