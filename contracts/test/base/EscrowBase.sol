// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {StakeBook} from "../mocks/StakeBook.sol";
import {Eip712} from "./Eip712.sol";

/// @title The people, the token and the orders of every escrow test
abstract contract EscrowBase is Eip712 {
    uint256 internal constant NOW = 1_800_000_000;
    uint8 internal constant FEE_ON_TOP = 1;
    uint8 internal constant PAY_UNDELIVERED = 2;

    uint256 internal constant BUYER_KEY = uint256(keccak256("alice, who buys"));
    uint256 internal constant PROVIDER_KEY = uint256(keccak256("bob, who provides"));
    uint256 internal constant VALIDATOR_KEY = uint256(keccak256("victor, who validates"));
    uint256 internal constant EVE_KEY = uint256(keccak256("eve, who should get nothing"));

    address internal buyer = vm.addr(BUYER_KEY);
    address internal provider = vm.addr(PROVIDER_KEY);
    address internal eve = vm.addr(EVE_KEY);
    address internal relayer = address(0xfee1);
    address internal sink = address(0x51);
    address internal validator = vm.addr(VALIDATOR_KEY);
    address internal arbitrator = address(0xa7);

    bytes32 internal constant EVIDENCE = keccak256("what went wrong");
    uint8 internal constant BUYER_SIDE = 0;
    uint8 internal constant PROVIDER_SIDE = 1;

    DenylistUSDC internal usdc;
    StakeBook internal stake;
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
        stake = new StakeBook(usdc);
        escrow = _deployEscrow(address(usdc));
    }

    /// @notice The escrow as it is shipped: compiled apart from the tests.
    function _deployEscrow(address token) internal returns (IEscrow) {
        return _deployEscrow(token, address(stake), address(0));
    }

    function _deployEscrow(address token, address stake_, address reputation) internal returns (IEscrow) {
        return IEscrow(vm.deployCode("out/Escrow.sol/Escrow.json", abi.encode(token, stake_, reputation)));
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

    /// @notice The order with 1 USDC of bond from each side, 2 USDC of stake, and 40 % for the provider where the
    /// arbitrator says nothing.
    function _seriousOrder() internal view returns (IEscrow.Order memory order) {
        order = _order();
        (order.bond, order.stake, order.silentBps) = (1_000_000, 2_000_000, 4000);
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

    /// @notice How the deposit divides when the provider is paid `pay` of the amount.
    function _divide(IEscrow.Order memory order, uint256 pay)
        internal
        pure
        returns (uint256 paid, uint256 fee, uint256 refunded)
    {
        fee = _fee(order, pay);
        paid = order.flags & FEE_ON_TOP == 0 ? pay - fee : pay;
        refunded = _deposit(order) - fee - paid;
    }

    /// @notice The next call settles the order with `pay` of the amount.
    function _expectSettled(IEscrow.Order memory order, uint256 pay, uint8 outcome, bytes32 evidence) internal {
        (uint256 paid, uint256 fee, uint256 refunded) = _divide(order, pay);
        bytes32 id = escrow.orderId(order);
        vm.expectEmit(address(escrow));
        emit IEscrow.Settled(id, order.buyer, order.provider, paid, fee, refunded, outcome, evidence);
    }

    /// @notice The only order of this test is settled with `pay` of the amount, and the sides have these bonds back.
    function _assertDivided(IEscrow.Order memory order, uint256 pay, uint256 buyerBond, uint256 providerBond)
        internal
        view
    {
        (uint256 paid, uint256 fee, uint256 refunded) = _divide(order, pay);
        _assertMoney(refunded + buyerBond, paid + providerBond, fee, fee);
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

    function _splitSig(uint256 key, IEscrow.Order memory order, uint96 pay, uint40 validUntil)
        internal
        view
        returns (bytes memory)
    {
        return _sign(key, _splitDigest(address(escrow), escrow.orderId(order), pay, validUntil));
    }

    function _verdictSig(uint256 key, IEscrow.Order memory order, uint96 pay, bytes32 evidence, uint40 validUntil)
        internal
        view
        returns (bytes memory)
    {
        return _sign(key, _verdictDigest(address(escrow), escrow.orderId(order), pay, evidence, validUntil));
    }

    /// @notice The signature behind a bond: a payment whose nonce is the bond's digest, or the digest if it is for free.
    function _bondAuth(uint256 key, IEscrow.Order memory order, uint8 side, bytes32 evidence, uint256 end)
        internal
        view
        returns (bytes memory)
    {
        bytes32 digest = _bondDigest(address(escrow), escrow.orderId(order), side, evidence);
        if (order.bond == 0) return _sign(key, digest);
        address party = side == BUYER_SIDE ? order.buyer : order.provider;
        return _sign(key, _receiveDigest(address(usdc), party, address(escrow), order.bond, 0, end, digest));
    }

    /// @notice When the window that is open now ends.
    function _windowEnd(IEscrow.Order memory order) internal view returns (uint256 end) {
        IEscrow.Status status;
        (status,,, end) = escrow.statusOf(order);
        if (status == IEscrow.Status.Funded) end = order.deliverBy;
    }

    /// @notice Gives the buyer exactly the deposit and funds the order, with the provider's signature and stake where the
    /// order needs them.
    function _fund(IEscrow.Order memory order) internal returns (bytes32 id) {
        bool needed = order.bond != 0 || order.stake != 0
            || (order.arbitrator != address(0) && order.flags & PAY_UNDELIVERED != 0);
        return _fundWith(order, needed ? _providerSig(order) : bytes(""));
    }

    /// @notice The same, with the provider's signature.
    function _fundSigned(IEscrow.Order memory order) internal returns (bytes32 id) {
        return _fundWith(order, _providerSig(order));
    }

    function _fundWith(IEscrow.Order memory order, bytes memory providerSig) internal returns (bytes32 id) {
        usdc.mint(order.buyer, _deposit(order));
        if (order.stake != 0) _stake(order.provider, order.stake);
        id = escrow.orderId(order);
        bytes memory auth = _buyerAuth(order);
        vm.prank(relayer);
        escrow.fund(order, auth, providerSig);
    }

    function _stake(address who, uint96 amount) internal virtual {
        usdc.mint(address(stake), amount);
        stake.put(who, amount);
    }

    function _dispute(IEscrow.Order memory order) internal {
        if (order.bond != 0) usdc.mint(order.buyer, order.bond);
        escrow.dispute(order, EVIDENCE, _bondAuth(BUYER_KEY, order, BUYER_SIDE, EVIDENCE, _windowEnd(order)));
    }

    function _counter(IEscrow.Order memory order) internal {
        if (order.bond != 0) usdc.mint(order.provider, order.bond);
        escrow.counter(order, _bondAuth(PROVIDER_KEY, order, PROVIDER_SIDE, EVIDENCE, _windowEnd(order)));
    }

    function _rule(IEscrow.Order memory order, uint96 pay) internal {
        vm.prank(order.arbitrator);
        escrow.rule(order, pay);
    }

    /// @notice Brings an order that is not funded to any status it can stand at, and does what has to come before.
    function _bringTo(IEscrow.Order memory order, IEscrow.Status status) internal {
        if (status == IEscrow.Status.None) return;
        _fundSigned(order);
        if (status == IEscrow.Status.Funded) return;
        if (status == IEscrow.Status.Settled) return _release(order);
        _deliver(order);
        if (status == IEscrow.Status.Delivered) return;
        _dispute(order);
        if (status == IEscrow.Status.Disputed) return;
        _counter(order);
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
