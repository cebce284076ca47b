// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "./IEscrow.sol";

/// @title Several members who decide together, as the validator or the arbitrator of orders
/// @notice Members sign votes off chain; as soon as enough of them agree on one payment anybody can send it. As the
/// arbitrator the panel calls the escrow; as the validator it answers the escrow's question for its signature (ERC-1271).
/// @dev Warning: not audited.
/// @dev Warning: enough members together decide about all of an order's amount, and nobody can take that back.
interface IPanel {
    /// @notice A member's signature over `Vote(bytes32 orderId,uint8 role,uint96 pay,bytes32 evidence,uint40 validUntil)`.
    struct Ballot {
        address member;
        bytes signature;
    }

    /// @notice What an ERC-1271 signature of the panel is, ABI-encoded.
    struct Verdict {
        bytes32 orderId;
        uint96 pay;
        bytes32 evidence;
        uint40 validUntil;
        Ballot[] ballots;
    }

    /// @notice Enough members ruled that the provider of order `orderId` gets `pay`.
    event Ruled(bytes32 indexed orderId, uint256 pay, bytes32 evidence);
    /// @notice `member` got its `amount` of what the panel earned.
    event Paid(address indexed member, uint256 amount);

    /// @notice The escrow is not deployed, or a member is zero.
    error ZeroAddress();
    /// @notice Members have to be given in ascending order, each once.
    error NotAscending(address member);
    /// @notice There have to be 1 to 32 members, and at least one and at most all of them have to agree.
    error BadThreshold(uint256 threshold, uint256 members);
    /// @notice `account` is no member.
    error NotMember(address account);
    /// @notice The ballot is not `member`'s word for this.
    error BadBallot(address member);
    /// @notice Too few members agree.
    error TooFewBallots(uint256 count, uint256 threshold);
    /// @notice The votes were good strictly before `validUntil`.
    error VotesExpired(uint256 time, uint256 validUntil);
    /// @notice `member` has had everything it has earned.
    error NothingEarned(address member);

    /// @notice Rules on a disputed order that names this panel as its arbitrator. Anybody may send it.
    /// @param order the agreement
    /// @param pay base units of `amount` for the provider
    /// @param validUntil Unix seconds; the votes are good strictly before this
    /// @param ballots enough votes in the arbitrator's role, over the evidence of the dispute, members ascending
    function rule(IEscrow.Order calldata order, uint96 pay, uint40 validUntil, Ballot[] calldata ballots) external;

    /// @notice ERC-1271: whether enough members voted, in the validator's role, for the escrow's verdict with this digest.
    /// @param hash the EIP-712 digest of the escrow's `Verdict`
    /// @param signature a `Verdict`, ABI-encoded, whose digest is `hash`
    /// @return magic 0x1626ba7e if they did; anything else, or a failed call, if not
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4 magic);

    /// @notice Sends `member` its equal part of what the panel earned, which are the bonds of losing parties.
    function payOut(address member) external;

    /// @notice What a member signs.
    /// @param role 0 for a verdict as the validator, 1 for a ruling as the arbitrator
    function voteDigest(bytes32 orderId, uint8 role, uint96 pay, bytes32 evidence, uint40 validUntil)
        external
        view
        returns (bytes32 digest);

    /// @notice What `payOut` would send `member` now.
    function earned(address member) external view returns (uint256 amount);

    /// @notice Everybody who may vote, ascending.
    function members() external view returns (address[] memory all);

    /// @notice Whether `account` may vote.
    function isMember(address account) external view returns (bool);

    /// @notice How many have to agree.
    function threshold() external view returns (uint256);

    /// @notice The one escrow whose orders the panel decides.
    function escrow() external view returns (address);

    /// @notice The token that the panel earns in: the escrow's.
    function token() external view returns (address);
}
