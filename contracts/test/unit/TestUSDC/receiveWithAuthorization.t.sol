// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {UsdcBase} from "../../base/UsdcBase.sol";

contract ReceiveWithAuthorizationTest is UsdcBase {
    uint256 private constant VALID_AFTER = 0;
    uint256 private constant VALID_BEFORE = NOW + 1;

    function test_the_payee_can_submit_either_form(uint256 value, bytes32 nonce, bool inParts) public {
        value = bound(value, 0, FUNDS);
        bytes memory signature = _auth(ALICE_KEY, alice, value, nonce);
        vm.expectEmit(address(usdc));
        emit TestUSDC.AuthorizationUsed(alice, nonce);
        vm.prank(bob);
        _submit(alice, value, nonce, signature, inParts);
        _assertMoved(alice, bob, value);
    }

    function test_an_authorisation_is_good_inside_its_window_alone(
        address to,
        uint256 validAfter,
        uint256 validBefore,
        bool near
    ) public {
        vm.assume(to != address(0) && to != alice);
        if (near) (validAfter, validBefore) = (NOW - 2 + validAfter % 4, NOW - 1 + validBefore % 4);
        bytes32 digest = _receiveDigest(address(usdc), alice, to, 5, validAfter, validBefore, "n");
        bytes memory signature = _sign(ALICE_KEY, digest);
        uint256 had = usdc.balanceOf(to);
        if (NOW <= validAfter) {
            vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationNotYetValid.selector, NOW, validAfter));
        } else if (NOW >= validBefore) {
            vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationExpired.selector, NOW, validBefore));
        }
        vm.prank(to);
        usdc.receiveWithAuthorization(alice, to, 5, validAfter, validBefore, "n", signature);
        bool open = validAfter < NOW && NOW < validBefore;
        vm.assertEq(usdc.balanceOf(to), open ? had + 5 : had, "paid inside the window");
    }

    function test_a_contract_wallet_can_authorise() public {
        bytes memory signature = _auth(ALICE_KEY, wallet, 5, "n");
        vm.prank(bob);
        _submit(wallet, 5, "n", signature, false);
        _assertMoved(wallet, bob, 5);
    }

    function test_reverts_when_anyone_but_the_payee_submits(address sender, bool inParts) public {
        vm.assume(sender != bob);
        bytes memory signature = _auth(ALICE_KEY, alice, 5, "n");
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.NotPayee.selector, sender, bob));
        vm.prank(sender);
        _submit(alice, 5, "n", signature, inParts);
    }

    function test_reverts_when_the_nonce_was_used_by_a_transfer() public {
        bytes memory transfer =
            _sign(ALICE_KEY, _transferDigest(address(usdc), alice, bob, 5, VALID_AFTER, VALID_BEFORE, "n"));
        usdc.transferWithAuthorization(alice, bob, 5, VALID_AFTER, VALID_BEFORE, "n", transfer);
        bytes memory signature = _auth(ALICE_KEY, alice, 5, "n");
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationUsedOrCanceled.selector, alice, bytes32("n")));
        vm.prank(bob);
        _submit(alice, 5, "n", signature, false);
    }

    function test_reverts_when_a_transfer_authorisation_was_signed() public {
        bytes memory signature =
            _sign(ALICE_KEY, _transferDigest(address(usdc), alice, bob, 5, VALID_AFTER, VALID_BEFORE, "n"));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        vm.prank(bob);
        _submit(alice, 5, "n", signature, false);
    }

    function test_reverts_when_the_window_is_over() public {
        vm.warp(VALID_BEFORE);
        bytes memory signature = _auth(ALICE_KEY, alice, 5, "n");
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationExpired.selector, VALID_BEFORE, VALID_BEFORE));
        vm.prank(bob);
        _submit(alice, 5, "n", signature, false);
    }

    function test_reverts_when_someone_else_signed() public {
        bytes memory signature = _auth(EVE_KEY, alice, 5, "n");
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        vm.prank(bob);
        _submit(alice, 5, "n", signature, false);
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory signature) public {
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        vm.prank(bob);
        _submit(alice, 5, "n", signature, false);
    }

    function _auth(uint256 key, address from, uint256 value, bytes32 nonce) private view returns (bytes memory) {
        return _sign(key, _receiveDigest(address(usdc), from, bob, value, VALID_AFTER, VALID_BEFORE, nonce));
    }

    function _submit(address from, uint256 value, bytes32 nonce, bytes memory signature, bool inParts) private {
        if (inParts) {
            (uint8 v, bytes32 r, bytes32 s) = _split(signature);
            usdc.receiveWithAuthorization(from, bob, value, VALID_AFTER, VALID_BEFORE, nonce, v, r, s);
        } else {
            usdc.receiveWithAuthorization(from, bob, value, VALID_AFTER, VALID_BEFORE, nonce, signature);
        }
    }
}
