// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {ChannelBase} from "../base/ChannelBase.sol";
import {Eip712} from "../base/Eip712.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {QuickSigner} from "./QuickSigner.sol";

/// @title The second bookkeeping: what must come of everything that people do to the channels
abstract contract ChannelBook is ChannelBase, QuickSigner {
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

    uint256 internal constant COUNT = 6;

    Known[COUNT] internal _known;
    bytes32[COUNT] internal _ids;
    uint256 internal _time = NOW;

    // what was claimed for and sent to each of the two receivers, and what the payer has
    uint256[2] internal _claimedFor;
    uint256[2] internal _sentTo;
    uint256 internal _payerHas;

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
    function _check(uint256 which) internal view {
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

    function _noteClaimed(uint256 which, uint128 total) internal {
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
    function _noteSettled(uint256 which) internal {
        if (usdc.denied(which == 0 ? receiver : eve) || usdc.denied(CHANNEL)) return;
        _sentTo[which] = _claimedFor[which];
    }

    function _noteReturned(uint256 which, uint128 amount) internal {
        _known[which].balance -= amount;
        _known[which].returned += amount;
        inChannels -= amount;
        _payerHas += amount;
    }

    /// @dev A row signed by whoever has to sign it, or by eve.
    function _signedRow(uint256 which, uint128 max, uint128 total, bool forged, uint256 form)
        internal
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
    function _inSomeForm(uint256 key, bytes32 digest, uint256 form) internal pure returns (bytes memory) {
        if (form % 16 == 2) return _signCompact(key, digest);
        if (form % 16 == 3) return _signMalleated(key, digest);
        return _sign(key, digest);
    }

    function _anybody(uint256 who) internal view returns (address) {
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

    function _call(address sender, bytes memory data, bool expected, bytes32 what) internal returns (bool ok) {
        vm.prank(sender);
        (ok,) = CHANNEL.call(data);
        if (ok != expected) {
            require(!ok, string.concat("should have been refused: ", string(abi.encodePacked(what))));
            revert(string.concat("should have succeeded: ", string(abi.encodePacked(what))));
        }
        happened[ok ? what : bytes32(bytes.concat("no ", what))]++;
    }
}
