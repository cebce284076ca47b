// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {UsdcBase} from "../../base/UsdcBase.sol";

contract CancelAuthorizationTest is UsdcBase {
    function test_a_cancelled_authorisation_cannot_be_used(bytes32 nonce, bool inParts) public {
        bytes memory cancel = _sign(ALICE_KEY, _cancelDigest(address(usdc), alice, nonce));
        vm.expectEmit(address(usdc));
        emit TestUSDC.AuthorizationCanceled(alice, nonce);
        _submit(alice, nonce, cancel, inParts);
        vm.assertTrue(usdc.authorizationState(alice, nonce), "cancelled");

        bytes memory transfer = _sign(ALICE_KEY, _transferDigest(address(usdc), alice, bob, 5, 0, NOW + 1, nonce));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationUsedOrCanceled.selector, alice, nonce));
        usdc.transferWithAuthorization(alice, bob, 5, 0, NOW + 1, nonce, transfer);
    }

    function test_a_contract_wallet_can_cancel() public {
        _submit(wallet, "n", _sign(ALICE_KEY, _cancelDigest(address(usdc), wallet, "n")), false);
        vm.assertTrue(usdc.authorizationState(wallet, "n"), "cancelled");
    }

    function test_reverts_when_cancelled_before() public {
        bytes memory cancel = _sign(ALICE_KEY, _cancelDigest(address(usdc), alice, "n"));
        _submit(alice, "n", cancel, false);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationUsedOrCanceled.selector, alice, bytes32("n")));
        _submit(alice, "n", cancel, true);
    }

    function test_reverts_when_someone_else_signed() public {
        bytes memory cancel = _sign(EVE_KEY, _cancelDigest(address(usdc), alice, "n"));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, "n", cancel, false);
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory signature) public {
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, "n", signature, false);
    }

    function _submit(address authorizer, bytes32 nonce, bytes memory signature, bool inParts) private {
        if (inParts) {
            (uint8 v, bytes32 r, bytes32 s) = _split(signature);
            usdc.cancelAuthorization(authorizer, nonce, v, r, s);
        } else {
            usdc.cancelAuthorization(authorizer, nonce, signature);
        }
    }
}
