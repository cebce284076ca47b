// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IPanel} from "../../src/interfaces/IPanel.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {EscrowBook} from "../mocks/EscrowBook.sol";
import {Eip712} from "./Eip712.sol";

/// @title Five members of whom three have to agree
abstract contract PanelBase is Eip712 {
    uint256 internal constant NOW = 1_800_000_000;
    uint40 internal constant UNTIL = uint40(NOW + 1 days);
    uint8 internal constant VALIDATOR = 0;
    uint8 internal constant ARBITRATOR = 1;
    bytes32 internal constant EVIDENCE = keccak256("what went wrong");
    bytes32 internal constant ORDER_ID = keccak256("an order");

    uint256[5] internal keys;
    address[] internal everybody;
    DenylistUSDC internal usdc;
    EscrowBook internal escrow;
    IPanel internal panel;

    function setUp() public virtual {
        vm.warp(NOW);
        usdc = new DenylistUSDC(address(this));
        escrow = new EscrowBook(address(usdc));
        for (uint256 i = 0; i < 5; i++) {
            keys[i] = uint256(keccak256(abi.encode("member", i)));
        }
        _sortKeys();
        for (uint256 i = 0; i < 5; i++) {
            everybody.push(vm.addr(keys[i]));
        }
        panel = _deployPanel(address(escrow), everybody, 3);
    }

    function _deployPanel(address escrow_, address[] memory members, uint256 threshold) internal returns (IPanel) {
        return IPanel(vm.deployCode("out/Panel.sol/Panel.json", abi.encode(escrow_, members, threshold)));
    }

    function _order() internal pure returns (IEscrow.Order memory order) {
        order.amount = 1000;
        order.salt = 1;
    }

    function _voteDigest(bytes32 id, uint8 role, uint96 pay, bytes32 evidence, uint40 until)
        internal
        view
        returns (bytes32)
    {
        bytes32 typehash = keccak256("Vote(bytes32 orderId,uint8 role,uint96 pay,bytes32 evidence,uint40 validUntil)");
        return _digest(
            _domain("haggle Panel", "1", address(panel)),
            keccak256(abi.encode(typehash, id, role, pay, evidence, until))
        );
    }

    function _verdictDigest(bytes32 id, uint96 pay, bytes32 evidence, uint40 until) internal view returns (bytes32) {
        bytes32 typehash = keccak256("Verdict(bytes32 orderId,uint96 pay,bytes32 evidence,uint40 validUntil)");
        return _digest(_escrowDomain(address(escrow)), keccak256(abi.encode(typehash, id, pay, evidence, until)));
    }

    /// @notice What the members whose bits are set sign, ascending.
    function _ballots(uint256 bits, bytes32 digest) internal view returns (IPanel.Ballot[] memory ballots) {
        uint256 count = 0;
        for (uint256 i = 0; i < 5; i++) {
            count += (bits >> i) & 1;
        }
        ballots = new IPanel.Ballot[](count);
        count = 0;
        for (uint256 i = 0; i < 5; i++) {
            if ((bits >> i) & 1 == 0) continue;
            ballots[count++] = IPanel.Ballot(everybody[i], _sign(keys[i], digest));
        }
    }

    function _sortKeys() private {
        for (uint256 i = 0; i < 5; i++) {
            for (uint256 j = i + 1; j < 5; j++) {
                if (vm.addr(keys[j]) < vm.addr(keys[i])) (keys[i], keys[j]) = (keys[j], keys[i]);
            }
        }
    }
}
