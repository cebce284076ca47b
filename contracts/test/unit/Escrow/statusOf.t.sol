// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

contract StatusOfTest is EscrowBase {
    function test_an_order_never_funded_is_none(Seed memory seed) public view {
        _assertStatus(_orderFrom(seed), IEscrow.Status.None);
    }

    function test_an_order_that_differs_in_one_field_from_a_funded_one_is_none(uint256 field, uint256 bit) public {
        IEscrow.Order memory order = _order();
        _fund(order);
        bytes memory other = abi.encode(order);
        other[32 * (field % 18) + 31] ^= bytes1(uint8(1 << (bit % 8)));
        _assertStatus(abi.decode(other, (IEscrow.Order)), IEscrow.Status.None);
    }

    function test_the_escrow_names_its_token() public view {
        vm.assertEq(escrow.token(), address(usdc), "token");
    }
}
