// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IPanel} from "../../src/interfaces/IPanel.sol";
import {Outcomes} from "../../src/types/Outcomes.sol";
import {WholeBase} from "../base/WholeBase.sol";
import {Delegate7702} from "../mocks/Delegate7702.sol";
import {Deployer} from "../mocks/Deployer.sol";
import {HostileWallet} from "../mocks/HostileWallet.sol";

/// @notice Parties whose accounts delegate to code (EIP-7702), before and after an order is funded.
/// @dev Real are the authorisation, signed with the account's key, the designator that it leaves as the account's code,
/// and Prague's rules for calling it. Forge writes the designator itself and does not raise the account's nonce.
/// forge-config: default.evm_version = "prague"
contract DelegatedTest is WholeBase {
    uint96 private constant BOND = 1_000_000;
    uint96 private constant STAKE = 2_000_000;

    function test_these_are_pragues_rules() public view {
        // the sum of two points at infinity on BLS12-381, which no earlier rules know
        (bool ok, bytes memory sum) = address(0x0b).staticcall(new bytes(256));
        vm.assertTrue(ok && sum.length == 128, "Prague");
    }

    function test_a_delegated_buyer_and_a_delegated_provider_trade(uint96 pay) public {
        _delegateBoth();
        IEscrow.Order memory order = _seriousOrder();
        pay = uint96(bound(pay, 0, order.amount));
        _bringTo(order, IEscrow.Status.Arbitrating);
        uint40 until = uint40(block.timestamp + 1);
        bytes memory buyerSig = _splitSig(BUYER_KEY, order, pay, until);
        escrow.split(order, pay, until, buyerSig, _splitSig(PROVIDER_KEY, order, pay, until));
        _assertOutcome(order, Outcomes.SPLIT);
        _assertDivided(order, pay, BOND, BOND);
    }

    function test_a_delegated_buyer_releases_alone_and_in_batches() public {
        _delegateBoth();
        IEscrow.Order memory order = _order();
        _fund(order);
        _release(order);
        order.salt++;
        _fundSigned(order);
        IEscrow.Settlement[] memory rows = new IEscrow.Settlement[](1);
        rows[0] = IEscrow.Settlement(order, _releaseSig(BUYER_KEY, order));
        escrow.releaseBatch(rows);
        _assertOutcome(order, Outcomes.RELEASED);
        order.salt++;
        usdc.mint(buyer, _deposit(order));
        IEscrow.Funding[] memory fundings = new IEscrow.Funding[](1);
        fundings[0] = IEscrow.Funding(order, _buyerAuth(order), _providerSig(order));
        escrow.fundBatch(fundings);
        _assertStatus(order, IEscrow.Status.Funded);
        escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        _assertMoney(_deposit(order), 2 * uint256(order.amount), 250_000, 250_000);
    }

    function test_a_delegated_buyer_disputes_without_a_bond_and_a_ruling_is_paid() public {
        _delegateBoth();
        IEscrow.Order memory order = _order();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _panelRules(order, 3_000_000);
        _assertDivided(order, 3_000_000, 0, 0);
    }

    function test_a_delegated_account_is_asked_by_its_code_and_its_code_alone() public {
        _delegate(BUYER_KEY, address(new Delegate7702()));
        IEscrow.Order memory order = _order();
        // the delegate does not know the short form, which the key alone would sign
        _fund(order);
        bytes memory sig = _signCompact(BUYER_KEY, _releaseDigest(address(escrow), escrow.orderId(order)));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
        escrow.release(order, sig);
        _release(order);
    }

    function test_reverts_when_the_delegate_of_a_buyer_cannot_sign() public {
        // code without isValidSignature: USDC asks it, and not the key
        _delegate(BUYER_KEY, address(new Deployer()));
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        bytes memory auth = _buyerAuth(order);
        vm.expectRevert(bytes("FiatTokenV2: invalid signature"));
        escrow.fund(order, auth, "");
        _assertStatus(order, IEscrow.Status.None);
        _assertMoney(_deposit(order), 0, 0, 0);

        IEscrow.Funding[] memory rows = new IEscrow.Funding[](1);
        rows[0] = IEscrow.Funding(order, auth, "");
        bytes32 id = escrow.orderId(order);
        vm.expectEmit(address(escrow));
        emit IEscrow.FundSkipped(id, 0x08c379a0);
        escrow.fundBatch(rows);
        _assertMoney(_deposit(order), 0, 0, 0);

        // once the account is its own again the same authorisation funds
        _delegate(BUYER_KEY, address(0));
        escrow.fund(order, auth, "");
        _assertMoney(0, 0, 0, _deposit(order));
    }

    function test_a_buyer_whose_code_denies_everything_is_not_frozen_out_by_the_clock(uint256 where) public {
        IEscrow.Order memory order = _seriousOrder();
        IEscrow.Status[4] memory stages =
            [IEscrow.Status.Funded, IEscrow.Status.Delivered, IEscrow.Status.Disputed, IEscrow.Status.Arbitrating];
        IEscrow.Status stage = stages[where % 4];
        _bringTo(order, stage);
        _denyAll(BUYER_KEY, buyer);
        bytes memory sig = _releaseSig(BUYER_KEY, order);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BadSignature.selector, buyer));
        escrow.release(order, sig);

        vm.warp(_windowEnd(order));
        escrow.finalize(order);
        _assertStatus(order, IEscrow.Status.Settled);
        uint256 pay = stage == IEscrow.Status.Delivered
            ? order.amount
            : stage == IEscrow.Status.Arbitrating ? uint256(order.amount) * order.silentBps / 10_000 : 0;
        bool counted = stage == IEscrow.Status.Arbitrating;
        _assertDivided(order, pay, counted || stage == IEscrow.Status.Disputed ? BOND : 0, counted ? BOND : 0);
        _assertStake(STAKE, 0, 0);
    }

    function test_a_buyer_whose_code_denies_everything_stops_nobody_elses_word() public {
        _fundThree();
        _denyAll(BUYER_KEY, buyer);
        IEscrow.Order memory order = _order();
        escrow.refund(order, _refundSig(PROVIDER_KEY, order));
        _assertOutcome(order, Outcomes.REFUNDED);
        order.salt++;
        IPanel.Ballot[] memory ballots = _ballots(3, _voteDigest(order, AS_VALIDATOR, order.amount, EVIDENCE, UNTIL));
        escrow.verdict(order, order.amount, EVIDENCE, UNTIL, _verdictOf(order, order.amount, UNTIL, ballots));
        _assertOutcome(order, Outcomes.VERDICT);
        // and its key takes the code away again
        order.salt++;
        _delegate(BUYER_KEY, address(0));
        _release(order);
        _assertOutcome(order, Outcomes.RELEASED);
    }

    function test_stake_rule_a_provider_whose_code_denies_everything_stays_bound_by_its_consent() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _denyAll(PROVIDER_KEY, provider);
        (,, bool consented,) = escrow.statusOf(order);
        vm.assertTrue(consented, "kept");
        _panelRules(order, 0);
        _assertDivided(order, 0, BOND + STAKE, 0);
        _assertStake(0, 0, 0);
    }

    function test_a_provider_whose_code_denies_everything_can_still_be_disputed() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Funded);
        _denyAll(PROVIDER_KEY, provider);
        _deliver(order);
        _dispute(order);
        usdc.mint(provider, BOND);
        bytes memory auth = _bondAuth(PROVIDER_KEY, order, PROVIDER_SIDE, EVIDENCE, _windowEnd(order));
        vm.expectRevert(bytes("FiatTokenV2: invalid signature"));
        escrow.counter(order, auth);
        vm.warp(_windowEnd(order));
        escrow.finalize(order);
        _assertDivided(order, 0, BOND, BOND);
        _assertStake(STAKE, 0, 0);
    }

    function test_a_member_of_a_panel_may_be_delegated() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _delegate(memberKeys[0], address(new Delegate7702()));
        _panelRules(order, 0);
        _assertOutcome(order, Outcomes.RULED);
    }

    function _delegateBoth() private {
        address code = address(new Delegate7702());
        _delegate(BUYER_KEY, code);
        _delegate(PROVIDER_KEY, code);
    }

    /// @dev Delegates an account to code that refuses every signature. Its storage, where the code is told so, is the
    /// account's own.
    function _denyAll(uint256 key, address account) private {
        _delegate(key, address(new HostileWallet()));
        HostileWallet(account).set(HostileWallet.Answers.Revert);
    }

    function _delegate(uint256 key, address code) private {
        vm.signAndAttachDelegation(code, key);
        // the transaction that carries the authorisation
        (bool sent,) = relayer.call("");
        vm.assertTrue(sent, "sent");
        bytes memory designator = code == address(0) ? bytes("") : abi.encodePacked(hex"ef0100", code);
        vm.assertEq(keccak256(vm.addr(key).code), keccak256(designator), "the account's code");
    }

    function _fundThree() private {
        IEscrow.Order memory order = _order();
        for (uint256 i = 0; i < 3; i++) {
            _fund(order);
            order.salt++;
        }
    }
}
