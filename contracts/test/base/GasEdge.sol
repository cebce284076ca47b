// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestBase} from "./TestBase.sol";

/// @title Where exactly a call begins to have gas enough
abstract contract GasEdge is TestBase {
    /// @notice How much gas `call` has to be able to hand on, as it says itself in the error `selector(available, needed)`.
    /// Checks that what it calls available is 63 of 64 parts of what is left, and that it is content with precisely what
    /// it needs.
    function _neededGas(address target, bytes memory call, bytes4 selector, address sender)
        internal
        returns (uint256 needed)
    {
        uint256 gas_ = 40_000;
        uint256 available;
        bool ok;
        bytes memory answer;
        while (bytes4(answer) != selector) {
            gas_ += 2000;
            (ok, answer) = _with(gas_, target, call, sender);
            vm.assertTrue(!ok, "never refused for want of gas");
        }
        (available, needed) = _gasIn(answer);
        (, answer) = _with(gas_ + 6400, target, call, sender);
        (uint256 more,) = _gasIn(answer);
        vm.assertEq(more - available, 6300, "what is available is 63 of 64 parts");

        // no step is longer than what is missing, so the last one ends where nothing is
        while (!ok) {
            vm.assertEq(bytes32(bytes4(answer)), bytes32(selector), "refused for another reason");
            (available,) = _gasIn(answer);
            vm.assertTrue(available < needed, "refused with enough gas");
            gas_ += needed - available;
            uint256 before = vm.snapshotState();
            (ok, answer) = _with(gas_, target, call, sender);
            if (ok) {
                // with a little less it is not content
                vm.revertToState(before);
                (bool less, bytes memory refusal) = _with(gas_ - 2, target, call, sender);
                vm.assertTrue(!less && bytes4(refusal) == selector, "content with less than it needs");
                (ok,) = _with(gas_, target, call, sender);
            }
        }
    }

    function _with(uint256 gas_, address target, bytes memory call, address sender)
        private
        returns (bool ok, bytes memory answer)
    {
        vm.prank(sender);
        return target.call{gas: gas_}(call);
    }

    function _gasIn(bytes memory answer) private pure returns (uint256 available, uint256 needed) {
        vm.assertEq(answer.length, 68, "two numbers");
        assembly {
            available := mload(add(answer, 0x24))
            needed := mload(add(answer, 0x44))
        }
    }
}
