// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {GasEdge} from "../../base/GasEdge.sol";
import {Vm} from "../../base/TestBase.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";
import {HostileWallet} from "../../mocks/HostileWallet.sol";
import {StakeBook} from "../../mocks/StakeBook.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract FundBatchTest is EscrowBase, GasEdge {
    function test_every_good_row_is_funded(Seed[4] memory seeds, address sender) public {
        vm.assume(sender != address(0));
        IEscrow.Funding[] memory rows = new IEscrow.Funding[](4);
        uint256 held = 0;
        for (uint256 i = 0; i < 4; i++) {
            IEscrow.Order memory order = _orderFrom(seeds[i]);
            order.salt = i;
            rows[i] = _row(order);
            held += _deposit(order);
        }
        vm.prank(sender);
        escrow.fundBatch(rows);
        for (uint256 i = 0; i < 4; i++) {
            (IEscrow.Status status,, bool consented,) = escrow.statusOf(rows[i].order);
            vm.assertEq(uint256(status), uint256(IEscrow.Status.Funded), "status");
            vm.assertTrue(consented, "consented");
        }
        _assertMoney(0, 0, 0, held);
    }

    function test_a_good_row_is_not_called_skipped() public {
        IEscrow.Funding[] memory rows = _rows(2);
        vm.recordLogs();
        escrow.fundBatch(rows);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) {
            vm.assertTrue(logs[i].topics[0] != IEscrow.FundSkipped.selector, "skipped");
        }
    }

    function test_a_row_without_the_providers_signature_is_not_consented() public {
        IEscrow.Funding[] memory rows = _rows(1);
        rows[0].providerSig = "";
        escrow.fundBatch(rows);
        (IEscrow.Status status,, bool consented,) = escrow.statusOf(rows[0].order);
        vm.assertTrue(status == IEscrow.Status.Funded && !consented, "funded without consent");
    }

    function test_an_empty_batch_does_nothing() public {
        escrow.fundBatch(new IEscrow.Funding[](0));
    }

    function test_batch_rule_a_row_that_fails_in_any_way_is_skipped_and_costs_the_others_nothing(uint256 which) public {
        IEscrow.Funding[] memory rows = _rows(3);
        bytes4 reason = _spoil(rows[1], which % 7);
        bytes32 id = escrow.orderId(rows[1].order);
        uint256 held = usdc.balanceOf(address(escrow));

        vm.expectEmit(address(escrow));
        emit IEscrow.FundSkipped(id, reason);
        escrow.fundBatch(rows);

        _assertStatus(rows[0].order, IEscrow.Status.Funded);
        _assertStatus(rows[1].order, IEscrow.Status.None);
        _assertStatus(rows[2].order, IEscrow.Status.Funded);
        vm.assertEq(usdc.balanceOf(address(escrow)), held + 2 * _deposit(rows[0].order), "two deposits");
    }

    function test_batch_rule_a_duplicate_row_is_skipped() public {
        IEscrow.Funding[] memory rows = _rows(2);
        rows[1] = rows[0];
        bytes32 id = escrow.orderId(rows[1].order);
        vm.expectEmit(address(escrow));
        emit IEscrow.FundSkipped(id, IEscrow.BadState.selector);
        escrow.fundBatch(rows);
        vm.assertEq(usdc.balanceOf(address(escrow)), _deposit(rows[0].order), "one deposit");
    }

    function test_batch_rule_a_contract_wallet_gets_100k_gas_and_no_more() public {
        HostileWallet wallet = new HostileWallet();
        IEscrow.Funding[] memory rows = _rows(2);
        rows[0].order.provider = address(wallet);
        rows[0].buyerAuth = _buyerAuth(rows[0].order);
        wallet.burn(90_000);
        uint256 snapshot = vm.snapshotState();
        escrow.fundBatch(rows);
        _assertStatus(rows[0].order, IEscrow.Status.Funded);

        vm.revertToState(snapshot);
        wallet.burn(101_000);
        escrow.fundBatch(rows);
        _assertStatus(rows[0].order, IEscrow.Status.None);
        _assertStatus(rows[1].order, IEscrow.Status.Funded);

        // alone it may take what it likes
        escrow.fund(rows[0].order, rows[0].buyerAuth, rows[0].providerSig);
        _assertStatus(rows[0].order, IEscrow.Status.Funded);
    }

    function test_batch_rule_a_wallet_that_burns_all_its_gas_costs_its_own_row() public {
        HostileWallet wallet = new HostileWallet();
        wallet.set(HostileWallet.Answers.BurnAll);
        IEscrow.Funding[] memory rows = _rows(3);
        rows[0].order.buyer = address(wallet);
        usdc.mint(address(wallet), _deposit(rows[0].order));
        rows[0].providerSig = _providerSig(rows[0].order);
        rows[1].order.provider = address(wallet);
        rows[1].buyerAuth = _buyerAuth(rows[1].order);
        escrow.fundBatch(rows);
        _assertStatus(rows[0].order, IEscrow.Status.None);
        _assertStatus(rows[1].order, IEscrow.Status.None);
        _assertStatus(rows[2].order, IEscrow.Status.Funded);
    }

    function test_batch_rule_reverts_when_a_relayer_starves_a_row(uint32 gas_) public {
        HostileWallet wallet = new HostileWallet();
        wallet.burn(90_000);
        IEscrow.Funding[] memory rows = _rows(3);
        rows[1].order.provider = address(wallet);
        rows[1].buyerAuth = _buyerAuth(rows[1].order);
        (bool ok,) =
            address(escrow).call{gas: bound(gas_, 50_000, 2_000_000)}(abi.encodeCall(IEscrow.fundBatch, (rows)));
        // in whatever way the gas is cut: all rows, or none
        for (uint256 i = 0; i < 3; i++) {
            _assertStatus(rows[i].order, ok ? IEscrow.Status.Funded : IEscrow.Status.None);
        }
    }

    function test_batch_rule_reverts_when_less_than_a_rows_gas_is_left() public {
        IEscrow.Funding[] memory rows = _rows(1);
        (bool ok, bytes memory answer) = address(escrow).call{gas: 500_000}(abi.encodeCall(IEscrow.fundBatch, (rows)));
        vm.assertTrue(!ok, "refused");
        vm.assertEq(bytes32(bytes4(answer)), bytes32(IEscrow.GasTooLow.selector), "for want of gas");
    }

    function test_batch_rule_a_row_needs_600k_gas_and_10k_for_the_way() public {
        IEscrow.Funding[] memory rows = _rows(1);
        bytes memory call = abi.encodeCall(IEscrow.fundBatch, (rows));
        uint256 needed = _neededGas(address(escrow), call, IEscrow.GasTooLow.selector, relayer);
        vm.assertEq(needed, 610_000, "needed");
        _assertStatus(rows[0].order, IEscrow.Status.Funded);
    }

    function test_batch_rule_a_token_that_burns_all_its_gas_costs_its_row_and_no_more() public {
        HostileToken hostile = new HostileToken();
        escrow = _deployEscrow(address(hostile));
        hostile.mint(buyer, 1e12);
        HostileWallet burner = new HostileWallet();
        burner.set(HostileWallet.Answers.BurnAll);
        IEscrow.Funding[] memory rows = _rows(3);
        hostile.setReentry(address(burner), abi.encodeCall(HostileWallet.isValidSignature, (0, "")));
        escrow.fundBatch{gas: 4_000_000}(rows);
        vm.assertTrue(vm.lastCallGas().gasTotalUsed < 1_200_000, "250k for each payment, and some for the rest");
        for (uint256 i = 0; i < 3; i++) {
            _assertStatus(rows[i].order, IEscrow.Status.None);
        }
        // alone it may take what it likes: a 64th of this is left for the payment itself
        escrow.fund{gas: 15_000_000}(rows[0].order, "", "");
        _assertStatus(rows[0].order, IEscrow.Status.Funded);
    }

    function test_batch_rule_a_stake_contract_that_burns_all_its_gas_costs_its_row_and_no_more() public {
        IEscrow.Funding[] memory rows = _rows(2);
        rows[0].order.stake = 2_000_000;
        rows[0] = _row(rows[0].order);
        _stake(provider, 3_000_000);
        stake.fail(StakeBook.Failure.BurnGas);
        escrow.fundBatch{gas: 4_000_000}(rows);
        vm.assertTrue(vm.lastCallGas().gasTotalUsed < 1_000_000, "600k for its row, and some for the other");
        _assertStatus(rows[0].order, IEscrow.Status.None);
        _assertStatus(rows[1].order, IEscrow.Status.Funded);
    }

    function test_stakes_are_locked_row_by_row_until_there_is_none_left() public {
        IEscrow.Funding[] memory rows = _rows(2);
        for (uint256 i = 0; i < 2; i++) {
            rows[i].order.stake = 2_000_000;
            rows[i] = _row(rows[i].order);
        }
        _stake(provider, 3_000_000);
        escrow.fundBatch(rows);
        _assertStatus(rows[0].order, IEscrow.Status.Funded);
        _assertStatus(rows[1].order, IEscrow.Status.None);
        vm.assertEq(stake.free(provider), 1_000_000, "free");
    }

    /// @dev Makes a row fail, and says with which error.
    function _spoil(IEscrow.Funding memory row, uint256 how) private returns (bytes4 reason) {
        IEscrow.Order memory order = row.order;
        if (how == 0) {
            row.buyerAuth = _buyerAuth(EVE_KEY, order);
            return bytes4(keccak256("InvalidSignature(address)"));
        } else if (how == 1) {
            row.providerSig = _sign(EVE_KEY, escrow.orderId(order));
            return IEscrow.BadSignature.selector;
        } else if (how == 2) {
            order.silentBps = 65_535;
            return IEscrow.SilentTooHigh.selector;
        } else if (how == 3) {
            order.buyer = address(new Wallet1271(buyer));
            row.providerSig = _providerSig(order);
            row.buyerAuth = _buyerAuth(order);
            return bytes4(keccak256("ERC20InsufficientBalance(address,uint256,uint256)"));
        } else if (how == 4) {
            order.flags = 3;
            row.providerSig = "";
            return IEscrow.NotConsented.selector;
        } else if (how == 5) {
            order.stake = 1;
            row.providerSig = _providerSig(order);
            return bytes4(keccak256("TooLittle()"));
        }
        order.fundBy = uint40(NOW);
        return IEscrow.TooLate.selector;
    }

    function _rows(uint256 count) private returns (IEscrow.Funding[] memory rows) {
        rows = new IEscrow.Funding[](count);
        for (uint256 i = 0; i < count; i++) {
            IEscrow.Order memory order = _order();
            order.salt = i;
            rows[i] = _row(order);
        }
    }

    function _row(IEscrow.Order memory order) private returns (IEscrow.Funding memory row) {
        usdc.mint(order.buyer, _deposit(order));
        return IEscrow.Funding({order: order, buyerAuth: _buyerAuth(order), providerSig: _providerSig(order)});
    }
}
