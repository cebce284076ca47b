// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IRegistry8004Dev} from "../mocks/IRegistry8004Dev.sol";
import {WholeBase} from "../base/WholeBase.sol";

/// @notice Feedback from the escrow to the registry of development chains, both as shipped.
contract ReputationTest is WholeBase {
    event NewFeedback(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        int128 value,
        uint8 valueDecimals,
        string indexed indexedTag1,
        string tag1,
        string tag2,
        string endpoint,
        string feedbackURI,
        bytes32 feedbackHash
    );

    uint256 private agent;

    function setUp() public override {
        super.setUp();
        // somebody else's agent, so that ours is not number zero
        registry.register();
        vm.prank(provider);
        agent = registry.register("ipfs://bob");
    }

    function test_feedback_rule_it_lands_in_the_escrows_name_with_the_orders_id(int128 value, address sender) public {
        vm.assume(sender != address(0) && sender != address(escrow));
        value = _inBounds(value);
        (IEscrow.Order memory order, bytes32 id) = _paid(1);
        bytes memory sig = _sig(BUYER_KEY, id, agent, value);
        vm.expectEmit(address(registry));
        emit NewFeedback(agent, address(escrow), 1, value, 0, "haggle", "haggle", "", "", "", id);
        vm.prank(sender);
        escrow.publishFeedback(order, agent, value, sig);
        _assertSummary(address(escrow), "haggle", 1, value);
        _assertSummary(address(escrow), "", 1, value);
        _assertSummary(address(escrow), "another tag", 0, 0);
        _assertSummary(sender, "", 0, 0);
        _assertSummary(buyer, "", 0, 0);
    }

    function test_feedback_rule_a_summary_over_the_escrow_counts_paid_orders_only(int64 first, int64 second) public {
        _publish(1, first);
        _publish(2, second);
        // what anybody says without an order, in the same words
        address[3] memory others = [eve, buyer, sink];
        for (uint256 i = 0; i < others.length; i++) {
            vm.prank(others[i]);
            registry.giveFeedback(agent, 1_000_000, 0, "haggle", "", "", "", escrow.orderId(_order()));
        }
        _assertSummary(address(escrow), "haggle", 2, (int128(first) + int128(second)) / 2);
    }

    function test_feedback_rule_reverts_when_given_twice() public {
        (IEscrow.Order memory order, bytes32 id) = _publish(1, 5);
        bytes memory answer = abi.encodeWithSelector(IEscrow.FeedbackGiven.selector, id);
        _refused(order, BUYER_KEY, agent, 5, answer);
        _refused(order, BUYER_KEY, agent, -5, answer);
        _assertSummary(address(escrow), "haggle", 1, 5);
    }

    function test_feedback_rule_reverts_when_the_order_is_not_settled_or_nothing_was_paid() public {
        IEscrow.Order memory order = _order();
        _refused(order, BUYER_KEY, agent, 5, _badState(order, IEscrow.Status.None));
        bytes32 id = _fund(order);
        _refused(order, BUYER_KEY, agent, 5, _badState(order, IEscrow.Status.Funded));
        _deliver(order);
        _refused(order, BUYER_KEY, agent, 5, _badState(order, IEscrow.Status.Delivered));
        escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        _refused(order, BUYER_KEY, agent, 5, abi.encodeWithSelector(IEscrow.NothingPaid.selector, id));
        _assertSummary(address(escrow), "", 0, 0);
    }

    function test_feedback_rule_reverts_when_the_agent_is_paid_elsewhere() public {
        (IEscrow.Order memory order,) = _paid(1);
        // another one's agent
        _refused(order, BUYER_KEY, 0, 5, abi.encodeWithSelector(IEscrow.WrongAgent.selector, 0, address(this)));
        // one that does not exist
        bytes memory missing = abi.encodeWithSignature("ERC721NonexistentToken(uint256)", 7);
        _refused(order, BUYER_KEY, 7, 5, missing);
        // a new owner does not inherit the wallet, nor the paid orders with it
        vm.prank(provider);
        registry.transferFrom(provider, eve, agent);
        _refused(order, BUYER_KEY, agent, 5, abi.encodeWithSelector(IEscrow.WrongAgent.selector, agent, address(0)));
        // and a wallet of its own makes it another seller
        bytes32 typehash = keccak256("AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)");
        bytes32 content = keccak256(abi.encode(typehash, agent, eve, eve, NOW + 60));
        bytes32 domain = _domain("ERC8004IdentityRegistry", "1", address(registry));
        vm.prank(eve);
        registry.setAgentWallet(agent, eve, NOW + 60, _sign(EVE_KEY, _digest(domain, content)));
        _refused(order, BUYER_KEY, agent, 5, abi.encodeWithSelector(IEscrow.WrongAgent.selector, agent, eve));
    }

    function test_feedback_rule_reverts_when_anybody_but_the_buyer_signed(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        (IEscrow.Order memory order, bytes32 id) = _paid(1);
        bytes memory answer = abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer);
        _refused(order, key, agent, 5, answer);
        _refused(order, PROVIDER_KEY, agent, 5, answer);
        bytes memory sig = _sig(BUYER_KEY, id, agent, 4);
        vm.expectRevert(answer);
        escrow.publishFeedback(order, agent, 5, sig);
    }

    function test_a_value_the_registry_refuses_leaves_the_feedback_to_be_given() public {
        (IEscrow.Order memory order,) = _paid(1);
        int128 wild = 1e38 + 1;
        _refused(order, BUYER_KEY, agent, wild, abi.encodeWithSelector(IRegistry8004Dev.BadValue.selector, wild, 0));
        _publishFor(order, 5);
        _assertSummary(address(escrow), "haggle", 1, 5);
    }

    function _paid(uint256 salt) private returns (IEscrow.Order memory order, bytes32 id) {
        order = _order();
        order.salt = salt;
        id = _fund(order);
        _release(order);
    }

    function _publish(uint256 salt, int128 value) private returns (IEscrow.Order memory order, bytes32 id) {
        (order, id) = _paid(salt);
        _publishFor(order, value);
    }

    function _publishFor(IEscrow.Order memory order, int128 value) private {
        escrow.publishFeedback(order, agent, value, _sig(BUYER_KEY, escrow.orderId(order), agent, value));
    }

    function _sig(uint256 key, bytes32 id, uint256 agentId, int128 value) private view returns (bytes memory) {
        return _sign(key, _feedbackDigest(address(escrow), id, agentId, value));
    }

    function _refused(IEscrow.Order memory order, uint256 key, uint256 agentId, int128 value, bytes memory answer)
        private
    {
        bytes memory sig = _sig(key, escrow.orderId(order), agentId, value);
        vm.expectRevert(answer);
        escrow.publishFeedback(order, agentId, value, sig);
    }

    function _assertSummary(address client, string memory tag, uint64 count, int128 value) private view {
        address[] memory clients = new address[](1);
        clients[0] = client;
        (uint64 hasCount, int128 hasValue,) = registry.getSummary(agent, clients, tag, "");
        vm.assertEq(hasCount, count, "how often");
        vm.assertTrue(hasValue == value, "what");
    }

    /// @dev The registry takes no values beyond 1e38.
    function _inBounds(int128 value) private pure returns (int128) {
        return value % 1e38;
    }
}
