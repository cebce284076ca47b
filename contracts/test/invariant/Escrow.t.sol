// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {TestBase} from "../base/TestBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {Handler} from "./Handler.sol";

/// @notice What holds after every action, whoever does what in whatever order.
contract EscrowInvariants is TestBase {
    Handler private handler;
    IEscrow private escrow;
    DenylistUSDC private usdc;

    function setUp() public {
        handler = new Handler();
        escrow = handler.escrow();
        usdc = handler.usdc();
        targetContract(address(handler));
    }

    /// @notice 1: the escrow holds every live deposit, everything it owes, and what was sent to it unasked. Nothing else.
    function invariant_1_the_escrow_holds_what_it_owes() public view {
        uint256 owed = escrow.owed(handler.sink());
        for (uint256 i = 0; i < handler.people(); i++) {
            owed += escrow.owed(handler.person(i));
        }
        uint256 held = usdc.balanceOf(address(escrow));
        vm.assertEq(held, handler.live() + owed + handler.donated(), "held");
    }

    /// @notice 2: each order settles at most once, and everybody has exactly what the settlements gave them. (That each
    /// settlement divides its deposit without rest is checked where it happens.)
    function invariant_2_orders_settle_at_most_once_and_nobody_has_too_much() public view {
        for (uint256 i = 0; i < handler.count(); i++) {
            Handler.Known memory known = handler.orderAt(i);
            bool settled = known.status == IEscrow.Status.Settled;
            vm.assertEq(known.settlements, settled ? 1 : 0, "settlements");
        }
        _checkAccount(handler.sink());
        for (uint256 i = 0; i < handler.people(); i++) {
            _checkAccount(handler.person(i));
        }
    }

    /// @notice 4: an order is where the diagram says it is; a settled one never moves again. (The handler's bookkeeping
    /// only moves forward, and the chain has to agree with it.)
    function invariant_4_orders_only_move_forward() public view {
        for (uint256 i = 0; i < handler.count(); i++) {
            Handler.Known memory known = handler.orderAt(i);
            (IEscrow.Status status, uint8 outcome, bool consented, uint40 reviewEnds) = escrow.statusOfId(known.id);
            vm.assertEq(uint256(status), uint256(known.status), "status");
            vm.assertEq(outcome, known.outcome, "outcome");
            vm.assertTrue(consented == known.consented, "consented");
            vm.assertEq(reviewEnds, known.reviewEnds, "review ends");
        }
    }

    /// @notice 11: an order that was never funded has no exit, also one that shares all fields but one with a funded
    /// order. (Every attempt is checked where it happens; here: none left a trace.)
    function invariant_11_orders_never_funded_have_no_exit() public view {
        for (uint256 i = 0; i < handler.count(); i++) {
            IEscrow.Order memory order = handler.orderAt(i).order;
            order.terms = keccak256("other terms");
            (IEscrow.Status status,,,) = escrow.statusOf(order);
            vm.assertEq(uint256(status), uint256(IEscrow.Status.None), "status");
        }
        vm.assertEq(handler.happened("steal"), 0, "stolen");
        vm.assertEq(handler.happened("replay"), 0, "replayed");
        vm.assertEq(handler.happened("fund again"), 0, "funded twice");
    }

    /// @notice A run in which nothing happens would prove nothing: a long one reaches every outcome and every attempt.
    function test_the_handler_gets_everywhere() public {
        uint256 seed = 1;
        for (uint256 i = 0; i < 1000; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            _step(seed);
        }
        bytes32[16] memory things = [
            bytes32("outcome 1"),
            "outcome 2",
            "outcome 3",
            "outcome 4",
            "outcome 5",
            "deliver",
            "withdraw",
            "credit",
            "deny",
            "no fund again",
            "no release",
            "no refund",
            "no deliver",
            "no finalize",
            "no steal",
            "no replay"
        ];
        for (uint256 i = 0; i < things.length; i++) {
            _assertHappened(things[i]);
        }
    }

    function _step(uint256 seed) private {
        uint256 action = seed % 16;
        (uint256 a, uint256 b) = (seed >> 8, seed >> 64);
        if (action < 2) {
            handler.fund(a, uint96(b), uint16(a), uint8(b), a >> 4, uint32(a), uint32(b), uint32(a >> 7), b % 2 == 0);
        } else if (action == 2) {
            handler.fundAgain(a);
        } else if (action == 3) {
            handler.release(a, b);
        } else if (action == 4) {
            handler.refund(a, b);
        } else if (action < 7) {
            handler.deliver(a, b);
        } else if (action < 10) {
            handler.finalize(a);
        } else if (action == 10) {
            handler.withdraw(a);
        } else if (action == 11) {
            handler.pass(uint32(a) % 2 days);
        } else if (action == 12) {
            handler.deny(a, b % 3 == 0);
        } else if (action == 13) {
            handler.donate(uint64(a));
        } else if (action == 14) {
            handler.steal(a, b, uint8(a >> 32), b >> 32);
        } else {
            handler.replay(a, b, a % 2 == 0);
        }
    }

    function _assertHappened(bytes32 what) private view {
        vm.assertTrue(handler.happened(what) != 0, string.concat("never happened: ", string(abi.encodePacked(what))));
    }

    function _checkAccount(address account) private view {
        vm.assertEq(escrow.owed(account), handler.expectedOwed(account), "owed");
        vm.assertEq(usdc.balanceOf(account), handler.expectedBalance(account), "balance");
    }
}
