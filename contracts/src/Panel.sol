// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {EIP712} from "solady/utils/EIP712.sol";
import {ReentrancyGuardTransient} from "solady/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";
import {SignatureCheckerLib} from "solady/utils/SignatureCheckerLib.sol";

import {IArbitrated} from "./interfaces/IArbitrated.sol";
import {IEscrow} from "./interfaces/IEscrow.sol";
import {IPanel} from "./interfaces/IPanel.sol";

/// @title Panel
/// @notice k of n members decide orders of one escrow. Members never change: other members are another panel.
contract Panel is IPanel, EIP712, ReentrancyGuardTransient {
    /// @dev EIP-712 type of a member's vote, in the panel's own domain: a vote for one panel is none for another.
    bytes32 internal constant VOTE_TYPEHASH =
        keccak256("Vote(bytes32 orderId,uint8 role,uint96 pay,bytes32 evidence,uint40 validUntil)");
    /// @dev EIP-712 type of the validator's word, in the escrow's domain.
    bytes32 internal constant VERDICT_TYPEHASH =
        keccak256("Verdict(bytes32 orderId,uint96 pay,bytes32 evidence,uint40 validUntil)");
    /// @dev The escrow's EIP-712 domain.
    bytes32 internal constant ESCROW_NAME_HASH = keccak256("haggle Escrow");
    bytes32 internal constant ESCROW_VERSION_HASH = keccak256("1");

    /// @dev What a vote is for.
    uint8 internal constant ROLE_VALIDATOR = 0;
    uint8 internal constant ROLE_ARBITRATOR = 1;
    /// @dev Keeps the longest ruling far below what a transaction may cost.
    uint256 internal constant MAX_MEMBERS = 32;
    /// @dev What ERC-1271 answers for yes and for no.
    bytes4 internal constant MAGIC = 0x1626ba7e;
    bytes4 internal constant NO_MAGIC = 0xffffffff;

    /// @inheritdoc IPanel
    address public immutable override escrow;
    /// @inheritdoc IPanel
    address public immutable override token;
    /// @inheritdoc IPanel
    uint256 public immutable override threshold;
    /// @inheritdoc IPanel
    mapping(address account => bool) public override isMember;

    address[] private _members;
    mapping(address member => uint256 amount) private _paid;
    uint256 private _paidInAll;

    /// @param escrow_ the escrow, already deployed
    /// @param members_ ascending, each once
    /// @param threshold_ how many have to agree
    constructor(address escrow_, address[] memory members_, uint256 threshold_) {
        if (escrow_.code.length == 0) revert ZeroAddress();
        if (threshold_ == 0 || threshold_ > members_.length || members_.length > MAX_MEMBERS) {
            revert BadThreshold(threshold_, members_.length);
        }
        address last = address(0);
        for (uint256 i = 0; i < members_.length; i++) {
            address member = members_[i];
            if (member == address(0)) revert ZeroAddress();
            if (member <= last) revert NotAscending(member);
            isMember[member] = true;
            last = member;
        }
        _members = members_;
        escrow = escrow_;
        token = IArbitrated(escrow_).token();
        threshold = threshold_;
    }

    /// @inheritdoc IPanel
    function rule(IEscrow.Order calldata order, uint96 pay, uint40 validUntil, Ballot[] calldata ballots)
        external
        override
        nonReentrant
    {
        bytes32 id = IArbitrated(escrow).orderId(order);
        bytes32 evidence = IArbitrated(escrow).evidenceOf(id);
        _checkBallots(voteDigest(id, ROLE_ARBITRATOR, pay, evidence, validUntil), validUntil, ballots);
        emit Ruled(id, pay, evidence);

        IArbitrated(escrow).rule(order, pay);
    }

    /// @inheritdoc IPanel
    function payOut(address member) external override nonReentrant {
        uint256 amount = earned(member);
        if (amount == 0) revert NothingEarned(member);

        _paid[member] += amount;
        _paidInAll += amount;
        emit Paid(member, amount);

        SafeTransferLib.safeTransfer(token, member, amount);
    }

    /// @inheritdoc IPanel
    function isValidSignature(bytes32 hash, bytes calldata signature) external view override returns (bytes4 magic) {
        Verdict memory verdict = abi.decode(signature, (Verdict));
        if (hash != _verdictDigest(verdict)) return NO_MAGIC;
        (bytes32 id, uint96 pay, bytes32 evidence) = (verdict.orderId, verdict.pay, verdict.evidence);
        bytes32 digest = voteDigest(id, ROLE_VALIDATOR, pay, evidence, verdict.validUntil);
        _checkBallots(digest, verdict.validUntil, verdict.ballots);
        return MAGIC;
    }

    /// @inheritdoc IPanel
    function members() external view override returns (address[] memory all) {
        return _members;
    }

    /// @inheritdoc IPanel
    function earned(address member) public view override returns (uint256 amount) {
        if (!isMember[member]) revert NotMember(member);
        uint256 inAll = SafeTransferLib.balanceOf(token, address(this)) + _paidInAll;
        return inAll / _members.length - _paid[member];
    }

    /// @inheritdoc IPanel
    function voteDigest(bytes32 orderId, uint8 role, uint96 pay, bytes32 evidence, uint40 validUntil)
        public
        view
        override
        returns (bytes32 digest)
    {
        return _hashTypedData(keccak256(abi.encode(VOTE_TYPEHASH, orderId, role, pay, evidence, validUntil)));
    }

    /// @dev Enough members, each once because ascending, each with its own word for this digest.
    function _checkBallots(bytes32 digest, uint256 validUntil, Ballot[] memory ballots) private view {
        if (block.timestamp >= validUntil) revert VotesExpired(block.timestamp, validUntil);
        if (ballots.length < threshold) revert TooFewBallots(ballots.length, threshold);
        address last = address(0);
        for (uint256 i = 0; i < ballots.length; i++) {
            address member = ballots[i].member;
            if (member <= last) revert NotAscending(member);
            if (!isMember[member]) revert NotMember(member);
            if (!SignatureCheckerLib.isValidSignatureNow(member, digest, ballots[i].signature)) {
                revert BadBallot(member);
            }
            last = member;
        }
    }

    /// @dev The digest that the escrow asks its validator about.
    function _verdictDigest(Verdict memory verdict) private view returns (bytes32) {
        bytes32 domain =
            keccak256(abi.encode(_DOMAIN_TYPEHASH, ESCROW_NAME_HASH, ESCROW_VERSION_HASH, block.chainid, escrow));
        bytes32 content =
            keccak256(abi.encode(VERDICT_TYPEHASH, verdict.orderId, verdict.pay, verdict.evidence, verdict.validUntil));
        return keccak256(abi.encodePacked(hex"1901", domain, content));
    }

    /// @dev EIP-712 domain.
    function _domainNameAndVersion() internal pure override returns (string memory name, string memory version) {
        return ("haggle Panel", "1");
    }

    /// @dev Transient storage on every chain; the guard's default keeps to storage outside mainnet.
    function _useTransientReentrancyGuardOnlyOnMainnet() internal pure override returns (bool) {
        return false;
    }
}
