// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IPanel} from "../../../src/interfaces/IPanel.sol";
import {PanelBase} from "../../base/PanelBase.sol";
import {EscrowBook} from "../../mocks/EscrowBook.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";

contract PanelPayOutTest is PanelBase {
    function test_members_share_equally_whenever_they_come(uint64 first, uint64 second, uint256 who) public {
        who %= 5;
        usdc.mint(address(panel), first);
        if (first >= 5) {
            vm.expectEmit(address(panel));
            emit IPanel.Paid(everybody[who], first / 5);
            panel.payOut(everybody[who]);
        }
        usdc.mint(address(panel), second);
        uint256 part = (uint256(first) + second) / 5;
        for (uint256 i = 0; i < 5; i++) {
            if (panel.earned(everybody[i]) != 0) panel.payOut(everybody[i]);
            vm.assertEq(usdc.balanceOf(everybody[i]), part, "part");
        }
        vm.assertLe(usdc.balanceOf(address(panel)), 4, "the rest");
    }

    function test_a_denied_member_does_not_keep_the_others_waiting() public {
        usdc.mint(address(panel), 500);
        usdc.deny(everybody[0], true);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        panel.payOut(everybody[0]);
        panel.payOut(everybody[1]);
        vm.assertEq(usdc.balanceOf(everybody[1]), 100, "part");
        vm.assertEq(panel.earned(everybody[0]), 100, "waits");
    }

    function test_a_reentrant_token_pays_once(uint256 who, uint256 other, uint64 amount) public {
        HostileToken hostile = new HostileToken();
        panel = _deployPanel(address(new EscrowBook(address(hostile))), everybody, 3);
        uint256 part = bound(amount, 1, type(uint64).max);
        hostile.mint(address(panel), 5 * part);
        bytes[2] memory calls = [
            abi.encodeCall(IPanel.payOut, (everybody[other % 5])),
            abi.encodeCall(IPanel.rule, (_order(), 1, UNTIL, new IPanel.Ballot[](0)))
        ];
        hostile.setReentry(address(panel), calls[other / 5 % 2]);
        panel.payOut(everybody[who % 5]);
        vm.assertTrue(!hostile.callSucceeded(), "reentered");
        vm.assertEq(bytes32(hostile.callAnswer()), bytes32(bytes4(keccak256("Reentrancy()"))), "by the guard");
        vm.assertEq(hostile.balanceOf(everybody[who % 5]), part, "one part");
        vm.assertEq(panel.earned(everybody[(who % 5 + 1) % 5]), part, "and the others'");
    }

    function test_reverts_when_the_token_does_not_pay_in_whatever_way(uint256 how) public {
        HostileToken hostile = new HostileToken();
        panel = _deployPanel(address(new EscrowBook(address(hostile))), everybody, 3);
        hostile.mint(address(panel), 500);
        HostileToken.Transfers[5] memory ways = [
            HostileToken.Transfers.AnswerFalse,
            HostileToken.Transfers.AnswerTwo,
            HostileToken.Transfers.AnswerOneByte,
            HostileToken.Transfers.Revert,
            HostileToken.Transfers.RevertWithLongData
        ];
        hostile.setTransfers(ways[how % 5]);
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        panel.payOut(everybody[0]);
        vm.assertEq(panel.earned(everybody[0]), 100, "waits");
    }

    function test_reverts_when_a_member_has_had_everything() public {
        usdc.mint(address(panel), 500);
        panel.payOut(everybody[0]);
        vm.expectRevert(abi.encodeWithSelector(IPanel.NothingEarned.selector, everybody[0]));
        panel.payOut(everybody[0]);
    }

    function test_reverts_when_it_is_no_member(address account) public {
        for (uint256 i = 0; i < 5; i++) {
            vm.assume(account != everybody[i]);
        }
        usdc.mint(address(panel), 500);
        vm.expectRevert(abi.encodeWithSelector(IPanel.NotMember.selector, account));
        panel.payOut(account);
    }
}
