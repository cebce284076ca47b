// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestBase} from "../base/TestBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {StakeHandler} from "./StakeHandler.sol";

/// @notice What holds of the stake after every action, whoever does what in whatever order.
/// @dev One campaign checks them all: each would otherwise pay for a run of its own. Gas is of no interest here, and
/// calls are much faster without a transaction for each.
/// forge-config: default.isolate = false
/// forge-config: ci.isolate = false
contract StakeInvariants is TestBase {
    StakeHandler private handler;
    address private stake;
    DenylistUSDC private usdc;

    function setUp() public {
        handler = new StakeHandler();
        (stake, usdc) = (address(handler.stake()), handler.usdc());
        targetContract(address(handler));
    }

    /// @notice What only the end of a run does; forge asks.
    function excludeSelectors() external view returns (FuzzSelector[] memory selectors) {
        selectors = new FuzzSelector[](1);
        selectors[0].addr = address(handler);
        selectors[0].selectors = new bytes4[](1);
        selectors[0].selectors[0] = StakeHandler.endEverything.selector;
    }

    /// @notice 1, after every action. The actions themselves check 8, right where they happen: that locks are within
    /// stakes, a thaw takes none of what is locked, and a slash takes what its order holds and gives it to the buyer.
    function invariant_the_contract_holds_what_it_owes() public view {
        vm.assertEq(usdc.balanceOf(stake), handler.shouldHold(), "held");
    }

    /// @notice 8 for everybody and every order; and in the end everybody has what is theirs, and nothing is left.
    function afterInvariant() public {
        handler.checkEverything();
        handler.endEverything();
        handler.checkEverything();
        vm.assertEq(usdc.balanceOf(stake), handler.donated(), "nothing but gifts is left");
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
        invariant_the_contract_holds_what_it_owes();
        afterInvariant();
    }

    function _step(uint256 seed) private {
        uint256 action = seed % 16;
        (uint256 a, uint256 b) = (seed >> 8, seed >> 64);
        if (action < 2) handler.deposit(a, uint64(b), b);
        else if (action < 6) handler.lock(a, b, uint96(a >> 8) % 1e18);
        else if (action == 6) handler.unlock(a);
        else if (action < 9) handler.slash(a);
        else if (action == 9) handler.request(a, uint96(b));
        else if (action == 10) handler.withdraw(a);
        else if (action == 11) handler.ripen(a, b);
        else if (action == 12) handler.pass(uint32(a));
        else if (action == 13) handler.deny(a, b);
        else if (action == 14) handler.steal(a, b, a >> 16);
        else if (a % 2 == 0) handler.collect();
        else handler.donate(uint64(a));
    }
}
