// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

/// @notice No signature means two things (invariant 10): not on another chain, not for another contract, not as another
/// message, and not twice in other forms.
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

    function test_signatures_from_another_chain_or_for_another_contract_do_nothing(uint64 chain, address other) public {
        vm.assume(other != address(escrow) && chain != block.chainid && chain != 0);
        uint256 home = block.chainid;
        for (uint256 way = 0; way < WAYS; way++) {
            IEscrow.Order memory order = _ready(way, way);
            bytes32 id = escrow.orderId(order);
            vm.chainId(chain);
            bytes32 elsewhere = _digestFor(way, address(escrow), id);
            vm.chainId(home);
            _refused(way, order, elsewhere);
            _refused(way, order, _digestFor(way, other, id));
            _does(way, order);
        }
    }

    function test_no_word_serves_for_another() public {
        for (uint256 way = 0; way < WAYS; way++) {
            IEscrow.Order memory order = _ready(way, way);
            bytes32 id = escrow.orderId(order);
            _refused(way, order, id);
            for (uint256 meant = 0; meant < WAYS; meant++) {
                if (meant != way) _refused(way, order, _digestFor(meant, address(escrow), id));
            }
            // the same word about another order
            order.salt += 1000;
            bytes32 another = _digestFor(way, address(escrow), escrow.orderId(order));
            order.salt -= 1000;
            _refused(way, order, another);
            _does(way, order);
        }
    }

    function test_nothing_settles_a_second_time_by_any_word_in_any_form() public {
        for (uint256 first = 0; first < SETTLING; first++) {
            IEscrow.Order memory order = _ready(first, first);
            bytes32 id = escrow.orderId(order);
            _does(first, order);
            uint256 holds = usdc.balanceOf(address(escrow));
            for (uint256 second = 0; second < WAYS; second++) {
                bytes32 digest = _digestFor(second, address(escrow), id);
                for (uint256 form = 0; form < 3; form++) {
                    _refusedWith(_call(second, order, digest, form), _badState(order, IEscrow.Status.Settled));
                }
            }
            vm.assertEq(usdc.balanceOf(address(escrow)), holds, "nothing moved");
        }
    }

    function test_every_form_of_a_word_is_good_once() public {
        for (uint256 way = 0; way < WAYS; way++) {
            for (uint256 form = 1; form < 3; form++) {
                IEscrow.Order memory order = _ready(way, 10 * form + way);
                bytes memory data = _call(way, order, _digestFor(way, address(escrow), escrow.orderId(order)), form);
                (bool ok,) = address(escrow).call(data);
                vm.assertTrue(ok, "another form of a good signature");
                (ok,) = address(escrow).call(data);
                vm.assertTrue(!ok, "the same a second time");
            }
        }
    }

    // release, refund, split and verdict settle; dispute and counter do not

    uint256 private constant SETTLING = 4;
    uint256 private constant WAYS = 6;
    uint96 private constant PAY = 3_000_000;
    uint40 private constant UNTIL = uint40(NOW + 1 hours);

    /// @dev A new order that stands where this can be done with it, without bond.
    function _ready(uint256 way, uint256 salt) private returns (IEscrow.Order memory order) {
        order = _order();
        order.salt = salt;
        _bringTo(order, way == 5 ? IEscrow.Status.Disputed : IEscrow.Status.Delivered);
    }

    function _digestFor(uint256 way, address target, bytes32 id) private view returns (bytes32) {
        if (way == 0) return _releaseDigest(target, id);
        if (way == 1) return _refundDigest(target, id);
        if (way == 2) return _splitDigest(target, id, PAY, UNTIL);
        if (way == 3) return _verdictDigest(target, id, PAY, EVIDENCE, UNTIL);
        return _bondDigest(target, id, way == 4 ? BUYER_SIDE : PROVIDER_SIDE, EVIDENCE);
    }

    /// @dev The call, with signatures over `digest` by whom it takes, in one of three forms.
    function _call(uint256 way, IEscrow.Order memory order, bytes32 digest, uint256 form)
        private
        pure
        returns (bytes memory)
    {
        bytes memory ofBuyer = _inForm(BUYER_KEY, digest, form);
        bytes memory ofProvider = _inForm(PROVIDER_KEY, digest, form);
        if (way == 0) return abi.encodeCall(IEscrow.release, (order, ofBuyer));
        if (way == 1) return abi.encodeCall(IEscrow.refund, (order, ofProvider));
        if (way == 2) return abi.encodeCall(IEscrow.split, (order, PAY, UNTIL, ofBuyer, ofProvider));
        if (way == 3) {
            return abi.encodeCall(IEscrow.verdict, (order, PAY, EVIDENCE, UNTIL, _inForm(VALIDATOR_KEY, digest, form)));
        }
        if (way == 4) return abi.encodeCall(IEscrow.dispute, (order, EVIDENCE, ofBuyer));
        return abi.encodeCall(IEscrow.counter, (order, ofProvider));
    }

    function _inForm(uint256 key, bytes32 digest, uint256 form) private pure returns (bytes memory) {
        if (form == 0) return _sign(key, digest);
        return form == 1 ? _signCompact(key, digest) : _signMalleated(key, digest);
    }

    function _does(uint256 way, IEscrow.Order memory order) private {
        bytes32 digest = _digestFor(way, address(escrow), escrow.orderId(order));
        (bool ok,) = address(escrow).call(_call(way, order, digest, 0));
        vm.assertTrue(ok, "the right word");
    }

    function _refused(uint256 way, IEscrow.Order memory order, bytes32 digest) private {
        address signer = way == 3 ? validator : way == 1 || way == 5 ? provider : buyer;
        _refusedWith(_call(way, order, digest, 0), abi.encodeWithSelector(IEscrow.BadSignature.selector, signer));
    }

    function _refusedWith(bytes memory data, bytes memory wanted) private {
        (bool ok, bytes memory answer) = address(escrow).call(data);
        vm.assertTrue(!ok, "should have been refused");
        vm.assertEq(keccak256(answer), keccak256(wanted), "why");
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
