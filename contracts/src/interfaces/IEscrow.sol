// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title Money held between a buyer and a provider until the order they both know is settled
/// @notice The whole agreement is one struct, `Order`. Its EIP-712 digest is the order's id, and the same digest is the
/// nonce of the buyer's EIP-3009 payment: one buyer signature is both the payment and the agreement to every field.
/// @dev Warning: not audited.
/// @dev Warning: there are no disputes yet. A provider that posts `deliver` without having delivered is paid once the
/// review window is over, unless it refunds. A buyer that does not trust a provider that far must not fund.
/// @dev Warning: the buyer must never sign a `TransferWithAuthorization` to this contract. Anybody can submit that one
/// straight to the token, and the money would lie here without belonging to any order, out of everybody's reach.
/// @dev Warning: tokens sent here by a plain `transfer` cannot be returned.
interface IEscrow {
    /// @notice The whole agreement. The order id is its EIP-712 digest under this contract's domain.
    /// @param buyer pays; alone it can only release everything
    /// @param provider works; alone it can only refund everything
    /// @param validator may later decide the payment by signature; zero if the order has none
    /// @param arbitrator may later decide a dispute; zero if the order has none; may be the validator
    /// @param feeTo receives the fee; zero only if `feeBps` is zero
    /// @param amount base units the provider's work is priced at, above zero
    /// @param bond base units each side puts up in a dispute; zero until disputes exist
    /// @param stake base units of the provider's stake locked behind the order; zero until staking exists
    /// @param feeBps fee in hundredths of a percent of what the provider is paid, at most 1000
    /// @param silentBps part of `amount`, of 10000, the provider gets if a called arbitrator stays silent
    /// @param flags bit 0: the fee comes on top of `amount`; bit 1: an order never delivered pays the provider
    /// @param fundBy Unix seconds; the order can be funded strictly before this
    /// @param deliverBy Unix seconds; delivery can be posted strictly before this, timeout from it on
    /// @param reviewSecs seconds the buyer has after a posted delivery
    /// @param counterSecs seconds the provider has to answer a dispute
    /// @param ruleSecs seconds the arbitrator has to rule
    /// @param terms hash of the terms both sides signed
    /// @param salt makes two otherwise equal orders different
    struct Order {
        address buyer;
        address provider;
        address validator;
        address arbitrator;
        address feeTo;
        uint96 amount;
        uint96 bond;
        uint96 stake;
        uint16 feeBps;
        uint16 silentBps;
        uint8 flags;
        uint40 fundBy;
        uint40 deliverBy;
        uint32 reviewSecs;
        uint32 counterSecs;
        uint32 ruleSecs;
        bytes32 terms;
        uint256 salt;
    }

    /// @notice Where an order stands. It only ever moves down this list.
    enum Status {
        None,
        Funded,
        Delivered,
        Settled
    }

    /// @notice The buyer's money for order `id` is here.
    event Funded(bytes32 indexed id, address indexed buyer, address indexed provider, uint256 amount, bytes32 terms);

    /// @notice The provider says it delivered; from `reviewEnds` (Unix seconds) on anybody can have it paid.
    event Delivered(bytes32 indexed id, bytes32 deliverable, uint40 reviewEnds);

    /// @notice Order `id` is over: `paid` to the provider, `fee` owed to the fee recipient, `refunded` to the buyer.
    /// @dev `paid + fee + refunded` is the whole deposit. `outcome` is one of the codes in `Outcomes`. `evidence` is
    /// zero for every outcome that exists today.
    event Settled(
        bytes32 indexed id,
        address indexed buyer,
        address indexed provider,
        uint256 paid,
        uint256 fee,
        uint256 refunded,
        uint8 outcome,
        bytes32 evidence
    );

    /// @notice A transfer to `account` failed, so `amount` waits here for `withdraw`.
    /// @dev Fees also wait here, but say so in `Settled` and not here.
    event Credited(address indexed account, uint256 amount);

