// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {Deployer} from "../../mocks/Deployer.sol";

/// @notice The digests that stock x402 clients and facilitators sign, byte for byte. The expected values were computed by
/// version 2.27.0 of their npm package for EVM.
contract ChannelDigestsTest is ChannelBase {
    bytes32 private constant ID = 0xb3c44c903613255adab3447ecf0f8d80e15ba4f337601893a4b95e843567dcb1;

    function setUp() public override {
        super.setUp();
        vm.chainId(31337);
    }

    function test_channel_id_is_the_clients() public view {
        vm.assertEq(channel.getChannelId(_known()), ID, "id");
    }

    function test_voucher_digest_is_the_clients() public view {
        bytes32 expected = 0xa3031b5c85a1aa43a0a3748c6fb80dfcf805ab08bd560481bde381e0b5d95077;
        vm.assertEq(channel.getVoucherDigest(ID, 1_000_000), expected, "voucher");
    }

    function test_refund_digest_is_the_facilitators() public view {
        bytes32 expected = 0x81de0f37889209955b30853340b0dad095cb6bc0ad16707cd11e9089a079318d;
        vm.assertEq(channel.getRefundDigest(ID, 7, 250_000), expected, "refund");
    }

    function test_claim_batch_digest_is_the_facilitators() public view {
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](2);
        rows[0].voucher = IChannel.Voucher(_known(), 1_000_000);
        rows[0].totalClaimed = 900_000;
        rows[1].voucher = IChannel.Voucher(_known(), 2);
        rows[1].totalClaimed = 1;
        bytes32 expected = 0xd9177daaf6f0c27f358cb2bbf44cbef87e5e1de077f6a8880bb5131a09f147fc;
        vm.assertEq(channel.getClaimBatchDigest(rows), expected, "batch");
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

    function test_ours_are_the_same_written_twice(uint128 max, uint256 nonce, uint128 amount, bytes32 salt)
        public
        view
    {
        IChannel.ChannelConfig memory config = _config();
        config.salt = salt;
        bytes32 id = _id(config);
        vm.assertEq(channel.getChannelId(config), id, "id");
        vm.assertEq(channel.getVoucherDigest(id, max), _voucherDigest(id, max), "voucher");
        vm.assertEq(channel.getRefundDigest(id, nonce, amount), _channelRefundDigest(id, nonce, amount), "refund");
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

    function _known() private pure returns (IChannel.ChannelConfig memory config) {
        config.payer = 0x1111111111111111111111111111111111111111;
        config.payerAuthorizer = 0x2222222222222222222222222222222222222222;
        config.receiver = 0x3333333333333333333333333333333333333333;
        config.receiverAuthorizer = 0x4444444444444444444444444444444444444444;
        config.token = 0x5555555555555555555555555555555555555555;
        config.withdrawDelay = 86_400;
        config.salt = 0x6666666666666666666666666666666666666666666666666666666666666666;
    }
}
