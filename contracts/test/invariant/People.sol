// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {StakeBook} from "../mocks/StakeBook.sol";
import {QuickSigner} from "./QuickSigner.sol";

/// @title Five people, what they sign, and the orders they think of
abstract contract People is QuickSigner {
    uint256 internal constant PEOPLE = 5;

    DenylistUSDC public immutable usdc;
    StakeBook public immutable stake;
    IEscrow public immutable escrow;
    address public immutable sink = address(0x51);

    address[PEOPLE] internal _people;
    uint256 internal _time = 1_800_000_000;
    mapping(address person => uint256) private _keys;

    // the same for every signature, and most of the work of a digest
    bytes32 private immutable _domainOfEscrow;
    bytes32 private immutable _domainOfToken;

    constructor() {
        vm.warp(_time);
        usdc = new DenylistUSDC(address(this));
        stake = new StakeBook(usdc);
        escrow =
            IEscrow(vm.deployCode("out/Escrow.sol/Escrow.json", abi.encode(address(usdc), address(stake), address(0))));
        for (uint256 i = 0; i < PEOPLE; i++) {
            uint256 key = uint256(keccak256(abi.encode("person", i)));
            _people[i] = vm.addr(key);
            _keys[_people[i]] = key;
        }
        _domainOfEscrow = _domain("haggle Escrow", "1", address(escrow));
        _domainOfToken = _domain("USD Coin", "2", address(usdc));
    }

    /// @dev One of the people, or the sink.
    function _person(uint256 which) internal view returns (address) {
        which %= PEOPLE + 1;
        return which == PEOPLE ? sink : _people[which];
    }

    /// @dev Mostly the right person, now and then another one.
    function _somebody(address right, uint256 who) internal view returns (address) {
        return who % 8 == 0 || _keys[right] == 0 ? _people[(who >> 3) % PEOPLE] : right;
    }

    /// @dev The right person half of the time.
    function _maybe(address right, uint256 who) internal view returns (address) {
        return _somebody(right, who & 1 == 0 ? who << 3 : 1);
    }

    /// @dev The signature of a person, or the first person's for somebody unknown, for the token: it takes one form only.
    function _signedBy(address signer, bytes32 digest) internal view returns (bytes memory) {
        return _sign(_keyOf(signer), digest);
    }

    /// @dev The same for the escrow, now and then in one of the other forms.
    function _signedBy(address signer, bytes32 digest, uint256 form) internal view returns (bytes memory) {
        if (form >> 245 & 7 == 0) return _signCompact(_keyOf(signer), digest);
        if (form >> 245 & 7 == 1) return _signMalleated(_keyOf(signer), digest);
        return _sign(_keyOf(signer), digest);
    }

    /// @dev The buyer's payment of an order.
    function _payment(IEscrow.Order memory order, bytes32 id) internal view returns (bytes memory) {
        bytes32 digest =
            _receiveDigest(address(usdc), order.buyer, address(escrow), _deposit(order), 0, order.fundBy, id);
        return _signedBy(order.buyer, digest);
    }

    /// @dev The payment of a bond.
    function _bondPayment(address signer, address party, uint256 bond, uint256 end, bytes32 nonce)
        internal
        view
        returns (bytes memory)
    {
        return _signedBy(signer, _receiveDigest(address(usdc), party, address(escrow), bond, 0, end, nonce));
    }

    /// @dev An order that the escrow accepts now, of any people in any roles.
    function _newOrder(uint256 r) internal view returns (IEscrow.Order memory order) {
        uint256 first = r % PEOPLE;
        uint256 step = 1 + (r >> 8) % (PEOPLE - 1);
        order.buyer = _people[first];
        order.provider = _people[(first + step) % PEOPLE];
        // a third and a fourth, or nobody; five is prime, so the steps meet nobody twice
        if (r >> 16 & 7 != 0) order.arbitrator = _people[(first + 2 * step) % PEOPLE];
        if (r >> 19 & 3 != 0) order.validator = _people[(first + (2 + (r >> 21 & 1)) * step) % PEOPLE];
        order.feeTo = r >> 24 & 3 == 0 ? order.buyer : sink;
        order.amount = uint96(r >> 32 & 7 == 0 ? r >> 160 : 1 + (r >> 40) % 1000);
        if (order.amount == 0) order.amount = 1;
        if (order.arbitrator != address(0)) {
            if (r >> 64 & 1 == 0) order.bond = uint96((r >> 66) % (uint256(order.amount) + 1));
            if (r >> 65 & 1 == 0) order.stake = uint96((r >> 72) % 1000);
        }
        order.feeBps = uint16((r >> 80) % 1001);
        order.silentBps = uint16((r >> 96) % 10_001);
        order.flags = uint8((r >> 112) % 4);
        order.reviewSecs = uint32(1 hours + (r >> 140) % 1 days);
        (order.counterSecs, order.ruleSecs) = (order.reviewSecs, 1 days);
        // few salts, so that many orders share buyer and salt
        order.salt = (r >> 150) % 3;
        _setDeadlines(order, r);
    }

    /// @dev Makes an acceptable order another acceptable one, which shares all fields but one or two.
    function _makeTwin(IEscrow.Order memory order, uint256 r) internal view {
        uint256 field = r % 12;
        if (field == 0) order.salt++;
        else if (field == 1) order.terms = bytes32(r);
        else if (field == 2) order.amount = order.amount == type(uint96).max ? order.amount : order.amount + 1;
        else if (field == 3) order.feeBps = (order.feeBps + 1) % 1001;
        else if (field == 4) order.silentBps = (order.silentBps + 1) % 10_001;
        else if (field == 5) order.flags ^= 1;
        else if (field == 6) order.flags ^= 2;
        else if (field == 7) order.validator = address(0);
        else if (field == 8) order.feeTo = order.feeTo == sink ? order.provider : sink;
        else if (field == 9) order.counterSecs++;
        else if (field == 10) (order.buyer, order.provider) = (order.provider, order.buyer);
        else (order.bond, order.stake) = (0, 0);
        if (order.fundBy <= _time) _setDeadlines(order, r);
    }

    /// @dev Makes an acceptable order one that may not be funded.
    function _spoil(IEscrow.Order memory order, uint256 r) internal view {
        uint256 how = r % 16;
        if (how < 3) order.provider = order.buyer;
        else if (how == 3) order.arbitrator = order.buyer;
        else if (how == 4) order.arbitrator = order.provider;
        else if (how == 5) order.validator = order.buyer;
        else if (how == 6) order.feeTo = address(escrow);
        else if (how == 7) order.amount = 0;
        else if (how == 8) order.feeBps = uint16(1001 + (r >> 4) % 60_000);
        else if (how == 9) order.silentBps = uint16(10_001 + (r >> 4) % 50_000);
        else if (how == 10) order.flags |= 4;
        else if (how == 11) (order.amount, order.bond) = (1000, 1001);
        else if (how == 12) order.fundBy = uint40(_time);
        else if (how == 13) order.deliverBy = order.fundBy;
        else if (how == 14) order.reviewSecs = 1 hours - 1;
        else order.ruleSecs = 30 days + 1;
    }

    function _deposit(IEscrow.Order memory order) internal pure returns (uint256) {
        uint256 amount = order.amount;
        return order.flags & 1 == 0 ? amount : amount + amount * order.feeBps / 10_000;
    }

    function _needsConsent(IEscrow.Order memory order) internal pure returns (bool) {
        return order.bond != 0 || order.stake != 0 || (order.arbitrator != address(0) && order.flags & 2 != 0);
    }

    function _escrowDomain(address target) internal view override returns (bytes32) {
        return target == address(escrow) ? _domainOfEscrow : super._escrowDomain(target);
    }

    function _tokenDomain(address) internal view override returns (bytes32) {
        return _domainOfToken;
    }

    function _setDeadlines(IEscrow.Order memory order, uint256 r) private view {
        order.fundBy = uint40(_time + 1 + (r >> 120) % 1 days);
        order.deliverBy = uint40(order.fundBy + 1 + (r >> 130) % 2 days);
    }

    function _keyOf(address person) private view returns (uint256 key) {
        key = _keys[person];
        if (key == 0) key = _keys[_people[0]];
    }
}
