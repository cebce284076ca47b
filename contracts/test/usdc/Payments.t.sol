// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {WholeBase} from "../base/WholeBase.sol";
import {Deployer} from "../mocks/Deployer.sol";

/// @notice Every way money comes in, and everything USDC can say against it: the six entries, each refused for the same
/// reasons, and each good once the reason is gone.
contract PaymentsTest is WholeBase {
    enum Entry {
        Fund,
        FundBatch,
        Dispute,
        Counter,
        StakeDeposit,
        ChannelDeposit
    }

    /// @dev What the payer signs, and with which key.
    struct Payment {
        uint256 key;
        address payer;
        address payee;
        uint256 value;
        uint256 validBefore;
        bytes32 nonce;
    }

    string private constant USED = "FiatTokenV2: authorization is used or canceled";
    string private constant DENIED = "Blacklistable: account is blacklisted";
    uint256 private constant SALT = 7;

    IChannel private channel;
    address private collector;
    IEscrow.Order private _stored;

    function setUp() public override {
        super.setUp();
        Deployer deployer = new Deployer();
        collector = deployer.addressAt(2);
        channel = IChannel(deployer.deploy(_code("out/Channel.sol/Channel.json", abi.encode(usdc, collector))));
        deployer.deploy(_code("out/Erc3009Collector.sol/Erc3009Collector.json", abi.encode(channel)));
        _stored = _seriousOrder();
    }

    function test_every_payment_is_taken_once(uint256 which) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        bytes memory auth = _auth(payment);
        uint256 had = usdc.balanceOf(payment.payer);
        _taken(entry, auth);
        vm.assertEq(usdc.balanceOf(payment.payer), had - payment.value, "the payer's");
        vm.assertTrue(fiat.authorizationState(payment.payer, payment.nonce), "used up");
        if (entry == Entry.StakeDeposit || entry == Entry.ChannelDeposit) _refused(entry, payment, auth, USED);
    }

    function test_reverts_when_usdc_is_paused(uint256 which) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        bytes memory auth = _auth(payment);
        fiat.pause();
        _refused(entry, payment, auth, "Pausable: paused");
        fiat.unpause();
        _taken(entry, auth);
    }

    function test_reverts_when_the_payer_is_denied(uint256 which) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        bytes memory auth = _auth(payment);
        fiat.blacklist(payment.payer);
        _refused(entry, payment, auth, DENIED);
        fiat.unBlacklist(payment.payer);
        _taken(entry, auth);
    }

    function test_reverts_when_the_contract_that_is_paid_is_denied(uint256 which) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        bytes memory auth = _auth(payment);
        fiat.blacklist(payment.payee);
        _refused(entry, payment, auth, DENIED);
        fiat.unBlacklist(payment.payee);
        _taken(entry, auth);
    }

    function test_reverts_when_the_channel_contract_is_denied_behind_its_collector() public {
        Payment memory payment = _prepare(Entry.ChannelDeposit);
        bytes memory auth = _auth(payment);
        fiat.blacklist(address(channel));
        (bool ok, bytes memory answer) = _submit(Entry.ChannelDeposit, auth);
        vm.assertTrue(!ok, "refused");
        vm.assertEq(keccak256(answer), keccak256(abi.encodeWithSignature("TransferFailed()")), "by the second transfer");
        fiat.unBlacklist(address(channel));
        _taken(Entry.ChannelDeposit, auth);
    }

    function test_reverts_when_the_nonce_was_used_elsewhere(uint256 which) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        usdc.mint(payment.payer, 1);
        bytes32 digest = _transferDigest(address(usdc), payment.payer, sink, 1, 0, NOW + 1, payment.nonce);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(payment.key, digest);
        fiat.transferWithAuthorization(payment.payer, sink, 1, 0, NOW + 1, payment.nonce, v, r, s);
        _refused(entry, payment, _auth(payment), USED);
    }

    function test_reverts_when_the_nonce_was_cancelled(uint256 which) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        bytes memory cancel = _sign(payment.key, _cancelDigest(address(usdc), payment.payer, payment.nonce));
        fiat.cancelAuthorization(payment.payer, payment.nonce, cancel);
        _refused(entry, payment, _auth(payment), USED);
    }

    function test_reverts_when_the_authorisation_is_expired(uint256 which, uint32 late) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        bytes memory auth = _auth(payment);
        vm.warp(payment.validBefore + late);
        if (entry == Entry.StakeDeposit || entry == Entry.ChannelDeposit) {
            _refused(entry, payment, auth, "FiatTokenV2: authorization is expired");
        } else {
            bytes memory tooLate =
                abi.encodeWithSelector(IEscrow.TooLate.selector, payment.validBefore + late, payment.validBefore);
            _refusedWith(entry, payment, auth, tooLate);
        }
        // an order's windows end at the same second as the authorisation, and USDC says so too
        vm.expectRevert(bytes("FiatTokenV2: authorization is expired"));
        vm.prank(payment.payee);
        fiat.receiveWithAuthorization(
            payment.payer, payment.payee, payment.value, 0, payment.validBefore, payment.nonce, auth
        );
    }

    function test_the_last_second_of_an_authorisation_counts(uint256 which) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        bytes memory auth = _auth(payment);
        vm.warp(payment.validBefore - 1);
        _taken(entry, auth);
    }

    function test_reverts_when_somebody_else_signed(uint256 which, uint256 key) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        payment.key = bound(key, 1, type(uint128).max);
        _refused(entry, payment, _auth(payment), "FiatTokenV2: invalid signature");
    }

    function test_reverts_when_anything_but_what_is_due_was_signed(uint256 which, uint256 what) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        bytes memory good = _auth(payment);
        if (what % 4 == 0) payment.payee = eve;
        if (what % 4 == 1) payment.value += 1;
        if (what % 4 == 2) payment.validBefore += 1;
        if (what % 4 == 3) payment.nonce = ~payment.nonce;
        _refused(entry, payment, _auth(payment), "FiatTokenV2: invalid signature");
        _taken(entry, good);
    }

    function test_reverts_when_the_payer_has_too_little(uint256 which) public {
        Entry entry = Entry(which % 6);
        Payment memory payment = _prepare(entry);
        vm.prank(payment.payer);
        usdc.transfer(sink, 1);
        _refused(entry, payment, _auth(payment), "ERC20: transfer amount exceeds balance");
    }

    /// @dev Brings everything to where the payment is due, and gives the payer exactly that much.
    function _prepare(Entry entry) private returns (Payment memory payment) {
        IEscrow.Order memory order = _stored;
        (payment.key, payment.payer, payment.payee) = (BUYER_KEY, buyer, address(escrow));
        payment.value = order.bond;
        if (entry == Entry.Fund || entry == Entry.FundBatch) {
            _stake(provider, order.stake);
            payment.value = _deposit(order);
            (payment.validBefore, payment.nonce) = (order.fundBy, escrow.orderId(order));
        } else if (entry == Entry.Dispute) {
            _bringTo(order, IEscrow.Status.Delivered);
            payment.validBefore = _windowEnd(order);
            payment.nonce = _bondDigest(address(escrow), escrow.orderId(order), BUYER_SIDE, EVIDENCE);
        } else if (entry == Entry.Counter) {
            _bringTo(order, IEscrow.Status.Disputed);
            (payment.key, payment.payer) = (PROVIDER_KEY, provider);
            payment.validBefore = _windowEnd(order);
            payment.nonce = _bondDigest(address(escrow), escrow.orderId(order), PROVIDER_SIDE, EVIDENCE);
        } else if (entry == Entry.StakeDeposit) {
            (payment.key, payment.payer, payment.payee) = (PROVIDER_KEY, provider, address(providerStake));
            (payment.value, payment.validBefore, payment.nonce) = (order.stake, NOW + 1 days, keccak256("any"));
        } else {
            (payment.payee, payment.validBefore) = (collector, NOW + 1 days);
            payment.nonce = keccak256(abi.encode(channel.getChannelId(_config()), SALT));
        }
        usdc.mint(payment.payer, payment.value);
    }

    function _auth(Payment memory payment) private view returns (bytes memory) {
        bytes32 digest = _receiveDigest(
            address(usdc), payment.payer, payment.payee, payment.value, 0, payment.validBefore, payment.nonce
        );
        return _sign(payment.key, digest);
    }

    function _submit(Entry entry, bytes memory auth) private returns (bool ok, bytes memory answer) {
        IEscrow.Order memory order = _stored;
        address target = address(escrow);
        bytes memory call;
        if (entry == Entry.Fund) {
            call = abi.encodeCall(IEscrow.fund, (order, auth, _providerSig(order)));
        } else if (entry == Entry.FundBatch) {
            IEscrow.Funding[] memory rows = new IEscrow.Funding[](1);
            rows[0] = IEscrow.Funding(order, auth, _providerSig(order));
            call = abi.encodeCall(IEscrow.fundBatch, (rows));
        } else if (entry == Entry.Dispute) {
            call = abi.encodeCall(IEscrow.dispute, (order, EVIDENCE, auth));
        } else if (entry == Entry.Counter) {
            call = abi.encodeCall(IEscrow.counter, (order, auth));
        } else if (entry == Entry.StakeDeposit) {
            target = address(providerStake);
            call = abi.encodeCall(providerStake.deposit, (provider, order.stake, NOW + 1 days, keccak256("any"), auth));
        } else {
            target = address(channel);
            bytes memory data = abi.encode(uint256(0), NOW + 1 days, SALT, auth);
            call = abi.encodeCall(IChannel.deposit, (_config(), uint128(order.bond), collector, data));
        }
        vm.prank(relayer);
        return target.call(call);
    }

    function _taken(Entry entry, bytes memory auth) private {
        (bool ok,) = _submit(entry, auth);
        vm.assertTrue(ok && _went(entry), "taken");
    }

    function _refused(Entry entry, Payment memory payment, bytes memory auth, string memory reason) private {
        _refusedWith(entry, payment, auth, abi.encodeWithSignature("Error(string)", reason));
    }

    /// @dev The call reverts with this answer, or the row is skipped with its selector; and nothing has moved.
    function _refusedWith(Entry entry, Payment memory payment, bytes memory auth, bytes memory answer) private {
        uint256 had = usdc.balanceOf(payment.payer);
        uint256 held = usdc.balanceOf(payment.payee);
        bytes32 id = escrow.orderId(_stored);
        bool went = _went(entry);
        if (entry == Entry.FundBatch) {
            vm.expectEmit(address(escrow));
            emit IEscrow.FundSkipped(id, bytes4(answer));
        }
        (bool ok, bytes memory said) = _submit(entry, auth);
        if (entry == Entry.FundBatch) vm.assertTrue(ok, "the batch goes on");
        else vm.assertTrue(!ok && keccak256(_tidied(said)) == keccak256(answer), "refused for another reason");
        vm.assertTrue(_went(entry) == went, "and nothing came of it");
        vm.assertEq(usdc.balanceOf(payment.payer), had, "the payer's");
        vm.assertEq(usdc.balanceOf(payment.payee), held, "the payee's");
    }

    /// @dev An answer as our compiler encodes it: USDC's encodes some texts with more behind them.
    function _tidied(bytes memory answer) private pure returns (bytes memory) {
        if (bytes4(answer) != 0x08c379a0) return answer;
        bytes memory content = new bytes(answer.length - 4);
        for (uint256 i = 0; i < content.length; i++) {
            content[i] = answer[i + 4];
        }
        return abi.encodeWithSignature("Error(string)", abi.decode(content, (string)));
    }

    /// @dev Whether what the payment is for has happened.
    function _went(Entry entry) private view returns (bool) {
        IEscrow.Status status = _status(_stored);
        if (entry == Entry.StakeDeposit) return providerStake.available(provider) == _stored.stake;
        if (entry == Entry.ChannelDeposit) {
            (uint128 balance,) = channel.channels(channel.getChannelId(_config()));
            return balance == _stored.bond;
        }
        if (entry == Entry.Dispute) return status == IEscrow.Status.Disputed;
        if (entry == Entry.Counter) return status == IEscrow.Status.Arbitrating;
        return status == IEscrow.Status.Funded;
    }

    function _config() private view returns (IChannel.ChannelConfig memory config) {
        (config.payer, config.receiver, config.receiverAuthorizer) = (buyer, provider, provider);
        (config.token, config.withdrawDelay) = (address(usdc), 1 days);
    }
}
