//! Every operation of the escrow, with panel, stake and registry behind it.

use alloy::primitives::aliases::{U40, U96};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::signers::SignerSync as _;
use alloy::sol_types::{SolCall as _, SolStruct as _, SolValue as _, eip712_domain};
use haggle_devchain::DEV_CHAIN_ID;
use serde_json::json;

use crate::people::Person;
use crate::stage::escrow::{Escrow, IEscrow};
use crate::stage::panel::{self, Panel};
use crate::stage::stake::Stake;
use crate::stage::{Stage, Who, registry, said, says};

alloy::sol! {
    struct PanelBallot { address member; bytes signature; }
    /// What a panel takes for its signature.
    struct PanelWord { bytes32 orderId; uint96 pay; bytes32 evidence; uint40 validUntil; PanelBallot[] ballots; }
}

fn voted(ballot: panel::IPanel::Ballot) -> PanelBallot {
    PanelBallot { member: ballot.member, signature: ballot.signature }
}

pub(crate) const HOUR: u64 = 3_600;
const EVIDENCE: B256 = B256::repeat_byte(0xee);

/// An order that may take every way there is.
pub(crate) fn order(stage: &Stage, salt: u64) -> IEscrow::Order {
    let now = stage.pair.now();
    IEscrow::Order {
        buyer: stage.alice.address(),
        provider: stage.bob.address(),
        validator: stage.carol.address(),
        arbitrator: stage.carol.address(),
        feeTo: Address::repeat_byte(0xfe),
        amount: U96::from(5_000_000),
        bond: U96::from(1_000_000),
        stake: U96::ZERO,
        feeBps: 1_000,
        silentBps: 2_500,
        flags: 0,
        fundBy: U40::from(now + HOUR),
        deliverBy: U40::from(now + 2 * HOUR),
        reviewSecs: 3_600,
        counterSecs: 3_600,
        ruleSecs: 3_600,
        terms: B256::repeat_byte(7),
        salt: U256::from(salt),
    }
}

/// The order as the panel's binding has it: the same words.
fn for_panel(order: &IEscrow::Order) -> panel::IEscrow::Order {
    panel::IEscrow::Order::abi_decode(&order.abi_encode()).unwrap()
}

impl Stage {
    fn id(&self, order: &IEscrow::Order) -> B256 {
        order.eip712_signing_hash(&self.market())
    }

    fn consent(&self, order: &IEscrow::Order) -> Bytes {
        self.bob.key.sign_hash_sync(&self.id(order)).unwrap().as_bytes().into()
    }

    fn deposit(&self, order: &IEscrow::Order) -> Bytes {
        self.payment(&self.alice, self.escrow, order.amount.to(), order.fundBy.to(), self.id(order))
    }

    fn funding(&self, order: &IEscrow::Order) -> Escrow::fundCall {
        Escrow::fundCall { order: order.clone(), buyerAuth: self.deposit(order), providerSig: self.consent(order) }
    }

    async fn funded(&mut self, order: &IEscrow::Order) {
        let call = self.funding(order);
        self.done("fund", Who::Dave, self.escrow, &call).await;
    }

    async fn delivered(&mut self, order: &IEscrow::Order) {
        self.funded(order).await;
        let call = Escrow::deliverCall { order: order.clone(), deliverable: B256::repeat_byte(3) };
        self.done("deliver", Who::Bob, self.escrow, &call).await;
    }

    /// A person's bond for one side of the order, good until the window that ends now.
    fn bond(&self, person: &Person, order: &IEscrow::Order, side: u8, before: u64) -> Bytes {
        let bond = said::Bond { orderId: self.id(order), side, evidence: EVIDENCE };
        let nonce = bond.eip712_signing_hash(&self.market());
        self.payment(person, self.escrow, order.bond.to(), before, nonce)
    }

    async fn disputed(&mut self, order: &IEscrow::Order) {
        self.delivered(order).await;
        let auth = self.bond(&self.alice, order, 0, self.pair.now() + HOUR);
        let call = Escrow::disputeCall { order: order.clone(), evidence: EVIDENCE, bondAuth: auth };
        self.done("dispute", Who::Dave, self.escrow, &call).await;
        self.fails("dispute again", Who::Dave, self.escrow, &call).await;
    }

