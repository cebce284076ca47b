// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IAnchor} from "../../src/interfaces/IAnchor.sol";
import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IPanel} from "../../src/interfaces/IPanel.sol";
import {WholeBase} from "../base/WholeBase.sol";

/// @notice Whole-transaction gas of what needs stake, panel, registry or anchor, everything as it is shipped and on the
/// bytecode that USDC runs. Each figure is written to snapshots/gas.json and fails above its limit.
contract WholeGasTest is WholeBase {
    uint96 private constant STAKE = 4_000_000;

    function setUp() public override {
        super.setUp();
        // nobody is new to the token, the sink has fees waiting, and the panel has judged before
        _stake(provider, STAKE);
        IEscrow.Order memory warm = _seriousOrder();
        warm.salt = 999;
        _bringTo(warm, IEscrow.Status.Arbitrating);
        _panelRules(warm, 3_000_000);
        usdc.mint(buyer, 1_000_000);
        vm.warp(NOW);
    }

    function test_fund_with_stake() public {
        _fundSigned(_seriousOrder());
        _record("fund_with_stake", 185_000);
    }

    function test_finalize_in_every_way() public {
        IEscrow.Order memory order = _seriousOrder();
        _finalizeFrom(order, IEscrow.Status.Delivered);
        _record("finalize_delivered", 85_000);
        _finalizeFrom(order, IEscrow.Status.Disputed);
        _record("finalize_uncountered", 90_000);
        _finalizeFrom(order, IEscrow.Status.Arbitrating);
        _record("finalize_silent", 115_000);
        order.flags = PAY_UNDELIVERED | FEE_ON_TOP;
        _finalizeFrom(order, IEscrow.Status.Funded);
        _record("finalize_undelivered_paid", 85_000);
    }

    function test_a_panel_of_two_rules_and_the_stake_goes_to_the_buyer() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _panelRules(order, 0);
        _record("panel_rule_and_slash", 180_000);
        panel.payOut(members[0]);
        _record("panel_pay_out", 125_000);
    }

    function test_a_panel_of_two_gives_a_verdict() public {
        IEscrow.Order memory order = _order();
        _bringTo(order, IEscrow.Status.Funded);
        IPanel.Ballot[] memory ballots = _ballots(3, _voteDigest(order, AS_VALIDATOR, 3_000_000, EVIDENCE, UNTIL));
        bytes memory word = _verdictOf(order, 3_000_000, UNTIL, ballots);
        escrow.verdict(order, 3_000_000, EVIDENCE, UNTIL, word);
        _record("verdict_by_panel", 125_000);
    }

    function test_feedback() public {
        vm.prank(provider);
        uint256 agent = registry.register();
        _record("registry_register", 120_000);
        IEscrow.Order memory order = _order();
        _bringTo(order, IEscrow.Status.Funded);
        _release(order);
        bytes32 digest = _feedbackDigest(address(escrow), escrow.orderId(order), agent, 5);
        escrow.publishFeedback(order, agent, 5, _sign(BUYER_KEY, digest));
        _record("publish_feedback_first", 185_000);
    }

    function test_stake_in_and_out() public {
        _stake(provider, STAKE);
        _record("stake_deposit", 105_000);
        vm.prank(provider);
        providerStake.requestWithdraw(STAKE);
        _record("stake_request_withdraw", 55_000);
        vm.warp(NOW + 8 days);
        providerStake.withdraw(provider);
        _record("stake_withdraw", 75_000);
    }

    function test_a_root() public {
        IAnchor anchor = IAnchor(vm.deployCode("out/Anchor.sol/Anchor.json", ""));
        anchor.post(keccak256("first"), new bytes(36));
        anchor.post(keccak256("second"), new bytes(36));
        _record("anchor_post", 60_000);
    }

    function _finalizeFrom(IEscrow.Order memory order, IEscrow.Status from) private {
        vm.warp(NOW);
        order.salt++;
        _bringTo(order, from);
        vm.warp(from == IEscrow.Status.Funded ? order.deliverBy : _windowEnd(order));
        escrow.finalize(order);
    }

    function _record(string memory operation, uint256 limit) private {
        uint256 used = vm.lastCallGas().gasTotalUsed;
        vm.assertTrue(used > 21_000, "a whole transaction");
        vm.snapshotValue("gas", operation, used);
        vm.assertLe(used, limit, operation);
    }
}
