// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../src/types/Outcomes.sol";
import {Book} from "./Book.sol";

/// @title Five people who trade, quarrel, judge, forget, refuse and steal at random, in any role and any order
/// @dev Every action says beforehand whether it has to succeed, and reverts (which fails the run) if it is wrong.
contract Handler is Book {
    uint256 private constant MAX_ORDERS = 60;

    // what people do

    function fund(uint256 seed) external {
        vm.warp(_time);
        if (_known.length >= MAX_ORDERS) return;
        (IEscrow.Funding memory row, bytes32 id, bool expected) = _newRow(seed);
        bytes memory data = abi.encodeCall(IEscrow.fund, (row.order, row.buyerAuth, row.providerSig));
        if (expected) _note(row.order, id, row.providerSig.length != 0);
        _call(data, expected, "fund");
    }

    function fundBatch(uint256 seed) external {
        vm.warp(_time);
        if (_known.length >= MAX_ORDERS) return;
        IEscrow.Funding[] memory rows = new IEscrow.Funding[](3);
        bytes32 id;
        bool expected;
        (rows[0], id, expected) = _newRow(seed);
        if (expected) _note(rows[0].order, id, rows[0].providerSig.length != 0);
        // the same again, and one that exists
        rows[1] = rows[0];
        rows[2] = _known.length == 0 ? rows[0] : _rowOf(_pick(seed >> 8));
        _call(abi.encodeCall(IEscrow.fundBatch, (rows)), true, "fund batch");
    }

    function fundAgain(uint256 which) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        IEscrow.Funding memory row = _rowOf(_pick(which));
        _call(abi.encodeCall(IEscrow.fund, (row.order, row.buyerAuth, row.providerSig)), false, "fund again");
    }

    function release(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        uint256 key = _signer(known.order.buyer, who);
        bytes memory sig = _sign(key, _releaseDigest(address(escrow), known.id));
        bytes memory data = abi.encodeCall(IEscrow.release, (known.order, sig));
        bool expected = _live(known) && vm.addr(key) == known.order.buyer;
        if (expected) _settle(known, known.order.amount, Outcomes.RELEASED, 0);
        _call(data, expected, "release");
    }

    function releaseBatch(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](4);
        for (uint256 i = 0; i < 4; i++) {
            // now and then the same twice
            Known storage known = _pick(which % _known.length + i * ((who >> 200) % 3));
            uint256 key = _signer(known.order.buyer, who >> (8 * i));
            rows[i] = IEscrow.Settlement(known.order, _sign(key, _releaseDigest(address(escrow), known.id)));
            if (_live(known) && vm.addr(key) == known.order.buyer) {
                _settle(known, known.order.amount, Outcomes.RELEASED, 0);
            }
        }
        _call(abi.encodeCall(IEscrow.releaseBatch, (rows)), true, "release batch");
    }

    function refund(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        uint256 key = _signer(known.order.provider, who);
        bytes memory sig = _sign(key, _refundDigest(address(escrow), known.id));
        bytes memory data = abi.encodeCall(IEscrow.refund, (known.order, sig));
        bool expected = _live(known) && vm.addr(key) == known.order.provider;
        if (expected) _settle(known, 0, Outcomes.REFUNDED, 0);
        _call(data, expected, "refund");
    }

    function split(uint256 which, uint256 who, uint96 pay, uint40 wait) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        pay = _part(known, pay);
        uint40 until = uint40(_time + wait % 4);
        uint256 buyerKey = _signer(known.order.buyer, who);
        uint256 providerKey = _signer(known.order.provider, who >> 16);
        bool expected = _live(known) && wait % 4 != 0 && vm.addr(buyerKey) == known.order.buyer
            && vm.addr(providerKey) == known.order.provider && pay <= known.order.amount;
        bytes32 digest = _splitDigest(address(escrow), known.id, pay, until);
        bytes memory data = abi.encodeCall(
            IEscrow.split, (known.order, pay, until, _sign(buyerKey, digest), _sign(providerKey, digest))
        );
        if (expected) _settle(known, pay, Outcomes.SPLIT, 0);
        _call(data, expected, "split");
    }

    function verdict(uint256 which, uint256 who, uint96 pay, uint40 wait) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        pay = _part(known, pay);
        uint40 until = uint40(_time + wait % 4);
        uint256 key = _signer(known.order.validator, who);
        bool expected = (known.status == IEscrow.Status.Funded || known.status == IEscrow.Status.Delivered)
            && wait % 4 != 0 && vm.addr(key) == known.order.validator && pay <= known.order.amount;
        bytes memory sig = _sign(key, _verdictDigest(address(escrow), known.id, pay, bytes32(which), until));
        bytes memory data = abi.encodeCall(IEscrow.verdict, (known.order, pay, bytes32(which), until, sig));
        if (expected) _settle(known, pay, Outcomes.VERDICT, 0);
        _call(data, expected, "verdict");
    }

    function deliver(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        address caller = vm.addr(_signer(known.order.provider, who));
        bool expected =
            known.status == IEscrow.Status.Funded && caller == known.order.provider && _time < known.order.deliverBy;
        bytes memory data = abi.encodeCall(IEscrow.deliver, (known.order, bytes32(which)));
        if (expected) {
            (known.status, known.consented) = (IEscrow.Status.Delivered, true);
            known.windowEnd = uint40(_time + known.order.reviewSecs);
        }
        vm.prank(caller);
        _call(data, expected, "deliver");
    }

    function dispute(uint256 which, uint256 who, bytes32 evidence) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        IEscrow.Order memory order = known.order;
        uint256 key = _signer(order.buyer, who);
        bool open =
            known.status == IEscrow.Status.Delivered || (known.status == IEscrow.Status.Funded && order.flags & 2 != 0);
        bool expected = open && _time < _end(known) && order.arbitrator != address(0) && known.consented
            && vm.addr(key) == order.buyer && _mayPay(order.buyer, order.bond);
        bytes memory auth = _bondAuth(known, key, 0, evidence);
        if (expected) {
            expectedBalance[order.buyer] -= order.bond;
            held += order.bond;
            (known.status, known.evidence) = (IEscrow.Status.Disputed, evidence);
            known.windowEnd = uint40(_time + order.counterSecs);
        }
        _call(abi.encodeCall(IEscrow.dispute, (order, evidence, auth)), expected, "dispute");
    }

    function counter(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        IEscrow.Order memory order = known.order;
        uint256 key = _signer(order.provider, who);
        bool expected = known.status == IEscrow.Status.Disputed && _time < known.windowEnd
            && vm.addr(key) == order.provider && _mayPay(order.provider, order.bond);
        bytes memory auth = _bondAuth(known, key, 1, known.evidence);
        if (expected) {
            expectedBalance[order.provider] -= order.bond;
            held += order.bond;
            (known.status, known.windowEnd) = (IEscrow.Status.Arbitrating, uint40(_time + order.ruleSecs));
        }
        _call(abi.encodeCall(IEscrow.counter, (order, auth)), expected, "counter");
    }

    function rule(uint256 which, uint256 who, uint96 pay) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        pay = _part(known, pay);
        address caller = vm.addr(_signer(known.order.arbitrator, who));
        bool expected = known.status == IEscrow.Status.Arbitrating && caller == known.order.arbitrator
            && _time < known.windowEnd && pay <= known.order.amount;
        bytes memory data = abi.encodeCall(IEscrow.rule, (known.order, pay));
        if (expected) _settle(known, pay, Outcomes.RULED, 2 * uint256(pay) >= known.order.amount ? 1 : 2);
        vm.prank(caller);
        _call(data, expected, "rule");
    }

    function finalize(uint256 which) public {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        IEscrow.Order memory order = known.order;
        bool expected = _live(known) && _time >= _end(known);
        if (expected) {
            if (known.status == IEscrow.Status.Delivered) {
                _settle(known, order.amount, Outcomes.DELIVERED_PAID, 0);
            } else if (known.status == IEscrow.Status.Disputed) {
                _settle(known, 0, Outcomes.UNCOUNTERED_REFUNDED, 0);
            } else if (known.status == IEscrow.Status.Arbitrating) {
                _settle(known, uint256(order.amount) * order.silentBps / 10_000, Outcomes.SILENT, 0);
            } else if (order.flags & 2 != 0) {
                _settle(known, order.amount, Outcomes.UNDELIVERED_PAID, 0);
            } else {
                _settle(known, 0, Outcomes.UNDELIVERED_REFUNDED, 0);
            }
        }
        _call(abi.encodeCall(IEscrow.finalize, (order)), expected, "finalize");
    }

    function withdraw(uint256 who) public {
        vm.warp(_time);
        address account = who % (PEOPLE + 1) == PEOPLE ? sink : _people[who % (PEOPLE + 1)];
        uint256 amount = expectedOwed[account];
        bool expected = amount != 0 && !usdc.denied(account) && !usdc.denied(address(escrow));
        if (expected) {
            expectedOwed[account] = 0;
            owedToAll -= amount;
            expectedBalance[account] += amount;
        }
        _call(abi.encodeCall(IEscrow.withdraw, (account)), expected, "withdraw");
    }

    // what the world does

    function pass(uint32 secs) external {
        _time += bound(secs, 1, 1 days);
        vm.warp(_time);
    }

    function deny(uint256 who, bool on) external {
        address account = who % (PEOPLE + 1) == PEOPLE ? address(escrow) : _people[who % (PEOPLE + 1)];
        usdc.deny(account, on);
        happened["deny"]++;
    }

    function donate(uint64 amount) external {
        usdc.mint(address(this), amount);
        if (usdc.denied(address(escrow))) return;
        usdc.transfer(address(escrow), amount);
        donated += amount;
    }

    function putStake(uint256 who, uint32 amount) external {
        usdc.mint(address(stake), amount);
        stake.put(_people[who % PEOPLE], amount);
        expectedFree[_people[who % PEOPLE]] += amount;
    }

    // what thieves do

    /// @notice Tries an exit of an order that was never funded but shares fields with a funded one, with every signature
    /// that could be had.
    function steal(uint256 which, uint256 fields, uint8 bits, uint256 exit) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        bytes memory changed = abi.encode(_pick(which).order);
        // mostly one field, now and then many
        if (fields >> 32 & 3 != 0) fields = 1 << (fields % 18);
        for (uint256 i = 0; i < 18; i++) {
            if (fields >> i & 1 != 0) changed[32 * i + 31] ^= bytes1(uint8(bound(bits, 1, 255)));
        }
        IEscrow.Order memory order = abi.decode(changed, (IEscrow.Order));
        bytes32 id = escrow.orderId(order);
        if (_indexOf[id] != 0) return;
        bytes memory answer = _call(_exit(order, id, exit % 9), false, "steal");
        bytes memory wanted = abi.encodeWithSelector(IEscrow.BadState.selector, id, IEscrow.Status.None);
        require(keccak256(answer) == keccak256(wanted), "a stranger's exit answers BadState");
    }

    /// @notice Tries to use the signatures of one order for another, or of one kind for another.
    function replay(uint256 which, uint256 other, uint256 kind) external {
        if (_known.length < 2) return;
        vm.warp(_time);
        Known storage victim = _pick(which);
        Known storage source = _pick(other);
        if (victim.id == source.id) return;
        IEscrow.Order memory order = victim.order;
        (uint256 buyerKey, uint256 providerKey) = (_keyOf(order.buyer), _keyOf(order.provider));
        address target = address(escrow);
        bytes memory data;
        kind = kind % 5;
        if (kind == 0) {
            data = abi.encodeCall(IEscrow.release, (order, _sign(buyerKey, _releaseDigest(target, source.id))));
        } else if (kind == 1) {
            data = abi.encodeCall(IEscrow.refund, (order, _sign(providerKey, _refundDigest(target, source.id))));
        } else if (kind == 2) {
            // an authorisation to pay, and consent to the order, are not words to end it
            data = abi.encodeCall(IEscrow.refund, (order, _sign(providerKey, victim.id)));
        } else if (kind == 3) {
            uint40 until = uint40(_time + 1);
            bytes memory sig = _sign(_keyOf(order.validator), _verdictDigest(target, source.id, 0, 0, until));
            data = abi.encodeCall(IEscrow.verdict, (order, 0, 0, until, sig));
        } else {
            bytes memory auth = _bondAuth(source, buyerKey, 0, 0);
            data = abi.encodeCall(IEscrow.dispute, (order, 0, auth));
        }
        _call(data, false, "replay");
    }

    /// @notice 6: with whoever denied, time and anybody's `finalize` end every order.
    function endEverything(uint256 who) external {
        usdc.deny(who % (PEOPLE + 1) == PEOPLE ? address(escrow) : _people[who % (PEOPLE + 1)], true);
        _time += 400 days;
        for (uint256 i = 0; i < _known.length; i++) {
            if (_live(_known[i])) finalize(i);
        }
        usdc.deny(address(escrow), false);
        for (uint256 i = 0; i < PEOPLE; i++) {
            usdc.deny(_people[i], false);
        }
        for (uint256 i = 0; i <= PEOPLE; i++) {
            withdraw(i);
        }
    }

    function _exit(IEscrow.Order memory order, bytes32 id, uint256 which) private returns (bytes memory) {
        uint40 until = uint40(_time + 1);
        address target = address(escrow);
        (uint256 buyerKey, uint256 providerKey) = (_keyOf(order.buyer), _keyOf(order.provider));
        if (which == 0) {
            return abi.encodeCall(IEscrow.release, (order, _sign(buyerKey, _releaseDigest(target, id))));
        }
        if (which == 1) {
            return abi.encodeCall(IEscrow.refund, (order, _sign(providerKey, _refundDigest(target, id))));
        }
        if (which == 2) return abi.encodeCall(IEscrow.finalize, (order));
        if (which == 3) {
            vm.prank(order.provider);
            return abi.encodeCall(IEscrow.deliver, (order, bytes32(0)));
        }
        if (which == 4) {
            bytes32 digest = _splitDigest(target, id, 1, until);
            return abi.encodeCall(IEscrow.split, (order, 1, until, _sign(buyerKey, digest), _sign(providerKey, digest)));
        }
        if (which == 5) {
            bytes memory sig = _sign(_keyOf(order.validator), _verdictDigest(target, id, 1, 0, until));
            return abi.encodeCall(IEscrow.verdict, (order, 1, 0, until, sig));
        }
        if (which == 6) {
            return abi.encodeCall(IEscrow.dispute, (order, 0, _sign(buyerKey, _bondDigest(target, id, 0, 0))));
        }
        if (which == 7) {
            return abi.encodeCall(IEscrow.counter, (order, _sign(providerKey, _bondDigest(target, id, 1, 0))));
        }
        vm.prank(order.arbitrator);
        return abi.encodeCall(IEscrow.rule, (order, 0));
    }

    /// @dev A new order of any people in any roles, with the signatures it needs or without, and whether it can be
    /// funded. The buyer gets what it takes.
    function _newRow(uint256 seed) private returns (IEscrow.Funding memory row, bytes32 id, bool expected) {
        IEscrow.Order memory order = _newOrder(uint256(keccak256(abi.encode(seed))));
        id = escrow.orderId(order);
        usdc.mint(order.buyer, _deposit(order));
        expectedBalance[order.buyer] += _deposit(order);
        bool consent = seed % 4 != 0;
        row = IEscrow.Funding(order, _auth(order, id), consent ? _sign(_keyOf(order.provider), id) : bytes(""));
        bool needed = order.bond != 0 || order.stake != 0 || (order.arbitrator != address(0) && order.flags & 2 != 0);
        expected = _indexOf[id] == 0 && !usdc.denied(order.buyer) && !usdc.denied(address(escrow))
            && expectedFree[order.provider] >= order.stake && (consent || !needed);
    }

    function _newOrder(uint256 r) private view returns (IEscrow.Order memory order) {
        uint256 first = r % PEOPLE;
        uint256 step = 1 + (r >> 8) % (PEOPLE - 1);
        order.buyer = _people[first];
        order.provider = _people[(first + step) % PEOPLE];
        // a third and a fourth, or nobody; five is prime, so the steps meet nobody twice
        if (r >> 16 & 7 != 0) order.arbitrator = _people[(first + 2 * step) % PEOPLE];
        if (r >> 19 & 3 != 0) order.validator = _people[(first + (2 + (r >> 21 & 1)) * step) % PEOPLE];
        order.feeTo = r >> 24 & 3 == 0 ? order.buyer : sink;
        order.amount = uint96(r >> 32 & 7 == 0 ? r >> 160 : 1 + (r >> 40) % 1000);
        if (order.amount == 0) order.amount = 1;
        if (order.arbitrator != address(0)) {
            if (r >> 64 & 1 == 0) order.bond = uint96((r >> 66) % (uint256(order.amount) + 1));
            if (r >> 65 & 1 == 0) order.stake = uint96((r >> 72) % 1000);
        }
        order.feeBps = uint16((r >> 80) % 1001);
        order.silentBps = uint16((r >> 96) % 10_001);
        order.flags = uint8((r >> 112) % 4);
        order.fundBy = uint40(_time + 1 + (r >> 120) % 1 days);
        order.deliverBy = uint40(order.fundBy + 1 + (r >> 130) % 2 days);
        order.reviewSecs = uint32(1 hours + (r >> 140) % 1 days);
        (order.counterSecs, order.ruleSecs) = (order.reviewSecs, 1 days);
        // few salts, so that many orders share buyer and salt
        order.salt = (r >> 150) % 3;
    }

    /// @dev Everything it takes to fund an order that is there already.
    function _rowOf(Known storage known) private view returns (IEscrow.Funding memory) {
        IEscrow.Order memory order = known.order;
        return IEscrow.Funding(order, _auth(order, known.id), _sign(_keyOf(order.provider), known.id));
    }

    function _auth(IEscrow.Order memory order, bytes32 id) private view returns (bytes memory) {
        bytes32 digest =
            _receiveDigest(address(usdc), order.buyer, address(escrow), _deposit(order), 0, order.fundBy, id);
        return _sign(_keyOf(order.buyer), digest);
    }

    /// @dev A bond's signature; the party gets what it takes.
    function _bondAuth(Known storage known, uint256 key, uint8 side, bytes32 evidence) private returns (bytes memory) {
        IEscrow.Order memory order = known.order;
        bytes32 digest = _bondDigest(address(escrow), known.id, side, evidence);
        if (order.bond == 0) return _sign(key, digest);
        address party = side == 0 ? order.buyer : order.provider;
        usdc.mint(party, order.bond);
        expectedBalance[party] += order.bond;
        return _sign(key, _bondPayment(party, order.bond, _end(known), digest));
    }

    function _bondPayment(address party, uint256 bond, uint256 end, bytes32 nonce) private view returns (bytes32) {
        return _receiveDigest(address(usdc), party, address(escrow), bond, 0, end, nonce);
    }

    function _mayPay(address party, uint256 amount) private view returns (bool) {
        return amount == 0 || (!usdc.denied(party) && !usdc.denied(address(escrow)));
    }

    /// @dev A payment of an order, now and then above it.
    function _part(Known storage known, uint96 pay) private view returns (uint96) {
        uint256 amount = known.order.amount;
        if (pay % 8 == 0 && amount < type(uint96).max) return uint96(bound(pay, amount + 1, type(uint96).max));
        return uint96(bound(pay, 0, amount));
    }

    function _pick(uint256 which) private returns (Known storage) {
        touched = which % _known.length;
        return _known[touched];
    }

    /// @dev Mostly the right person, now and then somebody else.
    function _signer(address right, uint256 who) private view returns (uint256) {
        return who % 8 == 0 ? _keys[(who >> 3) % PEOPLE] : _keyOf(right);
    }

    /// @dev The key of a person, or the first person's for somebody unknown.
    function _keyOf(address account) private view returns (uint256) {
        for (uint256 i = 0; i < PEOPLE; i++) {
            if (_people[i] == account) return _keys[i];
        }
        return _keys[0];
    }
}
