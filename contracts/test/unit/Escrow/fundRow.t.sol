// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";

/// @notice What one row of a batch does is in fundBatch.t.sol; here is who may ask for it.
contract FundRowTest is EscrowBase {
    function test_the_escrow_alone_may_fund_a_row(Seed memory seed, bool signed) public {
        IEscrow.Funding memory row = _row(_orderFrom(seed), signed);
        bool needed = row.order.flags & PAY_UNDELIVERED != 0;
        bytes memory answer = abi.encodeWithSelector(IEscrow.NotConsented.selector, escrow.orderId(row.order));
        if (needed && !signed) vm.expectRevert(answer);
        vm.prank(address(escrow));
        escrow.fundRow(row);
        (IEscrow.Status status,, bool consented,) = escrow.statusOf(row.order);
        bool funded = status == IEscrow.Status.Funded;
        vm.assertTrue(funded == (signed || !needed) && consented == signed, "funded");
    }

    function test_reverts_when_anyone_calls_a_row_directly(address caller, Seed memory seed) public {
        vm.assume(caller != address(escrow));
        IEscrow.Funding memory row = _row(_orderFrom(seed), true);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotParty.selector, caller));
        vm.prank(caller);
        escrow.fundRow(row);
    }

    function test_a_reentrant_token_cannot_call_a_row() public {
        HostileToken hostile = new HostileToken();
        escrow = _deployEscrow(address(hostile));
        IEscrow.Order memory order = _order();
        IEscrow.Funding[] memory one = new IEscrow.Funding[](1);
        one[0] = _row(order, true);
        order.salt++;
        IEscrow.Funding memory other = _row(order, true);
        hostile.mint(buyer, 1e12);
        hostile.setReentry(address(escrow), abi.encodeCall(IEscrow.fundRow, (other)));
        escrow.fundBatch(one);
        vm.assertTrue(!hostile.callSucceeded(), "reentered");
        vm.assertEq(
            keccak256(hostile.callAnswer()),
            keccak256(abi.encodeWithSelector(IEscrow.NotParty.selector, hostile)),
            "it is not the escrow"
        );
        _assertStatus(other.order, IEscrow.Status.None);
    }

    function _row(IEscrow.Order memory order, bool signed) private returns (IEscrow.Funding memory row) {
        usdc.mint(order.buyer, _deposit(order));
        row.order = abi.decode(abi.encode(order), (IEscrow.Order));
        row.buyerAuth = _buyerAuth(order);
        if (signed) row.providerSig = _providerSig(order);
    }
}
