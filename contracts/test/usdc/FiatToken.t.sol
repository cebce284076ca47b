// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {Outcomes} from "../../src/types/Outcomes.sol";
import {RealUsdcBase} from "../base/RealUsdcBase.sol";
import {Wallet1271} from "../mocks/Wallet1271.sol";

/// @notice The escrow on the bytecode that USDC runs, and everything USDC can do to it.
contract FiatTokenTest is RealUsdcBase {
    function test_an_order_is_funded_and_released() public {
        IEscrow.Order memory order = _order();
        bytes32 id = _fund(order);
        vm.assertTrue(fiat.authorizationState(buyer, id), "the order id is the nonce of the payment");
        _release(order);
        _assertMoney(0, 5_000_000, 125_000, 125_000);
        escrow.withdraw(sink);
        vm.assertEq(usdc.balanceOf(sink), 125_000, "fee");
    }

    function test_a_dispute_runs_its_course() public {
        IEscrow.Order memory order = _seriousOrder();
        _bringTo(order, IEscrow.Status.Arbitrating);
        _rule(order, 1_000_000);
        _assertMoney(4_100_000 + 1_000_000 + 2_000_000, 1_000_000, 25_000, 25_000);
        vm.assertEq(usdc.balanceOf(arbitrator), 1_000_000, "arbitrator");
    }

    function test_many_orders_are_funded_and_released_at_once() public {
        IEscrow.Funding[] memory fundings = new IEscrow.Funding[](5);
        IEscrow.Settlement[] memory releases = new IEscrow.Settlement[](5);
        for (uint256 i = 0; i < 5; i++) {
            IEscrow.Order memory order = _order();
            order.salt = i;
            usdc.mint(buyer, _deposit(order));
            fundings[i] = IEscrow.Funding(order, _buyerAuth(i == 3 ? EVE_KEY : BUYER_KEY, order), _providerSig(order));
            releases[i] = IEscrow.Settlement(order, _releaseSig(BUYER_KEY, order));
        }
        bytes32 id = escrow.orderId(fundings[3].order);
        vm.expectEmit(address(escrow));
        // a require with a text, as USDC has them
        emit IEscrow.FundSkipped(id, 0x08c379a0);
        escrow.fundBatch(fundings);
        escrow.releaseBatch(releases);
        _assertMoney(5_125_000, 20_000_000, 500_000, 500_000);
    }

    function test_contract_wallets_buy_and_provide() public {
        IEscrow.Order memory order = _order();
        order.buyer = address(new Wallet1271(buyer));
        order.provider = address(new Wallet1271(provider));
        _fundSigned(order);
        _release(order);
        vm.assertEq(usdc.balanceOf(order.provider), 5_000_000, "paid");
    }

    function test_reverts_when_usdc_is_paused() public {
        IEscrow.Order memory order = _order();
        fiat.pause();
        vm.expectRevert(bytes("Pausable: paused"));
        usdc.mint(buyer, 1);
        fiat.unpause();
        usdc.mint(buyer, _deposit(order));
        fiat.pause();
        bytes memory auth = _buyerAuth(order);
        vm.expectRevert(bytes("Pausable: paused"));
        escrow.fund(order, auth, "");
    }

    function test_a_paused_usdc_holds_up_no_settlement() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        fiat.pause();
        _release(order);
        vm.assertEq(escrow.owed(provider), 5_000_000, "owed");
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        escrow.withdraw(provider);
        fiat.unpause();
        escrow.withdraw(provider);
        _assertMoney(0, 5_000_000, 125_000, 125_000);
    }

    function test_a_denied_party_holds_up_nobody() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        fiat.blacklist(buyer);
        uint40 until = uint40(NOW + 1);
        escrow.verdict(order, 3_000_000, EVIDENCE, until, _verdictSig(VALIDATOR_KEY, order, 3_000_000, EVIDENCE, until));
        vm.assertEq(usdc.balanceOf(provider), 3_000_000, "the provider is paid");
        vm.assertEq(escrow.owed(buyer), 2_050_000, "the buyer is owed");
        vm.expectRevert(bytes4(keccak256("TransferFailed()")));
        escrow.withdraw(buyer);
        fiat.unBlacklist(buyer);
        escrow.withdraw(buyer);
        vm.assertEq(usdc.balanceOf(buyer), 2_050_000, "and paid later");
    }

    function test_a_denied_escrow_settles_and_pays_later() public {
        IEscrow.Order memory order = _order();
        _fund(order);
        fiat.blacklist(address(escrow));
        _release(order);
        vm.assertEq(escrow.owed(provider), 5_000_000, "owed");
        fiat.unBlacklist(address(escrow));
        escrow.withdraw(provider);
        vm.assertEq(usdc.balanceOf(provider), 5_000_000, "paid");
    }

    function test_reverts_when_the_buyer_is_denied() public {
        IEscrow.Order memory order = _order();
        fiat.blacklist(eve);
        order.buyer = eve;
        _fundFails(order, _buyerAuth(EVE_KEY, order), "Blacklistable: account is blacklisted");
    }

    function test_reverts_when_the_nonce_was_used_elsewhere() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, 1);
        bytes32 id = escrow.orderId(order);
        bytes32 digest = _transferDigest(address(usdc), buyer, provider, 1, 0, NOW + 1, id);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(BUYER_KEY, digest);
        fiat.transferWithAuthorization(buyer, provider, 1, 0, NOW + 1, id, v, r, s);
        _fundFails(order, _buyerAuth(order), "FiatTokenV2: authorization is used or canceled");
    }

    function test_reverts_when_the_nonce_was_cancelled() public {
        IEscrow.Order memory order = _order();
        bytes32 id = escrow.orderId(order);
        fiat.cancelAuthorization(buyer, id, _sign(BUYER_KEY, _cancelDigest(address(usdc), buyer, id)));
        _fundFails(order, _buyerAuth(order), "FiatTokenV2: authorization is used or canceled");
    }

    function test_reverts_when_the_authorisation_is_expired() public {
        IEscrow.Order memory order = _order();
        usdc.mint(buyer, _deposit(order));
        bytes32 id = escrow.orderId(order);
        bytes memory auth = _buyerAuth(order);
        vm.warp(order.fundBy);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.TooLate.selector, order.fundBy, order.fundBy));
        escrow.fund(order, auth, "");
        // and USDC draws the line at the same second
        vm.expectRevert(bytes("FiatTokenV2: authorization is expired"));
        vm.prank(address(escrow));
        fiat.receiveWithAuthorization(buyer, address(escrow), _deposit(order), 0, order.fundBy, id, auth);
    }

    function test_reverts_when_anybody_submits_the_payment_to_usdc_directly(address caller) public {
        vm.assume(caller != address(escrow) && caller != address(0xad));
        IEscrow.Order memory order = _order();
        bytes32 id = escrow.orderId(order);
        bytes memory auth = _buyerAuth(order);
        vm.expectRevert(bytes("FiatTokenV2: caller must be the payee"));
        vm.prank(caller);
        fiat.receiveWithAuthorization(buyer, address(escrow), _deposit(order), 0, order.fundBy, id, auth);
    }

    function test_reverts_when_the_payment_is_signed_in_another_form() public {
        IEscrow.Order memory order = _order();
        bytes32 id = escrow.orderId(order);
        bytes32 digest = _receiveDigest(address(usdc), buyer, address(escrow), _deposit(order), 0, order.fundBy, id);
        _fundFails(order, _signMalleated(BUYER_KEY, digest), "ECRecover: invalid signature 's' value");
        _fundFails(order, _signCompact(BUYER_KEY, digest), "ECRecover: invalid signature length");
    }

    function _fundFails(IEscrow.Order memory order, bytes memory auth, string memory answer) private {
        if (order.buyer == buyer) usdc.mint(buyer, _deposit(order));
        vm.expectRevert(bytes(answer));
        escrow.fund(order, auth, "");
        _assertStatus(order, IEscrow.Status.None);
    }
}
