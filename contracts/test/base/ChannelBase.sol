// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {Eip712} from "./Eip712.sol";

/// @title The people, the token and the channels of every channel test
/// @dev The contracts stand where development chains have them: their code was put there, not deployed.
abstract contract ChannelBase is Eip712 {
    uint256 internal constant NOW = 1_800_000_000;
    address internal constant CHANNEL = 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003;
    address internal constant COLLECTOR = 0x4020806089470a89826cB9fB1f4059150b550004;

    uint256 internal constant PAYER_KEY = uint256(keccak256("alice, who pays"));
    uint256 internal constant PAYER_AUTHORIZER_KEY = uint256(keccak256("alice's agent"));
    uint256 internal constant RECEIVER_KEY = uint256(keccak256("bob, who is paid"));
    uint256 internal constant RECEIVER_AUTHORIZER_KEY = uint256(keccak256("bob's agent"));
    uint256 internal constant EVE_KEY = uint256(keccak256("eve, who should get nothing"));

    address internal payer = vm.addr(PAYER_KEY);
    address internal payerAuthorizer = vm.addr(PAYER_AUTHORIZER_KEY);
    address internal receiver = vm.addr(RECEIVER_KEY);
    address internal receiverAuthorizer = vm.addr(RECEIVER_AUTHORIZER_KEY);
    address internal eve = vm.addr(EVE_KEY);
    address internal relayer = address(0xfee1);

    DenylistUSDC internal usdc;
    IChannel internal channel;
    address internal channelToken;
    uint256 internal nextSalt;

    function setUp() public virtual {
        _begin();
    }

    function _begin() internal {
        vm.warp(NOW);
        usdc = new DenylistUSDC(address(this));
        channel = _deployChannel(address(usdc));
    }

    function _deployChannel(address token) internal returns (IChannel) {
        vm.etch(CHANNEL, vm.deployCode("out/Channel.sol/Channel.json", abi.encode(token, COLLECTOR)).code);
        _etchCollector(CHANNEL);
        channelToken = token;
        return IChannel(CHANNEL);
    }

    function _etchCollector(address channel_) internal {
        bytes memory args = abi.encode(channel_);
        vm.etch(COLLECTOR, vm.deployCode("out/Erc3009Collector.sol/Erc3009Collector.json", args).code);
    }

    function _config() internal view returns (IChannel.ChannelConfig memory config) {
        config.payer = payer;
        config.payerAuthorizer = payerAuthorizer;
        config.receiver = receiver;
        config.receiverAuthorizer = receiverAuthorizer;
        config.token = channelToken;
        config.withdrawDelay = 1 days;
        config.salt = keccak256("salt");
    }

    function _configWithSalt(uint256 salt) internal view returns (IChannel.ChannelConfig memory config) {
        config = _config();
        config.salt = bytes32(salt);
    }

    function _channelDomain() internal view virtual returns (bytes32) {
        return _domain("x402 Batch Settlement", "1", address(channel));
    }

    function _id(IChannel.ChannelConfig memory config) internal view returns (bytes32) {
        bytes32 typehash = keccak256(
            "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
        );
        return _digest(_channelDomain(), keccak256(abi.encode(typehash, config)));
    }

    function _voucherDigest(bytes32 id, uint128 max) internal view returns (bytes32) {
        bytes32 typehash = keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
        return _digest(_channelDomain(), keccak256(abi.encode(typehash, id, max)));
    }

    function _channelRefundDigest(bytes32 id, uint256 nonce, uint128 amount) internal view returns (bytes32) {
        bytes32 typehash = keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
        return _digest(_channelDomain(), keccak256(abi.encode(typehash, id, nonce, amount)));
    }

    function _batchDigest(IChannel.VoucherClaim[] memory rows) internal view returns (bytes32) {
        bytes32 entry = keccak256("ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)");
        bytes memory entries;
        for (uint256 i = 0; i < rows.length; i++) {
            bytes32 id = _id(rows[i].voucher.channel);
            entries = abi.encodePacked(
                entries, keccak256(abi.encode(entry, id, rows[i].voucher.maxClaimableAmount, rows[i].totalClaimed))
            );
        }
        bytes32 typehash = keccak256(
            "ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
        );
        return _digest(_channelDomain(), keccak256(abi.encode(typehash, keccak256(entries))));
    }

    /// @notice What the collector needs to take `amount` for the channel.
    function _collectorData(uint256 key, IChannel.ChannelConfig memory config, uint128 amount)
        internal
        returns (bytes memory)
    {
        uint256 salt = nextSalt++;
        bytes32 nonce = keccak256(abi.encode(_id(config), salt));
        bytes32 digest = _receiveDigest(config.token, config.payer, COLLECTOR, amount, 0, NOW + 365 days, nonce);
        return abi.encode(uint256(0), NOW + 365 days, salt, _sign(key, digest));
    }

    /// @notice Gives the payer exactly the amount and deposits it.
    function _deposit(IChannel.ChannelConfig memory config, uint128 amount) internal returns (bytes32 id) {
        id = _id(config);
        usdc.mint(config.payer, amount);
        bytes memory data = _collectorData(PAYER_KEY, config, amount);
        vm.prank(relayer);
        channel.deposit(config, amount, COLLECTOR, data);
    }

    function _row(IChannel.ChannelConfig memory config, uint128 max, uint128 total)
        internal
        view
        returns (IChannel.VoucherClaim memory row)
    {
        uint256 key = config.payerAuthorizer == address(0) ? PAYER_KEY : PAYER_AUTHORIZER_KEY;
        row.voucher.channel = config;
        row.voucher.maxClaimableAmount = max;
        row.totalClaimed = total;
        row.signature = _sign(key, _voucherDigest(_id(config), max));
    }

    function _rows(IChannel.VoucherClaim memory row) internal pure returns (IChannel.VoucherClaim[] memory rows) {
        rows = new IChannel.VoucherClaim[](1);
        rows[0] = row;
    }

    function _claim(IChannel.ChannelConfig memory config, uint128 total) internal {
        IChannel.VoucherClaim[] memory rows = _rows(_row(config, total, total));
        vm.prank(receiver);
        channel.claim(rows);
    }

    function _initiate(uint128 amount) internal {
        IChannel.ChannelConfig memory config = _config();
        vm.prank(payer);
        channel.initiateWithdraw(config, amount);
    }

    function _finalize() internal {
        IChannel.ChannelConfig memory config = _config();
        vm.prank(payer);
        channel.finalizeWithdraw(config);
    }

    function _assertChannel(bytes32 id, uint256 balance, uint256 claimed) internal view {
        (uint128 hasBalance, uint128 hasClaimed) = channel.channels(id);
        vm.assertEq(hasBalance, balance, "channel balance");
        vm.assertEq(hasClaimed, claimed, "channel claimed");
    }

    function _assertReceiver(uint256 claimed, uint256 settled) internal view {
        (uint128 hasClaimed, uint128 hasSettled) = channel.receivers(receiver, channelToken);
        vm.assertEq(hasClaimed, claimed, "receiver claimed");
        vm.assertEq(hasSettled, settled, "receiver settled");
    }

    function _assertMoney(uint256 payerHas, uint256 receiverHas, uint256 channelHas) internal view {
        vm.assertEq(usdc.balanceOf(payer), payerHas, "payer");
        vm.assertEq(usdc.balanceOf(receiver), receiverHas, "receiver");
        vm.assertEq(usdc.balanceOf(address(channel)), channelHas, "channel contract");
    }
}
