// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../../src/interfaces/IProviderStake.sol";
import {IStake} from "../../../src/interfaces/IStake.sol";
import {StakeBase} from "../../base/StakeBase.sol";
import {FeeToken} from "../../mocks/FeeToken.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";

/// @notice Every way stake leaves by its owner's wish, with a token that lies, refuses, burns gas or calls back. Deposits
/// have theirs in their own file, and so has `slash`, which no token can make fail.
contract StakeHostileTokenTest is StakeBase {
    HostileToken private token;

    function setUp() public override {
        super.setUp();
        token = new HostileToken();
        stake = _deployStake(address(token));
        token.mint(provider, 100);
        stake.deposit(provider, 100, NOW + 1, 0, "");
        // thirty wait for the buyer, seventy are on their way out
        token.setTransfers(HostileToken.Transfers.Revert);
        _lock(ORDER, 30);
        _slash(ORDER, buyer);
        token.setTransfers(HostileToken.Transfers.Honest);
        _request(70);
        vm.warp(NOW + 7 days);
    }

    function test_reverts_when_the_token_does_not_pay_in_whatever_way(bool collects, uint256 how) public {
        HostileToken.Transfers[6] memory ways = [
            HostileToken.Transfers.AnswerFalse,
            HostileToken.Transfers.AnswerTwo,
            HostileToken.Transfers.AnswerOneByte,
            HostileToken.Transfers.Revert,
            HostileToken.Transfers.RevertWithLongData,
            HostileToken.Transfers.BurnGas
        ];
        token.setTransfers(ways[how % 6]);
        if (how % 6 == 5) token.setGasToBurn(type(uint256).max / 2);
        (bool ok, bytes memory answer) = _leave(collects);
        vm.assertTrue(!ok, "refused");
        vm.assertEq(keccak256(answer), keccak256(abi.encodeWithSignature("TransferFailed()")), "by the token");
        _assertStake(70, 0, 70);
        vm.assertEq(stake.owed(buyer), 30, "owed");

        token.setTransfers(HostileToken.Transfers.AnswerNothing);
        (ok,) = _leave(collects);
        vm.assertTrue(ok, "once it pays");
        _assertPaid(collects);
    }

    function test_a_reentrant_token_pays_once(bool collects, uint256 what) public {
        bytes[4] memory calls = [
            abi.encodeCall(IProviderStake.deposit, (provider, 10, NOW + 365 days, 0, "")),
            abi.encodeCall(IProviderStake.withdraw, (provider)),
            abi.encodeCall(IProviderStake.collect, (buyer)),
            abi.encodeCall(IProviderStake.requestWithdraw, (0))
        ];
        token.setReentry(address(stake), calls[what % 4]);
        (bool ok,) = _leave(collects);
        vm.assertTrue(ok && !token.callSucceeded(), "reentered");
        vm.assertEq(bytes32(token.callAnswer()), bytes32(bytes4(keccak256("Reentrancy()"))), "by the guard");
        _assertPaid(collects);
    }

    function test_a_token_that_calls_back_is_not_the_escrow(bool collects, uint256 what, uint96 amount) public {
        bytes[3] memory calls = [
            abi.encodeCall(IStake.lock, (provider, ORDER, amount)),
            abi.encodeCall(IStake.unlock, (ORDER)),
            abi.encodeCall(IStake.slash, (ORDER, eve))
        ];
        token.setReentry(address(stake), calls[what % 3]);
        _leave(collects);
        bytes memory refused = abi.encodeWithSelector(IProviderStake.NotEscrow.selector, token);
        vm.assertEq(keccak256(token.callAnswer()), keccak256(refused), "refused");
        _assertPaid(collects);
    }

    function test_reverts_when_the_token_takes_a_fee_on_the_deposit(uint96 amount) public {
        amount = uint96(bound(amount, 1, type(uint96).max - 70));
        token.setDeposits(HostileToken.Deposits.TakeAFee);
        token.mint(provider, amount);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.DepositMismatch.selector, amount, uint256(amount) - 1));
        stake.deposit(provider, amount, NOW + 365 days, 0, "");
        _assertStake(70, 0, 70);
    }

    function test_a_token_that_takes_its_fee_on_the_way_out_takes_it_from_the_provider() public {
        FeeToken fee = new FeeToken();
        stake = _deployStake(address(fee));
        fee.mint(provider, 100);
        stake.deposit(provider, 100, NOW + 365 days, 0, "");
        _lock(ORDER, 60);
        _request(100);
        vm.warp(block.timestamp + 7 days);
        stake.withdraw(provider);
        _assertStake(60, 60, 60);
        vm.assertEq(fee.balanceOf(address(stake)), 60, "what the order holds is here");
        vm.assertEq(fee.balanceOf(provider), 39, "less the fee");
    }

    function _leave(bool collects) private returns (bool ok, bytes memory answer) {
        bytes memory call = collects
            ? abi.encodeCall(IProviderStake.collect, (buyer))
            : abi.encodeCall(IProviderStake.withdraw, (provider));
        return address(stake).call{gas: 2_000_000}(call);
    }

    function _assertPaid(bool collects) private view {
        if (collects) _assertStake(70, 0, 70);
        else _assertStake(0, 0, 0);
        vm.assertEq(stake.owed(buyer), collects ? 0 : 30, "owed");
        vm.assertEq(token.balanceOf(buyer), collects ? 30 : 0, "buyer");
        vm.assertEq(token.balanceOf(provider), collects ? 0 : 70, "provider");
        vm.assertEq(token.balanceOf(address(stake)), collects ? 70 : 30, "stake contract");
    }
}
