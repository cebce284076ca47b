// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {Vm} from "../base/TestBase.sol";
import {People} from "./People.sol";

/// @title The second bookkeeping: what must come of everything that people do to the escrow
abstract contract Book is People {
    /// @notice One order and what the bookkeeping knows of it.
    struct Known {
        IEscrow.Order order;
        bytes32 id;
        IEscrow.Status status;
        uint8 outcome;
        bool consented;
        uint40 windowEnd;
        uint8 settlements;
        bytes32 evidence;
    }

    Known[] internal _known;
    mapping(bytes32 id => uint256 indexPlusOne) internal _indexOf;

    mapping(address account => uint256) internal _balance;
    mapping(address account => uint256) internal _owed;
    mapping(address account => uint256) internal _freeStake;
    /// @notice The deposits and bonds of all orders that are not settled.
    uint256 public held;
    uint256 public owedToAll;
    uint256 public donated;

    /// @notice How often each thing really happened, so that a run can be shown not to be empty.
    mapping(bytes32 what => uint256) public happened;

    constructor() {
        vm.recordLogs();
    }

    // what the invariants ask

    function count() external view returns (uint256) {
        return _known.length;
    }

    /// @notice 1: every live deposit and bond, everything it owes, and what was sent to it unasked. Nothing else.
    function shouldHold() external view returns (uint256) {
        return held + owedToAll + donated;
    }

    /// @notice 2, 4 and 11 for everybody and every order.
    function checkEverything() external view {
        for (uint256 i = 0; i <= PEOPLE; i++) {
            _checkAccount(_person(i));
        }
        for (uint256 i = 0; i < _known.length; i++) {
            _checkOrder(_known[i]);
            IEscrow.Order memory order = _known[i].order;
            order.terms = keccak256("other terms");
            (IEscrow.Status status,,,) = escrow.statusOf(order);
            require(status == IEscrow.Status.None, "an order nobody funded stands at something");
        }
    }

    // what comes of it

    /// @dev Calls as `sender`; what comes of it must be what the bookkeeping expects.
    function _call(address sender, bytes memory data, bool expected, bytes32 what)
        internal
        returns (bytes memory answer)
    {
        bool ok;
        vm.prank(sender);
        (ok, answer) = address(escrow).call(data);
        if (ok != expected) {
            require(!ok, string.concat("should have been refused: ", string(abi.encodePacked(what))));
            revert(string.concat("should have succeeded: ", string(abi.encodePacked(what))));
        }
        happened[ok ? what : bytes32(bytes.concat("no ", what))]++;
        Vm.Log[] memory logs = vm.getRecordedLogs();
        if (ok) _readLogs(logs);
    }

    /// @dev 4 and 2 for one order and everybody in it, after something was done or tried with it.
    function _check(Known storage known, IEscrow.Order memory order) internal view {
        _checkOrder(known);
        _checkAccount(order.buyer);
        _checkAccount(order.provider);
        if (order.arbitrator != address(0)) _checkAccount(order.arbitrator);
    }

    /// @dev The bookkeeping only moves forward, and the chain has to agree with it.
    function _checkOrder(Known storage known) internal view {
        (IEscrow.Status status, uint8 outcome, bool consented, uint40 windowEnd) = escrow.statusOfId(known.id);
        require(status == known.status, "status");
        require(outcome == known.outcome, "outcome");
        require(consented == known.consented, "consented");
        require(windowEnd == known.windowEnd, "window end");
        require(known.settlements == (status == IEscrow.Status.Settled ? 1 : 0), "settlements");
        require(escrow.evidenceOf(known.id) == known.evidence, "evidence");
    }

    function _checkAccount(address account) internal view {
        require(usdc.balanceOf(account) == _balance[account], "balance");
        require(escrow.owed(account) == _owed[account], "owed");
        require(stake.free(account) == _freeStake[account], "free stake");
    }

    function _noteFunded(IEscrow.Order memory order, bytes32 id, bool consented) internal {
        _balance[order.buyer] -= _deposit(order);
        _freeStake[order.provider] -= order.stake;
        held += _deposit(order);
        Known storage known = _known.push();
        (known.order, known.id, known.status, known.consented) = (order, id, IEscrow.Status.Funded, consented);
        _indexOf[id] = _known.length;
    }

    function _noteBond(Known storage known, address from, uint256 bond, IEscrow.Status next, uint256 windowEnd)
        internal
    {
        _balance[from] -= bond;
        held += bond;
        (known.status, known.windowEnd) = (next, uint40(windowEnd));
    }

    /// @dev What must come of a settlement; `loser` 1 is a buyer who loses its bond, 2 a provider who loses bond and stake.
    function _noteSettled(Known storage known, IEscrow.Order memory order, uint256 pay, uint8 outcome, uint256 loser)
        internal
    {
        (uint256 buyerBond, uint256 providerBond) = _bonds(known.status, order.bond);
        held -= _deposit(order) + buyerBond + providerBond;
        (known.status, known.outcome) = (IEscrow.Status.Settled, outcome);

        uint256 fee = pay * order.feeBps / 10_000;
        uint256 paid = order.flags & 1 == 0 ? pay - fee : pay;
        _owed[order.feeTo] += fee;
        owedToAll += fee;
        _notePaid(order.provider, paid + (loser == 2 ? 0 : providerBond));
        _notePaid(order.buyer, _deposit(order) - fee - paid + (loser == 1 ? 0 : buyerBond));
        if (loser != 0) _notePaid(order.arbitrator, order.bond);
        if (loser != 2) _freeStake[order.provider] += order.stake;
        else if (!usdc.denied(order.buyer)) _balance[order.buyer] += order.stake;
        if (loser == 2 && order.stake != 0) happened["slash"]++;
        happened[bytes32(bytes.concat("outcome ", bytes1(64 + outcome)))]++;
    }

    function _bonds(IEscrow.Status status, uint256 bond) private pure returns (uint256 ofBuyer, uint256 ofProvider) {
        if (status == IEscrow.Status.Arbitrating) return (bond, bond);
        return (status == IEscrow.Status.Disputed ? bond : 0, 0);
    }

    function _notePaid(address to, uint256 amount) private {
        if (amount == 0) return;
        if (usdc.denied(to) || usdc.denied(address(escrow))) {
            _owed[to] += amount;
            owedToAll += amount;
            happened["credit"]++;
        } else {
            _balance[to] += amount;
        }
    }

    /// @dev 2 and 3: counts settlements as the chain tells them, and checks that each divides its deposit without rest.
    function _readLogs(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].emitter != address(escrow) || logs[i].topics[0] != IEscrow.Settled.selector) continue;
            uint256 index = _indexOf[logs[i].topics[1]];
            require(index != 0, "settled an order that was never funded");
            Known storage settled = _known[index - 1];
            settled.settlements++;
            (uint256 paid, uint256 fee, uint256 refunded) = abi.decode(logs[i].data, (uint256, uint256, uint256));
            IEscrow.Order memory order = settled.order;
            require(paid + fee + refunded == _deposit(order), "a rest");
            uint256 pay = order.flags & 1 == 0 ? paid + fee : paid;
            require(fee == pay * order.feeBps / 10_000 && 10 * fee <= pay, "another fee");
        }
    }

    function _live(Known storage known) internal view returns (bool) {
        return known.status != IEscrow.Status.None && known.status != IEscrow.Status.Settled;
    }

    /// @dev When the window ends that the order is in.
    function _end(Known storage known, IEscrow.Order memory order) internal view returns (uint256) {
        return known.status == IEscrow.Status.Funded ? order.deliverBy : known.windowEnd;
    }
}
