// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {RealUsdcBase} from "../base/RealUsdcBase.sol";

/// @notice Whole-transaction gas (21,000 and calldata included, refunds taken off) on the bytecode that USDC runs. Each
/// figure is written to snapshots/gas.json and fails above its limit.
contract GasTest is RealUsdcBase {
    function setUp() public override {
        super.setUp();
        // nobody is new to the token, and the sink already has fees waiting
        IEscrow.Order memory warm = _numbered(999);
        _fund(warm);
        _release(warm);
        usdc.mint(buyer, 1_000_000);
        usdc.mint(eve, 1_000_000);
    }

    function test_fund() public {
        _fund(_order());
        _record("fund", _used(), 125_000);
    }

    function test_fund_with_the_providers_signature() public {
        _fundSigned(_order());
        _record("fund_signed", _used(), 135_000);
    }

    function test_release() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        _record("release", _used(), 80_000);
    }

    function test_fund_and_release() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        uint256 used = _used();
        _release(order);
        _record("fund_release", used + _used(), 200_000);
    }

    function test_release_batch_of_10() public {
        _releaseBatch(10);
        _record("release_batch_10_per_order", _used() / 10, 28_000);
    }

    function test_release_batch_of_50() public {
        _releaseBatch(50);
        _record("release_batch_50_per_order", _used() / 50, 23_000);
    }

    function test_fund_batch_of_10() public {
        IEscrow.Funding[] memory rows = new IEscrow.Funding[](10);
        for (uint256 i = 0; i < 10; i++) {
            IEscrow.Order memory order = _numbered(i);
            usdc.mint(buyer, _deposit(order));
            rows[i] = IEscrow.Funding(order, _buyerAuth(order), "");
        }
        escrow.fundBatch(rows);
        _record("fund_batch_10_per_order", _used() / 10, 100_000);
    }

    function test_timeout_refund() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        vm.warp(order.deliverBy);
        escrow.finalize(order);
        _record("timeout_refund", _used(), 70_000);
    }

    function test_verdict_split() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        uint40 until = uint40(NOW + 1 days);
        bytes memory sig = _verdictSig(VALIDATOR_KEY, order, 3_000_000, EVIDENCE, until);
        escrow.verdict(order, 3_000_000, EVIDENCE, until, sig);
        _record("verdict_split", _used(), 95_000);
    }

    function test_refund() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        _record("refund", _used(), 75_000);
    }

    function test_split() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        uint40 until = uint40(NOW + 1 days);
        bytes memory buyerSig = _splitSig(BUYER_KEY, order, 3_000_000, until);
        bytes memory providerSig = _splitSig(PROVIDER_KEY, order, 3_000_000, until);
        escrow.split(order, 3_000_000, until, buyerSig, providerSig);
        _record("split", _used(), 105_000);
    }

    function test_deliver() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _deliver(order);
        _record("deliver", _used(), 50_000);
    }

    function test_dispute_counter_and_rule() public {
        IEscrow.Order memory order = _order();
        order.bond = 1_000_000;
        _bringTo(order, IEscrow.Status.Delivered);
        _dispute(order);
        _record("dispute", _used(), 145_000);
        _counter(order);
        _record("counter", _used(), 120_000);
        _rule(order, 3_000_000);
        _record("rule", _used(), 140_000);
    }

    function test_withdraw() public {
        escrow.withdraw(sink);
        _record("withdraw", _used(), 75_000);
    }

    function test_exact_transfer() public {
        bytes32 nonce = keccak256("exact");
        bytes32 digest = _transferDigest(address(usdc), buyer, provider, 1_000_000, 0, NOW + 1, nonce);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(BUYER_KEY, digest);
        vm.prank(relayer);
        fiat.transferWithAuthorization(buyer, provider, 1_000_000, 0, NOW + 1, nonce, v, r, s);
        _record("exact_per_call", _used(), 90_000);
    }

    function _releaseBatch(uint256 count) private {
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](count);
        for (uint256 i = 0; i < count; i++) {
            IEscrow.Order memory order = _numbered(i);
            _fund(order);
            rows[i] = IEscrow.Settlement(order, _releaseSig(BUYER_KEY, order));
        }
        escrow.releaseBatch(rows);
    }

    /// @dev An order with a salt as a home makes it: 128 random bits, then a counter.
    function _numbered(uint256 count) private view returns (IEscrow.Order memory order) {
        order = _order();
        order.salt = uint256(keccak256("home")) << 128 | count;
    }

    function _used() private view returns (uint256 used) {
        used = vm.lastCallGas().gasTotalUsed;
        vm.assertTrue(used > 21_000, "a whole transaction");
    }

    function _record(string memory operation, uint256 used, uint256 limit) private {
        vm.snapshotValue("gas", operation, used);
        vm.assertLe(used, limit, operation);
    }
}
