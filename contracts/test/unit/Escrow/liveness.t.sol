// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {StakeBook} from "../../mocks/StakeBook.sol";

/// @notice No money can be stuck (invariant 6): from any state, with any one party silent for ever or denied by the token,
/// time and anybody's `finalize` end the order, and everybody has, or can have, what the order says.
/// @dev Gas is of no interest here, and calls are much faster without a transaction for each.
/// forge-config: default.isolate = false
/// forge-config: ci.isolate = false
contract LivenessTest is EscrowBase {
    /// @notice A state an order can be in, whatever its amounts and times.
    struct Case {
        IEscrow.Status status;
        uint8 flags;
        bool signed;
        bool arbitrated;
        bool bonded;
        bool staked;
        // disputed before anything was delivered
        bool early;
    }

    IEscrow.Status[4] private _lives =
        [IEscrow.Status.Funded, IEscrow.Status.Delivered, IEscrow.Status.Disputed, IEscrow.Status.Arbitrating];
    uint256 private constant PEOPLE = 5;
    // everybody in an order, the escrow itself, a stranger
    uint256 private constant DENIABLE = 7;

    function test_from_every_state_with_anyone_denied_the_clock_drains_the_order() public {
        uint256 states = 0;
        for (uint256 bits = 0; bits < 4 * 4 * 32; bits++) {
            Case memory state = _case(bits);
            if (!_reachable(state)) continue;
            states++;
            for (uint256 who = 0; who < DENIABLE; who++) {
                IEscrow.Order memory order = _order();
                order.silentBps = 4000;
                order.salt = DENIABLE * bits + who;
                _drains(order, state, who, false);
            }
        }
        vm.assertEq(states, 104, "states that can be reached");
    }

    function test_from_any_state_of_any_order_with_anyone_denied_the_clock_drains_it(
        Seed memory seed,
        uint256 bits,
        uint16 silentBps,
        uint256 who,
        bool brokenStake
    ) public {
        Case memory state = _case(bits);
        vm.assume(_reachable(state));
        IEscrow.Order memory order = _orderFrom(seed);
        order.silentBps = silentBps % 10_001;
        _drains(order, state, who % DENIABLE, brokenStake);
    }

    function test_with_any_one_party_silent_and_the_others_doing_all_they_can_the_order_is_over_in_time(
        Seed memory seed,
        uint96 bond,
        uint96 pay,
        uint256 silent,
        uint256 denied
    ) public {
        IEscrow.Order memory order = _orderFrom(seed);
        (order.bond, order.stake) = (uint96(bound(bond, 0, order.amount)), 5);
        address absent = _person(silent % PEOPLE);
        _fundSigned(order);
        _deny(denied % DENIABLE, true);

        // everybody else does what is theirs to do in the last second; the token may refuse a bond
        vm.warp(order.deliverBy - 1);
        if (absent != provider) _deliver(order);
        vm.warp(_windowEnd(order) - 1);
        if (absent != buyer) try this.disputes(order) {} catch {}
        vm.warp(_windowEnd(order) - 1);
        if (absent != provider) try this.counters(order) {} catch {}
        if (absent != arbitrator && _status(order) == IEscrow.Status.Arbitrating) {
            vm.warp(_windowEnd(order) - 1);
            _rule(order, uint96(bound(pay, 0, order.amount)));
        }
        if (_status(order) != IEscrow.Status.Settled) {
            vm.assertLe(_windowEnd(order), _longest(order), "bounded");
            vm.warp(_windowEnd(order));
            vm.prank(eve);
            escrow.finalize(order);
        }

        vm.assertEq(usdc.balanceOf(address(escrow)), _owed(), "nothing stays that belongs to nobody");
        _deny(denied % DENIABLE, false);
        _withdrawAll();
        vm.assertEq(usdc.balanceOf(address(escrow)), 0, "drained");
    }

    function disputes(IEscrow.Order calldata order) external {
        _dispute(order);
    }

    function counters(IEscrow.Order calldata order) external {
        _counter(order);
    }

    function test_the_longest_an_order_can_hold_money_is_what_was_signed(Seed memory seed, uint256 where) public {
        IEscrow.Order memory order = _orderFrom(seed);
        // everybody waits until the last second of every window
        _fundSigned(order);
        where = where % 4;
        if (where > 0) {
            vm.warp(order.deliverBy - 1);
            _deliver(order);
        }
        if (where > 1) {
            vm.warp(_windowEnd(order) - 1);
            _dispute(order);
        }
        if (where > 2) {
            vm.warp(_windowEnd(order) - 1);
            _counter(order);
        }
        vm.assertTrue(_windowEnd(order) < _longest(order), "bounded");
        vm.warp(_windowEnd(order));
        escrow.finalize(order);
        _assertStatus(order, IEscrow.Status.Settled);
    }

    function test_no_window_can_be_opened_a_second_time(Seed memory seed) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _bringTo(order, IEscrow.Status.Arbitrating);
        uint256 end = _windowEnd(order);
        vm.expectRevert(_badState(order, IEscrow.Status.Arbitrating));
        vm.prank(provider);
        escrow.deliver(order, bytes32(0));
        bytes memory auth = _bondAuth(BUYER_KEY, order, BUYER_SIDE, EVIDENCE, end);
        vm.expectRevert(_badState(order, IEscrow.Status.Arbitrating));
        escrow.dispute(order, EVIDENCE, auth);
        auth = _bondAuth(PROVIDER_KEY, order, PROVIDER_SIDE, EVIDENCE, end);
        vm.expectRevert(_badState(order, IEscrow.Status.Arbitrating));
        escrow.counter(order, auth);
        vm.assertEq(_windowEnd(order), end, "the same window");
    }

    /// @dev Brings the order there, denies one, lets the time pass, and sees to it that everybody gets what is theirs.
    function _drains(IEscrow.Order memory order, Case memory state, uint256 who, bool brokenStake) private {
        vm.warp(NOW);
        _shape(order, state);
        _reach(order, state);
        uint256[PEOPLE] memory due = _due(order);
        uint256 holds = due[0] + due[1] + due[4];
        vm.assertEq(usdc.balanceOf(address(escrow)), holds, "holds deposit and bonds");
        uint256[PEOPLE] memory had = _has();
        uint256 free = stake.free(provider);
        if (brokenStake) stake.fail(StakeBook.Failure.BurnGas);
        _deny(who, true);

        vm.warp(_windowEnd(order));
        vm.prank(eve);
        escrow.finalize(order);

        _assertStatus(order, IEscrow.Status.Settled);
        vm.assertEq(usdc.balanceOf(address(escrow)), _owed(), "nothing stays that belongs to nobody");
        _deny(who, false);
        _withdrawAll();
        vm.assertEq(usdc.balanceOf(address(escrow)), 0, "drained");
        for (uint256 i = 0; i < PEOPLE; i++) {
            vm.assertEq(usdc.balanceOf(_person(i)), had[i] + due[i], "what is theirs");
        }
        if (!brokenStake) vm.assertEq(stake.free(provider), free + order.stake, "the stake is free again");
    }

    function _case(uint256 bits) private view returns (Case memory state) {
        state.status = _lives[bits % 4];
        state.flags = uint8(bits >> 2 & 3);
        state.signed = bits >> 4 & 1 != 0;
        state.arbitrated = bits >> 5 & 1 != 0;
        state.bonded = bits >> 6 & 1 != 0;
        state.staked = bits >> 7 & 1 != 0;
        state.early = bits >> 8 & 1 != 0;
    }

    /// @dev Whether an order can be funded like this and come there.
    function _reachable(Case memory state) private pure returns (bool) {
        bool quarrel = state.status == IEscrow.Status.Disputed || state.status == IEscrow.Status.Arbitrating;
        bool paysUndelivered = state.flags & PAY_UNDELIVERED != 0;
        bool needed = state.bonded || state.staked || (state.arbitrated && paysUndelivered);
        if (needed && !state.signed) return false;
        if ((state.bonded || state.staked || quarrel) && !state.arbitrated) return false;
        return !state.early || (quarrel && paysUndelivered);
    }

    function _shape(IEscrow.Order memory order, Case memory state) private pure {
        order.flags = state.flags;
        if (!state.arbitrated) order.arbitrator = address(0);
        order.bond = state.bonded ? order.amount / 2 + 1 : 0;
        order.stake = state.staked ? 5 : 0;
    }

    function _reach(IEscrow.Order memory order, Case memory state) private {
        _fundWith(order, state.signed ? _providerSig(order) : bytes(""));
        if (state.status == IEscrow.Status.Funded) return;
        if (!state.early) _deliver(order);
        if (state.status == IEscrow.Status.Delivered) return;
        _dispute(order);
        if (state.status == IEscrow.Status.Arbitrating) _counter(order);
    }

    /// @dev What the order says everybody gets when the window it is in passes, in the order of `_person`.
    function _due(IEscrow.Order memory order) private view returns (uint256[PEOPLE] memory due) {
        IEscrow.Status status = _status(order);
        uint256 pay = order.flags & PAY_UNDELIVERED != 0 ? order.amount : 0;
        if (status == IEscrow.Status.Delivered) pay = order.amount;
        if (status == IEscrow.Status.Disputed) pay = 0;
        if (status == IEscrow.Status.Arbitrating) pay = uint256(order.amount) * order.silentBps / 10_000;
        (due[1], due[4], due[0]) = _divide(order, pay);
        if (status == IEscrow.Status.Disputed || status == IEscrow.Status.Arbitrating) due[0] += order.bond;
        if (status == IEscrow.Status.Arbitrating) due[1] += order.bond;
    }

    function _has() private view returns (uint256[PEOPLE] memory has) {
        for (uint256 i = 0; i < PEOPLE; i++) {
            has[i] = usdc.balanceOf(_person(i));
        }
    }

    function _person(uint256 which) private view returns (address) {
        address[PEOPLE] memory people = [buyer, provider, validator, arbitrator, sink];
        return people[which];
    }

    function _deny(uint256 who, bool on) private {
        usdc.deny(who < PEOPLE ? _person(who) : who == PEOPLE ? address(escrow) : eve, on);
    }

    function _owed() private view returns (uint256 sum) {
        for (uint256 i = 0; i < PEOPLE; i++) {
            sum += escrow.owed(_person(i));
        }
    }

    function _withdrawAll() private {
        for (uint256 i = 0; i < PEOPLE; i++) {
            if (escrow.owed(_person(i)) != 0) escrow.withdraw(_person(i));
        }
    }

    /// @dev The latest time at which the order may still hold money, all of it signed.
    function _longest(IEscrow.Order memory order) private pure returns (uint256) {
        return uint256(order.deliverBy) + order.reviewSecs + order.counterSecs + order.ruleSecs;
    }
}
