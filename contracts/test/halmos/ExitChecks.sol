// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {MarkedEscrow} from "./MarkedEscrow.sol";

/// @title An address that has code and fails whatever it is asked
contract Nobody {}

/// @title What the proofs about the escrow's exits share
/// @dev `cargo xtask contracts --prove` runs all proofs; forge only compiles them.
abstract contract ExitChecks {
    bool public constant IS_TEST = true;

    /// @notice What a call says besides the order.
    struct Words {
        bytes32 r;
        bytes32 s;
        uint8 v;
        uint96 pay;
        uint40 validUntil;
        bytes32 hash;
        uint256 agentId;
        int128 value;
    }

    MarkedEscrow internal escrow;

    function setUp() public virtual {
        address nobody = address(new Nobody());
        escrow = new MarkedEscrow(nobody, nobody, nobody);
    }

    function _release(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.release, (order, _sig(w)));
    }

    function _refund(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.refund, (order, _sig(w)));
    }

    function _split(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.split, (order, w.pay, w.validUntil, _sig(w), _sig(w)));
    }

    function _verdict(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.verdict, (order, w.pay, w.hash, w.validUntil, _sig(w)));
    }

    function _deliver(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.deliver, (order, w.hash));
    }

    function _dispute(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.dispute, (order, w.hash, _sig(w)));
    }

    function _counter(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.counter, (order, _sig(w)));
    }

    function _rule(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.rule, (order, w.pay));
    }

    function _finalize(IEscrow.Order calldata order) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.finalize, (order));
    }

    function _publishFeedback(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        return abi.encodeCall(IEscrow.publishFeedback, (order, w.agentId, w.value, _sig(w)));
    }

    function _releaseBatch(IEscrow.Order calldata order, Words calldata w) internal pure returns (bytes memory) {
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](1);
        rows[0] = IEscrow.Settlement(order, _sig(w));
        return abi.encodeCall(IEscrow.releaseBatch, (rows));
    }

    function _sig(Words calldata w) internal pure returns (bytes memory) {
        return abi.encodePacked(w.r, w.s, w.v);
    }

    /// @notice The call fails, and for the order's status.
    function _assertBadState(bytes memory call, bytes32 id, IEscrow.Status status) internal {
        (bool ok, bytes memory answer) = address(escrow).call(call);
        assert(!ok);
        assert(keccak256(answer) == keccak256(abi.encodeWithSelector(IEscrow.BadState.selector, id, status)));
    }

    /// @notice The call goes through and leaves the order as it is.
    function _assertSkipped(bytes memory call, bytes32 id) internal {
        uint256 word = escrow.wordOf(id);
        (bool ok,) = address(escrow).call(call);
        assert(ok);
        assert(escrow.wordOf(id) == word);
    }
}
