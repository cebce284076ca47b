// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../src/interfaces/IProviderStake.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {Eip712} from "./Eip712.sol";

/// @title The people, the token and the stake of every stake test
/// @dev The escrow is played by the tests: it is an address that calls.
abstract contract StakeBase is Eip712 {
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant PROVIDER_KEY = uint256(keccak256("bob, who provides"));
    uint256 internal constant EVE_KEY = uint256(keccak256("eve, who should get nothing"));

    address internal provider = vm.addr(PROVIDER_KEY);
    address internal eve = vm.addr(EVE_KEY);
    address internal buyer = address(0xb1);
    address internal relayer = address(0xfee1);
    address internal constant ESCROW = address(0xe5c0);
    bytes32 internal constant ORDER = keccak256("an order");

    DenylistUSDC internal usdc;
    IProviderStake internal stake;
    uint256 internal nextNonce;

    function setUp() public virtual {
        vm.warp(NOW);
        usdc = new DenylistUSDC(address(this));
        stake = _deployStake(address(usdc));
    }

    function _deployStake(address token) internal returns (IProviderStake) {
        return IProviderStake(vm.deployCode("out/Stake.sol/Stake.json", abi.encode(token, ESCROW)));
    }

    function _auth(uint256 key, address from, uint96 amount, bytes32 nonce) internal view returns (bytes memory) {
        return _sign(key, _receiveDigest(address(usdc), from, address(stake), amount, 0, NOW + 365 days, nonce));
    }

    /// @notice Gives the provider exactly the amount and puts it up.
    function _deposit(address who, uint96 amount) internal {
        usdc.mint(who, amount);
        bytes32 nonce = bytes32(nextNonce++);
        bytes memory auth = _auth(PROVIDER_KEY, who, amount, nonce);
        vm.prank(relayer);
        stake.deposit(who, amount, NOW + 365 days, nonce, auth);
    }

    function _lock(bytes32 order, uint96 amount) internal {
        vm.prank(ESCROW);
        stake.lock(provider, order, amount);
    }

    function _unlock(bytes32 order) internal {
        vm.prank(ESCROW);
        stake.unlock(order);
    }

    function _slash(bytes32 order, address to) internal {
        vm.prank(ESCROW);
        stake.slash(order, to);
    }

    function _request(uint96 amount) internal {
        vm.prank(provider);
        stake.requestWithdraw(amount);
    }

    function _assertStake(uint256 staked, uint256 locked, uint256 thawing) internal view {
        (uint96 hasStaked, uint96 hasLocked, uint96 hasThawing,) = stake.stakeOf(provider);
        vm.assertEq(hasStaked, staked, "staked");
        vm.assertEq(hasLocked, locked, "locked");
        vm.assertEq(hasThawing, thawing, "thawing");
    }

    function _assertLock(bytes32 order, address whose, uint256 amount) internal view {
        (address who, uint96 held) = stake.lockOf(order);
        vm.assertEq(who, whose, "whose lock");
        vm.assertEq(held, amount, "lock");
    }

    function _tooLow(uint256 available, uint256 amount) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IProviderStake.StakeTooLow.selector, provider, available, amount);
    }
}
