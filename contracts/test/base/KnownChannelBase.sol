// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {ChannelBase} from "./ChannelBase.sol";

/// @title A channel whose digests stock x402 clients and facilitators were asked for: the tests' expected values were
/// computed by version 2.27.0 of their npm package for EVM
abstract contract KnownChannelBase is ChannelBase {
    bytes32 internal constant ID = 0xb3c44c903613255adab3447ecf0f8d80e15ba4f337601893a4b95e843567dcb1;

    function setUp() public override {
        super.setUp();
        vm.chainId(31337);
    }

    function _known() internal pure returns (IChannel.ChannelConfig memory config) {
        config.payer = 0x1111111111111111111111111111111111111111;
        config.payerAuthorizer = 0x2222222222222222222222222222222222222222;
        config.receiver = 0x3333333333333333333333333333333333333333;
        config.receiverAuthorizer = 0x4444444444444444444444444444444444444444;
        config.token = 0x5555555555555555555555555555555555555555;
        config.withdrawDelay = 86_400;
        config.salt = 0x6666666666666666666666666666666666666666666666666666666666666666;
    }
}
