// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../../src/types/Outcomes.sol";
import {Vm} from "../../base/TestBase.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {GasEdge} from "../../base/GasEdge.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";
import {HostileWallet} from "../../mocks/HostileWallet.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract ReleaseBatchTest is EscrowBase, GasEdge {
    address private constant OTHER = address(0x0b0b);

    function test_every_good_row_is_paid(Seed[4] memory seeds, uint8 others, address sender) public {
        vm.assume(sender != address(0));
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](4);
        uint256[2] memory due;
        uint256 fees = 0;
        for (uint256 i = 0; i < 4; i++) {
            IEscrow.Order memory order = _orderFrom(seeds[i]);
            (order.salt, order.flags) = (i, order.flags & FEE_ON_TOP);
            bool other = others >> i & 1 != 0;
            if (other) order.provider = OTHER;
            _fund(order);
            rows[i] = _row(order);
            due[other ? 1 : 0] += _fullPay(order);
            fees += _fee(order, order.amount);
        }
        vm.prank(sender);
        escrow.releaseBatch(rows);
        for (uint256 i = 0; i < 4; i++) {
            _assertOutcome(rows[i].order, Outcomes.RELEASED);
        }
        _assertMoney(0, due[0], fees, fees);
        vm.assertEq(usdc.balanceOf(OTHER), due[1], "the other provider");
    }

    function test_neighbouring_rows_of_one_provider_share_one_transfer() public {
        IEscrow.Settlement[] memory rows = _rows(5);
        for (uint256 i = 2; i < 4; i++) {
            rows[i].order.provider = OTHER;
            _fund(rows[i].order);
            rows[i] = _row(rows[i].order);
        }
        vm.recordLogs();
        escrow.releaseBatch(rows);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 transfers = 0;
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].emitter == address(usdc)) transfers++;
        }
        vm.assertEq(transfers, 3, "two, two, one");
        _assertMoney(0, 15_000_000, 625_000, 625_000 + 2 * 5_125_000);
    }

    function test_an_empty_batch_does_nothing() public {
        escrow.releaseBatch(new IEscrow.Settlement[](0));
    }

    function test_batch_rule_a_row_that_fails_in_any_way_is_skipped_and_costs_the_others_nothing(uint256 which) public {
        IEscrow.Settlement[] memory rows = _rows(3);
        which = which % 5;
        bytes4 reason = IEscrow.BadSignature.selector;
        if (which == 0) {
            rows[1].buyerSig = _releaseSig(EVE_KEY, rows[1].order);
        } else if (which == 1) {
            rows[1].buyerSig = rows[0].buyerSig;
        } else if (which == 2) {
            rows[1].buyerSig = "";
        } else {
            // never funded, but close
            if (which == 3) rows[1].order.amount += 1;
            else rows[1].order.provider = eve;
            rows[1].buyerSig = _releaseSig(BUYER_KEY, rows[1].order);
            reason = IEscrow.BadState.selector;
        }
        bytes32 id = escrow.orderId(rows[1].order);
        vm.expectEmit(address(escrow));
        emit IEscrow.ReleaseSkipped(id, reason);
        escrow.releaseBatch(rows);
        _assertMoney(0, 10_000_000, 250_000, 250_000 + 5_125_000);
        vm.assertEq(usdc.balanceOf(eve), 0, "eve");
    }

    function test_batch_rule_a_duplicate_row_is_skipped() public {
        IEscrow.Settlement[] memory rows = _rows(3);
        (rows[1], rows[2]) = (rows[0], rows[0]);
        bytes32 id = escrow.orderId(rows[0].order);
        rows[1].buyerSig = _signMalleated(BUYER_KEY, _releaseDigest(address(escrow), id));
        rows[2].buyerSig = _signCompact(BUYER_KEY, _releaseDigest(address(escrow), id));
        vm.expectEmit(address(escrow));
        emit IEscrow.ReleaseSkipped(id, IEscrow.BadState.selector);
        escrow.releaseBatch(rows);
        _assertMoney(0, 5_000_000, 125_000, 125_000 + 2 * 5_125_000);
    }

    function test_batch_rule_a_contract_wallet_gets_100k_gas_and_no_more() public {
        HostileWallet wallet = new HostileWallet();
        IEscrow.Settlement[] memory rows = _walletRows(wallet);
        wallet.burn(90_000);
        uint256 snapshot = vm.snapshotState();
        escrow.releaseBatch(rows);
        _assertOutcome(rows[0].order, Outcomes.RELEASED);

        vm.revertToState(snapshot);
        wallet.burn(101_000);
        escrow.releaseBatch(rows);
        _assertStatus(rows[0].order, IEscrow.Status.Funded);
        _assertOutcome(rows[1].order, Outcomes.RELEASED);
    }

    function test_batch_rule_a_wallet_that_answers_wrongly_costs_its_own_row() public {
        HostileWallet wallet = new HostileWallet();
        IEscrow.Settlement[] memory rows = _walletRows(wallet);
        HostileWallet.Answers[3] memory wrong =
            [HostileWallet.Answers.Short, HostileWallet.Answers.Revert, HostileWallet.Answers.BurnAll];
        for (uint256 i = 0; i < 3; i++) {
            wallet.set(wrong[i]);
            escrow.releaseBatch(rows);
            _assertStatus(rows[0].order, IEscrow.Status.Funded);
            _assertOutcome(rows[1].order, Outcomes.RELEASED);
        }
        wallet.set(HostileWallet.Answers.Long);
        escrow.releaseBatch(rows);
        _assertOutcome(rows[0].order, Outcomes.RELEASED);
    }

    function test_batch_rule_reverts_when_a_relayer_starves_a_wallet() public {
        HostileWallet wallet = new HostileWallet();
        IEscrow.Settlement[] memory rows = _walletRows(wallet);
        wallet.burn(80_000);
        uint256 starved = 0;
        uint256 done = 0;
        for (uint256 gas_ = 60_000; gas_ < 600_000; gas_ += 5_003) {
            (bool ok, bytes memory answer) =
                address(escrow).call{gas: gas_}(abi.encodeCall(IEscrow.releaseBatch, (rows)));
            if (ok) done++;
            if (bytes4(answer) == IEscrow.GasTooLow.selector) starved++;
            // in whatever way the gas is cut: both rows, or none
            vm.assertTrue((_status(rows[0].order) == IEscrow.Status.Settled) == (done != 0), "first");
            vm.assertTrue((_status(rows[1].order) == IEscrow.Status.Settled) == (done != 0), "second");
        }
        vm.assertTrue(starved > 5, "refused because starved");
        vm.assertTrue(done != 0, "done once there was enough");
    }

    function test_batch_rule_a_wallet_needs_100k_gas_and_5k_for_the_way_to_be_skipped() public {
        HostileWallet wallet = new HostileWallet();
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](1);
        rows[0] = _walletRows(wallet)[0];
        wallet.set(HostileWallet.Answers.Revert);
        bytes memory call = abi.encodeCall(IEscrow.releaseBatch, (rows));
        uint256 needed = _neededGas(address(escrow), call, IEscrow.GasTooLow.selector, relayer);
        vm.assertEq(needed, 105_000, "needed");
        _assertStatus(rows[0].order, IEscrow.Status.Funded);
    }

    function test_batch_rule_reverts_when_a_relayer_starves_the_shared_transfer() public {
        HostileToken hostile = new HostileToken();
        escrow = _deployEscrow(address(hostile));
        hostile.mint(buyer, 1e12);
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](2);
        for (uint256 i = 0; i < 2; i++) {
            IEscrow.Order memory order = _order();
            order.salt = i;
            escrow.fund(order, "", "");
            rows[i] = _row(order);
        }
        hostile.setGasToBurn(100_000);
        uint256 starved = 0;
        for (uint256 gas_ = 100_000; gas_ < 500_000; gas_ += 5_003) {
            (, bytes memory answer) = address(escrow).call{gas: gas_}(abi.encodeCall(IEscrow.releaseBatch, (rows)));
            vm.assertEq(escrow.owed(provider), 0, "credited for want of gas");
            if (bytes4(answer) == IEscrow.TransferGasTooLow.selector) starved++;
        }
        vm.assertTrue(starved > 5, "refused because starved");
        vm.assertEq(hostile.balanceOf(provider), 10_000_000, "in full");
    }

    function test_batch_rule_the_token_gets_300k_gas_for_a_transfer_and_no_more() public {
        HostileToken hostile = new HostileToken();
        escrow = _deployEscrow(address(hostile));
        hostile.mint(buyer, 1e12);
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](2);
        for (uint256 i = 0; i < 2; i++) {
            IEscrow.Order memory order = _order();
            (order.salt, order.provider) = (i, i == 0 ? provider : eve);
            escrow.fund(order, "", "");
            rows[i] = _row(order);
        }
        uint256 snapshot = vm.snapshotState();
        hostile.setGasToBurn(240_000);
        escrow.releaseBatch(rows);
        vm.assertEq(hostile.balanceOf(provider) + hostile.balanceOf(eve), 10_000_000, "paid");

        vm.revertToState(snapshot);
        hostile.setGasToBurn(301_000);
        escrow.releaseBatch(rows);
        vm.assertEq(escrow.owed(provider) + escrow.owed(eve), 10_000_000, "credited");

        // alone it may take what it likes
        escrow.withdraw(provider);
        vm.assertEq(hostile.balanceOf(provider), 5_000_000, "paid");
    }

    function test_a_denied_provider_is_credited_once_for_all_its_rows() public {
        IEscrow.Settlement[] memory rows = _rows(3);
        usdc.deny(provider, true);
        vm.expectEmit(address(escrow));
        emit IEscrow.Credited(provider, 15_000_000);
        escrow.releaseBatch(rows);
        vm.assertEq(escrow.owed(provider), 15_000_000, "owed");
    }

    function test_bonds_return_and_stakes_are_unlocked() public {
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](2);
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Disputed);
        rows[0] = _row(order);
        IEscrow.Order memory second = _seriousOrder();
        second.salt = 2;
        _bringTo(second, IEscrow.Status.Arbitrating);
        rows[1] = _row(second);
        escrow.releaseBatch(rows);
        _assertMoney(2_000_000, 11_000_000, 250_000, 250_000);
        vm.assertEq(stake.free(provider), 4_000_000, "unlocked");
    }

    function test_a_buyer_may_be_a_contract_wallet() public {
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](1);
        IEscrow.Order memory order = _order();
        order.buyer = address(new Wallet1271(buyer));
        _fund(order);
        rows[0] = _row(order);
        escrow.releaseBatch(rows);
        _assertOutcome(order, Outcomes.RELEASED);
    }

    function _walletRows(HostileWallet wallet) private returns (IEscrow.Settlement[] memory rows) {
        rows = _rows(2);
        rows[0].order.buyer = address(wallet);
        _fund(rows[0].order);
        rows[0] = _row(rows[0].order);
    }

    function _rows(uint256 count) private returns (IEscrow.Settlement[] memory rows) {
        rows = new IEscrow.Settlement[](count);
        for (uint256 i = 0; i < count; i++) {
            IEscrow.Order memory order = _order();
            order.salt = 100 + i;
            _fund(order);
            rows[i] = _row(order);
        }
    }

    function _row(IEscrow.Order memory order) private view returns (IEscrow.Settlement memory row) {
        return IEscrow.Settlement({order: order, buyerSig: _releaseSig(BUYER_KEY, order)});
    }
}
