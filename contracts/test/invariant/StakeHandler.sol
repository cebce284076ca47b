// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IProviderStake} from "../../src/interfaces/IProviderStake.sol";
import {IStake} from "../../src/interfaces/IStake.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {QuickSigner} from "./QuickSigner.sol";

/// @title Providers who put up, ask back and cheat at random, an escrow that locks, and a second bookkeeping of it
/// @dev Every action says beforehand whether it has to succeed, compares the provider and the order it was about with the
/// bookkeeping afterwards, and reverts (which fails the run) if anything is wrong.
contract StakeHandler is QuickSigner {
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
    address[PROVIDERS] private _providers;
    uint256[PROVIDERS] private _balances;
    uint256 private _time = 1_800_000_000;
    uint256 private _nonce;
    uint256 private _owed;
    uint256 private _slashed;

    /// @notice The stakes of all providers.
    uint256 public staked;
    uint256 public donated;
    mapping(bytes32 what => uint256) public happened;

    constructor() {
        vm.warp(_time);
        usdc = new DenylistUSDC(address(this));
        stake = IProviderStake(vm.deployCode("out/Stake.sol/Stake.json", abi.encode(usdc, ESCROW)));
        for (uint256 i = 0; i < PROVIDERS; i++) {
            _keys[i] = uint256(keccak256(abi.encode("provider", i)));
            _providers[i] = vm.addr(_keys[i]);
        }
    }

    // what providers do

    function deposit(uint256 who, uint64 amount, uint256 how) external {
        bool stolen = how % 8 == 0;
        vm.warp(_time);
        who %= PROVIDERS;
        address provider = _providers[who];
        usdc.mint(provider, amount);
        _balances[who] += amount;
        bytes32 nonce = bytes32(_nonce++);
        bytes32 digest = _receiveDigest(address(usdc), provider, address(stake), amount, 0, _time + 1, nonce);
        bytes memory auth = _sign(stolen ? _keys[(who + 1) % PROVIDERS] : _keys[who], digest);
        bool expected = amount != 0 && !stolen && !usdc.denied(provider) && !usdc.denied(address(stake));
        bytes memory call = abi.encodeCall(IProviderStake.deposit, (provider, amount, _time + 1, nonce, auth));
        _call(address(this), call, expected, "deposit");
        if (expected) {
            _balances[who] -= amount;
            _known[who].staked += amount;
            staked += amount;
        }
        _checkProvider(who);
    }

    function request(uint256 who, uint96 amount) public {
        vm.warp(_time);
        who %= PROVIDERS;
        Known storage known = _known[who];
        amount = uint96(bound(amount, 0, uint256(known.staked) + 1));
        bool expected = amount <= known.staked;
        _call(_providers[who], abi.encodeCall(IProviderStake.requestWithdraw, (amount)), expected, "request");
        if (expected) (known.thawing, known.thawEnds) = (amount, amount == 0 ? 0 : _time + 7 days);
        _checkProvider(who);
    }

    function withdraw(uint256 who) public {
        vm.warp(_time);
        who %= PROVIDERS;
        Known storage known = _known[who];
        address provider = _providers[who];
        uint96 unlocked = known.staked - known.locked;
        uint96 amount = known.thawing < unlocked ? known.thawing : unlocked;
        bool refused = usdc.denied(provider) || usdc.denied(address(stake));
        bool expected = amount != 0 && _time >= known.thawEnds && !refused;
        _call(address(this), abi.encodeCall(IProviderStake.withdraw, (provider)), expected, "withdraw");
        if (expected) {
            known.staked -= amount;
            known.thawing -= amount;
            staked -= amount;
            _balances[who] += amount;
        }
        _checkProvider(who);
    }

    /// @notice Time runs to the last second of a thaw, to its end or just past it, and somebody tries.
    function ripen(uint256 who, uint256 where) external {
        uint256 end = _known[who % PROVIDERS].thawEnds;
        if (end + where % 3 > _time + 1) _time = end - 1 + where % 3;
        withdraw(who);
    }

    function collect() public {
        bool refused = usdc.denied(buyer) || usdc.denied(address(stake));
        bool expected = _owed != 0 && !refused;
        _call(address(this), abi.encodeCall(IProviderStake.collect, (buyer)), expected, "collect");
        if (expected) _owed = 0;
        _checkBuyer();
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
        _call(ESCROW, abi.encodeCall(IStake.lock, (_providers[who], bytes32(which), amount)), expected, "lock");
        if (expected) {
            known.locked += amount;
            (_lockedFor[which], _lockedAmount[which]) = (_providers[who], amount);
        }
        _checkLock(which);
        _checkProvider(who);
    }

    /// @notice Never fails, whatever the state.
    function unlock(uint256 which) public {
        which %= ORDERS;
        _call(ESCROW, abi.encodeCall(IStake.unlock, (bytes32(which))), true, "unlock");
        (, uint256 who) = _release(which);
        _checkLock(which);
        _checkProvider(who);
    }

    /// @notice Never fails, whatever the state.
    function slash(uint256 which) external {
        which %= ORDERS;
        _call(ESCROW, abi.encodeCall(IStake.slash, (bytes32(which), buyer)), true, "slash");
        (uint96 amount, uint256 who) = _release(which);
        if (amount != 0) {
            Known storage known = _known[who];
            known.staked -= amount;
            if (known.thawing > known.staked) known.thawing = known.staked;
            staked -= amount;
            _slashed += amount;
            if (usdc.denied(buyer) || usdc.denied(address(stake))) _owed += amount;
            happened["slashed"]++;
        }
        _checkLock(which);
        _checkProvider(who);
        _checkBuyer();
    }

    // what thieves do

    /// @notice Everybody but the escrow tries what is the escrow's.
    function steal(uint256 which, uint256 who, uint256 how) external {
        which %= ORDERS;
        address thief = how % 4 == 3 ? buyer : _providers[who % PROVIDERS];
        bytes memory call = how % 3 == 0
            ? abi.encodeCall(IStake.lock, (thief, bytes32(which), 1))
            : how % 3 == 1
                ? abi.encodeCall(IStake.unlock, (bytes32(which)))
                : abi.encodeCall(IStake.slash, (bytes32(which), thief));
        _call(thief, call, false, "steal");
        _checkLock(which);
    }

    // what the world does

    function pass(uint32 secs) external {
        _time += bound(secs, 1, 4 days);
    }

    /// @notice The token changes its mind about somebody, or about the contract; mostly for the better.
    function deny(uint256 who, uint256 how) external {
        who %= PROVIDERS + 2;
        address account = who < PROVIDERS ? _providers[who] : who == PROVIDERS ? buyer : address(stake);
        usdc.deny(account, how % 8 == 0);
    }

    function donate(uint64 amount) external {
        usdc.mint(address(stake), amount);
        donated += amount;
    }

    /// @notice Whoever was denied, in the end everybody has what is theirs: orders end, and stakes thaw.
    function endEverything() external {
        usdc.deny(address(stake), false);
        usdc.deny(buyer, false);
        for (uint256 i = 0; i < ORDERS; i++) {
            unlock(i);
        }
        for (uint256 i = 0; i < PROVIDERS; i++) {
            usdc.deny(_providers[i], false);
            request(i, _known[i].staked);
        }
        _time += 7 days;
        for (uint256 i = 0; i < PROVIDERS; i++) {
            withdraw(i);
        }
        collect();
    }

    // what the invariants ask

    /// @notice 1: every stake, what it owes, and what was sent to it unasked. Nothing else.
    function shouldHold() external view returns (uint256) {
        return staked + _owed + donated;
    }

    /// @notice 8 for everybody and every order, and that what is locked is exactly what the orders hold.
    function checkEverything() external view {
        uint256 stakes = 0;
        for (uint256 i = 0; i < PROVIDERS; i++) {
            _checkProvider(i);
            stakes += _known[i].staked;
            uint256 locked = 0;
            for (uint256 j = 0; j < ORDERS; j++) {
                if (_lockedFor[j] == _providers[i]) locked += _lockedAmount[j];
            }
            require(locked == _known[i].locked, "what the orders hold");
        }
        for (uint256 j = 0; j < ORDERS; j++) {
            _checkLock(j);
        }
        _checkBuyer();
        require(stakes == staked, "all stakes");
    }

    /// @dev 8: what is locked is within the stake, and a thaw takes none of it.
    function _checkProvider(uint256 who) private view {
        Known storage known = _known[who];
        (uint96 has, uint96 locked, uint96 thawing, uint40 thawEnds) = stake.stakeOf(_providers[who]);
        require(has == known.staked, "staked");
        require(locked == known.locked, "locked");
        require(thawing == known.thawing, "thawing");
        require(thawEnds == known.thawEnds, "thaw ends");
        require(locked <= has, "locked within the stake");
        require(thawing <= has, "thawing within the stake");
        require(usdc.balanceOf(_providers[who]) == _balances[who], "the provider has the rest");
    }

    /// @dev 8: the lock is the order's.
    function _checkLock(uint256 which) private view {
        (address whose, uint96 amount) = stake.lockOf(bytes32(which));
        require(whose == _lockedFor[which], "whose lock");
        require(amount == _lockedAmount[which], "lock");
    }

    /// @dev 8: a slash takes what its order held and gives it to the buyer, now or later.
    function _checkBuyer() private view {
        require(stake.owed(buyer) == _owed, "owed");
        require(usdc.balanceOf(buyer) + _owed == _slashed, "slashed stake is the buyer's");
    }

    /// @dev The lock is gone; answers what it held and for whom.
    function _release(uint256 which) private returns (uint96 amount, uint256 who) {
        amount = _lockedAmount[which];
        while (amount != 0 && _providers[who] != _lockedFor[which]) who++;
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
