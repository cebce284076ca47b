// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {KnownChannelBase} from "../../base/KnownChannelBase.sol";
import {Deployer} from "../../mocks/Deployer.sol";

contract GetChannelIdTest is KnownChannelBase {
    function test_channel_id_is_the_clients() public view {
        vm.assertEq(channel.getChannelId(_known()), ID, "id");
    }

    function test_deposit_nonce_is_the_clients() public pure {
        bytes32 salt = bytes32(0x7777777777777777777777777777777777777777777777777777777777777777);
        bytes32 expected = 0xc208144b68601e6c4db935cbfe2d0c083bf760fe3f7e96c8aae3ab5a35d570ea;
        vm.assertEq(keccak256(abi.encode(ID, salt)), expected, "nonce");
    }

    function test_typehash_is_the_types() public view {
        bytes32 expected = keccak256(
            "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
        );
        vm.assertEq(channel.CHANNEL_CONFIG_TYPEHASH(), expected, "typehash");
    }

    function test_every_field_chain_and_contract_makes_another_id(uint256 which, uint8 bits, uint64 chain) public {
        bytes memory changed = abi.encode(_known());
        changed[32 * (which % 7) + 31] ^= bytes1(uint8(bound(bits, 1, 255)));
        vm.assertTrue(channel.getChannelId(abi.decode(changed, (IChannel.ChannelConfig))) != ID, "field");

        address elsewhere = vm.deployCode("out/Channel.sol/Channel.json", abi.encode(usdc, COLLECTOR));
        vm.assertTrue(IChannel(elsewhere).getChannelId(_known()) != ID, "contract");

        chain = uint64(bound(chain, 1, type(uint64).max));
        vm.assume(chain != 31337);
        vm.chainId(chain);
        vm.assertTrue(channel.getChannelId(_known()) != ID, "chain");
    }

    function test_ours_is_the_same_written_twice(IChannel.ChannelConfig memory config) public view {
        vm.assertEq(channel.getChannelId(config), _id(config), "id");
    }

    function test_names_what_it_was_built_with() public view {
        vm.assertEq(channel.token(), address(usdc), "token");
        vm.assertEq(channel.collector(), COLLECTOR, "collector");
    }

    function test_reverts_when_built_without_a_token_or_collector() public {
        Deployer deployer = new Deployer();
        bytes memory code = vm.getCode("out/Channel.sol/Channel.json");
        vm.expectRevert(IChannel.InvalidChannel.selector);
        deployer.deploy(abi.encodePacked(code, abi.encode(address(0x70), COLLECTOR)));
        vm.expectRevert(IChannel.InvalidCollector.selector);
        deployer.deploy(abi.encodePacked(code, abi.encode(usdc, address(0))));
    }
}
