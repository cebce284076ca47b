// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {UsdcBase} from "../../base/UsdcBase.sol";

contract TransferWithAuthorizationTest is UsdcBase {
    uint256 private constant VALID_AFTER = NOW - 1;
    uint256 private constant VALID_BEFORE = NOW + 1;

    function test_anybody_can_submit_either_form(uint256 value, bytes32 nonce, bool inParts, address sender) public {
        vm.assume(sender != address(0));
        value = bound(value, 0, FUNDS);
        bytes memory signature = _auth(ALICE_KEY, alice, value, nonce);
        vm.expectEmit(address(usdc));
        emit TestUSDC.AuthorizationUsed(alice, nonce);
        vm.prank(sender);
        _submit(alice, value, nonce, signature, inParts);
        _assertMoved(alice, bob, value);
        vm.assertTrue(usdc.authorizationState(alice, nonce), "used");
    }

    function test_an_authorisation_is_good_inside_its_window_alone(
        address to,
        uint256 validAfter,
        uint256 validBefore,
        bool near
    ) public {
        vm.assume(to != address(0) && to != alice);
        if (near) (validAfter, validBefore) = (NOW - 2 + validAfter % 4, NOW - 1 + validBefore % 4);
        bytes32 digest = _transferDigest(address(usdc), alice, to, 5, validAfter, validBefore, "n");
        bytes memory signature = _sign(ALICE_KEY, digest);
        uint256 had = usdc.balanceOf(to);
        if (NOW <= validAfter) {
            vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationNotYetValid.selector, NOW, validAfter));
        } else if (NOW >= validBefore) {
            vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationExpired.selector, NOW, validBefore));
        }
        usdc.transferWithAuthorization(alice, to, 5, validAfter, validBefore, "n", signature);
        bool open = validAfter < NOW && NOW < validBefore;
        vm.assertEq(usdc.balanceOf(to), open ? had + 5 : had, "paid inside the window");
    }

    function test_a_contract_wallet_can_authorise() public {
        _submit(wallet, 5, "n", _auth(ALICE_KEY, wallet, 5, "n"), false);
        _assertMoved(wallet, bob, 5);
    }

    function test_a_window_without_end_is_open() public {
        bytes memory signature =
            _sign(ALICE_KEY, _transferDigest(address(usdc), alice, bob, 5, 0, type(uint256).max, "n"));
        usdc.transferWithAuthorization(alice, bob, 5, 0, type(uint256).max, "n", signature);
        _assertMoved(alice, bob, 5);
    }

    function test_reverts_when_used_before_in_any_form(bool first, bool second) public {
        _submit(alice, 5, "n", _auth(ALICE_KEY, alice, 5, "n"), first);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationUsedOrCanceled.selector, alice, bytes32("n")));
        _submit(alice, 5, "n", _auth(ALICE_KEY, alice, 5, "n"), second);
    }

    function test_reverts_when_the_window_is_not_open_yet() public {
        vm.warp(VALID_AFTER);
        bytes memory signature = _auth(ALICE_KEY, alice, 5, "n");
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationNotYetValid.selector, VALID_AFTER, VALID_AFTER));
        _submit(alice, 5, "n", signature, false);
    }

    function test_reverts_when_the_window_is_over() public {
        vm.warp(VALID_BEFORE);
        bytes memory signature = _auth(ALICE_KEY, alice, 5, "n");
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationExpired.selector, VALID_BEFORE, VALID_BEFORE));
        _submit(alice, 5, "n", signature, false);
    }

    function test_reverts_when_someone_else_signed(bool inParts) public {
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, 5, "n", _auth(EVE_KEY, alice, 5, "n"), inParts);
    }

    function test_reverts_when_the_wallet_does_not_agree() public {
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, wallet));
        _submit(wallet, 5, "n", _auth(EVE_KEY, wallet, 5, "n"), false);
    }

    function test_reverts_when_another_value_was_signed(uint256 value) public {
        vm.assume(value != 5);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, value, "n", _auth(ALICE_KEY, alice, 5, "n"), false);
    }

    function test_reverts_when_a_receive_authorisation_was_signed() public {
        bytes memory signature =
            _sign(ALICE_KEY, _receiveDigest(address(usdc), alice, bob, 5, VALID_AFTER, VALID_BEFORE, "n"));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, 5, "n", signature, false);
    }

    function test_reverts_when_the_signature_is_malleated() public {
        bytes32 digest = _transferDigest(address(usdc), alice, bob, 5, VALID_AFTER, VALID_BEFORE, "n");
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, 5, "n", _signMalleated(ALICE_KEY, digest), false);
    }

    function test_reverts_when_the_payer_has_too_little() public {
        bytes memory signature = _auth(ALICE_KEY, alice, FUNDS + 1, "n");
        bytes4 poor = bytes4(keccak256("ERC20InsufficientBalance(address,uint256,uint256)"));
        vm.expectRevert(abi.encodeWithSelector(poor, alice, FUNDS, FUNDS + 1));
        _submit(alice, FUNDS + 1, "n", signature, false);
        vm.assertTrue(!usdc.authorizationState(alice, "n"), "not used up");
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory signature) public {
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, 5, "n", signature, false);
    }

    function _auth(uint256 key, address from, uint256 value, bytes32 nonce) private view returns (bytes memory) {
        return _sign(key, _transferDigest(address(usdc), from, bob, value, VALID_AFTER, VALID_BEFORE, nonce));
    }

    function _submit(address from, uint256 value, bytes32 nonce, bytes memory signature, bool inParts) private {
        if (inParts) {
            (uint8 v, bytes32 r, bytes32 s) = _split(signature);
            usdc.transferWithAuthorization(from, bob, value, VALID_AFTER, VALID_BEFORE, nonce, v, r, s);
        } else {
            usdc.transferWithAuthorization(from, bob, value, VALID_AFTER, VALID_BEFORE, nonce, signature);
        }
    }
}
