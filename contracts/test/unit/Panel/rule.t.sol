// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IPanel} from "../../../src/interfaces/IPanel.sol";
import {PanelBase} from "../../base/PanelBase.sol";
import {EscrowBook} from "../../mocks/EscrowBook.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract PanelRuleTest is PanelBase {
    bytes32 private _id;

    function setUp() public override {
        super.setUp();
        _id = escrow.orderId(_order());
        escrow.dispute(_order(), EVIDENCE);
    }

    function test_any_three_of_five_rule(uint256 bits, uint96 pay, address sender) public {
        vm.assume(sender != address(0));
        bits %= 32;
        IPanel.Ballot[] memory ballots = _votes(bits, pay);
        vm.assume(ballots.length >= 3);
        vm.expectEmit(address(panel));
        emit IPanel.Ruled(_id, pay, EVIDENCE);
        vm.prank(sender);
        panel.rule(_order(), pay, UNTIL, ballots);
        vm.assertEq(escrow.ruledId(), _id, "order");
        vm.assertEq(escrow.ruledPay(), pay, "pay");
        vm.assertEq(escrow.ruledBy(), address(panel), "by the panel");
    }

    function test_a_member_may_be_a_contract_wallet_and_sign_the_short_form() public {
        everybody[0] = address(new Wallet1271(vm.addr(keys[0])));
        address[] memory members = new address[](2);
        (members[0], members[1]) = (everybody[0], everybody[1]);
        bool swapped = members[0] > members[1];
        if (swapped) (members[0], members[1]) = (members[1], members[0]);
        panel = _deployPanel(address(escrow), members, 2);
        bytes32 digest = _voteDigest(_id, ARBITRATOR, 400, EVIDENCE, UNTIL);
        IPanel.Ballot[] memory ballots = new IPanel.Ballot[](2);
        ballots[swapped ? 1 : 0] = IPanel.Ballot(everybody[0], _sign(keys[0], digest));
        ballots[swapped ? 0 : 1] = IPanel.Ballot(everybody[1], _signCompact(keys[1], digest));
        panel.rule(_order(), 400, UNTIL, ballots);
        vm.assertEq(escrow.ruledPay(), 400, "pay");
    }

    function test_evidence_of_nothing_is_evidence_too() public {
        escrow.dispute(_order(), 0);
        IPanel.Ballot[] memory ballots = _ballots(7, _voteDigest(_id, ARBITRATOR, 400, 0, UNTIL));
        panel.rule(_order(), 400, UNTIL, ballots);
        vm.assertEq(escrow.ruledPay(), 400, "pay");
    }

    function test_reverts_when_the_escrow_does_not_let_it() public {
        IPanel.Ballot[] memory ballots = _votes(7, 400);
        escrow.refuse();
        _refused(ballots, 400, UNTIL, abi.encodeWithSelector(EscrowBook.Refused.selector));
    }

    function test_reverts_when_too_few_agree(uint256 bits) public {
        IPanel.Ballot[] memory ballots = _votes(bits % 32, 400);
        vm.assume(ballots.length < 3);
        _refused(ballots, 400, UNTIL, abi.encodeWithSelector(IPanel.TooFewBallots.selector, ballots.length, 3));
    }

    function test_reverts_when_one_member_counts_twice_in_any_form() public {
        IPanel.Ballot[] memory ballots = _votes(7, 400);
        ballots[1] = ballots[0];
        _refused(ballots, 400, UNTIL, abi.encodeWithSelector(IPanel.NotAscending.selector, everybody[0]));
        bytes32 digest = _voteDigest(_id, ARBITRATOR, 400, EVIDENCE, UNTIL);
        ballots[1].signature = _signMalleated(keys[0], digest);
        _refused(ballots, 400, UNTIL, abi.encodeWithSelector(IPanel.NotAscending.selector, everybody[0]));
        ballots = _votes(7, 400);
        (ballots[0], ballots[1]) = (ballots[1], ballots[0]);
        _refused(ballots, 400, UNTIL, abi.encodeWithSelector(IPanel.NotAscending.selector, everybody[0]));
    }

    function test_reverts_when_a_stranger_votes(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        address stranger = vm.addr(key);
        IPanel.Ballot[] memory ballots = _votes(7, 400);
        bytes32 digest = _voteDigest(_id, ARBITRATOR, 400, EVIDENCE, UNTIL);
        ballots[0] = IPanel.Ballot(stranger, _sign(key, digest));
        _refused(ballots, 400, UNTIL, abi.encodeWithSelector(IPanel.NotMember.selector, stranger));
        ballots[0] = IPanel.Ballot(everybody[0], _sign(key, digest));
        _refused(ballots, 400, UNTIL, abi.encodeWithSelector(IPanel.BadBallot.selector, everybody[0]));
        ballots[0] = IPanel.Ballot(address(0), "");
        _refused(ballots, 400, UNTIL, abi.encodeWithSelector(IPanel.NotAscending.selector, address(0)));
    }

    function test_reverts_when_the_votes_are_for_something_else(uint96 pay) public {
        vm.assume(pay != 400);
        bytes memory bad = abi.encodeWithSelector(IPanel.BadBallot.selector, everybody[0]);
        _refused(_votes(7, pay), 400, UNTIL, bad);
        _refused(_ballots(7, _voteDigest(_id, VALIDATOR, 400, EVIDENCE, UNTIL)), 400, UNTIL, bad);
        _refused(_ballots(7, _voteDigest(_id, ARBITRATOR, 400, ~EVIDENCE, UNTIL)), 400, UNTIL, bad);
        _refused(_ballots(7, _voteDigest(~_id, ARBITRATOR, 400, EVIDENCE, UNTIL)), 400, UNTIL, bad);
        _refused(_ballots(7, _voteDigest(_id, ARBITRATOR, 400, EVIDENCE, UNTIL - 1)), 400, UNTIL, bad);
    }

    function test_reverts_when_the_votes_are_for_another_panel() public {
        IPanel.Ballot[] memory ballots = _votes(7, 400);
        panel = _deployPanel(address(escrow), everybody, 3);
        _refused(ballots, 400, UNTIL, abi.encodeWithSelector(IPanel.BadBallot.selector, everybody[0]));
    }

    function test_reverts_when_the_votes_ran_out(uint32 late) public {
        IPanel.Ballot[] memory ballots = _votes(7, 400);
        vm.warp(uint256(UNTIL) + late);
        _refused(
            ballots, 400, UNTIL, abi.encodeWithSelector(IPanel.VotesExpired.selector, uint256(UNTIL) + late, UNTIL)
        );
    }

    function _votes(uint256 bits, uint96 pay) private view returns (IPanel.Ballot[] memory) {
        return _ballots(bits, _voteDigest(_id, ARBITRATOR, pay, EVIDENCE, UNTIL));
    }

    function _refused(IPanel.Ballot[] memory ballots, uint96 pay, uint40 until, bytes memory answer) private {
        vm.expectRevert(answer);
        panel.rule(_order(), pay, until, ballots);
    }
}