    /// @notice `amount` that waited for `account` was sent to it.
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice The order's status does not allow the call.
    error BadState(bytes32 id, Status status);
    /// @notice The signature is not `signer`'s over what it has to be over.
    error BadSignature(address signer);
    /// @notice Only the order's provider may make this call.
    error NotParty(address caller);
    /// @notice The window opens at `from`.
    error TooEarly(uint256 time, uint256 from);
    /// @notice The window ended at `end`.
    error TooLate(uint256 time, uint256 end);
    /// @notice The order's fee is above the cap.
    error FeeTooHigh(uint256 feeBps, uint256 maxFeeBps);
    /// @notice A settlement asked for more than the order's amount.
    error PayTooHigh(uint256 pay, uint256 amount);
    /// @notice A party that has to be named is the zero address.
    error ZeroAddress();
    /// @notice Two roles that have to be different are both `account`.
    error SameParty(address account);
    /// @notice The escrow or the token itself is named as a party.
    error ReservedAddress(address account);
    /// @notice The order is for nothing.
    error ZeroAmount();
    /// @notice The part paid when the arbitrator stays silent is above the whole.
    error SilentTooHigh(uint256 silentBps, uint256 maxBps);
    /// @notice The order has flags this contract does not know.
    error UnknownFlags(uint8 flags);
    /// @notice The bond is above the amount.
    error BondTooHigh(uint256 bond, uint256 amount);
    /// @notice Stakes and bonds do not exist in this contract: both have to be zero.
    error StakeOrBondUnsupported(uint256 stake, uint256 bond);
    /// @notice `deliverBy` has to come after `fundBy`, by 365 days at most.
    error BadDeadlines(uint256 fundBy, uint256 deliverBy);
    /// @notice A review, counter or ruling window is shorter than one hour or longer than thirty days.
    error BadWindow(uint256 secs, uint256 minSecs, uint256 maxSecs);
    /// @notice The token did not bring exactly the deposit.
    error DepositMismatch(uint256 expected, uint256 received);
    /// @notice A transfer failed with so little gas that the gas may have been the reason.
    error TransferGasTooLow(uint256 available, uint256 needed);
    /// @notice Nothing waits for `account`.
    error NothingOwed(address account);

    /// @notice Takes the buyer's deposit and opens the order. Anybody may send it and pay the gas.
    /// @dev The deposit is `amount`, plus the fee on it if the order's first flag is set.
    /// @dev Warning: an empty `providerSig` is accepted. The order then works in every way, but does not prove that the
    /// provider agreed to it.
    /// @param order the agreement
    /// @param buyerAuth the buyer's signature over the token's `ReceiveWithAuthorization(from = buyer, to = this escrow,
    /// value = deposit, validAfter = 0, validBefore = fundBy, nonce = order id)`
    /// @param providerSig the provider's signature over the order id, or empty
    function fund(Order calldata order, bytes calldata buyerAuth, bytes calldata providerSig) external;

    /// @notice Pays the provider everything, on the buyer's word. Anybody may send it.
    /// @dev Works until the order is settled, also after its deadlines.
    /// @dev Warning: the buyer's signature cannot be taken back.
    /// @param order the agreement
    /// @param buyerSig the buyer's signature over `Release(bytes32 orderId)`
    function release(Order calldata order, bytes calldata buyerSig) external;

    /// @notice Returns everything to the buyer, on the provider's word. Anybody may send it. No fee is taken.
    /// @dev Works until the order is settled, also after its deadlines.
    /// @dev Warning: the provider's signature cannot be taken back.
    /// @param order the agreement
    /// @param providerSig the provider's signature over `Refund(bytes32 orderId)`
    function refund(Order calldata order, bytes calldata providerSig) external;

    /// @notice The provider says it delivered, and starts the buyer's review window. Only the provider may call, and
    /// only before `deliverBy`. Not needed where the buyer releases in time.
    /// @dev Warning: nothing here checks that anything was delivered. Until disputes exist a false `deliver` takes the
    /// money when the window is over.
    /// @param order the agreement
    /// @param deliverable hash of what was delivered; recorded in the event only
    function deliver(Order calldata order, bytes32 deliverable) external;

    /// @notice Settles an order whose time is up. Anybody may call.
    /// @dev Not delivered by `deliverBy`: everything returns to the buyer, or, if the order's second flag is set, the
    /// provider is paid. Delivered and the review window over: the provider is paid.
    /// @param order the agreement
    function finalize(Order calldata order) external;

    /// @notice Sends `account` what waits for it here: fees, and transfers that failed. Anybody may call.
    /// @dev Reverts, and keeps the money waiting, if the token still refuses.
    /// @param account who gets it
    function withdraw(address account) external;

    /// @notice Where `order` stands, see `statusOfId`.
    function statusOf(Order calldata order)
        external
        view
        returns (Status status, uint8 outcome, bool consented, uint40 reviewEnds);

    /// @notice Where the order with this id stands.
    /// @dev An id that was never funded answers `None`, whether or not such an order exists.
    /// @return status where it stands
    /// @return outcome how it was settled, zero before
    /// @return consented whether the provider's own signature over the order was checked at funding
    /// @return reviewEnds Unix seconds at which the review window ends; zero if no delivery was posted
    function statusOfId(bytes32 id)
        external
        view
        returns (Status status, uint8 outcome, bool consented, uint40 reviewEnds);

    /// @notice The order's id: its EIP-712 digest under this contract's domain ("haggle Escrow", "1").
    function orderId(Order calldata order) external view returns (bytes32 id);

    /// @notice Base units that wait for `account`.
    function owed(address account) external view returns (uint256 amount);

    /// @notice The one token this escrow holds.
    function token() external view returns (address);
}
