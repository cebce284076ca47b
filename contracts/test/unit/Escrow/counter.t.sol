// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

contract CounterTest is EscrowBase {
    function test_the_provider_stands_against_a_dispute_with_its_bond(
        Seed memory seed,
        uint96 bond,
        uint32 wait,
        address sender
    ) public {
        vm.assume(sender != address(0));
        IEscrow.Order memory order = _orderFrom(seed);
        order.bond = uint96(bound(bond, 0, order.amount));
        _bringTo(order, IEscrow.Status.Disputed);
        uint256 end = _windowEnd(order);
        vm.warp(NOW + bound(wait, 0, order.counterSecs - 1));
        usdc.mint(provider, order.bond);
        bytes memory auth = _bondAuth(PROVIDER_KEY, order, PROVIDER_SIDE, EVIDENCE, end);

        vm.expectEmit(address(escrow));
        emit IEscrow.Countered(escrow.orderId(order));
        vm.prank(sender);
        escrow.counter(order, auth);

        (IEscrow.Status status,,, uint40 ruleEnds) = escrow.statusOf(order);
        vm.assertEq(uint256(status), uint256(IEscrow.Status.Arbitrating), "status");
        vm.assertEq(ruleEnds, block.timestamp + order.ruleSecs, "rule ends");
        _assertMoney(0, 0, 0, _deposit(order) + 2 * uint256(order.bond));
    }

    function test_reverts_when_the_counter_window_is_over(uint32 late) public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        uint256 end = _windowEnd(order);
        vm.warp(end + late);
        _refused(order, abi.encodeWithSelector(IEscrow.TooLate.selector, end + late, end));
    }

    function test_a_counter_is_good_until_the_windows_last_second_and_not_in_it() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        uint256 end = _windowEnd(order);
        vm.warp(end);
        _refused(order, abi.encodeWithSelector(IEscrow.TooLate.selector, end, end));
        vm.warp(end - 1);
        _counter(order);
        _assertStatus(order, IEscrow.Status.Arbitrating);
    }

    function test_reverts_when_the_order_is_not_disputed() public {
        IEscrow.Order memory order = _seriousOrder();
        _refused(order, _badState(order, IEscrow.Status.None));
        _fundSigned(order);
        _refused(order, _badState(order, IEscrow.Status.Funded));
        _deliver(order);
        _refused(order, _badState(order, IEscrow.Status.Delivered));
        _dispute(order);
        _counter(order);
        _refused(order, _badState(order, IEscrow.Status.Arbitrating));
        _release(order);
        _refused(order, _badState(order, IEscrow.Status.Settled));
    }

    function test_reverts_when_the_bond_is_not_the_providers_for_this_evidence() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        usdc.mint(provider, order.bond);
        uint256 end = _windowEnd(order);
        bytes memory answer = abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, provider);
        bytes memory auth = _bondAuth(BUYER_KEY, order, PROVIDER_SIDE, EVIDENCE, end);
        vm.expectRevert(answer);
        escrow.counter(order, auth);
        auth = _bondAuth(PROVIDER_KEY, order, PROVIDER_SIDE, keccak256("other evidence"), end);
        vm.expectRevert(answer);
        escrow.counter(order, auth);
        auth = _bondAuth(PROVIDER_KEY, order, BUYER_SIDE, EVIDENCE, end);
        vm.expectRevert(answer);
        escrow.counter(order, auth);
    }

    function test_reverts_when_nobody_but_the_provider_signed_a_counter_without_bond(uint256 key) public {
        IEscrow.Order memory order = _order();
        _bringTo(order, IEscrow.Status.Disputed);
        bytes memory auth = _bondAuth(bound(key, 1, type(uint128).max), order, PROVIDER_SIDE, EVIDENCE, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, provider));
        escrow.counter(order, auth);
    }

    function test_reverts_when_what_stands_behind_the_bond_is_not_a_signature(bytes memory auth) public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        usdc.mint(provider, order.bond);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, provider));
        escrow.counter(order, auth);
    }

    function _refused(IEscrow.Order memory order, bytes memory answer) private {
        usdc.mint(provider, order.bond);
        bytes memory auth = _bondAuth(PROVIDER_KEY, order, PROVIDER_SIDE, EVIDENCE, _windowEnd(order));
        vm.expectRevert(answer);
        escrow.counter(order, auth);
    }
}
