// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IChannel} from "../../src/interfaces/IChannel.sol";
import {IDepositCollector} from "../../src/interfaces/IDepositCollector.sol";
import {IPanel} from "../../src/interfaces/IPanel.sol";
import {Digests} from "../../src/libraries/Digests.sol";
import {ChannelBase} from "../base/ChannelBase.sol";

/// @notice Everything but orders that is signed for the contracts. The same file is checked from Rust, and was made by a
/// third implementation; orders, their releases and refunds are in orderId.t.sol.
contract VectorsTest is ChannelBase {
    string private constant FILE = "../docs/protocols/vectors/eip712-contracts.json";
    address private constant ESCROW = 0x7AdeD95d1666F5Dae65495CBc95B4CE397BFdA06;

    string private _json;
    uint256 private _contractsAsked;

    function setUp() public override {
        super.setUp();
        _json = vm.readFile(FILE);
        bytes memory args = abi.encode(usdc, address(0), address(0));
        vm.etch(ESCROW, vm.deployCode("out/Escrow.sol/Escrow.json", args).code);
    }

    function test_every_digest_is_ours_and_every_signature_is_over_it() public {
        address signer = vm.addr(uint256(vm.parseJsonBytes32(_json, ".key")));
        uint256 cases = 0;
        for (string memory path = _case(0); vm.keyExistsJson(_json, path); path = _case(++cases)) {
            vm.chainId(_uint(path, ".domain.chainId"));
            bytes32 expected = _word(path, ".digest");
            vm.assertEq(_digest(_domainOf(path), _structHash(path)), expected, path);
            bytes memory signature = vm.parseJsonBytes(_json, string.concat(path, ".signature"));
            (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
            vm.assertEq(ecrecover(expected, uint8(signature[64]), r, s), signer, path);
            _askTheContract(path, expected);
        }
        vm.assertEq(cases, 18, "all of them");
        vm.assertEq(_contractsAsked, 11, "and what a contract answers, it was asked");
    }

    function test_the_nonce_of_a_deposit_is_the_one_that_is_used_up() public {
        bytes32 id = _word(".depositNonce", ".channelId");
        uint256 salt = _uint(".depositNonce", ".salt");
        bytes32 nonce = _word(".depositNonce", ".nonce");
        bytes32 digest = _receiveDigest(address(usdc), payer, COLLECTOR, 5, 0, NOW + 1, nonce);
        usdc.mint(payer, 5);
        vm.prank(CHANNEL);
        bytes memory data = abi.encode(uint256(0), NOW + 1, salt, _sign(PAYER_KEY, digest));
        IDepositCollector(COLLECTOR).collect(payer, address(usdc), 5, id, data);
        vm.assertTrue(usdc.authorizationState(payer, nonce), "used up");
    }

    /// @dev The digests that a contract tells, or answers for.
    function _askTheContract(string memory path, bytes32 expected) private {
        address target = vm.parseJsonAddress(_json, string.concat(path, ".domain.verifyingContract"));
        bytes32 kind = keccak256(bytes(_text(path, ".type")));
        if (kind == keccak256("Verdict")) return _askThePanelForAVerdict(path, expected);
        bytes32 found;
        if (kind == keccak256("Vote")) {
            vm.etch(target, _panel().code);
            found = IPanel(target).voteDigest(_id(path), uint8(_role(path)), _pay(path), _evidence(path), _until(path));
        } else if (target != CHANNEL) {
            return;
        } else if (kind == keccak256("ChannelConfig")) {
            found = channel.getChannelId(_configOf(path));
        } else if (kind == keccak256("Voucher")) {
            found = channel.getVoucherDigest(_channelOf(path), uint128(_uint(path, ".message.maxClaimableAmount")));
        } else if (kind == keccak256("Refund")) {
            uint128 amount = uint128(_uint(path, ".message.amount"));
            found = channel.getRefundDigest(_channelOf(path), _uint(path, ".message.nonce"), amount);
        } else if (!vm.keyExistsJson(_json, string.concat(path, ".message.claims[0]"))) {
            found = channel.getClaimBatchDigest(new IChannel.VoucherClaim[](0));
        } else {
            // the channels of these ids are not in the file, and the contract makes its own
            return;
        }
        vm.assertEq(found, expected, path);
        _contractsAsked++;
    }

    /// @dev A panel counts votes only if the digest is the verdict's that is carried in the signature.
    function _askThePanelForAVerdict(string memory path, bytes32 expected) private {
        IPanel panel = IPanel(_panel());
        IPanel.Verdict memory verdict =
            IPanel.Verdict(_id(path), _pay(path), _evidence(path), _until(path), new IPanel.Ballot[](0));
        bytes32 no = bytes32(bytes4(0xffffffff));
        vm.assertEq(bytes32(panel.isValidSignature(~expected, abi.encode(verdict))), no, "another digest");
        vm.expectRevert(abi.encodeWithSelector(IPanel.TooFewBallots.selector, 0, 1));
        panel.isValidSignature(expected, abi.encode(verdict));
        _contractsAsked++;
    }

    function _panel() private returns (address) {
        address[] memory members = new address[](1);
        members[0] = payer;
        return vm.deployCode("out/Panel.sol/Panel.json", abi.encode(ESCROW, members, 1));
    }

    /// @dev What the contracts' own library and the tests' helpers make of the message.
    function _structHash(string memory path) private view returns (bytes32) {
        bytes32 kind = keccak256(bytes(_text(path, ".type")));
        if (kind == keccak256("Split")) return Digests.split(_id(path), _pay(path), _until(path));
        if (kind == keccak256("Verdict")) {
            return Digests.verdict(_id(path), _pay(path), _evidence(path), _until(path));
        }
        if (kind == keccak256("Bond")) {
            return Digests.bond(_id(path), uint8(_uint(path, ".message.side")), _evidence(path));
        }
        if (kind == keccak256("Feedback")) {
            int256 value = vm.parseJsonInt(_json, string.concat(path, ".message.value"));
            return Digests.feedback(_id(path), _uint(path, ".message.agentId"), int128(value));
        }
        if (kind == keccak256("Vote")) {
            bytes32 vote = keccak256("Vote(bytes32 orderId,uint8 role,uint96 pay,bytes32 evidence,uint40 validUntil)");
            return keccak256(abi.encode(vote, _id(path), _role(path), _pay(path), _evidence(path), _until(path)));
        }
        if (kind == keccak256("ClaimBatch")) return _batchHash(path);
        if (kind == keccak256("ChannelConfig")) {
            return keccak256(abi.encode(channel.CHANNEL_CONFIG_TYPEHASH(), _configOf(path)));
        }
        if (kind == keccak256("Voucher")) {
            bytes32 voucher = keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
            return keccak256(abi.encode(voucher, _channelOf(path), _uint(path, ".message.maxClaimableAmount")));
        }
        vm.assertEq(kind, keccak256("Refund"), "a type that is known");
        bytes32 refund = keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
        return
            keccak256(
                abi.encode(refund, _channelOf(path), _uint(path, ".message.nonce"), _uint(path, ".message.amount"))
            );
    }

    function _batchHash(string memory path) private view returns (bytes32) {
        string memory entry = "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)";
        bytes memory entries;
        for (uint256 i = 0;; i++) {
            string memory row = string.concat(path, ".message.claims[", vm.toString(i), "]");
            if (!vm.keyExistsJson(_json, row)) break;
            (uint256 max, uint256 total) = (_uint(row, ".maxClaimableAmount"), _uint(row, ".totalClaimed"));
            bytes32 hash = keccak256(abi.encode(keccak256(bytes(entry)), _word(row, ".channelId"), max, total));
            entries = bytes.concat(entries, hash);
        }
        bytes32 batch = keccak256(bytes(string.concat("ClaimBatch(ClaimEntry[] claims)", entry)));
        return keccak256(abi.encode(batch, keccak256(entries)));
    }

    function _configOf(string memory path) private view returns (IChannel.ChannelConfig memory config) {
        path = string.concat(path, ".message");
        config.payer = vm.parseJsonAddress(_json, string.concat(path, ".payer"));
        config.payerAuthorizer = vm.parseJsonAddress(_json, string.concat(path, ".payerAuthorizer"));
        config.receiver = vm.parseJsonAddress(_json, string.concat(path, ".receiver"));
        config.receiverAuthorizer = vm.parseJsonAddress(_json, string.concat(path, ".receiverAuthorizer"));
        config.token = vm.parseJsonAddress(_json, string.concat(path, ".token"));
        config.withdrawDelay = uint40(_uint(path, ".withdrawDelay"));
        config.salt = _word(path, ".salt");
    }

    function _domainOf(string memory path) private view returns (bytes32) {
        address target = vm.parseJsonAddress(_json, string.concat(path, ".domain.verifyingContract"));
        return _domain(_text(path, ".domain.name"), _text(path, ".domain.version"), target);
    }

    function _id(string memory path) private view returns (bytes32) {
        return _word(path, ".message.orderId");
    }

    function _channelOf(string memory path) private view returns (bytes32) {
        return _word(path, ".message.channelId");
    }

    function _pay(string memory path) private view returns (uint96) {
        return uint96(_uint(path, ".message.pay"));
    }

    function _evidence(string memory path) private view returns (bytes32) {
        return _word(path, ".message.evidence");
    }

    function _until(string memory path) private view returns (uint40) {
        return uint40(_uint(path, ".message.validUntil"));
    }

    function _role(string memory path) private view returns (uint256) {
        return _uint(path, ".message.role");
    }

    function _text(string memory path, string memory field) private view returns (string memory) {
        return vm.parseJsonString(_json, string.concat(path, field));
    }

    function _uint(string memory path, string memory field) private view returns (uint256) {
        return vm.parseJsonUint(_json, string.concat(path, field));
    }

    function _word(string memory path, string memory field) private view returns (bytes32) {
        return vm.parseJsonBytes32(_json, string.concat(path, field));
    }

    function _case(uint256 index) private pure returns (string memory) {
        return string.concat(".cases[", vm.toString(index), "]");
    }
}
