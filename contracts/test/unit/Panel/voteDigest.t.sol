// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IPanel} from "../../../src/interfaces/IPanel.sol";
import {PanelBase} from "../../base/PanelBase.sol";
import {Deployer} from "../../mocks/Deployer.sol";
import {EscrowBook} from "../../mocks/EscrowBook.sol";

contract PanelVoteDigestTest is PanelBase {
    function test_digest_is_the_one_a_wallet_makes(bytes32 id, uint8 role, uint96 pay, bytes32 evidence, uint40 until)
        public
        view
    {
        bytes32 expected = _voteDigest(id, role, pay, evidence, until);
        vm.assertEq(panel.voteDigest(id, role, pay, evidence, until), expected, "digest");
    }

    function test_names_what_it_was_built_with() public view {
        vm.assertEq(panel.escrow(), address(escrow), "escrow");
        vm.assertEq(panel.token(), address(usdc), "token");
        vm.assertEq(panel.threshold(), 3, "threshold");
        vm.assertEq(keccak256(abi.encode(panel.members())), keccak256(abi.encode(everybody)), "members");
        vm.assertTrue(panel.isMember(everybody[4]) && !panel.isMember(address(this)), "a member and a stranger");
    }

    function test_reverts_when_the_threshold_or_the_number_of_members_is_out_of_range(uint256 threshold) public {
        threshold = threshold > 5 ? threshold : 0;
        _refused(everybody, threshold, abi.encodeWithSelector(IPanel.BadThreshold.selector, threshold, 5));
        _refused(new address[](0), 0, abi.encodeWithSelector(IPanel.BadThreshold.selector, 0, 0));
        address[] memory members = new address[](33);
        _refused(members, 3, abi.encodeWithSelector(IPanel.BadThreshold.selector, 3, 33));
    }

    function test_reverts_when_members_are_not_ascending_or_nobody() public {
        address[] memory members = everybody;
        (members[0], members[1]) = (members[1], members[0]);
        _refused(members, 3, abi.encodeWithSelector(IPanel.NotAscending.selector, members[1]));
        members[0] = members[1];
        _refused(members, 3, abi.encodeWithSelector(IPanel.NotAscending.selector, members[1]));
        members[0] = address(0);
        _refused(members, 3, abi.encodeWithSelector(IPanel.ZeroAddress.selector));
    }

    function test_reverts_when_there_is_no_escrow() public {
        escrow = EscrowBook(address(0xe5c));
        _refused(everybody, 3, abi.encodeWithSelector(IPanel.ZeroAddress.selector));
    }

    function _refused(address[] memory members, uint256 threshold, bytes memory answer) private {
        Deployer deployer = new Deployer();
        bytes memory args = abi.encode(address(escrow), members, threshold);
        bytes memory code = abi.encodePacked(vm.getCode("out/Panel.sol/Panel.json"), args);
        vm.expectRevert(answer);
        deployer.deploy(code);
    }
}
