// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../base/ChannelBase.sol";
import {FiatTokenBase} from "../base/FiatTokenBase.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";

/// @notice Channels on the bytecode that USDC runs, when it is paused or refuses payer, receiver or the contract.
contract ChannelPayoutsTest is ChannelBase, FiatTokenBase {
    bytes4 private constant FAILED = bytes4(keccak256("TransferFailed()"));
    bytes32 private id;

    function setUp() public override {
        vm.warp(NOW);
        fiat = _deployFiatToken();
        usdc = DenylistUSDC(address(fiat));
        channel = _deployChannel(address(usdc));
        id = _deposit(_config(), 1000);
    }

    function test_a_channel_lives_from_deposit_to_refund(uint128 total) public {
        total = uint128(bound(total, 1, 999));
        _claimAndSettle(total);
        vm.prank(receiver);
        channel.refund(_config(), 1000);
        _assertMoney(1000 - total, total, 0);
        _assertChannel(id, total, total);
    }

    function test_a_claim_outlives_whatever_usdc_refuses(uint256 why) public {
        _refuse(why, receiver);
        _claimAndSettle(400);
        _assertReceiver(400, 0);
        vm.expectRevert(FAILED);
        channel.settle(receiver, address(usdc));
        // the payer cannot take back what is claimed, and the rest is its own whoever the receiver is
        _accept(why, receiver);
        _initiate(600);
        vm.warp(NOW + 1 days);
        _finalize();
        channel.settle(receiver, address(usdc));
        _assertMoney(600, 400, 0);
    }

    function test_a_payers_money_waits_for_it_whatever_usdc_refuses(uint256 why, bool refunded) public {
        _claimAndSettle(400);
        if (!refunded) _initiate(600);
        vm.warp(NOW + 1 days);
        _refuse(why, payer);
        vm.expectRevert(FAILED);
        _leave(refunded);
        _assertChannel(id, 1000, 400);
        _accept(why, payer);
        _leave(refunded);
        _assertMoney(600, 400, 0);
    }

    function test_a_denied_payer_keeps_nothing_from_the_receiver() public {
        fiat.blacklist(payer);
        _claimAndSettle(400);
        _assertMoney(0, 400, 600);
    }

    function test_a_denied_receiver_keeps_nothing_from_the_payer() public {
        _claim(_config(), 400);
        fiat.blacklist(receiver);
        _initiate(600);
        vm.warp(NOW + 1 days);
        _finalize();
        _assertMoney(600, 0, 400);
    }

    function _claimAndSettle(uint128 total) private {
        IChannel.VoucherClaim[] memory rows = _rows(_row(_config(), total, total));
        vm.prank(receiverAuthorizer);
        channel.claimAndSettle(rows);
    }

    function _leave(bool refunded) private {
        IChannel.ChannelConfig memory config = _config();
        vm.prank(refunded ? receiver : payer);
        if (refunded) channel.refund(config, 600);
        else channel.finalizeWithdraw(config);
    }

    /// @dev USDC is paused, or denies this account, or the channel contract.
    function _refuse(uint256 why, address account) private {
        if (why % 3 == 0) fiat.pause();
        else fiat.blacklist(why % 3 == 1 ? account : address(channel));
    }

    function _accept(uint256 why, address account) private {
        if (why % 3 == 0) fiat.unpause();
        else fiat.unBlacklist(why % 3 == 1 ? account : address(channel));
    }
}
