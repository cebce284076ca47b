// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IReceiveWithAuthorization} from "../../src/interfaces/IReceiveWithAuthorization.sol";
import {Book} from "./Book.sol";

/// @title What people try who want what is not theirs
/// @dev Everything here has to be refused, and reverts (which fails the run) if it is not.
abstract contract Thieves is Book {
    /// @notice 11: tries an exit of an order that was never funded but shares fields with a funded one, with every
    /// signature that could be had.
    function steal(uint256 which, uint256 fields, uint8 bits, uint256 exit) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage victim = _known[which % _known.length];
        IEscrow.Order memory order = victim.order;
        bytes memory changed = abi.encode(order);
        // mostly one field, now and then many
        if (fields >> 32 & 3 != 0) fields = 1 << (fields % 18);
        for (uint256 i = 0; i < 18; i++) {
            if (fields >> i & 1 != 0) changed[32 * i + 31] ^= bytes1(uint8(bound(bits, 1, 255)));
        }
        IEscrow.Order memory never = abi.decode(changed, (IEscrow.Order));
        bytes32 id = escrow.orderId(never);
        if (_indexOf[id] != 0) return;
        (address sender, bytes memory data) = _exit(never, id, exit % 9);
        bytes memory answer = _call(sender, data, false, "steal");
        bytes memory wanted = abi.encodeWithSelector(IEscrow.BadState.selector, id, IEscrow.Status.None);
        require(keccak256(answer) == keccak256(wanted), "a stranger's exit answers BadState");
        _check(victim, order);
    }

    /// @notice 5 and 10: tries to use the signatures of one order for another, of one kind for another, of one party as
    /// another's, or from another chain or contract.
    function replay(uint256 which, uint256 other, uint256 kind) external {
        if (_known.length < 2) return;
        vm.warp(_time);
        Known storage victim = _known[which % _known.length];
        Known storage source = _known[other % _known.length];
        if (victim.id == source.id) return;
        IEscrow.Order memory order = victim.order;
        bytes memory data = _replay(order, victim.id, source, kind);
        _call(_person(kind >> 128), data, false, "replay");
        _check(victim, order);
    }

    /// @notice 5 and 11: tries to turn a buyer's payment of one order into another order, or into money that belongs to
    /// none, with the buyer willing and able to pay the order it signed.
    function divert(uint256 which, uint256 r, uint256 kind) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage model = _known[which % _known.length];
        IEscrow.Order memory order = model.order;
        _makeTwin(order, r);
        bytes32 id = escrow.orderId(order);
        if (_indexOf[id] != 0) return;
        usdc.mint(order.buyer, _deposit(order));
        _balance[order.buyer] += _deposit(order);
        bytes memory payment = _payment(order, id);

        address thief = _people[(r >> 8) % PEOPLE];
        if (kind % 4 == 0) {
            bool done = _takesFromToken(order, id, payment, thief, kind >> 8);
            require(!done, "took a payment from the token");
            happened["no divert"]++;
        } else if (kind % 4 == 1) {
            bytes memory consent = _signedBy(order.provider, id);
            IEscrow.Funding memory row = IEscrow.Funding(order, payment, consent);
            _call(thief, abi.encodeCall(IEscrow.fundRow, (row)), false, "divert");
        } else {
            _makeTwin(order, kind);
            bytes32 another = escrow.orderId(order);
            if (another == id || _indexOf[another] != 0) return;
            bytes memory consent = _signedBy(order.provider, another);
            _call(thief, abi.encodeCall(IEscrow.fund, (order, payment, consent)), false, "divert");
        }
        _check(model, order);
    }

    function _takesFromToken(IEscrow.Order memory order, bytes32 id, bytes memory payment, address thief, uint256 how)
        private
        returns (bool done)
    {
        (address to, uint256 value) = (how & 1 == 0 ? address(escrow) : thief, _deposit(order));
        vm.prank(thief);
        if (how & 2 == 0) {
            (done,) = address(usdc)
                .call(
                    abi.encodeCall(
                        IReceiveWithAuthorization.receiveWithAuthorization,
                        (order.buyer, to, value, 0, order.fundBy, id, payment)
                    )
                );
        } else {
            bytes memory data = abi.encodeWithSignature(
                "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)",
                order.buyer,
                to,
                value,
                0,
                order.fundBy,
                id,
                payment
            );
            (done,) = address(usdc).call(data);
        }
    }

    /// @dev Words of the right people that were not said about this order, or not for this purpose.
    function _replay(IEscrow.Order memory order, bytes32 id, Known storage source, uint256 kind)
        private
        returns (bytes memory)
    {
        (address target, uint40 until) = (address(escrow), uint40(_time + 1));
        uint256 what = kind % 10;
        if (what == 0) {
            bytes memory sig = _signedBy(order.buyer, _releaseDigest(target, source.id), kind);
            return abi.encodeCall(IEscrow.release, (order, sig));
        }
        if (what == 1) {
            bytes memory sig = _signedBy(order.provider, _refundDigest(target, source.id), kind);
            return abi.encodeCall(IEscrow.refund, (order, sig));
        }
        if (what == 2) {
            // consent to the order is no word to end it
            return abi.encodeCall(IEscrow.refund, (order, _signedBy(order.provider, id, kind)));
        }
        if (what == 3) {
            bytes memory sig = _signedBy(order.validator, _verdictDigest(target, source.id, 0, 0, until), kind);
            return abi.encodeCall(IEscrow.verdict, (order, 0, 0, until, sig));
        }
        if (what == 4) {
            bytes memory auth = _strangeBond(order, source, 0);
            return abi.encodeCall(IEscrow.dispute, (order, source.evidence, auth));
        }
        if (what == 5) {
            return abi.encodeCall(IEscrow.counter, (order, _strangeBond(order, source, 1)));
        }
        if (what == 6) {
            // one party's word twice
            address signer = kind >> 8 & 1 == 0 ? order.buyer : order.provider;
            bytes memory sig = _signedBy(signer, _splitDigest(target, id, 1, until), kind);
            return abi.encodeCall(IEscrow.split, (order, 1, until, sig, sig));
        }
        if (what == 7) {
            bytes memory sig = _signedBy(order.buyer, _releaseDigest(address(uint160(target) ^ 1), id), kind);
            return abi.encodeCall(IEscrow.release, (order, sig));
        }
        if (what == 8) {
            bytes memory sig = _signedBy(order.buyer, _releaseDigest(target, id), kind);
            return abi.encodeCall(IEscrow.refund, (order, sig));
        }
        // the buyer's word to pay, which it gave the token, is none to release
        bytes memory payment = _payment(order, id);
        return abi.encodeCall(IEscrow.release, (order, payment));
    }

    /// @dev A bond of the right party for another order, with the evidence of that one.
    function _strangeBond(IEscrow.Order memory order, Known storage source, uint8 side) private returns (bytes memory) {
        address party = side == 0 ? order.buyer : order.provider;
        bytes32 digest = _bondDigest(address(escrow), source.id, side, source.evidence);
        if (order.bond == 0) return _signedBy(party, digest);
        usdc.mint(party, order.bond);
        _balance[party] += order.bond;
        return _bondPayment(party, party, order.bond, order.deliverBy, digest);
    }

    /// @dev Every way out of an order, signed or sent by whom it takes.
    function _exit(IEscrow.Order memory order, bytes32 id, uint256 which)
        private
        view
        returns (address sender, bytes memory data)
    {
        (address target, uint40 until) = (address(escrow), uint40(_time + 1));
        sender = _people[0];
        if (which == 0) {
            data = abi.encodeCall(IEscrow.release, (order, _signedBy(order.buyer, _releaseDigest(target, id))));
        } else if (which == 1) {
            data = abi.encodeCall(IEscrow.refund, (order, _signedBy(order.provider, _refundDigest(target, id))));
        } else if (which == 2) {
            data = abi.encodeCall(IEscrow.finalize, (order));
        } else if (which == 3) {
            (sender, data) = (order.provider, abi.encodeCall(IEscrow.deliver, (order, bytes32(0))));
        } else if (which == 4) {
            bytes32 digest = _splitDigest(target, id, 1, until);
            bytes memory providerSig = _signedBy(order.provider, digest);
            data = abi.encodeCall(IEscrow.split, (order, 1, until, _signedBy(order.buyer, digest), providerSig));
        } else if (which == 5) {
            bytes memory sig = _signedBy(order.validator, _verdictDigest(target, id, 1, 0, until));
            data = abi.encodeCall(IEscrow.verdict, (order, 1, 0, until, sig));
        } else if (which == 6) {
            bytes memory sig = _signedBy(order.buyer, _bondDigest(target, id, 0, 0));
            data = abi.encodeCall(IEscrow.dispute, (order, 0, sig));
        } else if (which == 7) {
            data = abi.encodeCall(IEscrow.counter, (order, _signedBy(order.provider, _bondDigest(target, id, 1, 0))));
        } else {
            (sender, data) = (order.arbitrator, abi.encodeCall(IEscrow.rule, (order, 0)));
        }
    }
}
