// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {vm} from "./Cheats.sol";
import {ExitChecks} from "./ExitChecks.sol";

/// @notice Invariant 11: an order that was never funded has no exit, however much it shares with another order and
/// wherever that one stands. In two steps: orders that differ in anything have different ids, and an order under whose
/// own id nothing stands has no exit, whatever stands under any other id.
/// @custom:halmos --solver-timeout-branching 0
contract NeverFundedChecks is ExitChecks {
    /// @custom:halmos --solver-timeout-branching 1ms
    function check_11_orders_that_differ_have_different_ids(IEscrow.Order calldata a, IEscrow.Order calldata b)
        public
        view
    {
        if (_same(a, b)) return;
        assert(escrow.orderId(a) != escrow.orderId(b));
    }

    function check_11_release(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w) public {
        _assertBadState(_release(order, w), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_refund(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w) public {
        _assertBadState(_refund(order, w), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_split(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w) public {
        _assertBadState(_split(order, w), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_verdict(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w) public {
        _assertBadState(_verdict(order, w), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_deliver(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w) public {
        _assertBadState(_deliver(order, w), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_dispute(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w) public {
        _assertBadState(_dispute(order, w), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_counter(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w) public {
        _assertBadState(_counter(order, w), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_rule(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w) public {
        _assertBadState(_rule(order, w), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_finalize(IEscrow.Order calldata order, bytes32 other, uint256 word) public {
        _assertBadState(_finalize(order), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_publishFeedback(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w)
        public
    {
        _assertBadState(_publishFeedback(order, w), _neverFunded(order, other, word), IEscrow.Status.None);
    }

    function check_11_releaseBatch(IEscrow.Order calldata order, bytes32 other, uint256 word, Words calldata w) public {
        _assertSkipped(_releaseBatch(order, w), _neverFunded(order, other, word));
    }

    /// @dev The order's id. Any other order stands anywhere.
    function _neverFunded(IEscrow.Order calldata order, bytes32 other, uint256 word) private returns (bytes32 id) {
        id = escrow.orderId(order);
        vm.assume(id != other);
        escrow.mark(other, word);
    }

    /// @dev Word by word, in one expression, so that it is one path.
    function _same(IEscrow.Order calldata a, IEscrow.Order calldata b) private pure returns (bool) {
        uint256 difference;
        for (uint256 i = 0; i < 18; i++) {
            /// @solidity memory-safe-assembly
            assembly {
                difference := or(difference, xor(calldataload(add(a, mul(i, 32))), calldataload(add(b, mul(i, 32)))))
            }
        }
        return difference == 0;
    }
}
