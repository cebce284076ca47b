// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {IDepositCollector} from "../../src/interfaces/IDepositCollector.sol";
import {ChannelBase} from "../base/ChannelBase.sol";
import {Eip712} from "../base/Eip712.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {QuickSigner} from "./QuickSigner.sol";

/// @title Payers and receivers who pay, claim, return and steal at random, and a second bookkeeping of it
/// @dev Every action says beforehand whether it has to succeed, compares the channel it was about and everybody in it with
/// the bookkeeping afterwards, and reverts (which fails the run) if anything is wrong.
contract ChannelHandler is ChannelBase, QuickSigner {
    /// @notice One channel and what the bookkeeping knows of it.
    struct Known {
        uint128 balance;
        uint128 claimed;
        uint128 pending;
        uint40 since;
        uint256 nonce;
        uint256 deposited;
        uint256 returned;
    }

    uint256 private constant COUNT = 6;

    Known[COUNT] private _known;
    bytes32[COUNT] private _ids;
    uint256 private _time = NOW;

    // what was claimed for and sent to each of the two receivers, and what the payer has
    uint256[2] private _claimedFor;
    uint256[2] private _sentTo;
    uint256 private _payerHas;

    /// @notice The balances of all channels.
    uint256 public inChannels;
    uint256 public donated;
    mapping(bytes32 what => uint256) public happened;

    // the same for every signature, and most of the work of a digest
    bytes32 private immutable _domainOfChannel;
    bytes32 private immutable _domainOfToken;

    constructor() {
        _begin();
        _domainOfChannel = super._channelDomain();
        _domainOfToken = super._tokenDomain(address(usdc));
        bytes32 typehash = channel.CHANNEL_CONFIG_TYPEHASH();
        for (uint256 i = 0; i < COUNT; i++) {
            _ids[i] = _digest(super._channelDomain(), keccak256(abi.encode(typehash, configAt(i))));
        }
    }

    /// @dev A run does not begin again in the middle.
    function setUp() public override {}

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

    // what the invariants ask

    function channelContract() external view returns (IChannel) {
        return channel;
    }

    function token() external view returns (DenylistUSDC) {
        return usdc;
    }

    /// @notice 1: what is in the channels and was not sent yet, and what was sent to it unasked. Nothing else.
    function shouldHold() external view returns (uint256) {
        return inChannels - _sentTo[0] - _sentTo[1] + donated;
    }

    /// @notice 7 for every channel, and that the sums the bookkeeping keeps are those of its channels.
    function checkEverything() external view {
        uint256 balances = 0;
        uint256[2] memory claimed;
        for (uint256 i = 0; i < COUNT; i++) {
            _check(i);
            balances += _known[i].balance;
            claimed[i % 2] += _known[i].claimed;
        }
        require(balances == inChannels, "all balances");
        require(claimed[0] == _claimedFor[0] && claimed[1] == _claimedFor[1], "all claims");
    }

    /// @notice Channels of one payer; every other one pays eve, who is a receiver too, and the last two have no authorizer.
    function configAt(uint256 index) public view returns (IChannel.ChannelConfig memory config) {
        config = _configWithSalt(index / 2);
        if (index % 2 == 1) config.receiver = eve;
        if (index >= 4) config.payerAuthorizer = address(0);
    }

    /// @dev 7: the channel is where the bookkeeping has it, claims are within the balance, nothing was made or lost, and
    /// its receiver and its payer have exactly what was sent to them.
    function _check(uint256 which) private view {
        Known storage known = _known[which];
        bytes32 id = _ids[which];
        (uint128 balance, uint128 claimed) = channel.channels(id);
        require(balance == known.balance, "balance");
        require(claimed == known.claimed, "claimed");
        require(claimed <= balance, "claimed within the balance");
        require(uint256(balance) + known.returned == known.deposited, "nothing made or lost");
        (uint128 pending, uint40 since) = channel.pendingWithdrawals(id);
        require(pending == known.pending && since == known.since, "pending");
        require(channel.refundNonce(id) == known.nonce, "nonce");

        which %= 2;
        address to = which == 0 ? receiver : eve;
        (uint128 claimedFor, uint128 sentTo) = channel.receivers(to, address(usdc));
        require(claimedFor == _claimedFor[which], "claimed for the receiver");
        require(sentTo == _sentTo[which] && sentTo <= claimedFor, "sent to the receiver");
        require(usdc.balanceOf(to) == sentTo, "the receiver has what was sent");
        require(usdc.balanceOf(payer) == _payerHas, "the payer has the rest");
    }

    function _noteClaimed(uint256 which, uint128 total) private {
        Known storage known = _known[which];
        if (total <= known.claimed) {
            happened["claimed nothing"]++;
        } else {
            _claimedFor[which % 2] += total - known.claimed;
            known.claimed = total;
            happened["claimed"]++;
        }
    }

    /// @dev What was claimed for the receiver is sent, unless the token refuses.
    function _noteSettled(uint256 which) private {
        if (usdc.denied(which == 0 ? receiver : eve) || usdc.denied(CHANNEL)) return;
        _sentTo[which] = _claimedFor[which];
    }

    function _noteReturned(uint256 which, uint128 amount) private {
        _known[which].balance -= amount;
        _known[which].returned += amount;
        inChannels -= amount;
        _payerHas += amount;
    }

    /// @dev A row signed by whoever has to sign it, or by eve.
    function _signedRow(uint256 which, uint128 max, uint128 total, bool forged, uint256 form)
        private
        view
        returns (IChannel.VoucherClaim memory row)
    {
        row.voucher.channel = configAt(which);
        row.voucher.maxClaimableAmount = max;
        row.totalClaimed = total;
        uint256 key = forged ? EVE_KEY : which >= 4 ? PAYER_KEY : PAYER_AUTHORIZER_KEY;
        row.signature = _inSomeForm(key, _voucherDigest(_ids[which], max), form);
    }

    /// @dev A signature in one of the forms that are good.
    function _inSomeForm(uint256 key, bytes32 digest, uint256 form) private pure returns (bytes memory) {
        if (form % 16 == 2) return _signCompact(key, digest);
        if (form % 16 == 3) return _signMalleated(key, digest);
        return _sign(key, digest);
    }

    function _anybody(uint256 who) private view returns (address) {
        return who % 3 == 0 ? eve : who % 3 == 1 ? payer : relayer;
    }

    function _signature(uint256 key, bytes32 digest)
        internal
        pure
        override(Eip712, QuickSigner)
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        return super._signature(key, digest);
    }

    function _channelDomain() internal view override returns (bytes32) {
        return _domainOfChannel;
    }

    function _tokenDomain(address) internal view override returns (bytes32) {
        return _domainOfToken;
    }

    function _call(address sender, bytes memory data, bool expected, bytes32 what) private returns (bool ok) {
        vm.prank(sender);
        (ok,) = CHANNEL.call(data);
        if (ok != expected) {
            require(!ok, string.concat("should have been refused: ", string(abi.encodePacked(what))));
            revert(string.concat("should have succeeded: ", string(abi.encodePacked(what))));
        }
        happened[ok ? what : bytes32(bytes.concat("no ", what))]++;
    }
}
