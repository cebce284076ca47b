// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title Money held between a buyer and a provider until the order they both know is settled
/// @notice The whole agreement is one struct, `Order`. Its EIP-712 digest is the order's id, and the same digest is the
/// nonce of the buyer's EIP-3009 payment: one buyer signature is both the payment and the agreement to every field.
/// @dev Warning: not audited.
/// @dev Warning: an order without an arbitrator has no disputes. A provider that posts `deliver` without having
/// delivered is then paid once the review window is over. A buyer that does not trust a provider that far names one.
/// @dev Warning: the buyer must never sign a `TransferWithAuthorization` to this contract. Anybody can submit that one
/// straight to the token, and the money would lie here without belonging to any order, out of everybody's reach.
/// @dev Warning: tokens sent here by a plain `transfer` cannot be returned.
interface IEscrow {
    /// @notice The whole agreement. The order id is its EIP-712 digest under this contract's domain.
    /// @param buyer pays; alone it can only release everything
    /// @param provider works; alone it can only refund everything
    /// @param validator may decide the payment by signature while nothing is disputed; zero if the order has none
    /// @param arbitrator decides a dispute; zero if there can be none; may be the validator
    /// @param feeTo receives the fee; zero only if `feeBps` is zero
    /// @param amount base units the provider's work is priced at, above zero
    /// @param bond base units each side puts up in a dispute, at most `amount`
    /// @param stake base units of the provider's stake locked behind the order
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

    /// @notice An order to be funded together with others, see `fund`.
    struct Funding {
        Order order;
        bytes buyerAuth;
        bytes providerSig;
    }

    /// @notice An order to be released together with others, see `release`.
    struct Settlement {
        Order order;
        bytes buyerSig;
    }

    /// @notice Where an order stands. It moves from `None` to `Funded`, may pass `Delivered`, `Disputed` and
    /// `Arbitrating` in this order, and ends at `Settled`. The numbers say when a status was invented, not how far along
    /// it is.
    enum Status {
        None,
        Funded,
        Delivered,
        Settled,
        Disputed,
        Arbitrating
    }

    /// @notice The buyer's money for order `id` is here.
    event Funded(bytes32 indexed id, address indexed buyer, address indexed provider, uint256 amount, bytes32 terms);

    /// @notice The provider says it delivered; from `reviewEnds` (Unix seconds) on anybody can have it paid.
    event Delivered(bytes32 indexed id, bytes32 deliverable, uint40 reviewEnds);

    /// @notice The buyer `by` disputes order `id`. `evidence` is the hash of what it says went wrong.
    event Disputed(bytes32 indexed id, address indexed by, bytes32 evidence);

    /// @notice The provider stands against the dispute over order `id`: the arbitrator has to rule.
    event Countered(bytes32 indexed id);

    /// @notice Order `id` is over: `paid` to the provider, `fee` owed to the fee recipient, `refunded` to the buyer.
    /// @dev `paid + fee + refunded` is the whole deposit; bonds are not in it. `outcome` is one of the codes in
    /// `Outcomes`. `evidence` is what a verdict or a ruling was based on, and zero for every other outcome.
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

    /// @notice A row of a batch failed for `reason`, the selector of its error, and changed nothing.
    event FundSkipped(bytes32 indexed id, bytes4 reason);

    /// @notice A row of a batch failed for `reason`, the selector of its error, and changed nothing.
    event ReleaseSkipped(bytes32 indexed id, bytes4 reason);

    /// @notice The stake contract failed to unlock or slash what was locked for order `id`. The order is settled.
    event StakeStuck(bytes32 indexed id);

    /// @notice The buyer's feedback on order `id` was written to the registry.
    event FeedbackPublished(bytes32 indexed id, uint256 indexed agentId, int128 value);

