// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";
import {DenylistUSDC} from "../../mocks/DenylistUSDC.sol";
import {HostileToken} from "../../mocks/HostileToken.sol";
import {StakeBook} from "../../mocks/StakeBook.sol";
import {Wallet1271} from "../../mocks/Wallet1271.sol";

contract FundTest is EscrowBase {
    function test_the_buyer_pays_the_deposit_and_the_order_is_funded(Seed memory seed, address sender) public {
        vm.assume(sender != address(0));
        IEscrow.Order memory order = _orderFrom(seed);
        order.flags &= FEE_ON_TOP;
        uint256 deposit = _deposit(order);
        usdc.mint(buyer, deposit);
        bytes memory auth = _buyerAuth(order);
        bytes32 id = escrow.orderId(order);

        vm.expectEmit(address(escrow));
        emit IEscrow.Funded(id, buyer, provider, order.amount, order.terms);
        vm.prank(sender);
        escrow.fund(order, auth, "");

        _assertMoney(0, 0, 0, deposit);
        (IEscrow.Status status, uint8 outcome, bool consented, uint40 reviewEnds) = escrow.statusOf(order);
        vm.assertEq(uint256(status), uint256(IEscrow.Status.Funded), "status");
        vm.assertEq(outcome, 0, "outcome");
        vm.assertTrue(!consented, "nobody asked the provider");
        vm.assertEq(reviewEnds, 0, "no delivery yet");
        vm.assertTrue(usdc.authorizationState(buyer, id), "the order id is the nonce of the payment");
    }

    function test_a_fee_on_top_is_part_of_the_deposit() public {
        _fund(_order());
        _assertMoney(0, 0, 0, 5_125_000);
    }

    function test_a_fee_from_the_seller_is_not_part_of_the_deposit() public {
        IEscrow.Order memory order = _order();
        (order.flags, order.feeBps) = (0, 1000);
        _fund(order);
        _assertMoney(0, 0, 0, 5_000_000);
    }

    function test_the_providers_signature_is_remembered_as_consent() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        escrow.fund(order, _buyerAuth(order), _providerSig(order));
        (,, bool consented,) = escrow.statusOf(order);
        vm.assertTrue(consented, "consented");
    }

    function test_the_providers_signature_may_be_the_short_form() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        escrow.fund(order, _buyerAuth(order), _signCompact(PROVIDER_KEY, escrow.orderId(order)));
        (,, bool consented,) = escrow.statusOf(order);
        vm.assertTrue(consented, "consented");
    }

    function test_buyer_and_provider_may_be_contract_wallets() public {
        IEscrow.Order memory order = _order();
        order.buyer = address(new Wallet1271(buyer));
        order.provider = address(new Wallet1271(provider));
        usdc.mint(order.buyer, _deposit(order));
        escrow.fund(order, _buyerAuth(order), _providerSig(order));
        (IEscrow.Status status,, bool consented,) = escrow.statusOf(order);
        vm.assertEq(uint256(status), uint256(IEscrow.Status.Funded), "status");
        vm.assertTrue(consented, "consented");
    }

    function test_validator_and_arbitrator_may_be_absent_or_the_same() public {
        IEscrow.Order memory order = _order();
        (order.validator, order.arbitrator) = (address(0), address(0));
        _fund(order);
        (order.validator, order.arbitrator) = (validator, validator);
        _fund(order);
        _assertStatus(order, IEscrow.Status.Funded);
    }

    function test_an_order_without_fee_needs_no_fee_recipient() public {
        IEscrow.Order memory order = _order();
        (order.feeBps, order.feeTo) = (0, address(0));
        _fund(order);
        _assertStatus(order, IEscrow.Status.Funded);
    }

    function test_the_last_second_of_the_funding_window_counts() public {
        IEscrow.Order memory order = _order();
        vm.warp(order.fundBy - 1);
        _fund(order);
        _assertStatus(order, IEscrow.Status.Funded);
    }

    // the order's rules

    function test_reverts_when_amount_is_zero() public {
        IEscrow.Order memory order = _order();
        order.amount = 0;
        _refused(order, abi.encodeWithSelector(IEscrow.ZeroAmount.selector));
    }

    function test_reverts_when_fee_is_above_the_cap(uint16 feeBps) public {
        IEscrow.Order memory order = _order();
        order.feeBps = uint16(bound(feeBps, 1001, type(uint16).max));
        _refused(order, abi.encodeWithSelector(IEscrow.FeeTooHigh.selector, order.feeBps, 1000));
    }

    function test_all_of_it_may_be_the_providers_where_the_arbitrator_is_silent() public {
        IEscrow.Order memory order = _order();
        order.silentBps = 10_000;
        _fund(order);
        _assertStatus(order, IEscrow.Status.Funded);
    }

    function test_reverts_when_silent_part_is_above_the_whole(uint16 silentBps) public {
        IEscrow.Order memory order = _order();
        order.silentBps = uint16(bound(silentBps, 10_001, type(uint16).max));
        _refused(order, abi.encodeWithSelector(IEscrow.SilentTooHigh.selector, order.silentBps, 10_000));
    }

    function test_reverts_when_flags_are_unknown(uint8 flags) public {
        IEscrow.Order memory order = _order();
        order.flags = uint8(bound(flags, 4, type(uint8).max));
        _refused(order, abi.encodeWithSelector(IEscrow.UnknownFlags.selector, order.flags));
    }

    function test_reverts_when_bond_is_above_the_amount(uint96 bond) public {
        IEscrow.Order memory order = _order();
        order.bond = uint96(bound(bond, order.amount + 1, type(uint96).max));
        _refused(order, abi.encodeWithSelector(IEscrow.BondTooHigh.selector, order.bond, order.amount));
    }

    function test_reverts_when_there_is_a_stake_and_no_stake_contract(uint96 amount) public {
        escrow = _deployEscrow(address(usdc), address(0), address(0));
        IEscrow.Order memory order = _order();
        order.stake = uint96(bound(amount, 1, type(uint96).max));
        _refused(order, abi.encodeWithSelector(IEscrow.StakeUnsupported.selector, order.stake));
    }

    function test_reverts_when_bond_or_stake_have_nobody_to_rule_over_them() public {
        IEscrow.Order memory order = _order();
        (order.arbitrator, order.bond) = (address(0), 1);
        _refused(order, abi.encodeWithSelector(IEscrow.ZeroAddress.selector));
        (order.bond, order.stake) = (0, 1);
        _refused(order, abi.encodeWithSelector(IEscrow.ZeroAddress.selector));
    }

    function test_reverts_when_bond_or_stake_lack_the_providers_signature(uint96 bond, uint96 amount) public {
        IEscrow.Order memory order = _order();
        order.bond = uint96(bound(bond, 1, order.amount));
        _refused(order, abi.encodeWithSelector(IEscrow.NotConsented.selector, escrow.orderId(order)));
        (order.bond, order.stake) = (0, uint96(bound(amount, 1, type(uint96).max)));
        _refused(order, abi.encodeWithSelector(IEscrow.NotConsented.selector, escrow.orderId(order)));
    }

    function test_reverts_when_a_sender_leaves_out_the_signature_that_the_buyers_dispute_depends_on() public {
        IEscrow.Order memory order = _order();
        order.flags |= PAY_UNDELIVERED;
        _refused(order, abi.encodeWithSelector(IEscrow.NotConsented.selector, escrow.orderId(order)));
        // without an arbitrator there is no dispute to lose
        order.arbitrator = address(0);
        _fund(order);
        _assertStatus(order, IEscrow.Status.Funded);
    }

    function test_exactly_the_stake_of_the_order_is_locked(uint96 amount, uint96 more) public {
        IEscrow.Order memory order = _order();
        order.stake = uint96(bound(amount, 1, type(uint96).max));
        more = uint96(bound(more, 0, type(uint96).max - order.stake));
        _stake(provider, more);
        bytes32 id = _fund(order);
        vm.assertEq(stake.lockedFor(id), order.stake, "locked");
        vm.assertEq(stake.free(provider), more, "free");
    }

    function test_reverts_when_the_provider_has_too_little_free_stake(uint96 amount) public {
        IEscrow.Order memory order = _order();
        order.stake = uint96(bound(amount, 1, type(uint96).max));
        _stake(provider, order.stake - 1);
        usdc.mint(buyer, _deposit(order));
        bytes memory auth = _buyerAuth(order);
        bytes memory sig = _providerSig(order);
        vm.expectRevert(StakeBook.TooLittle.selector);
        escrow.fund(order, auth, sig);
        _assertStatus(order, IEscrow.Status.None);
        _assertMoney(_deposit(order), 0, 0, 0);
    }

    function test_reverts_when_buyer_is_zero() public {
        IEscrow.Order memory order = _order();
        order.buyer = address(0);
        _refused(order, abi.encodeWithSelector(IEscrow.ZeroAddress.selector));
    }

    function test_reverts_when_provider_is_zero() public {
        IEscrow.Order memory order = _order();
        order.provider = address(0);
        _refused(order, abi.encodeWithSelector(IEscrow.ZeroAddress.selector));
    }

    function test_reverts_when_a_fee_has_no_recipient() public {
        IEscrow.Order memory order = _order();
        order.feeTo = address(0);
        _refused(order, abi.encodeWithSelector(IEscrow.ZeroAddress.selector));
    }

    function test_reverts_when_buyer_is_provider() public {
        IEscrow.Order memory order = _order();
        order.provider = buyer;
        _refused(order, abi.encodeWithSelector(IEscrow.SameParty.selector, buyer));
    }

    function test_reverts_when_validator_is_a_party() public {
        IEscrow.Order memory order = _order();
        order.validator = buyer;
        _refused(order, abi.encodeWithSelector(IEscrow.SameParty.selector, buyer));
        order.validator = provider;
        _refused(order, abi.encodeWithSelector(IEscrow.SameParty.selector, provider));
    }

    function test_reverts_when_arbitrator_is_a_party() public {
        IEscrow.Order memory order = _order();
        order.arbitrator = buyer;
        _refused(order, abi.encodeWithSelector(IEscrow.SameParty.selector, buyer));
        order.arbitrator = provider;
        _refused(order, abi.encodeWithSelector(IEscrow.SameParty.selector, provider));
    }

    function test_reverts_when_the_escrow_or_the_token_is_a_party() public {
        address[2] memory reserved = [address(escrow), address(usdc)];
        for (uint256 i = 0; i < 2; i++) {
            bytes memory answer = abi.encodeWithSelector(IEscrow.ReservedAddress.selector, reserved[i]);
            IEscrow.Order memory order = _order();
            order.buyer = reserved[i];
            _refused(order, answer);
            order = _order();
            order.provider = reserved[i];
            _refused(order, answer);
            order = _order();
            order.validator = reserved[i];
            _refused(order, answer);
            order = _order();
            order.arbitrator = reserved[i];
            _refused(order, answer);
        }
    }

    function test_reverts_when_the_escrow_or_the_token_takes_the_fee() public {
        IEscrow.Order memory order = _order();
        order.feeTo = address(escrow);
        _refused(order, abi.encodeWithSelector(IEscrow.ReservedAddress.selector, address(escrow)));
        order.feeTo = address(usdc);
        _refused(order, abi.encodeWithSelector(IEscrow.ReservedAddress.selector, address(usdc)));
    }

    function test_reverts_when_the_funding_window_is_over(uint40 late) public {
        IEscrow.Order memory order = _order();
        uint256 time = order.fundBy + bound(late, 0, 1000 days);
        vm.warp(time);
        _refused(order, abi.encodeWithSelector(IEscrow.TooLate.selector, time, order.fundBy));
    }

    function test_the_delivery_may_end_a_second_after_the_funding_and_no_sooner() public {
        IEscrow.Order memory order = _order();
        order.deliverBy = order.fundBy;
        _refused(order, abi.encodeWithSelector(IEscrow.BadDeadlines.selector, order.fundBy, order.deliverBy));
        order.deliverBy = order.fundBy + 1;
        _fund(order);
        _assertStatus(order, IEscrow.Status.Funded);
    }

    function test_without_a_stake_contract_orders_without_stake_are_funded_and_end() public {
        escrow = _deployEscrow(address(usdc), address(0), address(0));
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        _assertMoney(0, 5_000_000, 125_000, 125_000);
    }

    function test_reverts_when_delivery_is_not_after_funding(uint40 early) public {
        IEscrow.Order memory order = _order();
        order.deliverBy = uint40(order.fundBy - bound(early, 0, order.fundBy));
        _refused(order, abi.encodeWithSelector(IEscrow.BadDeadlines.selector, order.fundBy, order.deliverBy));
    }

    function test_reverts_when_delivery_may_take_more_than_a_year(uint40 more) public {
        IEscrow.Order memory order = _order();
        order.deliverBy = uint40(order.fundBy + 365 days + bound(more, 1, 1000 days));
        _refused(order, abi.encodeWithSelector(IEscrow.BadDeadlines.selector, order.fundBy, order.deliverBy));
    }

    function test_delivery_may_take_a_year() public {
        IEscrow.Order memory order = _order();
        order.deliverBy = order.fundBy + 365 days;
        _fund(order);
        _assertStatus(order, IEscrow.Status.Funded);
    }

    function test_reverts_when_review_window_is_out_of_range(uint32 secs) public {
        IEscrow.Order memory order = _order();
        order.reviewSecs = _badWindow(secs);
        _refused(order, abi.encodeWithSelector(IEscrow.BadWindow.selector, order.reviewSecs, 1 hours, 30 days));
    }

    function test_reverts_when_counter_window_is_out_of_range(uint32 secs) public {
        IEscrow.Order memory order = _order();
        order.counterSecs = _badWindow(secs);
        _refused(order, abi.encodeWithSelector(IEscrow.BadWindow.selector, order.counterSecs, 1 hours, 30 days));
    }

    function test_reverts_when_ruling_window_is_out_of_range(uint32 secs) public {
        IEscrow.Order memory order = _order();
        order.ruleSecs = _badWindow(secs);
        _refused(order, abi.encodeWithSelector(IEscrow.BadWindow.selector, order.ruleSecs, 1 hours, 30 days));
    }

    function test_the_shortest_and_the_longest_windows_are_good() public {
        IEscrow.Order memory order = _order();
        (order.reviewSecs, order.counterSecs, order.ruleSecs) = (1 hours, 1 hours, 1 hours);
        _fund(order);
        (order.reviewSecs, order.counterSecs, order.ruleSecs) = (30 days, 30 days, 30 days);
        _fund(order);
        _assertStatus(order, IEscrow.Status.Funded);
    }

    // state and signatures

    function test_reverts_when_already_funded(Seed memory seed) public {
        IEscrow.Order memory order = _orderFrom(seed);
        _fund(order);
        usdc.mint(buyer, _deposit(order));
        _refused(order, _badState(order, IEscrow.Status.Funded));
    }

    function test_reverts_when_already_delivered() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _deliver(order);
        _refused(order, _badState(order, IEscrow.Status.Delivered));
    }

    function test_reverts_when_already_settled() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        usdc.mint(buyer, _deposit(order));
        _refused(order, _badState(order, IEscrow.Status.Settled));
    }

    function test_reverts_when_the_authorisation_is_not_the_buyers() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        bytes memory auth = _buyerAuth(EVE_KEY, order);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, buyer));
        escrow.fund(order, auth, "");
    }

    function test_reverts_when_any_field_was_changed_after_signing(uint256 field) public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, 1000 * _deposit(order));
        bytes memory auth = _buyerAuth(order);
        _stake(provider, 2);
        // every field but buyer, whose change is another payer
        field = bound(field, 1, 17);
        bytes memory changed = abi.encode(order);
        changed[32 * field + 31] ^= 0x02;
        IEscrow.Order memory other = abi.decode(changed, (IEscrow.Order));
        bytes memory sig = field == 1 ? bytes("") : _providerSig(other);
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, buyer));
        escrow.fund(other, auth, sig);
    }

    function test_reverts_when_the_buyer_signed_a_plain_transfer_authorisation() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        bytes32 id = escrow.orderId(order);
        bytes memory auth = _sign(
            BUYER_KEY, _transferDigest(address(usdc), buyer, address(escrow), _deposit(order), 0, order.fundBy, id)
        );
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, buyer));
        escrow.fund(order, auth, "");
    }

    function test_reverts_when_the_authorisation_is_not_a_signature(bytes memory auth) public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.InvalidSignature.selector, buyer));
        escrow.fund(order, auth, "");
    }

    function test_reverts_when_the_buyer_cancelled_the_authorisation() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        bytes32 id = escrow.orderId(order);
        bytes memory auth = _buyerAuth(order);
        usdc.cancelAuthorization(buyer, id, _sign(BUYER_KEY, _cancelDigest(address(usdc), buyer, id)));
        vm.expectRevert(abi.encodeWithSelector(TestUSDC.AuthorizationUsedOrCanceled.selector, buyer, id));
        escrow.fund(order, auth, "");
        _assertStatus(order, IEscrow.Status.None);
    }

    function test_reverts_when_the_buyer_has_too_little() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order) - 1);
        bytes memory auth = _buyerAuth(order);
        bytes4 poor = bytes4(keccak256("ERC20InsufficientBalance(address,uint256,uint256)"));
        vm.expectRevert(abi.encodeWithSelector(poor, buyer, _deposit(order) - 1, _deposit(order)));
        escrow.fund(order, auth, "");
        _assertStatus(order, IEscrow.Status.None);
    }

    function test_reverts_when_the_buyer_is_denied_by_the_token() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        bytes memory auth = _buyerAuth(order);
        usdc.deny(buyer, true);
        vm.expectRevert(abi.encodeWithSelector(DenylistUSDC.Denied.selector, buyer));
        escrow.fund(order, auth, "");
        _assertStatus(order, IEscrow.Status.None);
    }

    function test_reverts_when_the_providers_signature_is_wrong() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        bytes memory auth = _buyerAuth(order);
        bytes memory sig = _sign(EVE_KEY, escrow.orderId(order));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, provider));
        escrow.fund(order, auth, sig);
    }

    function test_reverts_when_the_providers_signature_is_not_a_signature(bytes memory sig) public {
        vm.assume(sig.length != 0);
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        bytes memory auth = _buyerAuth(order);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, provider));
        escrow.fund(order, auth, sig);
    }

    function test_reverts_when_a_malleated_authorisation_is_used_to_fund_again() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        usdc.mint(buyer, _deposit(order));
        bytes32 id = escrow.orderId(order);
        bytes32 digest = _receiveDigest(address(usdc), buyer, address(escrow), _deposit(order), 0, order.fundBy, id);
        bytes memory auth = _signMalleated(BUYER_KEY, digest);
        vm.expectRevert(_badState(order, IEscrow.Status.Funded));
        escrow.fund(order, auth, "");
    }

    // hostile tokens

    function test_reverts_when_the_token_takes_a_fee_on_the_deposit() public {
        _refusesToken(HostileToken.Deposits.TakeAFee, -1);
    }

    function test_reverts_when_the_token_brings_nothing() public {
        _refusesToken(HostileToken.Deposits.BringNothing, -5_125_000);
    }

    function test_reverts_when_the_token_brings_too_much() public {
        _refusesToken(HostileToken.Deposits.BringTooMuch, 1);
    }

    function test_a_reentrant_token_cannot_fund_the_order_twice() public {
        HostileToken hostile = new HostileToken();
        escrow = _deployEscrow(address(hostile));
        IEscrow.Order memory order = _order();
        hostile.mint(buyer, 2 * _deposit(order));
        hostile.setReentry(address(escrow), abi.encodeCall(IEscrow.fund, (order, "", "")));
        escrow.fund(order, "", "");
        vm.assertTrue(!hostile.callSucceeded(), "reentered");
        vm.assertEq(hostile.balanceOf(address(escrow)), _deposit(order), "one deposit");
    }

    function test_reverts_when_deployed_for_a_token_that_is_not_there() public {
        vm.expectRevert(IEscrow.ZeroAddress.selector);
        _deployEscrow(address(0xdead));
    }

    function _refusesToken(HostileToken.Deposits how, int256 difference) private {
        HostileToken hostile = new HostileToken();
        escrow = _deployEscrow(address(hostile));
        IEscrow.Order memory order = _order();
        hostile.mint(buyer, _deposit(order));
        hostile.setDeposits(how);
        uint256 received = uint256(int256(_deposit(order)) + difference);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.DepositMismatch.selector, _deposit(order), received));
        escrow.fund(order, "", "");
        _assertStatus(order, IEscrow.Status.None);
    }

    /// @dev Funding `order` with a good signature and enough money answers `answer` and moves nothing.
    function _refused(IEscrow.Order memory order, bytes memory answer) private {
        if (order.buyer != address(0) && order.buyer != address(usdc)) usdc.mint(order.buyer, _deposit(order));
        bytes memory auth = _buyerAuth(order);
        uint256 held = usdc.balanceOf(address(escrow));
        vm.expectRevert(answer);
        escrow.fund(order, auth, "");
        vm.assertEq(usdc.balanceOf(address(escrow)), held, "nothing moved");
    }

    function _badWindow(uint32 secs) private pure returns (uint32) {
        return uint32(secs % 2 == 0 ? bound(secs, 0, 1 hours - 1) : bound(secs, 30 days + 1, type(uint32).max));
    }
}
