// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {Registry} from "../../mocks/Registry.sol";

contract PublishFeedbackTest is EscrowBase {
    Registry private registry;
    uint256 private constant AGENT = 42;

    function setUp() public override {
        super.setUp();
        registry = new Registry();
        registry.setWallet(AGENT, provider);
        escrow = _deployEscrow(address(usdc), address(stake), address(registry));
    }

    function test_feedback_rule_a_paid_orders_feedback_goes_to_the_registry_in_the_escrows_name(
        uint256 agentId,
        int128 value,
        address sender
    ) public {
        vm.assume(sender != address(0));
        registry.setWallet(agentId, provider);
        (IEscrow.Order memory order, bytes32 id) = _paid();
        bytes memory sig = _sig(BUYER_KEY, id, agentId, value);

        vm.expectEmit(address(escrow));
        emit IEscrow.FeedbackPublished(id, agentId, value);
        vm.expectEmit(address(registry));
        emit Registry.Given(address(escrow), agentId, value, id);
        vm.prank(sender);
        escrow.publishFeedback(order, agentId, value, sig);
        _assertOutcome(order, 1);
    }

    function test_feedback_rule_reverts_when_given_twice() public {
        (IEscrow.Order memory order, bytes32 id) = _paid();
        escrow.publishFeedback(order, AGENT, 5, _sig(BUYER_KEY, id, AGENT, 5));
        _refused(order, AGENT, 5, abi.encodeWithSelector(IEscrow.FeedbackGiven.selector, id));
        _refused(order, AGENT, 4, abi.encodeWithSelector(IEscrow.FeedbackGiven.selector, id));
    }

    function test_feedback_rule_reverts_when_nothing_was_paid() public {
        IEscrow.Order memory order = _order();
        bytes32 id = _fund(order);
        escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        _refused(order, AGENT, 5, abi.encodeWithSelector(IEscrow.NothingPaid.selector, id));
    }

    function test_feedback_rule_reverts_when_the_order_is_not_settled() public {
        IEscrow.Order memory order = _order();
        _refused(order, AGENT, 5, _badState(order, IEscrow.Status.None));
        _fund(order);
        _refused(order, AGENT, 5, _badState(order, IEscrow.Status.Funded));
    }

    function test_feedback_rule_reverts_when_the_agent_is_not_the_provider(address wallet) public {
        vm.assume(wallet != provider);
        (IEscrow.Order memory order,) = _paid();
        registry.setWallet(7, wallet);
        _refused(order, 7, 5, abi.encodeWithSelector(IEscrow.WrongAgent.selector, 7, wallet));
    }

    function test_feedback_rule_reverts_when_the_buyer_did_not_sign_this() public {
        (IEscrow.Order memory order, bytes32 id) = _paid();
        bytes memory answer = abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer);
        bytes memory sig = _sig(PROVIDER_KEY, id, AGENT, 5);
        vm.expectRevert(answer);
        escrow.publishFeedback(order, AGENT, 5, sig);
        sig = _sig(BUYER_KEY, id, AGENT, 5);
        vm.expectRevert(answer);
        escrow.publishFeedback(order, AGENT, 4, sig);
        vm.expectRevert(answer);
        escrow.publishFeedback(order, AGENT + 1, 5, sig);
    }

    function test_feedback_rule_reverts_when_the_signature_is_not_one(bytes memory sig) public {
        (IEscrow.Order memory order,) = _paid();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
        escrow.publishFeedback(order, AGENT, 5, sig);
    }

    function test_a_registry_that_refuses_leaves_the_feedback_to_be_given() public {
        (IEscrow.Order memory order, bytes32 id) = _paid();
        registry.refuse(true);
        _refused(order, AGENT, 5, abi.encodeWithSignature("Error(string)", "no self-feedback"));
        registry.refuse(false);
        escrow.publishFeedback(order, AGENT, 5, _sig(BUYER_KEY, id, AGENT, 5));
    }

    function test_reverts_when_there_is_no_registry() public {
        escrow = _deployEscrow(address(usdc));
        vm.assertEq(escrow.reputation(), address(0), "no registry");
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        _refused(order, AGENT, 5, abi.encodeWithSelector(IEscrow.NoRegistry.selector));
    }

    function _paid() private returns (IEscrow.Order memory order, bytes32 id) {
        order = _order();
        id = _fund(order);
        _release(order);
    }

    function _sig(uint256 key, bytes32 id, uint256 agentId, int128 value) private view returns (bytes memory) {
        return _sign(key, _feedbackDigest(address(escrow), id, agentId, value));
    }

    function _refused(IEscrow.Order memory order, uint256 agentId, int128 value, bytes memory answer) private {
        bytes memory sig = _sig(BUYER_KEY, escrow.orderId(order), agentId, value);
        vm.expectRevert(answer);
        escrow.publishFeedback(order, agentId, value, sig);
    }
}
