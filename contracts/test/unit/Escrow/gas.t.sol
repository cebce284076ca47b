// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {DenylistUSDC} from "../../mocks/DenylistUSDC.sol";

/// @notice Whole-transaction gas (21,000 and calldata included) of the paths that happen for every order.
contract GasTest is EscrowBase {
    event GasUsed(string operation, uint256 gas);

    IEscrow.Order private _order1;

    function setUp() public override {
        super.setUp();
        // the token as it is shipped: the tests' own is compiled without the optimizer
        usdc = DenylistUSDC(vm.deployCode("out/TestUSDC.sol/TestUSDC.json", abi.encode(address(this))));
        escrow = _deployEscrow(address(usdc));
        // nobody is new to the token, and the sink already has fees waiting
        IEscrow.Order memory warm = _order();
        warm.salt = 99;
        _fund(warm);
        _release(warm);
        usdc.mint(buyer, 1_000_000);
        _order1 = _order();
    }

    function test_fund_costs_at_most_125k() public {
        _fund(_order1);
        _atMost("fund", 125_000);
    }

    function test_release_costs_at_most_80k() public {
        _fund(_order1);
        _release(_order1);
        _atMost("release", 80_000);
    }

    function test_deliver_costs_at_most_50k() public {
        _fund(_order1);
        _deliver(_order1);
        _atMost("deliver", 50_000);
    }

    function test_timeout_refund_costs_at_most_65k() public {
        IEscrow.Order memory order = _order1;
        _fund(order);
        vm.warp(order.deliverBy);
        escrow.finalize(order);
        _atMost("timeout refund", 65_000);
    }

    function _atMost(string memory operation, uint256 limit) private {
        uint256 used = vm.lastCallGas().gasTotalUsed;
        emit GasUsed(operation, used);
        vm.assertTrue(used > 21_000, "a whole transaction");
        vm.assertLe(used, limit, operation);
    }
}
