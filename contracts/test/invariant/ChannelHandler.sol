// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {IDepositCollector} from "../../src/interfaces/IDepositCollector.sol";
import {ChannelBook} from "./ChannelBook.sol";

/// @title Payers and receivers who pay, claim, return and steal at random, and a second bookkeeping of it
/// @dev Every action says beforehand whether it has to succeed, compares the channel it was about and everybody in it with
/// the bookkeeping afterwards, and reverts (which fails the run) if anything is wrong.
contract ChannelHandler is ChannelBook {
    // what people do

    function deposit(uint256 which, uint64 amount, uint256 how) external {
        bool stolen = how % 8 == 0;
        vm.warp(_time);
        which %= COUNT;
        IChannel.ChannelConfig memory config = configAt(which);
        usdc.mint(config.payer, amount);
        _payerHas += amount;
        bytes memory data = _collectorData(stolen ? EVE_KEY : PAYER_KEY, config, amount);
        bool expected = amount != 0 && !stolen && !usdc.denied(payer) && !usdc.denied(CHANNEL);
        _call(relayer, abi.encodeCall(IChannel.deposit, (config, amount, COLLECTOR, data)), expected, "deposit");
        if (expected) {
            _payerHas -= amount;
            inChannels += amount;
            _known[which].balance += amount;
            _known[which].deposited += amount;
        }
        _check(which);
    }

    function claim(uint256 which, uint128 max, uint128 total, uint256 who, uint8 way) external {
        vm.warp(_time);
        which %= COUNT;
        Known storage known = _known[which];
        IChannel.ChannelConfig memory config = configAt(which);
        max = uint128(bound(max, 0, uint256(known.balance) + 2));
        total = uint128(bound(total, 0, uint256(max) + 1));
        bool forged = way % 8 == 7;
        IChannel.VoucherClaim[] memory rows = _rows(_signedRow(which, max, total, forged, who));
        bool good = total <= known.claimed || (total <= max && total <= known.balance && !forged);
        if (way % 3 == 0) {
            address sender = who % 5 == 0 ? payer : who % 2 == 0 ? receiverAuthorizer : config.receiver;
            good = _call(sender, abi.encodeCall(IChannel.claim, (rows)), good && sender != payer, "claim");
        } else if (way % 3 == 1) {
            uint256 key = who % 5 == 0 ? EVE_KEY : RECEIVER_AUTHORIZER_KEY;
            bytes memory signature = _inSomeForm(key, _batchDigest(rows), who);
            bytes memory data = abi.encodeCall(IChannel.claimWithSignature, (rows, signature));
            good = _call(_anybody(who), data, good && key != EVE_KEY, "claim signed");
        } else {
            _call(receiverAuthorizer, abi.encodeCall(IChannel.claimAndSettle, (rows)), true, "claim and settle");
        }
        if (good) _noteClaimed(which, total);
        if (way % 3 == 2) _noteSettled(which % 2);
        _check(which);
    }

    /// @notice Three channels of one receiver at once, good rows and bad ones, now and then one of them twice.
    function claimMany(uint256 which, uint256 totals, uint8 faults, uint256 who) external {
        vm.warp(_time);
        which %= 2;
        IChannel.VoucherClaim[] memory rows = new IChannel.VoucherClaim[](3);
        for (uint256 i = 0; i < 3; i++) {
            uint256 index = which + 2 * ((who >> (8 * i)) % 3);
            Known storage known = _known[index];
            uint128 total = uint128((totals >> (80 * i)) % (uint256(known.balance) + 2));
            bool forged = faults >> i & 1 != 0;
            rows[i] = _signedRow(index, total, total, forged, who >> i);
            if (total <= known.balance && !forged) _noteClaimed(index, total);
            else happened["skipped"]++;
        }
        address sender = who >> 64 & 1 == 0 ? receiverAuthorizer : configAt(which).receiver;
        _call(sender, abi.encodeCall(IChannel.claimAndSettle, (rows)), true, "claim many");
        _noteSettled(which);
        for (uint256 i = 0; i < 3; i++) {
            _check(which + 2 * i);
        }
    }

    function settle(uint256 which, uint256 who) public {
        which %= 2;
        address to = configAt(which).receiver;
        bool refused = usdc.denied(to) || usdc.denied(CHANNEL);
        bool expected = _sentTo[which] == _claimedFor[which] || !refused;
        _call(_anybody(who), abi.encodeCall(IChannel.settle, (to, address(usdc))), expected, "settle");
        if (expected) _noteSettled(which);
        _check(which);
    }

    function initiate(uint256 which, uint128 amount, uint256 who) external {
        vm.warp(_time);
        which %= COUNT;
        Known storage known = _known[which];
        IChannel.ChannelConfig memory config = configAt(which);
        amount = uint128(bound(amount, 0, uint256(known.balance) - known.claimed + 1));
        address sender = who % 5 == 0 ? receiver : who % 2 == 0 ? payer : payerAuthorizer;
        bool expected = (sender == payer || sender == config.payerAuthorizer) && amount != 0 && known.since == 0
            && amount <= known.balance - known.claimed;
        _call(sender, abi.encodeCall(IChannel.initiateWithdraw, (config, amount)), expected, "initiate");
        if (expected) (known.pending, known.since) = (amount, uint40(_time));
        _check(which);
    }

    function finalize(uint256 which, uint256 who) public {
        vm.warp(_time);
        which %= COUNT;
        Known storage known = _known[which];
        address sender = who % 5 == 0 ? eve : payer;
        uint128 unclaimed = known.balance - known.claimed;
        uint128 amount = known.pending < unclaimed ? known.pending : unclaimed;
        bool refused = amount != 0 && (usdc.denied(payer) || usdc.denied(CHANNEL));
        bool expected = sender != eve && known.since != 0 && _time >= uint256(known.since) + 1 days && !refused;
        _call(sender, abi.encodeCall(IChannel.finalizeWithdraw, (configAt(which))), expected, "finalize");
        if (expected) {
            (known.pending, known.since) = (0, 0);
            _noteReturned(which, amount);
        }
        _check(which);
    }

    /// @notice Time runs to the last second of a withdrawal's delay, to its end or just past it, and the payer tries.
    function ripen(uint256 which, uint256 where) external {
        which %= COUNT;
        uint256 time = uint256(_known[which].since) + 1 days - 1 + where % 3;
        if (_known[which].since != 0 && time > _time) _time = time;
        finalize(which, 1);
    }

    function refund(uint256 which, uint128 amount, uint256 who, bool signed) public {
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
            bytes32 digest = _channelRefundDigest(_ids[which], nonce, amount);
            bytes memory signature = _inSomeForm(wrong ? PAYER_KEY : RECEIVER_AUTHORIZER_KEY, digest, who);
            bytes memory data = abi.encodeCall(IChannel.refundWithSignature, (config, amount, nonce, signature));
            _call(_anybody(who), data, expected, "refund signed");
        } else {
            bytes memory data = abi.encodeCall(IChannel.refund, (config, amount));
            _call(wrong ? payer : config.receiver, data, expected, "refund");
        }
        if (expected) {
            known.nonce++;
            _noteReturned(which, back);
            if (known.since != 0 && back != 0) {
                known.pending = back < known.pending ? known.pending - back : 0;
                if (known.pending == 0) known.since = 0;
            }
        }
        _check(which);
    }

    // what thieves do

    /// @notice Tries every exit of a channel nobody paid into, which shares all fields but one with one that was.
    function steal(uint256 which, uint256 field, uint8 bits, uint256 exit) external {
        vm.warp(_time);
        which %= COUNT;
        bytes memory changed = abi.encode(configAt(which));
        changed[32 * (field % 7) + 31] ^= bytes1(uint8(bound(bits, 1, 255)));
        IChannel.ChannelConfig memory config = abi.decode(changed, (IChannel.ChannelConfig));
        bytes32 id = _id(config);
        for (uint256 i = 0; i < COUNT; i++) {
            if (id == _ids[i]) return;
        }
        exit %= 4;
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
        _check(which);
    }

    /// @notice Tries the signatures of one channel on another, of one kind for another, or a deposit apart from its channel.
    function replay(uint256 which, uint256 other, uint256 kind) external {
        vm.warp(_time);
        (which, other) = (which % COUNT, other % COUNT);
        if (which == other) return;
        IChannel.ChannelConfig memory config = configAt(which);
        uint128 total = _known[which].claimed + 1;
        address thief = _anybody(kind >> 8);
        IChannel.VoucherClaim[] memory rows = _rows(_signedRow(which, total, total, false, 4));
        kind %= 6;
        if (kind == 0) {
            rows[0].signature = _signedRow(other, total, total, false, 4).signature;
            _call(config.receiver, abi.encodeCall(IChannel.claim, (rows)), false, "replay");
        } else if (kind == 1) {
            bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, _batchDigest(rows));
            rows = _rows(_signedRow(other, total, total, false, 4));
            _call(thief, abi.encodeCall(IChannel.claimWithSignature, (rows, signature)), false, "replay");
        } else if (kind == 2) {
            bytes32 digest = _channelRefundDigest(_ids[other], _known[which].nonce, total);
            bytes memory signature = _sign(RECEIVER_AUTHORIZER_KEY, digest);
            uint256 nonce = _known[which].nonce;
            bytes memory data = abi.encodeCall(IChannel.refundWithSignature, (config, total, nonce, signature));
            _call(thief, data, false, "replay");
        } else if (kind == 3) {
            // a voucher is no word to return anything
            uint256 nonce = _known[which].nonce;
            bytes memory data = abi.encodeCall(IChannel.refundWithSignature, (config, 1, nonce, rows[0].signature));
            _call(thief, data, false, "replay");
        } else {
            usdc.mint(payer, total);
            _payerHas += total;
            bytes memory payment = _collectorData(PAYER_KEY, config, total);
            if (kind == 4) {
                bytes memory data = abi.encodeCall(IChannel.deposit, (configAt(other), total, COLLECTOR, payment));
                _call(thief, data, false, "replay");
            } else {
                vm.prank(thief);
                (bool done,) = COLLECTOR.call(
                    abi.encodeCall(IDepositCollector.collect, (payer, address(usdc), total, _ids[which], payment))
                );
                require(!done, "collected apart from the channel");
            }
        }
        _check(which);
        _check(other);
    }

    // what the world does

    function pass(uint32 secs) external {
        _time += bound(secs, 1, 1 days);
    }

    /// @notice The token changes its mind about somebody, or about the contract; mostly for the better.
    function deny(uint256 who, uint256 how) external {
        address[4] memory accounts = [payer, receiver, eve, CHANNEL];
        usdc.deny(accounts[who % 4], how % 8 == 0);
    }

    function donate(uint64 amount) external {
        usdc.mint(CHANNEL, amount);
        donated += amount;
    }

    /// @notice Whoever was denied, in the end everybody has what is theirs: the receivers what was claimed, the payer the
    /// rest.
    function endEverything() external {
        address[4] memory accounts = [payer, receiver, eve, CHANNEL];
        for (uint256 i = 0; i < 4; i++) {
            usdc.deny(accounts[i], false);
        }
        settle(0, 1);
        settle(1, 1);
        for (uint256 i = 0; i < COUNT; i++) {
            uint128 unclaimed = _known[i].balance - _known[i].claimed;
            if (unclaimed != 0) refund(i, unclaimed, 1, false);
        }
    }
}
