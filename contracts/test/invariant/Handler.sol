// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../src/types/Outcomes.sol";
import {Eip712} from "../base/Eip712.sol";
import {Vm} from "../base/TestBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";

/// @title Four people who trade, forget, refuse and steal at random, and a second bookkeeping of what must come of it
/// @dev Every action says beforehand whether it has to succeed, and reverts (which fails the run) if it is wrong.
contract Handler is Eip712 {
    /// @notice One order and what the bookkeeping knows of it.
    struct Known {
        IEscrow.Order order;
        bytes32 id;
        IEscrow.Status status;
        uint8 outcome;
        bool consented;
        uint40 reviewEnds;
        uint256 settlements;
    }

    uint256 private constant MAX_ORDERS = 100;
    uint256 private constant PEOPLE = 4;

    DenylistUSDC public immutable usdc;
    IEscrow public immutable escrow;
    address public immutable sink = address(0x51);

    Known[] private _known;
    mapping(bytes32 id => uint256 indexPlusOne) private _indexOf;
    uint256[PEOPLE] private _keys;
    address[PEOPLE] private _people;
    uint256 private _time = 1_800_000_000;

    mapping(address account => uint256) public expectedBalance;
    mapping(address account => uint256) public expectedOwed;
    uint256 public donated;

    /// @notice How often each thing really happened, so that a run can be shown not to be empty.
    mapping(bytes32 what => uint256) public happened;

    constructor() {
        vm.warp(_time);
        usdc = new DenylistUSDC(address(this));
        escrow = IEscrow(vm.deployCode("out/Escrow.sol/Escrow.json", abi.encode(address(usdc))));
        for (uint256 i = 0; i < PEOPLE; i++) {
            _keys[i] = uint256(keccak256(abi.encode("person", i)));
            _people[i] = vm.addr(_keys[i]);
        }
        vm.recordLogs();
    }

    // what people do

    function fund(
        uint256 who,
        uint96 amount,
        uint16 feeBps,
        uint8 flags,
        uint256 salt,
        uint32 fundIn,
        uint32 deliverIn,
        uint32 review,
        bool consent
    ) external {
        vm.warp(_time);
        if (_known.length == MAX_ORDERS) return;
        uint256 buyerKey = _keys[who % PEOPLE];
        uint256 providerKey = _keys[(who % PEOPLE + 1 + (who >> 128) % (PEOPLE - 1)) % PEOPLE];
        IEscrow.Order memory order;
        order.buyer = vm.addr(buyerKey);
        order.provider = vm.addr(providerKey);
        order.feeTo = sink;
        order.amount = uint96(bound(amount, 1, type(uint96).max));
        order.feeBps = uint16(bound(feeBps, 0, 1000));
        order.flags = flags % 4;
        order.fundBy = uint40(_time + bound(fundIn, 1, 1 days));
        order.deliverBy = uint40(order.fundBy + bound(deliverIn, 1, 3 days));
        order.reviewSecs = uint32(bound(review, 1 hours, 3 days));
        (order.counterSecs, order.ruleSecs) = (1 days, 1 days);
        // few salts, so that many orders share buyer and salt
        order.salt = salt % 3;

        bytes32 id = escrow.orderId(order);
        uint256 deposit = _deposit(order);
        usdc.mint(order.buyer, deposit);
        expectedBalance[order.buyer] += deposit;
        bytes memory auth =
            _sign(buyerKey, _receiveDigest(address(usdc), order.buyer, address(escrow), deposit, 0, order.fundBy, id));
        bytes memory sig = consent ? _sign(providerKey, id) : bytes("");

        bool expected = _indexOf[id] == 0 && !usdc.denied(order.buyer) && !usdc.denied(address(escrow));
        _call(abi.encodeCall(IEscrow.fund, (order, auth, sig)), expected, "fund");
        if (expected) {
            expectedBalance[order.buyer] -= deposit;
            _known.push();
            Known storage known = _known[_known.length - 1];
            (known.order, known.id, known.status, known.consented) = (order, id, IEscrow.Status.Funded, consent);
            _indexOf[id] = _known.length;
        }
        _readLogs();
    }

    function fundAgain(uint256 which) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        IEscrow.Order memory order = known.order;
        uint256 deposit = _deposit(order);
        bytes32 digest = _receiveDigest(address(usdc), order.buyer, address(escrow), deposit, 0, order.fundBy, known.id);
        bytes memory auth = _sign(_keyOf(order.buyer), digest);
        _call(abi.encodeCall(IEscrow.fund, (order, auth, "")), false, "fund again");
        _readLogs();
    }

    function release(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        uint256 key = _signer(known.order.buyer, who);
        bytes memory sig = _sign(key, _releaseDigest(address(escrow), known.id));
        bool expected = _live(known) && vm.addr(key) == known.order.buyer;
        _call(abi.encodeCall(IEscrow.release, (known.order, sig)), expected, "release");
        if (expected) _settle(known, known.order.amount, Outcomes.RELEASED);
        _readLogs();
    }

    function refund(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        uint256 key = _signer(known.order.provider, who);
        bytes memory sig = _sign(key, _refundDigest(address(escrow), known.id));
        bool expected = _live(known) && vm.addr(key) == known.order.provider;
        _call(abi.encodeCall(IEscrow.refund, (known.order, sig)), expected, "refund");
        if (expected) _settle(known, 0, Outcomes.REFUNDED);
        _readLogs();
    }

    function deliver(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        address caller = vm.addr(_signer(known.order.provider, who));
        bool expected =
            known.status == IEscrow.Status.Funded && caller == known.order.provider && _time < known.order.deliverBy;
        vm.prank(caller);
        _call(abi.encodeCall(IEscrow.deliver, (known.order, bytes32(which))), expected, "deliver");
        if (expected) {
            known.status = IEscrow.Status.Delivered;
            known.reviewEnds = uint40(_time + known.order.reviewSecs);
        }
        _readLogs();
    }

    function finalize(uint256 which) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        bool delivered = known.status == IEscrow.Status.Delivered;
        bool expected = _live(known) && _time >= (delivered ? known.reviewEnds : known.order.deliverBy);
        _call(abi.encodeCall(IEscrow.finalize, (known.order)), expected, "finalize");
        if (expected && delivered) _settle(known, known.order.amount, Outcomes.DELIVERED_PAID);
        else if (expected && known.order.flags & 2 != 0) _settle(known, known.order.amount, Outcomes.UNDELIVERED_PAID);
        else if (expected) _settle(known, 0, Outcomes.UNDELIVERED_REFUNDED);
        _readLogs();
    }

    function withdraw(uint256 who) external {
        vm.warp(_time);
        address account = who % (PEOPLE + 1) == PEOPLE ? sink : _people[who % (PEOPLE + 1)];
        uint256 amount = expectedOwed[account];
        bool expected = amount != 0 && !usdc.denied(account) && !usdc.denied(address(escrow));
        _call(abi.encodeCall(IEscrow.withdraw, (account)), expected, "withdraw");
        if (expected) {
            expectedOwed[account] = 0;
            expectedBalance[account] += amount;
        }
        _readLogs();
    }

    // what the world does

    function pass(uint32 secs) external {
        _time += bound(secs, 1, 2 days);
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

    // what thieves do

    /// @notice Tries an exit of an order that was never funded but shares all fields but one with a funded one, with
    /// every signature that could be had.
    function steal(uint256 which, uint256 field, uint8 bits, uint256 exit) external {
        if (_known.length == 0) return;
        vm.warp(_time);
        Known storage known = _pick(which);
        bytes memory changed = abi.encode(known.order);
        changed[32 * (field % 18) + 31] ^= bytes1(uint8(bound(bits, 1, 255)));
        IEscrow.Order memory order = abi.decode(changed, (IEscrow.Order));
        bytes32 id = escrow.orderId(order);
        if (_indexOf[id] != 0) return;

        exit = exit % 4;
        bytes memory call;
        if (exit == 0) {
            call = abi.encodeCall(
                IEscrow.release, (order, _sign(_keyOf(order.buyer), _releaseDigest(address(escrow), id)))
            );
        } else if (exit == 1) {
            call = abi.encodeCall(
                IEscrow.refund, (order, _sign(_keyOf(order.provider), _refundDigest(address(escrow), id)))
            );
        } else if (exit == 2) {
            call = abi.encodeCall(IEscrow.finalize, (order));
        } else {
            call = abi.encodeCall(IEscrow.deliver, (order, bytes32(0)));
            vm.prank(order.provider);
        }
        bytes memory answer = _call(call, false, "steal");
        bytes memory wanted = abi.encodeWithSelector(IEscrow.BadState.selector, id, IEscrow.Status.None);
        require(keccak256(answer) == keccak256(wanted), "a stranger's exit answers BadState");
        _readLogs();
    }

    /// @notice Tries to use the signatures of one order for another.
    function replay(uint256 which, uint256 other, bool toRelease) external {
        if (_known.length < 2) return;
        vm.warp(_time);
        Known storage victim = _pick(which);
        Known storage source = _pick(other);
        if (victim.id == source.id) return;
        IEscrow.Order memory order = victim.order;
        bytes memory sig = toRelease
            ? _sign(_keyOf(order.buyer), _releaseDigest(address(escrow), source.id))
            : _sign(_keyOf(order.provider), _refundDigest(address(escrow), source.id));
        bytes memory call =
            toRelease ? abi.encodeCall(IEscrow.release, (order, sig)) : abi.encodeCall(IEscrow.refund, (order, sig));
        _call(call, false, "replay");
        _readLogs();
    }

    // what the invariants ask

    function count() external view returns (uint256) {
        return _known.length;
    }

    function orderAt(uint256 index) external view returns (Known memory) {
        return _known[index];
    }

    function person(uint256 index) external view returns (address) {
        return _people[index];
    }

    function people() external pure returns (uint256) {
        return PEOPLE;
    }

    /// @notice The deposits of all orders that are not settled.
    function live() external view returns (uint256 sum) {
        for (uint256 i = 0; i < _known.length; i++) {
            if (_live(_known[i])) sum += _deposit(_known[i].order);
        }
    }

    function _call(bytes memory call, bool expected, bytes32 what) private returns (bytes memory answer) {
        bool ok;
        (ok, answer) = address(escrow).call(call);
        if (ok != expected) {
            require(!ok, string.concat("should have been refused: ", string(abi.encodePacked(what))));
            revert(string.concat("should have succeeded: ", string(abi.encodePacked(what))));
        }
        happened[ok ? what : bytes32(bytes.concat("no ", what))]++;
    }

    /// @dev The second bookkeeping of a settlement.
    function _settle(Known storage known, uint256 pay, uint8 outcome) private {
        IEscrow.Order memory order = known.order;
        (known.status, known.outcome) = (IEscrow.Status.Settled, outcome);
        uint256 fee = pay * order.feeBps / 10_000;
        uint256 paid = order.flags & 1 == 0 ? pay - fee : pay;
        expectedOwed[sink] += fee;
        _expectPaid(order.provider, paid);
        _expectPaid(order.buyer, _deposit(order) - fee - paid);
        happened[bytes32(bytes.concat("outcome ", bytes1(48 + outcome)))]++;
    }

    function _expectPaid(address to, uint256 amount) private {
        if (amount == 0) return;
        if (usdc.denied(to) || usdc.denied(address(escrow))) {
            expectedOwed[to] += amount;
            happened["credit"]++;
        } else {
            expectedBalance[to] += amount;
        }
    }

    /// @dev Counts settlements as the chain tells them, and checks that each divides its deposit without rest.
    function _readLogs() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].emitter != address(escrow) || logs[i].topics[0] != IEscrow.Settled.selector) continue;
            uint256 index = _indexOf[logs[i].topics[1]];
            require(index != 0, "settled an order that was never funded");
            Known storage settled = _known[index - 1];
            settled.settlements++;
            (uint256 paid, uint256 fee, uint256 refunded) = abi.decode(logs[i].data, (uint256, uint256, uint256));
            require(paid + fee + refunded == _deposit(settled.order), "a rest");
            require(10 * fee <= settled.order.amount, "fee above a tenth");
        }
    }

    function _pick(uint256 which) private view returns (Known storage) {
        return _known[which % _known.length];
    }

    function _live(Known storage known) private view returns (bool) {
        return known.status == IEscrow.Status.Funded || known.status == IEscrow.Status.Delivered;
    }

    function _deposit(IEscrow.Order memory order) private pure returns (uint256) {
        uint256 amount = order.amount;
        return order.flags & 1 == 0 ? amount : amount + amount * order.feeBps / 10_000;
    }

    /// @dev Mostly the right person, now and then somebody else.
    function _signer(address right, uint256 who) private view returns (uint256) {
        return who % 4 == 0 ? _keys[(who >> 2) % PEOPLE] : _keyOf(right);
    }

    /// @dev The key of a person, or the first person's for somebody unknown.
    function _keyOf(address account) private view returns (uint256) {
        for (uint256 i = 0; i < PEOPLE; i++) {
            if (_people[i] == account) return _keys[i];
        }
        return _keys[0];
    }
}
