// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {Eip712} from "./Eip712.sol";

/// @title The people, the token and the orders of every escrow test
abstract contract EscrowBase is Eip712 {
    uint256 internal constant NOW = 1_800_000_000;
    uint8 internal constant FEE_ON_TOP = 1;
    uint8 internal constant PAY_UNDELIVERED = 2;

    uint256 internal constant BUYER_KEY = uint256(keccak256("alice, who buys"));
    uint256 internal constant PROVIDER_KEY = uint256(keccak256("bob, who provides"));
    uint256 internal constant EVE_KEY = uint256(keccak256("eve, who should get nothing"));

    address internal buyer = vm.addr(BUYER_KEY);
    address internal provider = vm.addr(PROVIDER_KEY);
    address internal eve = vm.addr(EVE_KEY);
    address internal relayer = address(0xfee1);
    address internal sink = address(0x51);
    address internal validator = address(0x7a);
    address internal arbitrator = address(0xa7);

    DenylistUSDC internal usdc;
    IEscrow internal escrow;

    /// @notice What a fuzzed order may vary in, all of it brought into the allowed range by `_orderFrom`.
    struct Seed {
        uint96 amount;
        uint16 feeBps;
        uint8 flags;
        uint32 reviewSecs;
        uint40 fundIn;
        uint40 deliverIn;
        bytes32 terms;
        uint256 salt;
    }

    function setUp() public virtual {
        vm.warp(NOW);
        usdc = new DenylistUSDC(address(this));
        escrow = _deployEscrow(address(usdc));
    }

    /// @notice The escrow as it is shipped: compiled apart from the tests.
    function _deployEscrow(address token) internal returns (IEscrow) {
        return IEscrow(vm.deployCode("out/Escrow.sol/Escrow.json", abi.encode(token)));
    }

    /// @notice 5 USDC, 250 bps on top, a day to deliver and a day to review.
    function _order() internal view returns (IEscrow.Order memory order) {
        order.buyer = buyer;
        order.provider = provider;
        order.validator = validator;
        order.arbitrator = arbitrator;
        order.feeTo = sink;
        order.amount = 5_000_000;
        order.feeBps = 250;
        order.flags = FEE_ON_TOP;
        order.fundBy = uint40(NOW + 10 minutes);
        order.deliverBy = uint40(NOW + 1 days);
        order.reviewSecs = 1 days;
        order.counterSecs = 1 days;
        order.ruleSecs = 1 days;
        order.terms = keccak256("terms");
        order.salt = 1;
    }

    /// @notice Any order the escrow accepts.
    function _orderFrom(Seed memory seed) internal view returns (IEscrow.Order memory order) {
        order = _order();
        order.amount = uint96(bound(seed.amount, 1, type(uint96).max));
        order.feeBps = uint16(bound(seed.feeBps, 0, 1000));
        order.flags = seed.flags % 4;
        order.reviewSecs = uint32(bound(seed.reviewSecs, 1 hours, 30 days));
        order.fundBy = uint40(NOW + bound(seed.fundIn, 1, 365 days));
        order.deliverBy = uint40(order.fundBy + bound(seed.deliverIn, 1, 365 days));
        order.terms = seed.terms;
        order.salt = seed.salt;
    }

    function _deposit(IEscrow.Order memory order) internal pure returns (uint256) {
        uint256 amount = order.amount;
        return order.flags & FEE_ON_TOP == 0 ? amount : amount + amount * order.feeBps / 10_000;
    }

    function _fee(IEscrow.Order memory order, uint256 pay) internal pure returns (uint256) {
        return pay * order.feeBps / 10_000;
    }

    /// @notice What the provider gets when all of the order is paid.
    function _fullPay(IEscrow.Order memory order) internal pure returns (uint256) {
        return order.flags & FEE_ON_TOP == 0 ? order.amount - _fee(order, order.amount) : order.amount;
    }

    function _buyerAuth(uint256 key, IEscrow.Order memory order) internal view returns (bytes memory) {
        bytes32 id = escrow.orderId(order);
        return
            _sign(
                key, _receiveDigest(address(usdc), order.buyer, address(escrow), _deposit(order), 0, order.fundBy, id)
            );
    }

    function _buyerAuth(IEscrow.Order memory order) internal view returns (bytes memory) {
        return _buyerAuth(BUYER_KEY, order);
    }

    function _providerSig(IEscrow.Order memory order) internal view returns (bytes memory) {
        return _sign(PROVIDER_KEY, escrow.orderId(order));
    }

    function _releaseSig(uint256 key, IEscrow.Order memory order) internal view returns (bytes memory) {
        return _sign(key, _releaseDigest(address(escrow), escrow.orderId(order)));
    }

    function _refundSig(uint256 key, IEscrow.Order memory order) internal view returns (bytes memory) {
        return _sign(key, _refundDigest(address(escrow), escrow.orderId(order)));
    }

    /// @notice Gives the buyer exactly the deposit and funds the order.
    function _fund(IEscrow.Order memory order) internal returns (bytes32 id) {
        usdc.mint(order.buyer, _deposit(order));
        id = escrow.orderId(order);
        bytes memory auth = _buyerAuth(order);
        vm.prank(relayer);
        escrow.fund(order, auth, "");
    }

    function _release(IEscrow.Order memory order) internal {
        bytes memory sig = _releaseSig(BUYER_KEY, order);
        vm.prank(relayer);
        escrow.release(order, sig);
    }

    function _deliver(IEscrow.Order memory order) internal {
        vm.prank(order.provider);
        escrow.deliver(order, keccak256("the work"));
    }

    function _status(IEscrow.Order memory order) internal view returns (IEscrow.Status status) {
        (status,,,) = escrow.statusOf(order);
    }

    function _assertStatus(IEscrow.Order memory order, IEscrow.Status expected) internal view {
        vm.assertEq(uint256(_status(order)), uint256(expected), "status");
    }

    function _assertOutcome(IEscrow.Order memory order, uint8 expected) internal view {
        (IEscrow.Status status, uint8 outcome,,) = escrow.statusOf(order);
        vm.assertEq(uint256(status), uint256(IEscrow.Status.Settled), "status");
        vm.assertEq(outcome, expected, "outcome");
    }

    /// @notice Where all the money of one order is.
    function _assertMoney(uint256 buyerHas, uint256 providerHas, uint256 sinkOwed, uint256 escrowHas) internal view {
        vm.assertEq(usdc.balanceOf(buyer), buyerHas, "buyer");
        vm.assertEq(usdc.balanceOf(provider), providerHas, "provider");
        vm.assertEq(escrow.owed(sink), sinkOwed, "owed to the sink");
        vm.assertEq(usdc.balanceOf(address(escrow)), escrowHas, "escrow");
    }

    function _badState(IEscrow.Order memory order, IEscrow.Status status) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IEscrow.BadState.selector, escrow.orderId(order), status);
    }
}