    /// @notice The order's status does not allow the call.
    error BadState(bytes32 id, Status status);
    /// @notice The signature is not `signer`'s over what it has to be over.
    error BadSignature(address signer);
    /// @notice Only the party the call belongs to may make it.
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
    /// @notice This escrow has no stake contract: the stake has to be zero.
    error StakeUnsupported(uint256 stake);
    /// @notice The call needs an order that the provider agreed to, by its signature at funding or by `deliver`.
    error NotConsented(bytes32 id);
    /// @notice The order names nobody who could rule.
    error NoArbitrator(bytes32 id);
    /// @notice `deliverBy` has to come after `fundBy`, by 365 days at most.
    error BadDeadlines(uint256 fundBy, uint256 deliverBy);
    /// @notice A review, counter or ruling window is shorter than one hour or longer than thirty days.
    error BadWindow(uint256 secs, uint256 minSecs, uint256 maxSecs);
    /// @notice The token did not bring exactly the deposit.
    error DepositMismatch(uint256 expected, uint256 received);
    /// @notice A transfer failed with so little gas that the gas may have been the reason.
    error TransferGasTooLow(uint256 available, uint256 needed);
    /// @notice So little gas is left that a step which is allowed to fail might fail for want of it.
    error GasTooLow(uint256 available, uint256 needed);
    /// @notice This escrow has no feedback registry.
    error NoRegistry();
    /// @notice The provider was paid nothing for the order, so there is nothing to give feedback on.
    error NothingPaid(bytes32 id);
    /// @notice Feedback on the order was published before.
    error FeedbackGiven(bytes32 id);
    /// @notice The agent's wallet in the registry is not the order's provider.
    error WrongAgent(uint256 agentId, address wallet);
    /// @notice Nothing waits for `account`.
    error NothingOwed(address account);

    /// @notice Takes the buyer's deposit and opens the order. Anybody may send it and pay the gas.
    /// @dev The deposit is `amount`, plus the fee on it if the order's first flag is set.
    /// @dev Warning: an empty `providerSig` is accepted unless the order has a bond, a stake, or both an arbitrator and
    /// the second flag. Such an order does not prove that the provider agreed to it until the provider calls `deliver`.
    /// @param order the agreement
    /// @param buyerAuth the buyer's signature over the token's `ReceiveWithAuthorization(from = buyer, to = this escrow,
    /// value = deposit, validAfter = 0, validBefore = fundBy, nonce = order id)`
    /// @param providerSig the provider's signature over the order id, or empty
    function fund(Order calldata order, bytes calldata buyerAuth, bytes calldata providerSig) external;

    /// @notice Funds many orders. A row that fails is skipped with `FundSkipped`, and costs the others nothing.
    /// @dev Each row gets a fixed amount of gas, of which a contract wallet's signature check gets at most 100,000 and
    /// the token a fixed part; the whole call reverts if a row could get less. Wallets that need more use `fund`.
    function fundBatch(Funding[] calldata rows) external;

    /// @notice One row of `fundBatch`, which is the only one that may call it.
    function fundRow(Funding calldata row) external;

    /// @notice Pays the provider everything, on the buyer's word. Anybody may send it.
    /// @dev Works until the order is settled, also after its deadlines. Bonds return to who posted them.
    /// @dev Warning: the buyer's signature cannot be taken back.
    /// @param order the agreement
    /// @param buyerSig the buyer's signature over `Release(bytes32 orderId)`
    function release(Order calldata order, bytes calldata buyerSig) external;

    /// @notice Releases many orders. Neighbouring rows of one provider share one transfer. A row that fails is skipped
    /// with `ReleaseSkipped`, and costs the others nothing.
    /// @dev A contract wallet's signature check gets at most 100,000 gas; the whole call reverts if it could get less.
    function releaseBatch(Settlement[] calldata rows) external;

    /// @notice Returns everything to the buyer, on the provider's word. Anybody may send it. No fee is taken.
    /// @dev Works until the order is settled, also after its deadlines. Bonds return to who posted them.
    /// @dev Warning: the provider's signature cannot be taken back.
    /// @param order the agreement
    /// @param providerSig the provider's signature over `Refund(bytes32 orderId)`
    function refund(Order calldata order, bytes calldata providerSig) external;

    /// @notice Pays the provider `pay` of the amount and the buyer the rest, on both parties' word. Anybody may send it.
    /// @dev Works until the order is settled, also after its deadlines. Bonds return to who posted them.
    /// @param order the agreement
    /// @param pay base units of `amount`, before the fee if that comes from the provider's pay
    /// @param validUntil Unix seconds; the signatures are good strictly before this
    /// @param buyerSig the buyer's signature over `Split(bytes32 orderId,uint96 pay,uint40 validUntil)`
    /// @param providerSig the provider's signature over the same
    function split(
        Order calldata order,
        uint96 pay,
        uint40 validUntil,
        bytes calldata buyerSig,
        bytes calldata providerSig
    ) external;

    /// @notice Pays the provider `pay` of the amount and the buyer the rest, on the validator's word. Anybody may send
    /// it, as long as the order is not disputed.
    /// @dev Warning: whoever funds an order with a validator trusts it with all of the amount.
    /// @param order the agreement
    /// @param pay base units of `amount`, before the fee if that comes from the provider's pay
    /// @param evidence hash of what the verdict is based on
    /// @param validUntil Unix seconds; the signature is good strictly before this
    /// @param validatorSig the validator's signature over
    /// `Verdict(bytes32 orderId,uint96 pay,bytes32 evidence,uint40 validUntil)`
    function verdict(Order calldata order, uint96 pay, bytes32 evidence, uint40 validUntil, bytes calldata validatorSig)
        external;

