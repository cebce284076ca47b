// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {OrderRules} from "../../src/libraries/OrderRules.sol";
import {vm} from "./Cheats.sol";
import {MarkedEscrow} from "./MarkedEscrow.sol";

/// @title How money divides, in the open
contract Divider {
    function divide(IEscrow.Order calldata order, uint256 pay)
        external
        pure
        returns (uint256 deposit, uint256 paid, uint256 fee, uint256 refunded)
    {
        deposit = OrderRules.deposit(order);
        (paid, fee, refunded) = OrderRules.divide(order, pay);
    }
}

/// @notice Invariants 2, second half, and 3: what the one function does that every settlement passes.
/// @dev `cargo xtask contracts --prove` runs all proofs; forge only compiles them.
contract SettlementChecks {
    bool public constant IS_TEST = true;

    Divider private divider;
    MarkedEscrow private escrow;

    function setUp() public {
        divider = new Divider();
        // any address with code will do: settling alone asks nobody
        escrow = new MarkedEscrow(address(divider), address(0), address(0));
    }

    /// @notice 2: whatever stood before, the order is settled after, and both sides and the fee recipient get what the
    /// division says and the bonds that were posted.
    function check_2_a_settlement_settles_and_hands_out_the_division_and_the_bonds(
        IEscrow.Order calldata order,
        uint256 word,
        uint256 pay,
        uint8 outcome,
        bytes32 evidence
    ) public {
        bytes32 id = escrow.orderId(order);
        escrow.mark(id, word);
        (uint256 toProvider, uint256 toBuyer) = escrow.settle(order, pay, outcome, evidence);

        (, uint256 paid, uint256 fee, uint256 refunded) = divider.divide(order, pay);
        IEscrow.Status status = IEscrow.Status(word & 0xff);
        bool arbitrating = status == IEscrow.Status.Arbitrating;
        bool disputed = arbitrating || status == IEscrow.Status.Disputed;
        assert(toProvider == paid + (arbitrating ? order.bond : 0));
        assert(toBuyer == refunded + (disputed ? order.bond : 0));
        assert(escrow.owed(order.feeTo) == fee);
        assert(escrow.wordOf(id) & 0xff == uint256(IEscrow.Status.Settled));
    }

    /// @notice 3: every division is of the whole deposit, and takes the fee it should.
    function check_3_every_division_is_of_the_whole_deposit(IEscrow.Order calldata order, uint256 pay) public view {
        // no other order is ever funded
        vm.assume(order.feeBps <= 1000);
        (uint256 deposit, uint256 paid, uint256 fee, uint256 refunded) = divider.divide(order, pay);
        assert(pay <= order.amount);
        assert(paid + fee + refunded == deposit);
        assert(fee == pay * order.feeBps / 10_000);
        assert(paid <= pay && refunded <= deposit);
    }
}
