// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {IProviderStake} from "../../../src/interfaces/IProviderStake.sol";
import {StakeBase} from "../../base/StakeBase.sol";
import {Deployer} from "../../mocks/Deployer.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract StakeDepositTest is StakeBase {
    function test_the_money_becomes_the_providers_stake(uint96 amount, bytes32 nonce, uint32 secs, address sender)
        public
    {
        vm.assume(sender != address(0));
        amount = uint96(bound(amount, 1, type(uint96).max));
        uint256 validBefore = NOW + bound(secs, 1, 365 days);
        usdc.mint(provider, amount);
        bytes32 digest = _receiveDigest(address(usdc), provider, address(stake), amount, 0, validBefore, nonce);

        vm.expectEmit(address(stake));
        emit IProviderStake.Staked(provider, amount);
        vm.prank(sender);
        stake.deposit(provider, amount, validBefore, nonce, _sign(PROVIDER_KEY, digest));

        _assertStake(amount, 0, 0);
        vm.assertEq(stake.available(provider), amount, "available");
        vm.assertEq(usdc.balanceOf(address(stake)), amount, "held");
        vm.assertEq(usdc.balanceOf(provider), 0, "provider");
    }

    function test_deposits_add_up(uint64 first, uint64 second) public {
        (first, second) = (uint64(bound(first, 1, type(uint64).max)), uint64(bound(second, 1, type(uint64).max)));
        _deposit(provider, first);
        _deposit(provider, second);
        _assertStake(uint256(first) + second, 0, 0);
    }

    function test_the_provider_may_be_a_contract_wallet() public {
        provider = address(new Wallet1271(provider));
        _deposit(provider, 5);
        _assertStake(5, 0, 0);
    }

    function test_escrow_and_stake_can_name_each_other() public {
        Deployer deployer = new Deployer();
        address escrow = deployer.addressAt(2);
        IProviderStake first = IProviderStake(deployer.deploy(_code(address(usdc), escrow)));
        // whatever the deployer makes next stands where the stake expects its escrow
        vm.assertEq(deployer.deploy(_code(address(usdc), address(first))), escrow, "the next one");
        vm.assertEq(first.escrow(), escrow, "the stake knows the escrow");
        vm.assertEq(first.token(), address(usdc), "and the token");
    }

    function test_reverts_when_built_without_a_token_or_escrow() public {
        Deployer deployer = new Deployer();
        bytes[2] memory codes = [_code(address(0x70), ESCROW), _code(address(usdc), address(0))];
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(IProviderStake.ZeroAddress.selector);
            deployer.deploy(codes[i]);
        }
    }

    function test_reverts_when_nothing_is_put_up() public {
        vm.expectRevert(IProviderStake.ZeroAmount.selector);
        stake.deposit(provider, 0, NOW + 1, 0, "");
    }

    function test_reverts_when_the_token_brings_another_amount() public {
        HostileToken token = new HostileToken();
        stake = _deployStake(address(token));
        token.mint(provider, 100);
        token.setDeposits(HostileToken.Deposits.TakeAFee);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.DepositMismatch.selector, 10, 9));
        stake.deposit(provider, 10, NOW + 1, 0, "");
        token.setDeposits(HostileToken.Deposits.BringNothing);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.DepositMismatch.selector, 10, 0));
        stake.deposit(provider, 10, NOW + 1, 0, "");
        token.setDeposits(HostileToken.Deposits.BringTooMuch);
        vm.expectRevert(abi.encodeWithSelector(IProviderStake.DepositMismatch.selector, 10, 11));
        stake.deposit(provider, 10, NOW + 1, 0, "");
    }

    function test_reverts_when_someone_else_signed(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        usdc.mint(provider, 10);
        bytes memory auth = _auth(key, provider, 10, 0);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, provider));
        stake.deposit(provider, 10, NOW + 365 days, 0, auth);
    }

    function test_reverts_when_the_authorisation_is_not_a_signature(bytes memory auth) public {
        usdc.mint(provider, 10);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, provider));
        stake.deposit(provider, 10, NOW + 365 days, 0, auth);
    }

    function test_reverts_when_the_authorisation_was_used_in_any_form() public {
        usdc.mint(provider, 30);
        bytes32 digest = _receiveDigest(address(usdc), provider, address(stake), 10, 0, NOW + 365 days, 0);
        stake.deposit(provider, 10, NOW + 365 days, 0, _sign(PROVIDER_KEY, digest));
        bytes[3] memory forms =
            [_sign(PROVIDER_KEY, digest), _signCompact(PROVIDER_KEY, digest), _signMalleated(PROVIDER_KEY, digest)];
        for (uint256 i = 0; i < forms.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationUsedOrCanceled.selector, provider, bytes32(0)));
            stake.deposit(provider, 10, NOW + 365 days, 0, forms[i]);
        }
        _assertStake(10, 0, 0);
    }

    function test_a_reentrant_token_gets_nowhere() public {
        HostileToken token = new HostileToken();
        stake = _deployStake(address(token));
        token.mint(provider, 100);
        bytes[4] memory calls = [
            abi.encodeCall(IProviderStake.deposit, (provider, 10, NOW + 1, 0, "")),
            abi.encodeCall(IProviderStake.withdraw, (provider)),
            abi.encodeCall(IProviderStake.collect, (provider)),
            abi.encodeCall(IProviderStake.requestWithdraw, (0))
        ];
        for (uint256 i = 0; i < calls.length; i++) {
            token.setReentry(address(stake), calls[i]);
            stake.deposit(provider, 10, NOW + 1, 0, "");
            vm.assertTrue(!token.callSucceeded(), "reentered");
            vm.assertEq(bytes32(token.callAnswer()), bytes32(bytes4(keccak256("Reentrancy()"))), "by the guard");
        }
    }

    function _code(address token, address escrow) private view returns (bytes memory) {
        return abi.encodePacked(vm.getCode("out/Stake.sol/Stake.json"), abi.encode(token, escrow));
    }
}