    /// @notice The provider says it delivered, and starts the buyer's review window. Only the provider may call, and
    /// only before `deliverBy`. Not needed where the buyer releases in time. Whoever calls it has agreed to the order.
    /// @dev Warning: nothing here checks that anything was delivered; that is what `dispute` is for.
    /// @param order the agreement
    /// @param deliverable hash of what was delivered; recorded in the event only
    function deliver(Order calldata order, bytes32 deliverable) external;

    /// @notice The buyer says that what was delivered is not what was agreed, puts up the bond, and the provider has
    /// `counterSecs` to stand against it. Anybody may send it.
    /// @dev Open while the review window is; or before `deliverBy` if the order's second flag is set and nothing was
    /// delivered. Needs an arbitrator and the provider's agreement to the order.
    /// @param order the agreement
    /// @param evidence hash of what the buyer says went wrong
    /// @param bondAuth the buyer's signature over the token's `ReceiveWithAuthorization(from = buyer, to = this escrow,
    /// value = bond, validAfter = 0, validBefore = end of the window, nonce = digest of Bond(orderId, 0, evidence))`; over
    /// that digest itself if the bond is zero
    function dispute(Order calldata order, bytes32 evidence, bytes calldata bondAuth) external;

    /// @notice The provider stands against the dispute and puts up its bond; the arbitrator has `ruleSecs` to rule.
    /// Anybody may send it, before the counter window ends.
    /// @param order the agreement
    /// @param bondAuth the provider's signature, made as the buyer's in `dispute`, for `Bond(orderId, 1, evidence)` with
    /// the evidence of the dispute
    function counter(Order calldata order, bytes calldata bondAuth) external;

    /// @notice Pays the provider `pay` of the amount and the buyer the rest. Only the arbitrator may call, before the
    /// ruling window ends.
    /// @dev The buyer's bond goes to the arbitrator if the provider gets half or more, and the provider's if not; the
    /// other returns. If the provider gets less than half, its stake behind the order goes to the buyer.
    /// @param order the agreement
    /// @param pay base units of `amount`, before the fee if that comes from the provider's pay
    function rule(Order calldata order, uint96 pay) external;

    /// @notice Settles an order whose time is up. Anybody may call.
    /// @dev Not delivered by `deliverBy`: everything returns to the buyer, or, if the order's second flag is set, the
    /// provider is paid. Delivered and the review window over: the provider is paid. Disputed and not countered in time:
    /// everything returns to the buyer. No ruling in time: the provider is paid `silentBps` of the amount. Bonds return
    /// to who posted them, and no stake is taken.
    /// @param order the agreement
    function finalize(Order calldata order) external;

    /// @notice Writes the buyer's feedback on a paid order to the ERC-8004 registry, in this contract's name: feedback
    /// given by it stands for an order that was paid. Anybody may send it, once per order.
    /// @dev Recorded with no decimals, the tag "haggle" and the order id as the feedback's hash.
    /// @param order the agreement, settled with something paid to the provider
    /// @param agentId the provider's agent; its wallet in the registry has to be the provider
    /// @param value the buyer's rating
    /// @param buyerSig the buyer's signature over `Feedback(bytes32 orderId,uint256 agentId,int128 value)`
    function publishFeedback(Order calldata order, uint256 agentId, int128 value, bytes calldata buyerSig) external;

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
    /// @return consented whether the provider agreed to the order: its signature was checked at funding, or it delivered
    /// @return reviewEnds Unix seconds at which the last window that was opened ends, be it for review, for the counter or
    /// for the ruling; zero if none was
    function statusOfId(bytes32 id)
        external
        view
        returns (Status status, uint8 outcome, bool consented, uint40 reviewEnds);

    /// @notice The evidence the buyer gave when it disputed the order with this id; zero if it did not.
    function evidenceOf(bytes32 id) external view returns (bytes32 evidence);

    /// @notice The order's id: its EIP-712 digest under this contract's domain ("haggle Escrow", "1").
    function orderId(Order calldata order) external view returns (bytes32 id);

    /// @notice Base units that wait for `account`.
    function owed(address account) external view returns (uint256 amount);

    /// @notice The one token this escrow holds.
    function token() external view returns (address);

    /// @notice The one stake contract that stands behind orders here; zero if there is none.
    function stake() external view returns (address);

    /// @notice The ERC-8004 reputation registry that feedback goes to; zero if there is none.
    function reputation() external view returns (address);
}
