// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {StakeBook} from "../mocks/StakeBook.sol";
import {EscrowBase} from "./EscrowBase.sol";
import {FiatTokenBase} from "./FiatTokenBase.sol";

/// @title The escrow on the bytecode that USDC runs
abstract contract RealUsdcBase is EscrowBase, FiatTokenBase {
    function setUp() public virtual override {
        vm.warp(NOW);
        fiat = _deployFiatToken();
        usdc = DenylistUSDC(address(fiat));
        stake = new StakeBook(usdc);
        escrow = _deployEscrow(address(usdc));
    }
}
