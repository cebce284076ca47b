// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../src/types/Outcomes.sol";
import {Thieves} from "./Thieves.sol";

/// @title Five people who trade, quarrel, judge, forget, refuse and steal at random, in any role and any order
/// @dev Every action says beforehand whether it has to succeed, compares what it was about with the bookkeeping
/// afterwards, and reverts (which fails the run) if anything is wrong. Who sends what anybody may send is left to chance.
contract Handler is Thieves {
    uint256 private constant MAX_ORDERS = 60;

    // what people do

    function fund(uint256 seed) external {
        vm.warp(_time);
        if (_known.length >= MAX_ORDERS) return;
        (IEscrow.Funding memory row, bytes32 id, bool expected) = _newRow(seed);
        bytes memory data = abi.encodeCall(IEscrow.fund, (row.order, row.buyerAuth, row.providerSig));
        if (expected) _noteFunded(row.order, id, row.providerSig.length != 0);
        _call(_person(seed >> 8), data, expected, "fund");
        if (expected) _check(_known[_known.length - 1], row.order);
    }

    function fundBatch(uint256 seed) external {
        vm.warp(_time);
        if (_known.length >= MAX_ORDERS) return;
        IEscrow.Funding[] memory rows = new IEscrow.Funding[](3);
        bytes32 id;
        bool expected;
        (rows[0], id, expected) = _newRow(seed);
        if (expected) _noteFunded(rows[0].order, id, rows[0].providerSig.length != 0);
        // the same again, and one that exists
        rows[1] = rows[0];
        rows[2] = _known.length == 0 ? rows[0] : _rowOf(_known[(seed >> 8) % _known.length]);
        _call(_person(seed >> 16), abi.encodeCall(IEscrow.fundBatch, (rows)), true, "fund batch");
        if (expected) _check(_known[_known.length - 1], rows[0].order);
    }

    function fundAgain(uint256 which) external {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        IEscrow.Funding memory row = _rowOf(known);
        bytes memory data = abi.encodeCall(IEscrow.fund, (order, row.buyerAuth, row.providerSig));
        _call(_person(which >> 8), data, false, "fund again");
        _check(known, order);
    }

    function release(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        address signer = _maybe(order.buyer, who);
        bytes memory sig = _signedBy(signer, _releaseDigest(address(escrow), known.id), who);
        bool expected = _live(known) && signer == order.buyer;
        if (expected) _noteSettled(known, order, order.amount, Outcomes.RELEASED, 0);
        _call(_person(who >> 8), abi.encodeCall(IEscrow.release, (order, sig)), expected, "release");
        _check(known, order);
    }

    function releaseBatch(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](4);
        uint256[4] memory indices;
        for (uint256 i = 0; i < 4; i++) {
            // now and then the same twice
            indices[i] = (_indexFor(which) + i * ((who >> 200) % 3)) % _known.length;
            Known storage known = _known[indices[i]];
            IEscrow.Order memory order = known.order;
            address signer = _maybe(order.buyer, who >> (8 * i));
            bytes memory sig = _signedBy(signer, _releaseDigest(address(escrow), known.id), who << (4 * i));
            rows[i] = IEscrow.Settlement(order, sig);
            if (_live(known) && signer == order.buyer) {
                _noteSettled(known, order, order.amount, Outcomes.RELEASED, 0);
            }
        }
        _call(_person(who >> 64), abi.encodeCall(IEscrow.releaseBatch, (rows)), true, "release batch");
        for (uint256 i = 0; i < 4; i++) {
            _check(_known[indices[i]], rows[i].order);
        }
    }

    function refund(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        address signer = _maybe(order.provider, who);
        bytes memory sig = _signedBy(signer, _refundDigest(address(escrow), known.id), who);
        bool expected = _live(known) && signer == order.provider;
        if (expected) _noteSettled(known, order, 0, Outcomes.REFUNDED, 0);
        _call(_person(who >> 8), abi.encodeCall(IEscrow.refund, (order, sig)), expected, "refund");
        _check(known, order);
    }

    function split(uint256 which, uint256 who, uint96 pay, uint40 wait) external {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        pay = _part(order, pay);
        uint40 until = uint40(_time + wait % 4);
        (address first, address second) = (_maybe(order.buyer, who), _somebody(order.provider, who >> 16));
        bool expected =
            _live(known) && wait % 4 != 0 && first == order.buyer && second == order.provider && pay <= order.amount;
        bytes32 digest = _splitDigest(address(escrow), known.id, pay, until);
        bytes memory firstSig = _signedBy(first, digest, who);
        bytes memory secondSig = _signedBy(second, digest, who << 3);
        if (expected) _noteSettled(known, order, pay, Outcomes.SPLIT, 0);
        bytes memory data = abi.encodeCall(IEscrow.split, (order, pay, until, firstSig, secondSig));
        _call(_person(who >> 32), data, expected, "split");
        _check(known, order);
    }

    function verdict(uint256 which, uint256 who, uint96 pay, uint40 wait) external {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        pay = _part(order, pay);
        uint40 until = uint40(_time + wait % 4);
        address signer = _maybe(order.validator, who);
        bool expected = (known.status == IEscrow.Status.Funded || known.status == IEscrow.Status.Delivered)
            && wait % 4 != 0 && signer == order.validator && pay <= order.amount;
        bytes32 digest = _verdictDigest(address(escrow), known.id, pay, bytes32(which), until);
        bytes memory sig = _signedBy(signer, digest, who);
        if (expected) _noteSettled(known, order, pay, Outcomes.VERDICT, 0);
        bytes memory data = abi.encodeCall(IEscrow.verdict, (order, pay, bytes32(which), until, sig));
        _call(_person(who >> 8), data, expected, "verdict");
        _check(known, order);
    }

    function deliver(uint256 which, uint256 who) public {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        address caller = _somebody(order.provider, who);
        bool expected = known.status == IEscrow.Status.Funded && caller == order.provider && _time < order.deliverBy;
        if (expected) {
            (known.status, known.consented) = (IEscrow.Status.Delivered, true);
            known.windowEnd = uint40(_time + order.reviewSecs);
        }
        _call(caller, abi.encodeCall(IEscrow.deliver, (order, bytes32(which))), expected, "deliver");
        _check(known, order);
    }

    function dispute(uint256 which, uint256 who, bytes32 evidence) public {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        address signer = _somebody(order.buyer, who);
        bool open =
            known.status == IEscrow.Status.Delivered || (known.status == IEscrow.Status.Funded && order.flags & 2 != 0);
        bool expected = open && _time < _end(known, order) && order.arbitrator != address(0) && known.consented
            && signer == order.buyer && _mayPay(order.buyer, order.bond);
        bytes memory auth = _bondAuth(known, order, signer, 0, evidence);
        if (expected) {
            _noteBond(known, order.buyer, order.bond, IEscrow.Status.Disputed, _time + order.counterSecs);
            known.evidence = evidence;
        }
        _call(_person(who >> 8), abi.encodeCall(IEscrow.dispute, (order, evidence, auth)), expected, "dispute");
        _check(known, order);
    }

    function counter(uint256 which, uint256 who) public {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        address signer = _somebody(order.provider, who);
        bool expected = known.status == IEscrow.Status.Disputed && _time < known.windowEnd && signer == order.provider
            && _mayPay(order.provider, order.bond);
        bytes memory auth = _bondAuth(known, order, signer, 1, known.evidence);
        if (expected) {
            _noteBond(known, order.provider, order.bond, IEscrow.Status.Arbitrating, _time + order.ruleSecs);
        }
        _call(_person(who >> 8), abi.encodeCall(IEscrow.counter, (order, auth)), expected, "counter");
        _check(known, order);
    }

    function rule(uint256 which, uint256 who, uint96 pay) public {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        pay = _part(order, pay);
        address caller = _somebody(order.arbitrator, who);
        bool expected = known.status == IEscrow.Status.Arbitrating && caller == order.arbitrator
            && _time < known.windowEnd && pay <= order.amount;
        if (expected) {
            _noteSettled(known, order, pay, Outcomes.RULED, 2 * uint256(pay) >= order.amount ? 1 : 2);
        }
        _call(caller, abi.encodeCall(IEscrow.rule, (order, pay)), expected, "rule");
        _check(known, order);
    }

    function finalize(uint256 which) public {
        if (_known.length == 0) return;
        (Known storage known, IEscrow.Order memory order) = _pick(which);
        bool expected = _live(known) && _time >= _end(known, order);
        if (expected) {
            (uint256 pay, uint8 outcome) = _onTimeout(order, known.status);
            _noteSettled(known, order, pay, outcome, 0);
        }
        _call(_person(which >> 8), abi.encodeCall(IEscrow.finalize, (order)), expected, "finalize");
        _check(known, order);
    }

    /// @notice One to four steps of a quarrel over one order, each by whose turn it is: chance alone seldom goes that far.
    function quarrel(uint256 which, uint256 r) external {
        if (_known.length == 0) return;
        uint256 index = _indexFor(which);
        for (uint256 i = 0; i <= r % 4; i++) {
            _takeTurn(index, r);
        }
    }

    /// @notice Time runs to the last second of an order's window, to its end or just past it; whose turn it is may try it
    /// now, and somebody tries to finalize.
    function lapse(uint256 which, uint256 where) external {
        if (_known.length == 0) return;
        uint256 index = _indexFor(which);
        if (_live(_known[index])) {
            uint256 time = _end(_known[index], _known[index].order) - 1 + where % 3;
            if (time > _time) _time = time;
        }
        if (where >> 8 & 1 == 0) _takeTurn(index, where);
        finalize(index);
    }

    function withdraw(uint256 who) public {
        vm.warp(_time);
        address account = _person(who);
        uint256 amount = _owed[account];
        bool expected = amount != 0 && !usdc.denied(account) && !usdc.denied(address(escrow));
        if (expected) {
            _owed[account] = 0;
            owedToAll -= amount;
            _balance[account] += amount;
        }
        _call(_person(who >> 8), abi.encodeCall(IEscrow.withdraw, (account)), expected, "withdraw");
        _checkAccount(account);
    }

    // what the world does

    /// @notice Mostly less than the shortest window, now and then more than a day.
    function pass(uint32 secs) external {
        _time += bound(secs, 1, secs % 4 == 0 ? 2 days : 1 hours);
    }

    /// @notice The token changes its mind about somebody, or about the escrow; mostly for the better.
    function deny(uint256 who, uint256 how) external {
        who %= PEOPLE + 2;
        usdc.deny(who > PEOPLE ? address(escrow) : _person(who), how % 8 == 0);
        happened["deny"]++;
    }

    function donate(uint64 amount) external {
        usdc.mint(address(escrow), amount);
        donated += amount;
    }

    function putStake(uint256 who, uint32 amount) external {
        usdc.mint(address(stake), amount);
        stake.put(_people[who % PEOPLE], amount);
        _freeStake[_people[who % PEOPLE]] += amount;
    }

    /// @notice 6: with whoever denied, time and anybody's `finalize` end every order.
    function endEverything(uint256 who) external {
        who %= PEOPLE + 2;
        usdc.deny(who > PEOPLE ? address(escrow) : _person(who), true);
        _time += 400 days;
        for (uint256 i = 0; i < _known.length; i++) {
            if (_live(_known[i])) finalize(i);
        }
        usdc.deny(address(escrow), false);
        for (uint256 i = 0; i <= PEOPLE; i++) {
            usdc.deny(_person(i), false);
            withdraw(i);
        }
    }

    function _takeTurn(uint256 index, uint256 r) private {
        // a number by which everybody is who they should be
        uint256 right = 1;
        IEscrow.Status status = _known[index].status;
        if (status == IEscrow.Status.Funded && r >> 16 & 3 != 0) {
            deliver(index, right);
        } else if (status == IEscrow.Status.Funded || status == IEscrow.Status.Delivered) {
            dispute(index, right, bytes32(r));
        } else if (status == IEscrow.Status.Disputed) {
            counter(index, right);
        } else if (status == IEscrow.Status.Arbitrating) {
            rule(index, right, uint96(r >> 32));
        }
    }

    /// @dev A new order of any people in any roles, or another one's twin, or one that may not be; with the signatures it
    /// needs or without, and whether it can be funded. The buyer gets what it takes.
    function _newRow(uint256 seed) private returns (IEscrow.Funding memory row, bytes32 id, bool expected) {
        uint256 r = uint256(keccak256(abi.encode(seed)));
        IEscrow.Order memory order;
        if (_known.length != 0 && r >> 200 & 3 == 0) {
            order = _known[(r >> 202) % _known.length].order;
            _makeTwin(order, r);
        } else {
            order = _newOrder(r);
        }
        bool spoiled = r >> 220 & 15 == 0;
        if (spoiled) _spoil(order, r >> 224);
        id = escrow.orderId(order);
        usdc.mint(order.buyer, _deposit(order));
        _balance[order.buyer] += _deposit(order);
        bool consent = seed % 4 != 0;
        row = IEscrow.Funding(order, _payment(order, id), consent ? _signedBy(order.provider, id, r) : bytes(""));
        expected = !spoiled && _indexOf[id] == 0 && !usdc.denied(order.buyer) && !usdc.denied(address(escrow))
            && _freeStake[order.provider] >= order.stake && (consent || !_needsConsent(order));
    }

    /// @dev Everything it takes to fund an order that is there already.
    function _rowOf(Known storage known) private view returns (IEscrow.Funding memory) {
        IEscrow.Order memory order = known.order;
        return IEscrow.Funding(order, _payment(order, known.id), _signedBy(order.provider, known.id));
    }

    /// @dev A bond's signature; the party gets what it takes.
    function _bondAuth(Known storage known, IEscrow.Order memory order, address signer, uint8 side, bytes32 evidence)
        private
        returns (bytes memory)
    {
        bytes32 digest = _bondDigest(address(escrow), known.id, side, evidence);
        if (order.bond == 0) return _signedBy(signer, digest, uint256(digest));
        address party = side == 0 ? order.buyer : order.provider;
        usdc.mint(party, order.bond);
        _balance[party] += order.bond;
        return _bondPayment(signer, party, order.bond, _end(known, order), digest);
    }

    function _mayPay(address party, uint256 amount) private view returns (bool) {
        return amount == 0 || (!usdc.denied(party) && !usdc.denied(address(escrow)));
    }

    /// @dev What the order says for a window of this status that passed.
    function _onTimeout(IEscrow.Order memory order, IEscrow.Status status) private pure returns (uint256, uint8) {
        if (status == IEscrow.Status.Delivered) return (order.amount, Outcomes.DELIVERED_PAID);
        if (status == IEscrow.Status.Disputed) return (0, Outcomes.UNCOUNTERED_REFUNDED);
        if (status == IEscrow.Status.Arbitrating) {
            return (uint256(order.amount) * order.silentBps / 10_000, Outcomes.SILENT);
        }
        if (order.flags & 2 != 0) return (order.amount, Outcomes.UNDELIVERED_PAID);
        return (0, Outcomes.UNDELIVERED_REFUNDED);
    }

    /// @dev A payment of an order, now and then above it.
    function _part(IEscrow.Order memory order, uint96 pay) private pure returns (uint96) {
        uint256 amount = order.amount;
        if (pay % 8 == 0 && amount < type(uint96).max) return uint96(bound(pay, amount + 1, type(uint96).max));
        return uint96(bound(pay, 0, amount));
    }

    function _pick(uint256 which) private returns (Known storage known, IEscrow.Order memory order) {
        vm.warp(_time);
        known = _known[_indexFor(which)];
        order = known.order;
    }

    /// @dev A small number is an index; others mean mostly a late order, one that is not settled if there is any near, and
    /// now and then just any.
    function _indexFor(uint256 which) private view returns (uint256 index) {
        uint256 length = _known.length;
        if (which < MAX_ORDERS || which >> 8 & 3 == 0) return which % length;
        uint256 from = which % (length < 6 ? length : 6);
        for (uint256 i = from; i < length && i < from + 6; i++) {
            index = length - 1 - i;
            if (_live(_known[index])) return index;
        }
    }
}
