// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

contract EvidenceOfTest is EscrowBase {
    function test_it_is_what_the_buyer_disputed_with_and_stays(bytes32 evidence, bytes32 other) public {
        IEscrow.Order memory order = _order();
        bytes32 id = escrow.orderId(order);
        vm.assume(other != id);
        _bringTo(order, IEscrow.Status.Delivered);
        vm.assertEq(escrow.evidenceOf(id), bytes32(0), "not yet");
        escrow.dispute(order, evidence, _bondAuth(BUYER_KEY, order, BUYER_SIDE, evidence, 0));
        vm.assertEq(escrow.evidenceOf(id), evidence, "disputed");
        vm.warp(_windowEnd(order));
        escrow.finalize(order);
        vm.assertEq(escrow.evidenceOf(id), evidence, "settled");
        vm.assertEq(escrow.evidenceOf(other), bytes32(0), "another order");
    }
}
