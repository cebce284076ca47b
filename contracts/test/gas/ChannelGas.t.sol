// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../base/ChannelBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";

/// @notice Whole-transaction gas (21,000 and calldata included) of a channel's life, as a public deployment has it: the
/// channel contract stands where its constructor ran.
contract ChannelGasTest is ChannelBase {
    event GasUsed(string operation, uint256 gas);

    uint256 private constant CALLS = 1000;
    uint128 private constant PRICE = 1000;

    function setUp() public override {
        vm.warp(NOW);
        usdc = DenylistUSDC(_deployToken());
        channelToken = address(usdc);
        channel = IChannel(vm.deployCode("out/Channel.sol/Channel.json", abi.encode(usdc, COLLECTOR)));
        _etchCollector(address(channel));
        // nobody is new to the token, and the receiver was paid before
        usdc.mint(payer, 1_000_000);
        _deposit(_configWithSalt(99), 1_000_000);
        _claimAndSettle(_rows(_row(_configWithSalt(99), 10, 10)));
    }

    /// @notice The token as it is shipped: the tests' own is compiled without the optimizer.
    function _deployToken() internal virtual returns (address) {
        return vm.deployCode("out/TestUSDC.sol/TestUSDC.json", abi.encode(address(this)));
    }

    function test_first_deposit_costs_at_most_140k() public {
        _deposit(_config(), 1_000_000);
        _atMost("first deposit", 140_000);
    }

    function test_claim_and_pay_later_costs_at_most_78k() public {
        _deposit(_config(), 1_000_000);
        _claimAndSettle(_rows(_row(_config(), 10, 10)));
        _claimAndSettle(_rows(_row(_config(), 20, 20)));
        _atMost("claim and pay later", 78_000);
    }

    function test_ten_channels_in_one_claim_cost_at_most_25k_each() public {
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](10);
        for (uint256 i = 0; i < rows.length; i++) {
            _deposit(_configWithSalt(i), 1_000_000);
            _claimAndSettle(_rows(_row(_configWithSalt(i), 10, 10)));
            rows[i] = _row(_configWithSalt(i), 20, 20);
        }
        _claimAndSettle(rows);
        _atMost("ten channels in one claim, each", _used() / rows.length, 25_000);
    }

    function test_a_thousand_calls_cost_at_most_250_each_deposit_and_claim_included() public {
        uint128 all = uint128(CALLS) * PRICE;
        _deposit(_config(), all);
        uint256 used = _used();
        // a thousand vouchers were signed; the last one is all that is needed
        _claimAndSettle(_rows(_row(_config(), all, all)));
        used += _used();
        _atMost("per call of a thousand", used / CALLS, 250);
    }

    function _claimAndSettle(IChannel.VoucherClaim[] memory rows) private {
        vm.prank(receiverAuthorizer);
        channel.claimAndSettle(rows);
    }

    function _used() private view returns (uint256 used) {
        used = vm.lastCallGas().gasTotalUsed;
        vm.assertTrue(used > 21_000, "a whole transaction");
    }

    function _atMost(string memory operation, uint256 limit) private {
        _atMost(operation, _used(), limit);
    }

    function _atMost(string memory operation, uint256 used, uint256 limit) private {
        emit GasUsed(operation, used);
        vm.assertLe(used, limit, operation);
    }
}
