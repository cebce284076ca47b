// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IMulticall3} from "../mocks/IMulticall3.sol";
import {ChannelBase} from "./ChannelBase.sol";

/// @title Multicall3 where every chain has it, beside a channel contract to call
abstract contract MulticallBase is ChannelBase {
    IMulticall3 internal constant MULTICALL3 = IMulticall3(0xcA11bde05977b3631167028862bE2a173976CA11);

    function setUp() public override {
        super.setUp();
        vm.etch(address(MULTICALL3), vm.deployCode("out/Multicall3.sol/Multicall3.json", "").code);
    }
}
