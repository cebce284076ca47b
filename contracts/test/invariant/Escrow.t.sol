// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {TestBase} from "../base/TestBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {Handler} from "./Handler.sol";

/// @notice What holds after every action, whoever does what in whatever order.
/// @dev One campaign checks them all: each would otherwise pay for a run of its own. Gas is of no interest here, and
/// calls are much faster without a transaction for each.
/// forge-config: default.isolate = false
/// forge-config: ci.isolate = false
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

    /// @notice What only the end of a run does; forge asks.
    function excludeSelectors() external view returns (FuzzSelector[] memory selectors) {
        selectors = new FuzzSelector[](1);
        selectors[0].addr = address(handler);
        selectors[0].selectors = new bytes4[](1);
        selectors[0].selectors[0] = Handler.endEverything.selector;
    }

    /// @notice 1, 3, 4, 5 and 11. That a call succeeds only with the signatures, verdicts, rulings and timeouts it needs
    /// (5), and that each settlement divides its deposit without rest and with the right fee (3), is checked where it
    /// happens.
    function invariant_everybody_has_what_they_should() public view {
        _check_1_the_escrow_holds_what_it_owes();
        if (handler.count() != 0) _check_4_the_order_is_where_the_diagram_says(handler.touched());
        _check_11_no_theft_left_a_trace();
    }

    /// @notice 2, 4 and 11 for everybody and every order (what is wrong there once stays wrong), and 6: in the end nothing
    /// is left.
    function afterInvariant() public {
        _check_2_nobody_has_more_or_less_than_the_settlements_gave_them();
        for (uint256 i = 0; i < handler.count(); i++) {
            _check_4_the_order_is_where_the_diagram_says(i);
            IEscrow.Order memory order = handler.orderAt(i).order;
            order.terms = keccak256("other terms");
            (IEscrow.Status status,,,) = escrow.statusOf(order);
            vm.assertEq(uint256(status), uint256(IEscrow.Status.None), "status");
        }
        handler.endEverything(handler.count());
        vm.assertEq(handler.held(), 0, "nothing is held");
        vm.assertEq(usdc.balanceOf(address(escrow)), handler.donated(), "nothing but gifts is left");
        _check_2_nobody_has_more_or_less_than_the_settlements_gave_them();
    }

    /// @notice A run in which nothing happens would prove nothing: a long one reaches every outcome and every attempt.
    function test_the_handler_gets_everywhere() public {
        uint256 seed = 1;
        // as many lives as it takes to meet the rare things
        for (uint256 life = 0; life < 8; life++) {
            for (uint256 i = 0; i < handler.people() - 1; i++) {
                handler.putStake(i, 10_000);
            }
            for (uint256 i = 0; i < 400; i++) {
                seed = uint256(keccak256(abi.encode(seed)));
                _step(seed);
            }
            afterInvariant();
            _collect();
            setUp();
        }
        for (uint256 i = 0; i < THINGS; i++) {
            vm.assertTrue(_met[_thing(i)], string.concat("never happened: ", string(abi.encodePacked(_thing(i)))));
        }
    }

    uint256 private constant THINGS = 35;
    mapping(bytes32 thing => bool) private _met;

    function _thing(uint256 index) private pure returns (bytes32) {
        // outcomes one to ten, from the letter A
        if (index < 10) return bytes32(bytes.concat("outcome ", bytes1(uint8(65 + index))));
        bytes32[25] memory things = [
            bytes32("deliver"),
            "dispute",
            "counter",
            "rule",
            "slash",
            "withdraw",
            "credit",
            "deny",
            "fund batch",
            "release batch",
            "no fund",
            "no fund again",
            "no release",
            "no refund",
            "no split",
            "no verdict",
            "no deliver",
            "no dispute",
            "no counter",
            "no rule",
            "no finalize",
            "no withdraw",
            "no steal",
            "no replay",
            "fund"
        ];
        return things[index - 10];
    }

    function _collect() private {
        for (uint256 i = 0; i < THINGS; i++) {
            if (handler.happened(_thing(i)) != 0) _met[_thing(i)] = true;
        }
    }

    function _step(uint256 seed) private {
        uint256 action = seed % 32;
        (uint256 a, uint256 b) = (seed >> 8, seed >> 64);
        // quarrels need several steps in a row over one order: mostly one of the last
        if (action > 10 && action < 24 && handler.count() != 0) a = handler.count() - 1 - a % handler.count() % 3;
        if (action < 4) handler.fund(a);
        else if (action == 4) handler.fundBatch(a);
        else if (action == 5) handler.fundAgain(a);
        else if (action == 6) handler.release(a, b);
        else if (action == 7) handler.releaseBatch(a, b);
        else if (action == 8) handler.refund(a, b);
        else if (action == 9) handler.split(a, b, uint96(a), uint40(b));
        else if (action == 10) handler.verdict(a, b, uint96(a), uint40(b));
        else if (action < 15) handler.deliver(a, b);
        else if (action < 19) handler.dispute(a, b, bytes32(seed));
        else if (action < 22) handler.counter(a, b);
        else if (action < 24) handler.rule(a, b, uint96(b >> 8));
        else if (action < 26) handler.finalize(a);
        else if (action == 26) handler.withdraw(a);
        else if (action == 27) handler.pass(uint32(a) % 6 hours);
        else if (action == 28) handler.deny(a, b % 3 == 0);
        else if (action == 29) handler.donate(uint64(a));
        else if (action == 30) handler.putStake(a, uint32(b) % 10_000);
        else if (a % 2 == 0) handler.steal(a >> 1, b, uint8(a >> 32), b >> 64);
        else handler.replay(a >> 1, b, a >> 8);
    }

    /// @dev Every live deposit and bond, everything it owes, and what was sent to it unasked. Nothing else.
    function _check_1_the_escrow_holds_what_it_owes() private view {
        uint256 holds = usdc.balanceOf(address(escrow));
        vm.assertEq(holds, handler.held() + handler.owedToAll() + handler.donated(), "held");
    }

    function _check_2_nobody_has_more_or_less_than_the_settlements_gave_them() private view {
        for (uint256 i = 0; i < handler.people(); i++) {
            address account = handler.person(i);
            vm.assertEq(escrow.owed(account), handler.expectedOwed(account), "owed");
            vm.assertEq(usdc.balanceOf(account), handler.expectedBalance(account), "balance");
            vm.assertEq(handler.stake().free(account), handler.expectedFree(account), "free stake");
        }
    }

    /// @dev The handler's bookkeeping only moves forward, and the chain has to agree with it.
    function _check_4_the_order_is_where_the_diagram_says(uint256 index) private view {
        Handler.Known memory known = handler.orderAt(index);
        (IEscrow.Status status, uint8 outcome, bool consented, uint40 windowEnd) = escrow.statusOfId(known.id);
        vm.assertEq(uint256(status), uint256(known.status), "status");
        vm.assertEq(outcome, known.outcome, "outcome");
        vm.assertTrue(consented == known.consented, "consented");
        vm.assertEq(windowEnd, known.windowEnd, "window end");
        vm.assertEq(escrow.evidenceOf(known.id), known.evidence, "evidence");
        vm.assertEq(known.settlements, known.status == IEscrow.Status.Settled ? 1 : 0, "settlements");
    }

    function _check_11_no_theft_left_a_trace() private view {
        vm.assertEq(handler.happened("steal"), 0, "stolen");
        vm.assertEq(handler.happened("replay"), 0, "replayed");
        vm.assertEq(handler.happened("fund again"), 0, "funded twice");
    }
}
