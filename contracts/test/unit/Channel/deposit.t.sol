// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {IChannel} from "../../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../../base/ChannelBase.sol";
import {Vm} from "../../base/TestBase.sol";
import {FeeToken} from "../../mocks/FeeToken.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract ChannelDepositTest is ChannelBase {
    function test_the_money_arrives_and_is_the_channels(uint128 amount, uint40 delay, bytes32 salt) public {
        amount = uint128(bound(amount, 1, type(uint128).max));
        IChannel.ChannelConfig memory config = _config();
        config.withdrawDelay = uint40(bound(delay, 15 minutes, 30 days));
        config.salt = salt;
        bytes32 id = _id(config);
        usdc.mint(payer, amount);
        bytes memory data = _collectorData(PAYER_KEY, config, amount);

        vm.expectEmit(address(channel));
        emit IChannel.ChannelCreated(id, config);
        vm.expectEmit(address(channel));
        emit IChannel.Deposited(id, relayer, amount, amount);
        vm.prank(relayer);
        channel.deposit(config, amount, COLLECTOR, data);

        _assertChannel(id, amount, 0);
        _assertMoney(0, 0, amount);
        vm.assertEq(usdc.balanceOf(COLLECTOR), 0, "collector");
    }

    function test_a_second_deposit_adds_up(uint64 first, uint64 second) public {
        (first, second) = (uint64(bound(first, 1, type(uint64).max)), uint64(bound(second, 1, type(uint64).max)));
        bytes32 id = _deposit(_config(), first);
        _deposit(_config(), second);
        _assertChannel(id, uint256(first) + second, 0);
        _assertMoney(0, 0, uint256(first) + second);
    }

    function test_a_channel_that_has_money_is_not_created_again() public {
        _deposit(_config(), 100);
        vm.recordLogs();
        _deposit(_config(), 10);
        _claim(_config(), 60);
        _deposit(_config(), 10);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) {
            vm.assertTrue(logs[i].topics[0] != IChannel.ChannelCreated.selector, "created");
        }
    }

    function test_a_deposit_after_claims_keeps_them() public {
        bytes32 id = _deposit(_config(), 100);
        _claim(_config(), 60);
        _deposit(_config(), 10);
        _assertChannel(id, 110, 60);
    }

    function test_what_was_claimed_is_never_forgotten(uint64 first, uint64 claimed, uint64 second) public {
        first = uint64(bound(first, 1, type(uint64).max));
        claimed = uint64(bound(claimed, 1, first));
        second = uint64(bound(second, claimed, type(uint64).max));
        bytes32 id = _deposit(_config(), first);
        _claim(_config(), claimed);
        vm.prank(receiver);
        channel.refund(_config(), type(uint128).max);
        channel.settle(receiver, address(usdc));
        _assertChannel(id, claimed, claimed);
        // emptied and filled again: the old voucher brings nothing more
        _deposit(_config(), second);
        _claim(_config(), claimed);
        _assertReceiver(claimed, claimed);
        _assertChannel(id, uint256(claimed) + second, claimed);
    }

    function test_the_payer_may_be_a_contract_wallet() public {
        IChannel.ChannelConfig memory config = _config();
        config.payer = address(new Wallet1271(payer));
        bytes32 id = _deposit(config, 5);
        _assertChannel(id, 5, 0);
    }

    function test_reverts_when_the_config_names_nobody() public {
        for (uint256 i = 0; i < 4; i++) {
            IChannel.ChannelConfig memory config = _config();
            if (i == 0) config.payer = address(0);
            if (i == 1) config.receiver = address(0);
            if (i == 2) config.receiverAuthorizer = address(0);
            if (i == 3) config.token = address(0);
            _refused(config, 1, COLLECTOR, "", IChannel.InvalidChannel.selector);
        }
    }

    function test_reverts_when_the_token_is_another(address token) public {
        vm.assume(token != address(usdc));
        IChannel.ChannelConfig memory config = _config();
        config.token = token;
        _refused(config, 1, COLLECTOR, "", IChannel.InvalidChannel.selector);
    }

    function test_the_longest_delay_is_30_days() public {
        IChannel.ChannelConfig memory config = _config();
        config.withdrawDelay = 30 days;
        _assertChannel(_deposit(config, 100), 100, 0);
        config.withdrawDelay = 30 days + 1;
        _refused(config, 1, COLLECTOR, "", IChannel.WithdrawDelayOutOfRange.selector);
    }

    function test_reverts_when_the_delay_is_out_of_range(uint40 delay) public {
        IChannel.ChannelConfig memory config = _config();
        config.withdrawDelay = delay < 30 days ? uint40(bound(delay, 0, 15 minutes - 1)) : delay;
        vm.assume(delay != 30 days);
        _refused(config, 1, COLLECTOR, "", IChannel.WithdrawDelayOutOfRange.selector);
    }

    function test_reverts_when_nothing_is_deposited() public {
        _refused(_config(), 0, COLLECTOR, "", IChannel.ZeroDeposit.selector);
    }

    function test_reverts_when_the_collector_is_another(address collector) public {
        vm.assume(collector != COLLECTOR);
        _refused(_config(), 1, collector, "", IChannel.InvalidCollector.selector);
    }

    function test_reverts_when_the_channel_would_overflow() public {
        _deposit(_config(), type(uint128).max);
        _refused(_config(), 1, COLLECTOR, "", IChannel.DepositOverflow.selector);
    }

    function test_reverts_when_the_token_takes_a_fee() public {
        FeeToken token = new FeeToken();
        channel = _deployChannel(address(token));
        token.mint(payer, 100);
        bytes memory data = _collectorData(PAYER_KEY, _config(), 100);
        _refused(_config(), 100, COLLECTOR, data, IChannel.DepositCollectionFailed.selector);
    }

    function test_reverts_when_the_token_brings_less_or_refuses() public {
        HostileToken token = new HostileToken();
        channel = _deployChannel(address(token));
        token.mint(payer, 100);
        bytes memory data = _collectorData(PAYER_KEY, _config(), 100);
        token.setDeposits(HostileToken.Deposits.TakeAFee);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        channel.deposit(_config(), 100, COLLECTOR, data);
        token.setDeposits(HostileToken.Deposits.BringNothing);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        channel.deposit(_config(), 100, COLLECTOR, data);
        token.setDeposits(HostileToken.Deposits.Honest);
        token.setTransfers(HostileToken.Transfers.AnswerFalse);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        channel.deposit(_config(), 100, COLLECTOR, data);
        _assertChannel(_id(_config()), 0, 0);
    }

    function test_reverts_when_an_authorisation_is_used_again_or_for_another_channel() public {
        usdc.mint(payer, 300);
        bytes memory data = _collectorData(PAYER_KEY, _config(), 100);
        IChannel.ChannelConfig memory other = _configWithSalt(7);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, payer));
        channel.deposit(other, 100, COLLECTOR, data);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, payer));
        channel.deposit(_config(), 101, COLLECTOR, data);
        channel.deposit(_config(), 100, COLLECTOR, data);
        bytes32 nonce = keccak256(abi.encode(_id(_config()), uint256(0)));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationUsedOrCanceled.selector, payer, nonce));
        channel.deposit(_config(), 100, COLLECTOR, data);
        _assertChannel(_id(_config()), 100, 0);
    }

    function test_reverts_when_someone_else_signed(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        usdc.mint(payer, 100);
        bytes memory data = _collectorData(key, _config(), 100);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, payer));
        channel.deposit(_config(), 100, COLLECTOR, data);
    }

    function test_a_reentrant_token_gets_nowhere() public {
        HostileToken token = new HostileToken();
        channel = _deployChannel(address(token));
        IChannel.ChannelConfig memory config = _config();
        token.mint(payer, 1000);
        bytes memory data = _collectorData(PAYER_KEY, config, 100);
        channel.deposit(config, 100, COLLECTOR, data);
        bytes[7] memory calls = [
            abi.encodeCall(IChannel.deposit, (config, 100, COLLECTOR, data)),
            abi.encodeCall(IChannel.claim, (_rows(_row(config, 100, 100)))),
            abi.encodeCall(IChannel.claimWithSignature, (_rows(_row(config, 100, 100)), "")),
            abi.encodeCall(IChannel.claimAndSettle, (_rows(_row(config, 100, 100)))),
            abi.encodeCall(IChannel.settle, (receiver, address(token))),
            abi.encodeCall(IChannel.refund, (config, 100)),
            abi.encodeCall(IChannel.refundWithSignature, (config, 100, 0, ""))
        ];
        for (uint256 i = 0; i < calls.length; i++) {
            token.setReentry(address(channel), calls[i]);
            channel.deposit(config, 100, COLLECTOR, data);
            vm.assertTrue(!token.callSucceeded(), "reentered");
            vm.assertEq(bytes32(token.callAnswer()), bytes32(bytes4(keccak256("Reentrancy()"))), "by the guard");
        }
    }

    function _refused(
        IChannel.ChannelConfig memory config,
        uint128 amount,
        address collector,
        bytes memory data,
        bytes4 selector
    ) private {
        vm.expectRevert(selector);
        channel.deposit(config, amount, collector, data);
    }
}
