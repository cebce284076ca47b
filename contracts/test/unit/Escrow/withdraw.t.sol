// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";

contract WithdrawTest is EscrowBase {
    function test_anybody_can_send_the_sink_its_fees(Seed memory seed, address sender) public {
        vm.assume(sender != address(0));
        IEscrow.Order memory order = _orderFrom(seed);
        uint256 fee = _fee(order, order.amount);
        vm.assume(fee != 0);
        _fund(order);
        _release(order);

        vm.expectEmit(address(escrow));
        emit IEscrow.Withdrawn(sink, fee);
        vm.prank(sender);
        escrow.withdraw(sink);

        vm.assertEq(usdc.balanceOf(sink), fee, "sink");
        _assertMoney(0, _fullPay(order), 0, 0);
    }

    function test_fees_of_many_orders_are_withdrawn_at_once(uint8 orders) public {
        uint256 count = bound(orders, 1, 10);
        IEscrow.Order memory order = _order();
        for (uint256 i = 0; i < count; i++) {
            order.salt = i;
            _fund(order);
            _release(order);
        }
        escrow.withdraw(sink);
        vm.assertEq(usdc.balanceOf(sink), count * 125_000, "sink");
    }

    function test_the_smallest_fee_is_kept_and_withdrawn() public {
        IEscrow.Order memory order = _order();
        order.amount = 40;
        _fund(order);
        _release(order);
        _assertMoney(0, 40, 1, 1);
        escrow.withdraw(sink);
        vm.assertEq(usdc.balanceOf(sink), 1, "sink");
    }

    function test_credits_of_several_orders_add_up() public {
        usdc.deny(provider, true);
        IEscrow.Order memory order = _order();
        for (uint256 i = 0; i < 2; i++) {
            order.salt = i;
            _fund(order);
            _release(order);
        }
        vm.assertEq(escrow.owed(provider), 10_000_000, "both orders");
        usdc.deny(provider, false);
        escrow.withdraw(provider);
        vm.assertEq(usdc.balanceOf(provider), 10_000_000, "paid out");
    }

    function test_a_party_gets_its_credit_when_the_token_accepts_it_again() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        usdc.deny(provider, true);
        _release(order);
        usdc.deny(provider, false);
        escrow.withdraw(provider);
        _assertMoney(0, 5_000_000, 125_000, 125_000);
        vm.assertEq(escrow.owed(provider), 0, "paid out");
    }

    function test_the_guard_leaves_nothing_in_storage() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        escrow.withdraw(sink);
        // where solady's guard writes if it does not use transient storage
        vm.assertEq(vm.load(address(escrow), bytes32(uint256(0x8000000000ab143c06))), 0, "guard");
    }

    function test_reverts_when_the_token_still_refuses_and_keeps_the_credit() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        usdc.deny(provider, true);
        _release(order);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        escrow.withdraw(provider);
        vm.assertEq(escrow.owed(provider), 5_000_000, "still owed");
    }

    function test_reverts_when_the_token_answers_false_and_keeps_the_credit() public {
        HostileToken hostile = new HostileToken();
        escrow = _deployEscrow(address(hostile));
        IEscrow.Order memory order = _order();
        hostile.mint(buyer, _deposit(order));
        escrow.fund(order, "", "");
        _release(order);
        hostile.setTransfers(HostileToken.Transfers.AnswerFalse);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        escrow.withdraw(sink);
        vm.assertEq(escrow.owed(sink), 125_000, "still owed");
    }

    function test_reverts_when_nothing_is_owed(address account) public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingOwed.selector, account));
        escrow.withdraw(account);
    }

    function test_reverts_when_withdrawn_twice() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        escrow.withdraw(sink);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingOwed.selector, sink));
        escrow.withdraw(sink);
    }
}
