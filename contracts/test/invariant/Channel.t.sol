// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {TestBase} from "../base/TestBase.sol";
import {ChannelHandler} from "./ChannelHandler.sol";

/// @notice What holds of the channels after every action, whoever does what in whatever order.
/// @dev Gas is of no interest here, and calls are much faster without a transaction for each.
/// forge-config: default.isolate = false
/// forge-config: ci.isolate = false
/// forge-config: ci.invariant.runs = 32
/// forge-config: ci.invariant.depth = 64
contract ChannelInvariants is TestBase {
    ChannelHandler private handler;
    IChannel private channel;

    function setUp() public {
        handler = new ChannelHandler();
        channel = handler.channelContract();
        targetContract(address(handler));
    }

    /// @notice 1: the contract holds what is in the channels and was not sent yet, and what was sent to it unasked.
    function invariant_1_the_contract_holds_what_it_owes() public view {
        uint256 owed = 0;
        for (uint256 i = 0; i < handler.count(); i++) {
            owed += handler.knownAt(i).balance;
        }
        uint256 sent = handler.sentTo(0) + handler.sentTo(1);
        vm.assertEq(handler.held(), owed - sent + handler.donated(), "held");
    }

    /// @notice 7: every channel is where the bookkeeping has it: claims are within deposits and never fall, whatever was
    /// claimed before a withdrawal is the receiver's, and all that left is no more than what came.
    function invariant_7_claims_are_within_deposits_and_never_fall() public view {
        for (uint256 i = 0; i < handler.count(); i++) {
            ChannelHandler.Known memory known = handler.knownAt(i);
            (uint128 balance, uint128 claimed) = channel.channels(handler.idAt(i));
            vm.assertEq(balance, known.balance, "balance");
            vm.assertEq(claimed, known.claimed, "claimed");
            vm.assertLe(claimed, balance, "claimed within the balance");
            vm.assertEq(uint256(balance) + known.returned, known.deposited, "nothing made or lost");
            (uint128 pending, uint40 since) = channel.pendingWithdrawals(handler.idAt(i));
            vm.assertEq(pending, known.pending, "pending");
            vm.assertEq(since, known.since, "since");
            vm.assertEq(channel.refundNonce(handler.idAt(i)), known.nonce, "nonce");
        }
    }

    /// @notice 7: receivers have exactly what was sent to them, which is no more than was claimed for them.
    function invariant_7_receivers_have_what_was_claimed_for_them() public view {
        for (uint256 i = 0; i < 2; i++) {
            address receiver = handler.configAt(i).receiver;
            (uint128 claimed, uint128 settled) = channel.receivers(receiver, handler.configAt(i).token);
            vm.assertEq(claimed, handler.claimedFor(i), "claimed");
            vm.assertEq(settled, handler.sentTo(i), "settled");
            vm.assertEq(handler.balanceOf(receiver), handler.sentTo(i), "has");
        }
    }

    /// @notice A run in which nothing happens would prove nothing: a long one reaches every outcome and every attempt.
    function test_the_handler_gets_everywhere() public {
        uint256 seed = 1;
        for (uint256 i = 0; i < 1000; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            _step(seed);
        }
        bytes32[20] memory things = [
            bytes32("deposit"),
            "no deposit",
            "claimed",
            "claimed nothing",
            "claim",
            "no claim",
            "claim signed",
            "no claim signed",
            "claim and settle",
            "settle",
            "initiate",
            "no initiate",
            "finalize",
            "no finalize",
            "refund",
            "no refund",
            "refund signed",
            "no refund signed",
            "no steal",
            "refund of nothing"
        ];
        for (uint256 i = 0; i < things.length; i++) {
            vm.assertTrue(handler.happened(things[i]) != 0, string(abi.encodePacked("never happened: ", things[i])));
        }
        vm.assertEq(handler.happened("steal"), 0, "stolen");
        invariant_1_the_contract_holds_what_it_owes();
        invariant_7_claims_are_within_deposits_and_never_fall();
        invariant_7_receivers_have_what_was_claimed_for_them();
    }

    function _step(uint256 seed) private {
        uint256 action = seed % 16;
        (uint256 a, uint256 b) = (seed >> 8, seed >> 64);
        if (action < 3) handler.deposit(a, uint64(b), b % 7 == 0);
        else if (action < 7) handler.claim(a, uint128(b), uint128(a >> 4), b, uint8(a >> 32));
        else if (action == 7) handler.settle(a);
        else if (action == 8) handler.initiate(a, uint128(b), b);
        else if (action < 11) handler.finalize(a, b);
        else if (action == 11) handler.refund(a, uint128(b), b, a % 2 == 0);
        else if (action == 12) handler.steal(a, b, uint8(a >> 32), b >> 32);
        else if (action == 13) handler.pass(uint32(a));
        else if (action == 14) handler.deny(a, b % 3 == 0);
        else handler.donate(uint64(a));
    }
}
