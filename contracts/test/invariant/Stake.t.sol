// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../src/interfaces/IProviderStake.sol";
import {TestBase} from "../base/TestBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {StakeHandler} from "./StakeHandler.sol";

/// @notice What holds of the stake after every action, whoever does what in whatever order.
/// @dev Gas is of no interest here, and calls are much faster without a transaction for each.
/// forge-config: default.isolate = false
/// forge-config: ci.isolate = false
/// forge-config: ci.invariant.runs = 32
/// forge-config: ci.invariant.depth = 64
contract StakeInvariants is TestBase {
    StakeHandler private handler;
    IProviderStake private stake;
    DenylistUSDC private usdc;

    function setUp() public {
        handler = new StakeHandler();
        (stake, usdc) = (handler.stake(), handler.usdc());
        targetContract(address(handler));
    }

    /// @notice 1: the contract holds every stake, what it owes, and what was sent to it unasked. Nothing else.
    function invariant_1_the_contract_holds_what_it_owes() public view {
        uint256 staked = 0;
        for (uint256 i = 0; i < handler.providers(); i++) {
            staked += handler.knownAt(i).staked;
        }
        uint256 owed = stake.owed(handler.buyer());
        vm.assertEq(owed, handler.expectedOwed(), "owed");
        vm.assertEq(usdc.balanceOf(address(stake)), staked + owed + handler.donated(), "held");
    }

    /// @notice 8: what is locked is within the stake and is exactly what the orders hold; a thaw takes none of it; a slash
    /// takes what its order holds and gives it to the buyer.
    function invariant_8_locks_are_within_stakes_and_cannot_be_escaped() public view {
        for (uint256 i = 0; i < handler.providers(); i++) {
            StakeHandler.Known memory known = handler.knownAt(i);
            address provider = handler.providerAt(i);
            (uint96 staked, uint96 locked, uint96 thawing, uint40 thawEnds) = stake.stakeOf(provider);
            vm.assertEq(staked, known.staked, "staked");
            vm.assertEq(locked, known.locked, "locked");
            vm.assertEq(thawing, known.thawing, "thawing");
            vm.assertEq(thawEnds, known.thawEnds, "thaw ends");
            vm.assertLe(locked, staked, "locked within the stake");
            vm.assertLe(thawing, staked, "thawing within the stake");
            uint256 held = 0;
            for (uint256 j = 0; j < handler.orders(); j++) {
                (address whose, uint96 amount) = stake.lockOf(bytes32(j));
                if (whose == provider) held += amount;
            }
            vm.assertEq(locked, held, "what the orders hold");
            vm.assertEq(usdc.balanceOf(provider), handler.expectedBalance(provider), "provider");
        }
        for (uint256 j = 0; j < handler.orders(); j++) {
            (address whose, uint96 amount) = stake.lockOf(bytes32(j));
            (address expectedWhose, uint96 expectedAmount) = handler.lockAt(j);
            vm.assertEq(whose, expectedWhose, "whose lock");
            vm.assertEq(amount, expectedAmount, "lock");
        }
        uint256 got = usdc.balanceOf(handler.buyer()) + stake.owed(handler.buyer());
        vm.assertEq(got, handler.slashed(), "slashed stake is the buyer's");
    }

    /// @notice A run in which nothing happens would prove nothing: a long one reaches every outcome and every attempt.
    function test_the_handler_gets_everywhere() public {
        uint256 seed = 1;
        for (uint256 i = 0; i < 1000; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            _step(seed);
        }
        bytes32[13] memory things = [
            bytes32("deposit"),
            "no deposit",
            "request",
            "no request",
            "withdraw",
            "no withdraw",
            "lock",
            "no lock",
            "unlock",
            "slashed",
            "collect",
            "no collect",
            "no steal"
        ];
        for (uint256 i = 0; i < things.length; i++) {
            vm.assertTrue(handler.happened(things[i]) != 0, string(abi.encodePacked("never happened: ", things[i])));
        }
        vm.assertEq(handler.happened("steal"), 0, "stolen");
        invariant_1_the_contract_holds_what_it_owes();
        invariant_8_locks_are_within_stakes_and_cannot_be_escaped();
    }

    function _step(uint256 seed) private {
        uint256 action = seed % 16;
        (uint256 a, uint256 b) = (seed >> 8, seed >> 64);
        if (action < 2) handler.deposit(a, uint64(b), b % 5 == 0);
        else if (action < 6) handler.lock(a, b, uint96(a >> 8) % 1e18);
        else if (action == 6) handler.unlock(a);
        else if (action < 9) handler.slash(a);
        else if (action == 9) handler.request(a, uint96(b));
        else if (action < 12) handler.withdraw(a);
        else if (action == 12) handler.pass(uint32(a));
        else if (action == 13) handler.deny(a, b % 3 == 0);
        else if (action == 14) handler.steal(a, b, a >> 16);
        else if (a % 2 == 0) handler.collect();
        else handler.donate(uint64(a));
    }
}
