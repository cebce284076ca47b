// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../src/interfaces/IProviderStake.sol";
import {IStake} from "../../src/interfaces/IStake.sol";
import {Eip712} from "../base/Eip712.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";

/// @title Providers who put up, ask back and cheat at random, an escrow that locks, and a second bookkeeping of it
/// @dev Every action says beforehand whether it has to succeed, and reverts (which fails the run) if it is wrong.
contract StakeHandler is Eip712 {
    struct Known {
        uint96 staked;
        uint96 locked;
        uint96 thawing;
        uint256 thawEnds;
    }

    uint256 private constant PROVIDERS = 3;
    uint256 private constant ORDERS = 12;
    address private constant ESCROW = address(0xe5c0);

    DenylistUSDC public immutable usdc;
    IProviderStake public immutable stake;
    address public immutable buyer = address(0xb1);

    Known[PROVIDERS] private _known;
    address[ORDERS] private _lockedFor;
    uint96[ORDERS] private _lockedAmount;
    uint256[PROVIDERS] private _keys;
    uint256 private _time = 1_800_000_000;
    uint256 private _nonce;

    uint256 public donated;
    uint256 public expectedOwed;
    uint256 public slashed;
    mapping(address provider => uint256) public expectedBalance;
    mapping(bytes32 what => uint256) public happened;

    constructor() {
        vm.warp(_time);
        usdc = new DenylistUSDC(address(this));
        stake = IProviderStake(vm.deployCode("out/Stake.sol/Stake.json", abi.encode(usdc, ESCROW)));
        for (uint256 i = 0; i < PROVIDERS; i++) {
            _keys[i] = uint256(keccak256(abi.encode("provider", i)));
        }
    }

    // what providers do

    function deposit(uint256 who, uint64 amount, bool stolen) external {
        vm.warp(_time);
        who %= PROVIDERS;
        address provider = providerAt(who);
        usdc.mint(provider, amount);
        expectedBalance[provider] += amount;
        bytes32 nonce = bytes32(_nonce++);
        bytes32 digest = _receiveDigest(address(usdc), provider, address(stake), amount, 0, _time + 1, nonce);
        bytes memory auth = _sign(stolen ? _keys[(who + 1) % PROVIDERS] : _keys[who], digest);
        bool expected = amount != 0 && !stolen && !usdc.denied(provider) && !usdc.denied(address(stake));
        bytes memory call = abi.encodeCall(IProviderStake.deposit, (provider, amount, _time + 1, nonce, auth));
        _call(address(this), call, expected, "deposit");
        if (!expected) return;
        expectedBalance[provider] -= amount;
        _known[who].staked += amount;
    }

    function request(uint256 who, uint96 amount) external {
        vm.warp(_time);
        who %= PROVIDERS;
        Known storage known = _known[who];
        amount = uint96(bound(amount, 0, uint256(known.staked) + 1));
        bool expected = amount <= known.staked;
        _call(providerAt(who), abi.encodeCall(IProviderStake.requestWithdraw, (amount)), expected, "request");
        if (expected) (known.thawing, known.thawEnds) = (amount, amount == 0 ? 0 : _time + 7 days);
    }

    function withdraw(uint256 who) external {
        vm.warp(_time);
        who %= PROVIDERS;
        Known storage known = _known[who];
        address provider = providerAt(who);
        uint96 unlocked = known.staked - known.locked;
        uint96 amount = known.thawing < unlocked ? known.thawing : unlocked;
        bool refused = usdc.denied(provider) || usdc.denied(address(stake));
        bool expected = amount != 0 && _time >= known.thawEnds && !refused;
        _call(address(this), abi.encodeCall(IProviderStake.withdraw, (provider)), expected, "withdraw");
        if (!expected) return;
        known.staked -= amount;
        known.thawing -= amount;
        expectedBalance[provider] += amount;
    }

    function collect() external {
        bool refused = usdc.denied(buyer) || usdc.denied(address(stake));
        bool expected = expectedOwed != 0 && !refused;
        _call(address(this), abi.encodeCall(IProviderStake.collect, (buyer)), expected, "collect");
        if (!expected) return;
        expectedBalance[buyer] += expectedOwed;
        expectedOwed = 0;
    }

    // what the escrow does

    function lock(uint256 who, uint256 which, uint96 amount) external {
        vm.warp(_time);
        (who, which) = (who % PROVIDERS, which % ORDERS);
        Known storage known = _known[who];
        uint256 used = uint256(known.locked) + known.thawing;
        uint256 free = known.staked > used ? known.staked - used : 0;
        amount = uint96(bound(amount, 0, free + 1));
        bool expected = amount != 0 && amount <= free && _lockedAmount[which] == 0;
        _call(ESCROW, abi.encodeCall(IStake.lock, (providerAt(who), bytes32(which), amount)), expected, "lock");
        if (!expected) return;
        known.locked += amount;
        (_lockedFor[which], _lockedAmount[which]) = (providerAt(who), amount);
    }

    /// @notice Never fails, whatever the state.
    function unlock(uint256 which) external {
        which %= ORDERS;
        _call(ESCROW, abi.encodeCall(IStake.unlock, (bytes32(which))), true, "unlock");
        _release(which);
    }

    /// @notice Never fails, whatever the state.
    function slash(uint256 which) external {
        which %= ORDERS;
        _call(ESCROW, abi.encodeCall(IStake.slash, (bytes32(which), buyer)), true, "slash");
        (uint96 amount, uint256 who) = _release(which);
        if (amount == 0) return;
        Known storage known = _known[who];
        known.staked -= amount;
        if (known.thawing > known.staked) known.thawing = known.staked;
        slashed += amount;
        if (usdc.denied(buyer) || usdc.denied(address(stake))) expectedOwed += amount;
        else expectedBalance[buyer] += amount;
        happened["slashed"]++;
    }

    // what thieves do

    /// @notice Everybody but the escrow tries what is the escrow's.
    function steal(uint256 which, uint256 who, uint256 how) external {
        which %= ORDERS;
        address thief = how % 4 == 3 ? buyer : providerAt(who % PROVIDERS);
        bytes memory call = how % 3 == 0
            ? abi.encodeCall(IStake.lock, (thief, bytes32(which), 1))
            : how % 3 == 1
                ? abi.encodeCall(IStake.unlock, (bytes32(which)))
                : abi.encodeCall(IStake.slash, (bytes32(which), thief));
        _call(thief, call, false, "steal");
    }

    // what the world does

    function pass(uint32 secs) external {
        _time += bound(secs, 1, 4 days);
        vm.warp(_time);
    }

    function deny(uint256 who, bool on) external {
        who %= PROVIDERS + 2;
        usdc.deny(who < PROVIDERS ? providerAt(who) : who == PROVIDERS ? buyer : address(stake), on);
    }

    function donate(uint64 amount) external {
        usdc.mint(address(stake), amount);
        donated += amount;
    }

    // what the invariants ask

    function providers() external pure returns (uint256) {
        return PROVIDERS;
    }

    function orders() external pure returns (uint256) {
        return ORDERS;
    }

    function knownAt(uint256 index) external view returns (Known memory) {
        return _known[index];
    }

    function lockAt(uint256 index) external view returns (address provider, uint96 amount) {
        return (_lockedFor[index], _lockedAmount[index]);
    }

    function providerAt(uint256 index) public view returns (address) {
        return vm.addr(_keys[index]);
    }

    function _release(uint256 which) private returns (uint96 amount, uint256 who) {
        amount = _lockedAmount[which];
        while (amount != 0 && providerAt(who) != _lockedFor[which]) who++;
        if (amount != 0) _known[who].locked -= amount;
        (_lockedFor[which], _lockedAmount[which]) = (address(0), 0);
    }

    function _call(address sender, bytes memory data, bool expected, bytes32 what) private {
        vm.prank(sender);
        (bool ok,) = address(stake).call(data);
        if (ok != expected) {
            require(!ok, string.concat("should have been refused: ", string(abi.encodePacked(what))));
            revert(string.concat("should have succeeded: ", string(abi.encodePacked(what))));
        }
        happened[ok ? what : bytes32(bytes.concat("no ", what))]++;
    }
}
