// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {UsdcBase} from "../../base/UsdcBase.sol";

contract PermitTest is UsdcBase {
    function test_either_form_sets_the_allowance(uint256 value, uint256 deadline, bool inParts) public {
        deadline = bound(deadline, NOW, type(uint256).max);
        _submit(alice, value, deadline, _permit(ALICE_KEY, alice, value, 0, deadline), inParts);
        vm.assertEq(usdc.allowance(alice, bob), value, "allowance");
        vm.assertEq(usdc.nonces(alice), 1, "nonce");
    }

    function test_a_contract_wallet_can_permit() public {
        _submit(wallet, 5, NOW, _permit(ALICE_KEY, wallet, 5, 0, NOW), false);
        vm.assertEq(usdc.allowance(wallet, bob), 5, "allowance");
    }

    function test_reverts_when_used_twice() public {
        bytes memory signature = _permit(ALICE_KEY, alice, 5, 0, NOW);
        _submit(alice, 5, NOW, signature, false);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, 5, NOW, signature, false);
    }

    function test_reverts_when_the_deadline_is_over(uint256 deadline) public {
        deadline = bound(deadline, 0, NOW - 1);
        bytes memory signature = _permit(ALICE_KEY, alice, 5, 0, deadline);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.PermitExpired.selector, NOW, deadline));
        _submit(alice, 5, deadline, signature, false);
    }

    function test_reverts_when_the_signature_is_not_one(bytes memory signature) public {
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, 5, NOW, signature, false);
    }

    function test_reverts_when_someone_else_signed() public {
        bytes memory signature = _permit(EVE_KEY, alice, 5, 0, NOW);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, alice));
        _submit(alice, 5, NOW, signature, true);
    }

    function _permit(uint256 key, address owner, uint256 value, uint256 nonce, uint256 deadline)
        private
        view
        returns (bytes memory)
    {
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typehash, owner, bob, value, nonce, deadline));
        return _sign(key, _digest(_tokenDomain(address(usdc)), structHash));
    }

    function _submit(address owner, uint256 value, uint256 deadline, bytes memory signature, bool inParts) private {
        if (inParts) {
            (uint8 v, bytes32 r, bytes32 s) = _split(signature);
            usdc.permit(owner, bob, value, deadline, v, r, s);
        } else {
            usdc.permit(owner, bob, value, deadline, signature);
        }
    }
}
