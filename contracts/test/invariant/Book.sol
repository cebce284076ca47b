// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {Eip712} from "../base/Eip712.sol";
import {Vm} from "../base/TestBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {StakeBook} from "../mocks/StakeBook.sol";

/// @title The second bookkeeping: what must come of everything that people do to the escrow
abstract contract Book is Eip712 {
    /// @notice One order and what the bookkeeping knows of it.
    struct Known {
        IEscrow.Order order;
        bytes32 id;
        IEscrow.Status status;
        uint8 outcome;
        bool consented;
        uint40 windowEnd;
        bytes32 evidence;
        uint256 settlements;
    }

    uint256 internal constant PEOPLE = 5;

    DenylistUSDC public immutable usdc;
    StakeBook public immutable stake;
    IEscrow public immutable escrow;
    address public immutable sink = address(0x51);

    Known[] internal _known;
    mapping(bytes32 id => uint256 indexPlusOne) internal _indexOf;
    uint256[PEOPLE] internal _keys;
    address[PEOPLE] internal _people;
    uint256 internal _time = 1_800_000_000;

    mapping(address account => uint256) public expectedBalance;
    mapping(address account => uint256) public expectedOwed;
    mapping(address account => uint256) public expectedFree;
    /// @notice The deposits and bonds of all orders that are not settled.
    uint256 public held;
    uint256 public owedToAll;
    uint256 public donated;
    /// @notice The order that the last action was about.
    uint256 public touched;

    /// @notice How often each thing really happened, so that a run can be shown not to be empty.
    mapping(bytes32 what => uint256) public happened;

    constructor() {
        vm.warp(_time);
        usdc = new DenylistUSDC(address(this));
        stake = new StakeBook(usdc);
        escrow =
            IEscrow(vm.deployCode("out/Escrow.sol/Escrow.json", abi.encode(address(usdc), address(stake), address(0))));
        for (uint256 i = 0; i < PEOPLE; i++) {
            _keys[i] = uint256(keccak256(abi.encode("person", i)));
            _people[i] = vm.addr(_keys[i]);
        }
        vm.recordLogs();
    }

    // what the invariants ask

    function count() external view returns (uint256) {
        return _known.length;
    }

    function orderAt(uint256 index) external view returns (Known memory) {
        return _known[index];
    }

    function person(uint256 index) external view returns (address) {
        return index == PEOPLE ? sink : _people[index];
    }

    function people() external pure returns (uint256) {
        return PEOPLE + 1;
    }

    // what comes of it

    function _call(bytes memory data, bool expected, bytes32 what) internal returns (bytes memory answer) {
        bool ok;
        (ok, answer) = address(escrow).call(data);
        if (ok != expected) {
            require(!ok, string.concat("should have been refused: ", string(abi.encodePacked(what))));
            revert(string.concat("should have succeeded: ", string(abi.encodePacked(what))));
        }
        happened[ok ? what : bytes32(bytes.concat("no ", what))]++;
        _readLogs();
    }

    function _note(IEscrow.Order memory order, bytes32 id, bool consented) internal {
        expectedBalance[order.buyer] -= _deposit(order);
        expectedFree[order.provider] -= order.stake;
        held += _deposit(order);
        _known.push();
        Known storage known = _known[_known.length - 1];
        (known.order, known.id, known.status, known.consented) = (order, id, IEscrow.Status.Funded, consented);
        _indexOf[id] = _known.length;
        touched = _known.length - 1;
    }

    /// @dev What must come of a settlement; `loser` 1 is a buyer who loses its bond, 2 a provider who loses bond and stake.
    function _settle(Known storage known, uint256 pay, uint8 outcome, uint256 loser) internal {
        IEscrow.Order memory order = known.order;
        uint256 buyerBond =
            known.status == IEscrow.Status.Disputed || known.status == IEscrow.Status.Arbitrating ? order.bond : 0;
        uint256 providerBond = known.status == IEscrow.Status.Arbitrating ? order.bond : 0;
        held -= _deposit(order) + buyerBond + providerBond;
        (known.status, known.outcome) = (IEscrow.Status.Settled, outcome);

        uint256 fee = pay * order.feeBps / 10_000;
        uint256 paid = order.flags & 1 == 0 ? pay - fee : pay;
        expectedOwed[order.feeTo] += fee;
        owedToAll += fee;
        _expectPaid(order.provider, paid + (loser == 2 ? 0 : providerBond));
        _expectPaid(order.buyer, _deposit(order) - fee - paid + (loser == 1 ? 0 : buyerBond));
        if (loser != 0) _expectPaid(order.arbitrator, order.bond);
        if (loser != 2) expectedFree[order.provider] += order.stake;
        else if (!usdc.denied(order.buyer)) expectedBalance[order.buyer] += order.stake;
        if (loser == 2 && order.stake != 0) happened["slash"]++;
        happened[bytes32(bytes.concat("outcome ", bytes1(64 + outcome)))]++;
    }

    function _expectPaid(address to, uint256 amount) private {
        if (amount == 0) return;
        if (usdc.denied(to) || usdc.denied(address(escrow))) {
            expectedOwed[to] += amount;
            owedToAll += amount;
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
    function _end(Known storage known) internal view returns (uint256) {
        return known.status == IEscrow.Status.Funded ? known.order.deliverBy : known.windowEnd;
    }

    function _deposit(IEscrow.Order memory order) internal pure returns (uint256) {
        uint256 amount = order.amount;
        return order.flags & 1 == 0 ? amount : amount + amount * order.feeBps / 10_000;
    }
}
