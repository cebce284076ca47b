// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IAnchor} from "../../../src/interfaces/IAnchor.sol";
import {AnchorBase} from "../../base/AnchorBase.sol";

contract AnchorPostTest is AnchorBase {
    function test_roots_are_numbered_for_each_publisher(bytes32[5] memory roots, address other, bytes32 cid) public {
        vm.assume(other != address(0) && other != address(this));
        for (uint256 i = 0; i < roots.length; i++) {
            vm.assume(roots[i] != 0);
            vm.expectEmit(address(anchor));
            emit IAnchor.Posted(address(this), i, roots[i], abi.encode(cid));
            vm.assertEq(anchor.post(roots[i], abi.encode(cid)), i, "epoch");
        }
        vm.prank(other);
        vm.assertEq(anchor.post(bytes32(uint256(1)), ""), 0, "the other's first");
        vm.assertEq(anchor.epochs(address(this)), roots.length, "epochs");
        for (uint256 i = 0; i < roots.length; i++) {
            vm.assertEq(anchor.rootOf(address(this), i), roots[i], "nothing changed");
        }
        vm.assertEq(anchor.rootOf(address(this), roots.length), 0, "not yet");
    }

    function test_reverts_when_the_root_is_empty() public {
        vm.expectRevert(IAnchor.ZeroRoot.selector);
        anchor.post(0, "");
    }

    function test_reverts_when_the_identifier_is_too_long(uint16 length) public {
        anchor.post(bytes32(uint256(1)), new bytes(64));
        length = uint16(bound(length, 65, 2000));
        vm.expectRevert(abi.encodeWithSelector(IAnchor.CidTooLong.selector, length, 64));
        anchor.post(bytes32(uint256(1)), new bytes(length));
    }
}
