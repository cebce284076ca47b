// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IPanel} from "../../../src/interfaces/IPanel.sol";
import {PanelBase} from "../../base/PanelBase.sol";

contract PanelIsValidSignatureTest is PanelBase {
    bytes4 private constant MAGIC = 0x1626ba7e;

    function test_any_three_of_five_sign_a_verdict(uint256 bits, bytes32 id, uint96 pay, bytes32 evidence) public view {
        IPanel.Ballot[] memory ballots = _ballots(bits % 32, _voteDigest(id, VALIDATOR, pay, evidence, UNTIL));
        vm.assume(ballots.length >= 3);
        bytes memory signature = abi.encode(IPanel.Verdict(id, pay, evidence, UNTIL, ballots));
        bytes4 answer = panel.isValidSignature(_verdictDigest(id, pay, evidence, UNTIL), signature);
        vm.assertEq(bytes32(answer), bytes32(MAGIC), "magic");
    }

    function test_no_other_digest_is_signed(bytes32 hash) public view {
        vm.assume(hash != _verdictDigest(ORDER_ID, 400, EVIDENCE, UNTIL));
        vm.assertEq(bytes32(panel.isValidSignature(hash, _signature(7))), bytes32(bytes4(0xffffffff)), "no magic");
    }

    function test_no_verdict_but_the_one_that_was_voted_for(uint96 pay) public {
        vm.assume(pay != 400);
        IPanel.Ballot[] memory ballots = _ballots(7, _voteDigest(ORDER_ID, VALIDATOR, 400, EVIDENCE, UNTIL));
        bytes memory signature = abi.encode(IPanel.Verdict(ORDER_ID, pay, EVIDENCE, UNTIL, ballots));
        bytes32 hash = _verdictDigest(ORDER_ID, pay, EVIDENCE, UNTIL);
        vm.expectRevert(abi.encodeWithSelector(IPanel.BadBallot.selector, everybody[0]));
        panel.isValidSignature(hash, signature);
    }

    function test_an_arbitrators_vote_is_no_validators() public {
        IPanel.Ballot[] memory ballots = _ballots(7, _voteDigest(ORDER_ID, ARBITRATOR, 400, EVIDENCE, UNTIL));
        bytes memory signature = abi.encode(IPanel.Verdict(ORDER_ID, 400, EVIDENCE, UNTIL, ballots));
        bytes32 hash = _verdictDigest(ORDER_ID, 400, EVIDENCE, UNTIL);
        vm.expectRevert(abi.encodeWithSelector(IPanel.BadBallot.selector, everybody[0]));
        panel.isValidSignature(hash, signature);
    }

    function test_a_verdict_of_another_escrow_or_chain_is_not_signed() public {
        bytes32 hash = _verdictDigest(ORDER_ID, 400, EVIDENCE, UNTIL);
        bytes memory signature = _signature(7);
        vm.chainId(block.chainid + 1);
        vm.assertEq(bytes32(panel.isValidSignature(hash, signature)), bytes32(bytes4(0xffffffff)), "chain");
    }

    function test_reverts_when_too_few_agree(uint256 bits) public {
        bits %= 32;
        IPanel.Ballot[] memory ballots = _ballots(bits, _voteDigest(ORDER_ID, VALIDATOR, 400, EVIDENCE, UNTIL));
        vm.assume(ballots.length < 3);
        bytes memory signature = _signature(bits);
        bytes32 hash = _verdictDigest(ORDER_ID, 400, EVIDENCE, UNTIL);
        vm.expectRevert(abi.encodeWithSelector(IPanel.TooFewBallots.selector, ballots.length, 3));
        panel.isValidSignature(hash, signature);
    }

    function test_reverts_when_the_votes_ran_out(uint32 late) public {
        bytes memory signature = _signature(7);
        bytes32 hash = _verdictDigest(ORDER_ID, 400, EVIDENCE, UNTIL);
        uint256 time = uint256(UNTIL) + late;
        vm.warp(time);
        vm.expectRevert(abi.encodeWithSelector(IPanel.VotesExpired.selector, time, UNTIL));
        panel.isValidSignature(hash, signature);
    }

    function test_reverts_when_it_is_not_a_verdict(bytes memory signature) public view {
        vm.assume(signature.length < 200);
        // the decoder says nothing, or that there is too little memory for what the bytes announce
        (bool ok, bytes memory answer) =
            address(panel).staticcall(abi.encodeCall(IPanel.isValidSignature, (0, signature)));
        bool silent =
            answer.length == 0 || keccak256(answer) == keccak256(abi.encodeWithSignature("Panic(uint256)", 0x41));
        vm.assertTrue(!ok && silent, "refused by the decoder");
    }

    function _signature(uint256 bits) private view returns (bytes memory) {
        IPanel.Ballot[] memory ballots = _ballots(bits, _voteDigest(ORDER_ID, VALIDATOR, 400, EVIDENCE, UNTIL));
        return abi.encode(IPanel.Verdict(ORDER_ID, 400, EVIDENCE, UNTIL, ballots));
    }
}
