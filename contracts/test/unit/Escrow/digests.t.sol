// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

/// @notice No signature means two things (invariant 10): not on another chain, not for another contract, not as another
/// message. That other encodings of one do not settle twice is in the tests of each exit.
contract DigestsTest is EscrowBase {
    function test_every_message_of_an_order_has_its_own_digest(Seed memory seed, uint96 pay, uint40 until, bytes32 word)
        public
        view
    {
        _assertDistinct(_digests(address(escrow), escrow.orderId(_orderFrom(seed)), pay, until, word));
    }

    function test_every_message_is_another_one_for_another_contract_and_on_another_chain(
        Seed memory seed,
        uint96 pay,
        bytes32 word,
        address other,
        uint64 chain
    ) public {
        vm.assume(other != address(escrow) && chain != block.chainid && chain != 0);
        bytes32 id = escrow.orderId(_orderFrom(seed));
        bytes32[] memory here = _digests(address(escrow), id, pay, 1, word);
        bytes32[] memory elsewhere = _digests(other, id, pay, 1, word);
        vm.chainId(chain);
        bytes32[] memory later = _digests(address(escrow), id, pay, 1, word);
        // the id is handed in, so only the rest is made anew
        for (uint256 i = 1; i < here.length; i++) {
            vm.assertTrue(here[i] != elsewhere[i] && here[i] != later[i], "the same");
        }
    }

    function test_signatures_from_another_chain_end_nothing(uint64 chain) public {
        vm.assume(chain != block.chainid && chain != 0);
        IEscrow.Order memory order = _order();
        _fund(order);
        bytes32 id = escrow.orderId(order);
        uint256 home = block.chainid;
        vm.chainId(chain);
        bytes memory releaseSig = _sign(BUYER_KEY, _releaseDigest(address(escrow), id));
        bytes memory refundSig = _sign(PROVIDER_KEY, _refundDigest(address(escrow), id));
        vm.chainId(home);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
        escrow.release(order, releaseSig);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, provider));
        escrow.refund(order, refundSig);
    }

    function _digests(address target, bytes32 id, uint96 pay, uint40 until, bytes32 word)
        private
        view
        returns (bytes32[] memory digests)
    {
        digests = new bytes32[](8);
        digests[0] = id;
        digests[1] = _releaseDigest(target, id);
        digests[2] = _refundDigest(target, id);
        digests[3] = _splitDigest(target, id, pay, until);
        digests[4] = _verdictDigest(target, id, pay, word, until);
        digests[5] = _bondDigest(target, id, BUYER_SIDE, word);
        digests[6] = _bondDigest(target, id, PROVIDER_SIDE, word);
        digests[7] = _feedbackDigest(target, id, uint256(word), int128(uint128(pay)));
    }

    function _assertDistinct(bytes32[] memory digests) private pure {
        for (uint256 i = 0; i < digests.length; i++) {
            for (uint256 j = i + 1; j < digests.length; j++) {
                vm.assertTrue(digests[i] != digests[j], "two messages, one digest");
            }
        }
    }
}
