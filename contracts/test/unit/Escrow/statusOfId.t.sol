// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

contract StatusOfIdTest is EscrowBase {
    function test_an_order_never_funded_is_none(bytes32 id) public view {
        (IEscrow.Status status, uint8 outcome, bool consented, uint40 reviewEnds) = escrow.statusOfId(id);
        vm.assertEq(uint256(status), uint256(IEscrow.Status.None), "status");
        vm.assertTrue(outcome == 0 && !consented && reviewEnds == 0, "nothing");
    }

    function test_by_id_and_by_order_answer_the_same() public {
        IEscrow.Order memory order = _order();
        bytes32 id = _fund(order);
        _assertSame(order, id);
        _deliver(order);
        _assertSame(order, id);
        _release(order);
        _assertSame(order, id);
    }

    function _assertSame(IEscrow.Order memory order, bytes32 id) private view {
        (IEscrow.Status status, uint8 outcome, bool consented, uint40 reviewEnds) = escrow.statusOf(order);
        (IEscrow.Status statusById, uint8 outcomeById, bool consentedById, uint40 reviewEndsById) =
            escrow.statusOfId(id);
        vm.assertEq(uint256(status), uint256(statusById), "status");
        vm.assertEq(outcome, outcomeById, "outcome");
        vm.assertTrue(consented == consentedById, "consented");
        vm.assertEq(reviewEnds, reviewEndsById, "review ends");
    }
}
