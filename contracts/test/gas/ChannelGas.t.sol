// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../base/ChannelBase.sol";
import {FiatTokenBase} from "../base/FiatTokenBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";

/// @notice Whole-transaction gas (21,000 and calldata included) of a channel's life on the bytecode that USDC runs, as a
/// public deployment has it: the channel contract stands where its constructor ran. Each figure is written to
/// snapshots/gas.json and fails above its limit.
contract ChannelGasTest is ChannelBase, FiatTokenBase {
    uint256 private constant CALLS = 1000;
    uint128 private constant PRICE = 1000;

    function setUp() public override {
        vm.warp(NOW);
        fiat = _deployFiatToken();
        usdc = DenylistUSDC(address(fiat));
        channelToken = address(usdc);
        channel = IChannel(vm.deployCode("out/Channel.sol/Channel.json", abi.encode(usdc, COLLECTOR)));
        _etchCollector(address(channel));
        // nobody is new to the token, and the receiver was paid before
        usdc.mint(payer, 1_000_000);
        _deposit(_configWithSalt(99), 1_000_000);
        _claimAndSettle(_rows(_row(_configWithSalt(99), 10, 10)));
    }

    /// @dev Above the goal of 120,000, and the limit is what it costs: stock x402 clients make their payment out to the
    /// collector, so the money is transferred twice.
    function test_first_deposit_costs_at_most_137k() public {
        _deposit(_config(), 1_000_000);
        _record("channel_first_deposit", _used(), 137_000);
    }

    function test_claim_and_pay_later_costs_at_most_78k() public {
        _deposit(_config(), 1_000_000);
        _claimAndSettle(_rows(_row(_config(), 10, 10)));
        _claimAndSettle(_rows(_row(_config(), 20, 20)));
        _record("channel_claim_and_pay_later", _used(), 78_000);
    }

    function test_ten_channels_in_one_claim_cost_at_most_25k_each() public {
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](10);
        for (uint256 i = 0; i < rows.length; i++) {
            _deposit(_configWithSalt(i), 1_000_000);
            _claimAndSettle(_rows(_row(_configWithSalt(i), 10, 10)));
            rows[i] = _row(_configWithSalt(i), 20, 20);
        }
        _claimAndSettle(rows);
        _record("channel_claim_10_each", _used() / rows.length, 25_000);
    }

    function test_a_thousand_calls_cost_at_most_250_each_deposit_and_claim_included() public {
        uint128 all = uint128(CALLS) * PRICE;
        _deposit(_config(), all);
        uint256 used = _used();
        // a thousand vouchers were signed; the last one is all that is needed
        _claimAndSettle(_rows(_row(_config(), all, all)));
        used += _used();
        _record("channel_1000_per_call", used / CALLS, 250);
    }

    function test_every_other_step_of_a_channel() public {
        IChannel.ChannelConfig memory config = _config();
        _deposit(config, 1_000_000);
        _deposit(config, 1_000_000);
        _record("channel_top_up", _used(), 120_000);
        _claim(config, 10);
        _record("channel_claim", _used(), 75_000);
        IChannel.VoucherClaim[] memory rows = _rows(_row(config, 20, 20));
        channel.claimWithSignature(rows, _sign(RECEIVER_AUTHORIZER_KEY, _batchDigest(rows)));
        _record("channel_claim_signed", _used(), 75_000);
        channel.settle(receiver, channelToken);
        _record("channel_settle", _used(), 75_000);
        bytes32 digest = _channelRefundDigest(_id(config), 0, 100);
        channel.refundWithSignature(config, 100, 0, _sign(RECEIVER_AUTHORIZER_KEY, digest));
        _record("channel_refund_signed", _used(), 105_000);
        vm.prank(receiver);
        channel.refund(config, 100);
        _record("channel_refund", _used(), 85_000);
        _initiate(100);
        _record("channel_initiate_withdraw", _used(), 60_000);
        vm.warp(NOW + 1 days);
        _finalize();
        _record("channel_finalize_withdraw", _used(), 75_000);
    }

    function _claimAndSettle(IChannel.VoucherClaim[] memory rows) private {
        vm.prank(receiverAuthorizer);
        channel.claimAndSettle(rows);
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
