// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../base/ChannelBase.sol";

/// @title Payers and receivers who pay, claim, return and steal at random, and a second bookkeeping of it
/// @dev Every action says beforehand whether it has to succeed, and reverts (which fails the run) if it is wrong.
contract ChannelHandler is ChannelBase {
    /// @notice One channel and what the bookkeeping knows of it.
    struct Known {
        uint128 balance;
        uint128 claimed;
        uint128 pending;
        uint256 since;
        uint256 nonce;
        uint256 deposited;
        uint256 returned;
    }

    uint256 private constant COUNT = 6;

    Known[COUNT] private _known;
    uint256 private _time = NOW;

    /// @notice What was claimed for and sent to each of the two receivers.
    uint256[2] public claimedFor;
    uint256[2] public sentTo;
    uint256 public donated;
    mapping(bytes32 what => uint256) public happened;

    constructor() {
        _begin();
    }

    /// @dev A run does not begin again in the middle.
    function setUp() public override {}

    // what people do

    function deposit(uint256 which, uint64 amount, bool stolen) external {
        vm.warp(_time);
        which %= COUNT;
        IChannel.ChannelConfig memory config = configAt(which);
        usdc.mint(config.payer, amount);
        bytes memory data = _collectorData(stolen ? EVE_KEY : PAYER_KEY, config, amount);
        bool expected = amount != 0 && !stolen && !usdc.denied(payer) && !usdc.denied(CHANNEL);
        _call(relayer, abi.encodeCall(IChannel.deposit, (config, amount, COLLECTOR, data)), expected, "deposit");
        if (!expected) return;
        _known[which].balance += amount;
        _known[which].deposited += amount;
    }

    function claim(uint256 which, uint128 max, uint128 total, uint256 who, uint8 way) external {
        vm.warp(_time);
        which %= COUNT;
        Known storage known = _known[which];
        IChannel.ChannelConfig memory config = configAt(which);
        max = uint128(bound(max, 0, uint256(known.balance) + 2));
        total = uint128(bound(total, 0, uint256(max) + 1));
        IChannel.VoucherClaim[] memory rows = _rows(_row(config, max, total));
        bool forged = way % 8 == 7;
        if (forged) rows[0].signature = _sign(EVE_KEY, _voucherDigest(_id(config), max));
        bool more = total > known.claimed;
        bool good = !more || (total <= max && total <= known.balance && !forged);
        if (way % 3 == 0) {
            bool stranger = who % 5 == 0;
            bytes memory call = abi.encodeCall(IChannel.claim, (rows));
            _call(stranger ? payer : config.receiver, call, good && !stranger, "claim");
            if (stranger || !good) return;
        } else if (way % 3 == 1) {
            uint256 key = who % 5 == 0 ? EVE_KEY : RECEIVER_AUTHORIZER_KEY;
            bytes memory signature = _sign(key, _batchDigest(rows));
            bytes memory call = abi.encodeCall(IChannel.claimWithSignature, (rows, signature));
            _call(relayer, call, good && key != EVE_KEY, "claim signed");
            if (key == EVE_KEY || !good) return;
        } else {
            _call(receiverAuthorizer, abi.encodeCall(IChannel.claimAndSettle, (rows)), true, "claim and settle");
        }
        if (good && more) {
            claimedFor[which % 2] += total - known.claimed;
            known.claimed = total;
            happened["claimed"]++;
        } else {
            happened["claimed nothing"]++;
        }
        if (way % 3 == 2 && !usdc.denied(config.receiver) && !usdc.denied(CHANNEL)) {
            sentTo[which % 2] = claimedFor[which % 2];
        }
    }

    function settle(uint256 which) external {
        which %= 2;
        address to = configAt(which).receiver;
        bool refused = usdc.denied(to) || usdc.denied(CHANNEL);
        bool expected = sentTo[which] == claimedFor[which] || !refused;
        _call(relayer, abi.encodeCall(IChannel.settle, (to, address(usdc))), expected, "settle");
        if (expected) sentTo[which] = claimedFor[which];
    }

    function initiate(uint256 which, uint128 amount, uint256 who) external {
        vm.warp(_time);
        which %= COUNT;
        Known storage known = _known[which];
        amount = uint128(bound(amount, 0, uint256(known.balance) - known.claimed + 1));
        address sender = who % 5 == 0 ? receiver : who % 2 == 0 ? payer : payerAuthorizer;
        bool expected = sender != receiver && amount != 0 && known.since == 0 && amount <= known.balance - known.claimed;
        _call(sender, abi.encodeCall(IChannel.initiateWithdraw, (configAt(which), amount)), expected, "initiate");
        if (expected) (known.pending, known.since) = (amount, _time);
    }

    function finalize(uint256 which, uint256 who) external {
        vm.warp(_time);
        which %= COUNT;
        Known storage known = _known[which];
        address sender = who % 5 == 0 ? eve : payer;
        uint128 unclaimed = known.balance - known.claimed;
        uint128 amount = known.pending < unclaimed ? known.pending : unclaimed;
        bool refused = amount != 0 && (usdc.denied(payer) || usdc.denied(CHANNEL));
        bool expected = sender != eve && known.since != 0 && _time >= known.since + 1 days && !refused;
        _call(sender, abi.encodeCall(IChannel.finalizeWithdraw, (configAt(which))), expected, "finalize");
        if (!expected) return;
        (known.pending, known.since) = (0, 0);
        known.balance -= amount;
        known.returned += amount;
    }

    function refund(uint256 which, uint128 amount, uint256 who, bool signed) external {
        vm.warp(_time);
        which %= COUNT;
        Known storage known = _known[which];
        IChannel.ChannelConfig memory config = configAt(which);
        amount = uint128(bound(amount, 0, uint256(known.balance) + 1));
        uint128 unclaimed = known.balance - known.claimed;
        uint128 back = amount < unclaimed ? amount : unclaimed;
        bool wrong = who % 5 == 0;
        bool refused = back != 0 && (usdc.denied(payer) || usdc.denied(CHANNEL));
        bool expected = !wrong && amount != 0 && !refused;
        if (signed) {
            uint256 nonce = who % 7 == 0 ? known.nonce + 1 : known.nonce;
            expected = expected && nonce == known.nonce;
            bytes32 digest = _channelRefundDigest(_id(config), nonce, amount);
            bytes memory signature = _sign(wrong ? PAYER_KEY : RECEIVER_AUTHORIZER_KEY, digest);
            bytes memory call = abi.encodeCall(IChannel.refundWithSignature, (config, amount, nonce, signature));
            _call(relayer, call, expected, "refund signed");
        } else {
            _call(
                wrong ? payer : config.receiver, abi.encodeCall(IChannel.refund, (config, amount)), expected, "refund"
            );
        }
        if (!expected) return;
        known.nonce++;
        known.balance -= back;
        known.returned += back;
        if (known.since != 0 && back != 0) {
            known.pending = back < known.pending ? known.pending - back : 0;
            if (known.pending == 0) known.since = 0;
        }
    }

    // what thieves do

    /// @notice Tries every exit of a channel nobody paid into, which shares all fields but one with one that was.
    function steal(uint256 which, uint256 field, uint8 bits, uint256 exit) external {
        vm.warp(_time);
        bytes memory changed = abi.encode(configAt(which % COUNT));
        changed[32 * (field % 7) + 31] ^= bytes1(uint8(bound(bits, 1, 255)));
        IChannel.ChannelConfig memory config = abi.decode(changed, (IChannel.ChannelConfig));
        bytes32 id = _id(config);
        for (uint256 i = 0; i < COUNT; i++) {
            if (id == _id(configAt(i))) return;
        }
        exit %= 4;
        uint256 had = usdc.balanceOf(CHANNEL);
        if (exit == 0) {
            _call(config.receiver, abi.encodeCall(IChannel.claim, (_rows(_row(config, 1, 1)))), false, "steal");
        } else if (exit == 1) {
            _call(config.payer, abi.encodeCall(IChannel.initiateWithdraw, (config, 1)), false, "steal");
        } else if (exit == 2) {
            _call(config.payer, abi.encodeCall(IChannel.finalizeWithdraw, (config)), false, "steal");
        } else {
            // a refund of nothing is no error, and moves nothing
            _call(config.receiver, abi.encodeCall(IChannel.refund, (config, 1)), true, "refund of nothing");
        }
        require(usdc.balanceOf(CHANNEL) == had, "stolen");
    }

    // what the world does

    function pass(uint32 secs) external {
        _time += bound(secs, 1, 1 days);
        vm.warp(_time);
    }

    function deny(uint256 who, bool on) external {
        address[4] memory accounts = [payer, receiver, eve, CHANNEL];
        usdc.deny(accounts[who % 4], on);
    }

    function donate(uint64 amount) external {
        usdc.mint(CHANNEL, amount);
        donated += amount;
    }

    // what the invariants ask

    function count() external pure returns (uint256) {
        return COUNT;
    }

    function knownAt(uint256 index) external view returns (Known memory) {
        return _known[index];
    }

    function channelContract() external view returns (IChannel) {
        return channel;
    }

    function held() external view returns (uint256) {
        return usdc.balanceOf(CHANNEL);
    }

    function balanceOf(address account) external view returns (uint256) {
        return usdc.balanceOf(account);
    }

    /// @notice Channels of one payer; every other one pays eve, who is a receiver too.
    function configAt(uint256 index) public view returns (IChannel.ChannelConfig memory config) {
        config = _configWithSalt(index / 2);
        if (index % 2 == 1) config.receiver = eve;
    }

    function idAt(uint256 index) external view returns (bytes32) {
        return _id(configAt(index));
    }

    function _call(address sender, bytes memory data, bool expected, bytes32 what) private {
        vm.prank(sender);
        (bool ok,) = CHANNEL.call(data);
        if (ok != expected) {
            require(!ok, string.concat("should have been refused: ", string(abi.encodePacked(what))));
            revert(string.concat("should have succeeded: ", string(abi.encodePacked(what))));
        }
        happened[ok ? what : bytes32(bytes.concat("no ", what))]++;
    }
}
