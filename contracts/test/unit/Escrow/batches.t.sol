// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

/// @notice Batches do what the same calls do one by one (invariant 9).
contract BatchesTest is EscrowBase {
    uint256 private constant ROWS = 5;
    address private constant OTHER = address(0x0b0b);
    IEscrow.Status[8] private _statuses = [
        IEscrow.Status.None,
        IEscrow.Status.Funded,
        IEscrow.Status.Funded,
        IEscrow.Status.Funded,
        IEscrow.Status.Delivered,
        IEscrow.Status.Disputed,
        IEscrow.Status.Arbitrating,
        IEscrow.Status.Settled
    ];

    function test_batch_rule_releases_equal_the_same_calls_one_by_one(uint256 seed) public {
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](ROWS);
        for (uint256 i = 0; i < ROWS; i++) {
            IEscrow.Order memory order = _random(uint256(keccak256(abi.encode(seed, i))));
            order.salt = i;
            // now and then not funded, in a quarrel, settled, signed by somebody else, or twice
            if (order.provider == provider) _bringTo(order, _statuses[seed >> (100 + 3 * i) & 7]);
            else if (seed >> (2 * i) & 3 != 0) _fund(order);
            uint256 key = seed >> (20 + 3 * i) & 7 == 0 ? EVE_KEY : BUYER_KEY;
            rows[i] = IEscrow.Settlement({order: order, buyerSig: _releaseSig(key, order)});
            if (i != 0 && seed >> (40 + 3 * i) & 7 == 0) rows[i] = rows[i - 1];
        }
        usdc.deny(OTHER, seed >> 60 & 3 == 0);
        usdc.deny(buyer, seed >> 62 & 3 == 0);

        uint256 snapshot = vm.snapshotState();
        escrow.releaseBatch(rows);
        bytes32 together = _fingerprint(rows);
        vm.revertToState(snapshot);
        for (uint256 i = 0; i < ROWS; i++) {
            try escrow.release(rows[i].order, rows[i].buyerSig) {} catch {}
        }
        vm.assertEq(_fingerprint(rows), together, "not the same");
    }

    function test_batch_rule_fundings_equal_the_same_calls_one_by_one(uint256 seed) public {
        IEscrow.Funding[] memory rows = new IEscrow.Funding[](ROWS);
        IEscrow.Settlement[] memory asked = new IEscrow.Settlement[](ROWS);
        for (uint256 i = 0; i < ROWS; i++) {
            IEscrow.Order memory order = _random(uint256(keccak256(abi.encode(seed, i))));
            (order.salt, order.provider) = (i, provider);
            if (seed >> (80 + i) & 1 == 0) _stake(provider, order.stake);
            // now and then without the money, signed by somebody else, or twice
            if (seed >> (2 * i) & 3 != 0) usdc.mint(buyer, _deposit(order));
            uint256 key = seed >> (20 + 3 * i) & 7 == 0 ? EVE_KEY : BUYER_KEY;
            bytes memory consent = seed >> (70 + i) & 1 == 0 ? _providerSig(order) : bytes("");
            rows[i] = IEscrow.Funding({order: order, buyerAuth: _buyerAuth(key, order), providerSig: consent});
            if (i != 0 && seed >> (40 + 3 * i) & 7 == 0) rows[i] = rows[i - 1];
            asked[i].order = rows[i].order;
        }

        uint256 snapshot = vm.snapshotState();
        escrow.fundBatch(rows);
        bytes32 together = _fingerprint(asked);
        vm.revertToState(snapshot);
        for (uint256 i = 0; i < ROWS; i++) {
            try escrow.fund(rows[i].order, rows[i].buyerAuth, rows[i].providerSig) {} catch {}
        }
        vm.assertEq(_fingerprint(asked), together, "not the same");
    }

    function _random(uint256 seed) private view returns (IEscrow.Order memory order) {
        order = _order();
        order.amount = uint96(bound(seed, 1, 1e12));
        order.feeBps = uint16(seed % 1001);
        order.flags = seed >> 100 & 1 == 0 ? 0 : FEE_ON_TOP;
        if (seed >> 101 & 1 == 0) order.provider = OTHER;
        else (order.bond, order.stake) = (uint96(bound(seed >> 110, 0, order.amount)), uint96(seed >> 130 & 3));
    }

    /// @dev Everybody's money and stake, and every order's state.
    function _fingerprint(IEscrow.Settlement[] memory rows) private view returns (bytes32 print) {
        address[5] memory people = [buyer, provider, OTHER, sink, address(escrow)];
        for (uint256 i = 0; i < people.length; i++) {
            print = keccak256(abi.encode(print, usdc.balanceOf(people[i]), escrow.owed(people[i])));
        }
        print = keccak256(abi.encode(print, stake.free(provider)));
        for (uint256 i = 0; i < rows.length; i++) {
            (IEscrow.Status status, uint8 outcome, bool consented,) = escrow.statusOf(rows[i].order);
            print = keccak256(abi.encode(print, status, outcome, consented));
        }
    }
}
