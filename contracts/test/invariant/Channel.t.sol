// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestBase} from "../base/TestBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {ChannelHandler} from "./ChannelHandler.sol";

/// @notice What holds of the channels after every action, whoever does what in whatever order.
/// @dev One campaign checks them all: each would otherwise pay for a run of its own. Gas is of no interest here, and
/// calls are much faster without a transaction for each.
/// forge-config: default.isolate = false
/// forge-config: ci.isolate = false
contract ChannelInvariants is TestBase {
    ChannelHandler private handler;
    address private channel;
    DenylistUSDC private usdc;

    function setUp() public {
        handler = new ChannelHandler();
        (channel, usdc) = (address(handler.channelContract()), handler.token());
        targetContract(address(handler));
    }

    /// @notice What only the end of a run does; forge asks.
    function excludeSelectors() external view returns (FuzzSelector[] memory selectors) {
        selectors = new FuzzSelector[](1);
        selectors[0].addr = address(handler);
        selectors[0].selectors = new bytes4[](2);
        (selectors[0].selectors[0], selectors[0].selectors[1]) =
        (ChannelHandler.endEverything.selector, handler.setUp.selector);
    }

    /// @notice 1, after every action. The actions themselves check 7, right where they happen: that the channel is where
    /// the bookkeeping has it, claims are within its balance and never fall, and that all that left is no more than came.
    function invariant_the_contract_holds_what_it_owes() public view {
        vm.assertEq(usdc.balanceOf(channel), handler.shouldHold(), "held");
    }

    /// @notice 7 for every channel; and in the end everybody has what is theirs, and nothing is left.
    function afterInvariant() public {
        handler.checkEverything();
        handler.endEverything();
        handler.checkEverything();
        vm.assertEq(usdc.balanceOf(channel), handler.donated(), "nothing but gifts is left");
    }

    /// @notice A run in which nothing happens would prove nothing: a long one reaches every outcome and every attempt.
    function test_the_handler_gets_everywhere() public {
        uint256 seed = 1;
        for (uint256 i = 0; i < 1000; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            _step(seed);
        }
        bytes32[23] memory things = [
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
            "refund of nothing",
            "claim many",
            "skipped",
            "no replay"
        ];
        for (uint256 i = 0; i < things.length; i++) {
            vm.assertTrue(handler.happened(things[i]) != 0, string(abi.encodePacked("never happened: ", things[i])));
        }
        invariant_the_contract_holds_what_it_owes();
        afterInvariant();
    }

    function _step(uint256 seed) private {
        uint256 action = seed % 16;
        (uint256 a, uint256 b) = (seed >> 8, seed >> 64);
        if (action < 3) handler.deposit(a, uint64(b), b);
        else if (action < 6) handler.claim(a, uint128(b), uint128(a >> 4), b, uint8(a >> 32));
        else if (action == 6) handler.claimMany(a, b, uint8(a >> 32), b >> 7);
        else if (action == 7) handler.settle(a, b);
        else if (action == 8) handler.initiate(a, uint128(b), b);
        else if (action == 9) handler.finalize(a, b);
        else if (action == 10) handler.ripen(a, b);
        else if (action == 11) handler.refund(a, uint128(b), b, a % 2 == 0);
        else if (action == 12 && a % 2 == 0) handler.steal(a >> 1, b, uint8(a >> 32), b >> 32);
        else if (action == 12) handler.replay(a >> 1, b, b >> 32);
        else if (action == 13) handler.pass(uint32(a));
        else if (action == 14) handler.deny(a, b);
        else handler.donate(uint64(a));
    }
}
