// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {vm} from "./Cheats.sol";
import {ExitChecks} from "./ExitChecks.sol";
import {MarkedEscrow} from "./MarkedEscrow.sol";

/// @title A token and stake contract that says yes to everything, so that nothing but the escrow can refuse
contract Willing {
    uint256 private held;

    function receiveWithAuthorization(address, address, uint256 value, uint256, uint256, bytes32, bytes calldata)
        external
    {
        held += value;
    }

    function balanceOf(address) external view returns (uint256) {
        return held;
    }

    fallback() external {}
}

/// @notice Invariant 2, first half: no call moves an order that is settled, however it came to be that, and none opens
/// it again.
/// @custom:halmos --solver-timeout-branching 0
contract SettledChecks is ExitChecks {
    function setUp() public override {
        address willing = address(new Willing());
        escrow = new MarkedEscrow(willing, willing, willing);
    }

    function check_2_release(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _assertBadState(_release(order, w), _settled(order, word), IEscrow.Status.Settled);
    }

    function check_2_refund(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _assertBadState(_refund(order, w), _settled(order, word), IEscrow.Status.Settled);
    }

    function check_2_split(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _assertBadState(_split(order, w), _settled(order, word), IEscrow.Status.Settled);
    }

    function check_2_verdict(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _assertBadState(_verdict(order, w), _settled(order, word), IEscrow.Status.Settled);
    }

    function check_2_deliver(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _assertBadState(_deliver(order, w), _settled(order, word), IEscrow.Status.Settled);
    }

    function check_2_dispute(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _assertBadState(_dispute(order, w), _settled(order, word), IEscrow.Status.Settled);
    }

    function check_2_counter(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _assertBadState(_counter(order, w), _settled(order, word), IEscrow.Status.Settled);
    }

    function check_2_rule(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _assertBadState(_rule(order, w), _settled(order, word), IEscrow.Status.Settled);
    }

    function check_2_finalize(IEscrow.Order calldata order, uint256 word) public {
        _assertBadState(_finalize(order), _settled(order, word), IEscrow.Status.Settled);
    }

    function check_2_releaseBatch(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _assertSkipped(_releaseBatch(order, w), _settled(order, word));
    }

    function check_2_fund(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _settled(order, word);
        (bool ok,) = address(escrow).call(abi.encodeCall(IEscrow.fund, (order, _sig(w), _sig(w))));
        assert(!ok);
    }

    function check_2_fundRow(IEscrow.Order calldata order, uint256 word, Words calldata w) public {
        _settled(order, word);
        IEscrow.Funding memory row = IEscrow.Funding(order, _sig(w), _sig(w));
        vm.prank(address(escrow));
        (bool ok,) = address(escrow).call(abi.encodeCall(IEscrow.fundRow, (row)));
        assert(!ok);
    }

    /// @dev The id of the order, which is settled, whatever else its word says.
    function _settled(IEscrow.Order calldata order, uint256 word) private returns (bytes32 id) {
        id = escrow.orderId(order);
        escrow.mark(id, (word & ~uint256(0xff)) | uint256(IEscrow.Status.Settled));
    }
}
