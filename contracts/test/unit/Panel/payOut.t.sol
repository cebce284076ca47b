// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IPanel} from "../../../src/interfaces/IPanel.sol";
import {PanelBase} from "../../base/PanelBase.sol";

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