    pub(crate) async fn countered(&mut self, order: &IEscrow::Order) {
        self.disputed(order).await;
        // the failed second dispute took a block of thirteen seconds
        let auth = self.bond(&self.bob, order, 1, self.pair.now() - 13 + HOUR);
        let call = Escrow::counterCall { order: order.clone(), bondAuth: auth };
        self.done("counter", Who::Dave, self.escrow, &call).await;
        self.fails("counter again", Who::Dave, self.escrow, &call).await;
    }

    async fn finalized(&mut self, what: &str, order: &IEscrow::Order) {
        let call = Escrow::finalizeCall { order: order.clone() };
        self.fails(what, Who::Dave, self.escrow, &call).await;
        self.pair.wait(2 * HOUR);
        self.done(what, Who::Dave, self.escrow, &call).await;
        self.fails(what, Who::Dave, self.escrow, &call).await;
        self.asks("where it stands", self.escrow, &Escrow::statusOfCall { order: order.clone() }).await;
    }
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn orders_that_end_by_a_signature_end_alike() {
    let mut stage = Stage::set().await;
    let escrow = stage.escrow;
    let (one, id) = {
        let one = order(&stage, 1);
        let id = stage.id(&one);
        (one, id)
    };
    let release = says(&stage.alice, &said::Release { orderId: id }, &stage.market());
    let release = Escrow::releaseCall { order: one.clone(), buyerSig: release };
    stage.fails("a release too early", Who::Bob, escrow, &release).await;
    let fund = stage.funding(&one);
    let input = Bytes::from(fund.abi_encode());
    stage.pair.estimates("a fund", json!({"from": stage.dave.address(), "to": escrow, "data": input})).await;
    stage.done("fund", Who::Dave, escrow, &fund).await;
    stage.fails("fund again", Who::Dave, escrow, &fund).await;
    stage
        .fails(
            "a row from outside",
            Who::Dave,
            escrow,
            &Escrow::fundRowCall {
                row: IEscrow::Funding { order: one.clone(), buyerAuth: Bytes::new(), providerSig: Bytes::new() },
            },
        )
        .await;
    stage.done("release", Who::Dave, escrow, &release).await;
    stage.fails("release again", Who::Dave, escrow, &release).await;

    let two = order(&stage, 2);
    stage.funded(&two).await;
    let refund = |sig| Escrow::refundCall { order: two.clone(), providerSig: sig };
    let said = said::Refund { orderId: stage.id(&two) };
    let (hers, his) = (says(&stage.alice, &said, &stage.market()), says(&stage.bob, &said, &stage.market()));
    stage.fails("a refund by the buyer", Who::Dave, escrow, &refund(hers)).await;
    stage.done("refund", Who::Dave, escrow, &refund(his)).await;

    let three = order(&stage, 3);
    stage.funded(&three).await;
    let until = U40::from(stage.pair.now() + HOUR);
    let (pay, id) = (U96::from(3_000_000), stage.id(&three));
    let split = said::Split { orderId: id, pay, validUntil: until };
    let (hers, his) = (says(&stage.alice, &split, &stage.market()), says(&stage.bob, &split, &stage.market()));
    let split = |pay| Escrow::splitCall {
        order: three.clone(),
        pay,
        validUntil: until,
        buyerSig: hers.clone(),
        providerSig: his.clone(),
    };
    stage.fails("another split", Who::Dave, escrow, &split(U96::from(4_000_000))).await;
    stage.done("split", Who::Dave, escrow, &split(pay)).await;

    let four = order(&stage, 4);
    stage.delivered(&four).await;
    let said = said::Verdict { orderId: stage.id(&four), pay, evidence: EVIDENCE, validUntil: until };
    let sig = says(&stage.carol, &said, &stage.market());
    let verdict = |until, sig| Escrow::verdictCall {
        order: four.clone(),
        pay,
        evidence: EVIDENCE,
        validUntil: until,
        validatorSig: sig,
    };
    stage.fails("an old verdict", Who::Dave, escrow, &verdict(U40::from(1), sig.clone())).await;
    stage.done("verdict", Who::Dave, escrow, &verdict(until, sig)).await;
    for order in [&one, &two, &three, &four] {
        stage.asks("the id", escrow, &Escrow::orderIdCall { order: order.clone() }).await;
        stage.asks("where it stands", escrow, &Escrow::statusOfCall { order: order.clone() }).await;
    }
    let withdraw = Escrow::withdrawCall { account: one.feeTo };
    stage.asks("the fees", escrow, &Escrow::owedCall { account: one.feeTo }).await;
    stage.done("withdraw", Who::Dave, escrow, &withdraw).await;
    stage.fails("withdraw again", Who::Dave, escrow, &withdraw).await;
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn batches_skip_the_same_rows() {
    let mut stage = Stage::set().await;
    let escrow = stage.escrow;
    let orders: Vec<_> = (0..4).map(|salt| order(&stage, salt)).collect();
    let rows = orders.iter().map(|order| IEscrow::Funding {
        order: order.clone(),
        buyerAuth: stage.deposit(order),
        providerSig: stage.consent(order),
    });
    let mut rows: Vec<_> = rows.collect();
    rows[1].buyerAuth = rows[0].buyerAuth.clone();
    rows[2].order.feeBps = 1_001;
    stage.done("fund a batch", Who::Dave, escrow, &Escrow::fundBatchCall { rows }).await;
    let rows = orders.iter().map(|order| IEscrow::Settlement {
        order: order.clone(),
        buyerSig: says(&stage.alice, &said::Release { orderId: stage.id(order) }, &stage.market()),
    });
    let mut rows: Vec<_> = rows.collect();
    rows.push(rows[0].clone());
    stage.done("release a batch", Who::Dave, escrow, &Escrow::releaseBatchCall { rows }).await;
    stage.done("an empty batch", Who::Dave, escrow, &Escrow::releaseBatchCall { rows: Vec::new() }).await;
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn disputes_and_timeouts_end_alike() {
    let mut stage = Stage::set().await;
    let escrow = stage.escrow;
    let one = order(&stage, 1);
    stage
        .fails(
            "a dispute of nothing",
            Who::Dave,
            escrow,
            &Escrow::disputeCall { order: one.clone(), evidence: EVIDENCE, bondAuth: Bytes::new() },
        )
        .await;
    stage.countered(&one).await;
    let rule = Escrow::ruleCall { order: one.clone(), pay: U96::from(1_000_000) };
    stage.fails("a ruling by the provider", Who::Bob, escrow, &rule).await;
    stage.done("rule", Who::Carol, escrow, &rule).await;
    stage.asks("the evidence", escrow, &Escrow::evidenceOfCall { id: stage.id(&one) }).await;

    let two = order(&stage, 2);
    stage.funded(&two).await;
    stage.finalized("nothing delivered", &two).await;
    let mut three = order(&stage, 3);
    three.flags = 2;
    stage.funded(&three).await;
    stage.finalized("nothing delivered, and paid all the same", &three).await;
    let four = order(&stage, 4);
    stage.delivered(&four).await;
    stage.finalized("delivered, and silence", &four).await;
    let five = order(&stage, 5);
    stage.disputed(&five).await;
    stage.finalized("disputed, and silence", &five).await;
    let six = order(&stage, 6);
    stage.countered(&six).await;
    stage.finalized("countered, and silence", &six).await;
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn stake_panel_and_feedback_work_alike() {
    let mut stage = Stage::set().await;
    let (escrow, stake, panel) = (stage.escrow, stage.stake, stage.panel);
    let nonce = B256::repeat_byte(9);
    let before = stage.pair.now() + HOUR;
    let deposit = Stake::depositCall {
        provider: stage.bob.address(),
        amount: U96::from(3_000_000),
        validBefore: U256::from(before),
        nonce,
        auth: stage.payment(&stage.bob, stake, 3_000_000, before, nonce),
    };
    stage.done("stake", Who::Dave, stake, &deposit).await;
    stage.fails("stake again", Who::Dave, stake, &deposit).await;

    let mut one = order(&stage, 1);
    (one.stake, one.arbitrator) = (U96::from(1_000_000), panel);
    stage.countered(&one).await;
    let until = U40::from(stage.pair.now() + HOUR);
    let pay = U96::from(1_000_000);
    let house = eip712_domain! {
        name: "haggle Panel", version: "1", chain_id: DEV_CHAIN_ID, verifying_contract: panel,
    };
    let ballot = |stage: &Stage, id, role| panel::IPanel::Ballot {
        member: stage.carol.address(),
        signature: says(
            &stage.carol,
            &said::Vote { orderId: id, role, pay, evidence: EVIDENCE, validUntil: until },
            &house,
        ),
    };
    let rule = |ballots| Panel::ruleCall { order: for_panel(&one), pay, validUntil: until, ballots };
    let id = stage.id(&one);
    stage.fails("a ruling nobody voted for", Who::Dave, panel, &rule(Vec::new())).await;
    let votes = rule(vec![ballot(&stage, id, 1)]);
    stage.done("a panel's ruling and a slash", Who::Dave, panel, &votes).await;
    let pay_out = Panel::payOutCall { member: stage.carol.address() };
    stage.done("the panel's pay", Who::Dave, panel, &pay_out).await;
    stage.fails("the panel's pay again", Who::Dave, panel, &pay_out).await;

    let mut two = order(&stage, 2);
    (two.stake, two.validator) = (U96::from(1_000_000), panel);
    stage.funded(&two).await;
    let id = stage.id(&two);
    let verdict = PanelWord {
        orderId: id,
        pay,
        evidence: EVIDENCE,
        validUntil: until,
        ballots: vec![voted(ballot(&stage, id, 0))],
    };
    stage
        .done(
            "a panel's verdict and an unlock",
            Who::Dave,
            escrow,
            &Escrow::verdictCall {
                order: two.clone(),
                pay,
                evidence: EVIDENCE,
                validUntil: until,
                validatorSig: verdict.abi_encode().into(),
            },
        )
        .await;

    let mut greedy = order(&stage, 3);
    greedy.stake = U96::from(2_500_000);
    let fund = stage.funding(&greedy);
    stage.fails("more stake than there is", Who::Dave, escrow, &fund).await;
    stage.done("ask for stake", Who::Bob, stake, &Stake::requestWithdrawCall { amount: U96::from(2_000_000) }).await;
    let withdraw = Stake::withdrawCall { provider: stage.bob.address() };
    stage.fails("too early", Who::Dave, stake, &withdraw).await;
    stage.pair.wait(8 * 24 * HOUR);
    stage.done("take stake", Who::Dave, stake, &withdraw).await;
    stage.fails("take stake again", Who::Dave, stake, &withdraw).await;
    stage.fails("nothing waits", Who::Dave, stake, &Stake::collectCall { account: escrow }).await;
    stage.fails("not the escrow", Who::Bob, stake, &Stake::unlockCall { orderId: id }).await;
    stage.asks("the stake", stake, &Stake::stakeOfCall { provider: stage.bob.address() }).await;
    stage.asks("a lock", stake, &Stake::lockOfCall { orderId: id }).await;
    stage.asks("what it can lock", stake, &Stake::availableCall { provider: stage.bob.address() }).await;
    stage.asks("what a member earned", panel, &Panel::earnedCall { member: stage.carol.address() }).await;
    stage.asks("where it stands", escrow, &Escrow::statusOfIdCall { id }).await;

    let register = registry::Registry8004::register_0Call {};
    stage.done("an agent", Who::Bob, stage.registry, &register).await;
    let agent = U256::ZERO;
    let feedback = |stage: &Stage, order: &IEscrow::Order, agent: U256| {
        let said = said::Feedback { orderId: stage.id(order), agentId: agent, value: 5 };
        let buyer = says(&stage.alice, &said, &stage.market());
        Escrow::publishFeedbackCall { order: order.clone(), agentId: agent, value: 5, buyerSig: buyer }
    };
    let unpaid = feedback(&stage, &greedy, agent);
    stage.fails("feedback on nothing", Who::Dave, escrow, &unpaid).await;
    let paid = feedback(&stage, &two, agent);
    stage.done("feedback", Who::Dave, escrow, &paid).await;
    stage.fails("feedback again", Who::Dave, escrow, &paid).await;
}
