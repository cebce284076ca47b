// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

interface IEscrowHarness is IEscrow {
    function settle(Order calldata order, uint256 pay, uint8 outcome) external;
}

/// @notice The one function every settlement passes, with any payment between nothing and everything.
contract SettleTest is EscrowBase {
    IEscrowHarness private harness;

    function setUp() public override {
        super.setUp();
        harness = IEscrowHarness(vm.deployCode("out/EscrowHarness.sol/EscrowHarness.json", abi.encode(address(usdc))));
        escrow = harness;
    }

    function test_any_payment_divides_the_deposit_without_rest(Seed memory seed, uint256 pay) public {
        IEscrow.Order memory order = _orderFrom(seed);
        pay = bound(pay, 0, order.amount);
        bytes32 id = _fund(order);
        uint256 fee = _fee(order, pay);
        uint256 paid = order.flags & FEE_ON_TOP == 0 ? pay - fee : pay;
        uint256 refunded = _deposit(order) - fee - paid;

        vm.expectEmit(address(escrow));
        emit IEscrow.Settled(id, buyer, provider, paid, fee, refunded, 77, bytes32(0));
        harness.settle(order, pay, 77);

        _assertMoney(refunded, paid, fee, fee);
        vm.assertTrue(10 * fee <= pay, "at most a tenth");
    }

    function test_both_parties_denied_are_both_credited() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        usdc.deny(buyer, true);
        usdc.deny(provider, true);
        harness.settle(order, 2_000_000, 77);
        vm.assertEq(escrow.owed(provider), 2_000_000, "provider");
        vm.assertEq(escrow.owed(buyer), 3_075_000, "buyer");
        vm.assertEq(escrow.owed(sink), 50_000, "sink");
    }

    function test_reverts_when_the_payment_is_above_the_amount(Seed memory seed, uint256 pay) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _fund(order);
        _fund(_richOrder());
        pay = bound(pay, uint256(order.amount) + 1, type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.PayTooHigh.selector, pay, order.amount));
        harness.settle(order, pay, 77);
    }

    function _richOrder() private view returns (IEscrow.Order memory order) {
        order = _order();
        order.amount = type(uint96).max;
        order.salt = uint256(keccak256("somebody else's money"));
    }
}
