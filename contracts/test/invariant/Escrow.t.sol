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

    /// @notice 1, after every action. The actions themselves check, right where they happen, that what succeeds has the
    /// signature, verdict, ruling or timeout it needs (5, 10, 11), that a settlement divides its deposit without rest and
    /// with the right fee (2, 3), and that the order and everybody in it are where the bookkeeping has them (2, 4).
    function invariant_the_escrow_holds_what_it_owes() public view {
        vm.assertEq(usdc.balanceOf(address(escrow)), handler.shouldHold(), "held");
    }

    /// @notice 2, 4 and 11 for everybody and every order, and 6: in the end nothing is left.
    function afterInvariant() public {
        handler.checkEverything();
        handler.endEverything(handler.count());
        vm.assertEq(handler.held(), 0, "nothing is held");
        vm.assertEq(usdc.balanceOf(address(escrow)), handler.donated(), "nothing but gifts is left");
        handler.checkEverything();
    }

    /// @notice A run in which nothing happens would prove nothing: a long one reaches every outcome and every attempt.
    function test_the_handler_gets_everywhere() public {
        uint256 seed = 1;
        // as many lives as it takes to meet the rare things
        for (uint256 life = 0; life < 8; life++) {
            for (uint256 i = 0; i < 5; i++) {
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

    uint256 private constant THINGS = 36;
    mapping(bytes32 thing => bool) private _met;

    function _thing(uint256 index) private pure returns (bytes32) {
        // outcomes one to ten, from the letter A
        if (index < 10) return bytes32(bytes.concat("outcome ", bytes1(uint8(65 + index))));
        bytes32[26] memory things = [
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
            "no divert",
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
        else if (action == 22) handler.quarrel(a, b);
        else if (action == 23) handler.rule(a, b, uint96(b >> 8));
        else if (action == 24) handler.finalize(a);
        else if (action == 25) handler.lapse(a, b);
        else if (action == 26) handler.withdraw(a);
        else if (action == 27) handler.pass(uint32(a) % 6 hours);
        else if (action == 28) handler.deny(a, b);
        else if (action == 29) handler.donate(uint64(a));
        else if (action == 30) handler.putStake(a, uint32(b) % 10_000);
        else if (a % 3 == 0) handler.steal(a >> 2, b, uint8(a >> 32), b >> 64);
        else if (a % 3 == 1) handler.replay(a >> 2, b, a >> 8);
        else handler.divert(a >> 2, b, a >> 8);
    }
}
