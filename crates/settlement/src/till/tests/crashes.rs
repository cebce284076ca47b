//! Every row of the table of crash points in `docs/protocols/x402-exact.md`, with a process that dies there.

use std::collections::BTreeSet;

use super::super::record::{Money, TillPayment, TillPayments};
use super::super::testing::{Remains, Stop, live};
use super::*;

/// One row of the table.
#[derive(Debug)]
struct Row {
    point: String,
    flow: String,
    died: String,
    stored: String,
    chain: String,
    step: String,
    again: String,
}

/// The table under the heading of crash points.
fn table() -> Vec<Row> {
    let page = include_str!("../../../../../docs/protocols/x402-exact.md");
    let part = page.split("## Crash points").nth(1).expect("the chapter");
    let part = part.split("\n## ").next().unwrap();
    let rows = part.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        let mut next = || cells.next().expect("a cell");
        Row { point: next(), flow: next(), died: next(), stored: next(), chain: next(), step: next(), again: next() }
    })
    .collect()
}

/// What is stored of the one payment.
fn stored(shop: &Shop) -> &'static str {
    let rows = shop.store.range::<TillPayments>(std::ops::Bound::Unbounded, 2).unwrap();
    assert!(rows.len() < 2);
    let Some((_, TillPayment { money, sold, told, .. })) = rows.first() else { return "nothing" };
    let answered = sold.as_ref().is_some_and(|sold| sold.answered);
    match (money, answered, told) {
        (Money::Unsent, false, false) => "reserved",
        (Money::Sent { .. }, false, false) => "reserved, perhaps sent",
        (Money::Sent { .. }, true, false) => "answered, perhaps sent",
        (Money::Paid(_), false, false) => "paid",
        (Money::Paid(_), true, false) => "answered and paid",
        (Money::Paid(_), false, true) => "paid and told",
        other => panic!("{other:?}"),
    }
}

/// Where the chain stops answering, for points at which it is asked.
fn stop_of(died: &str) -> Option<Stop> {
    match died {
        "while the chain simulates" => Some(Stop::InSimulation),
        "before the transfer is sent" => Some(Stop::BeforeSending),
        "the transfer is mined, before that is heard" => Some(Stop::AfterMining),
        "at work" | "before the answer leaves" => None,
        other => panic!("no such point: {other}"),
    }
}

fn payload(shop: &Shop, row: &Row) -> PaymentPayload {
    if row.flow == "authorization" { shop.later(1) } else { shop.upfront(1) }
}

fn asked(shop: &Shop) -> FacilitatorRequest {
    let payment_payload = shop.upfront(1);
    FacilitatorRequest {
        x402_version: X402Version,
        payment_requirements: payment_payload.accepted.clone(),
        payment_payload,
        rest: serde_json::Map::new(),
    }
}

/// A life that ends where the row says.
fn die(row: &Row) -> Remains {
    live(async {
        let shop = Arc::new(Shop::open().await);
        let stop = stop_of(&row.died);
        shop.token.stop_at(stop);
        let (payload, served) = (payload(&shop, row), Arc::clone(&shop));
        let (facilitator, at_work) = (row.flow == "facilitator", row.died == "at work");
        let serving = tokio::spawn(async move {
            if facilitator {
                drop(served.till.settle(&asked(&served)).await);
                return;
            }
            let ticket = served.ticket(&payload).await;
            if at_work {
                std::future::pending::<()>().await;
            }
            drop(served.till.worked(ticket, b"first".to_vec()).await.unwrap());
        });
        if stop.is_some() {
            shop.token.stopped.notified().await;
        } else if at_work {
            // The ticket is out when its seat is the only one taken and the row says so.
            while stored(&shop) != row.stored {
                tokio::task::yield_now().await;
            }
        } else {
            serving.await.unwrap();
        }
        shop.remains()
    })
}

/// What the same payment gets after the restart.
async fn again(shop: &Shop, row: &Row) -> &'static str {
    if row.flow == "facilitator" {
        let answer = shop.till.settle(&asked(shop)).await;
        return match (answer.success, answer.error_reason()) {
            (true, _) => "settled",
            (false, Some("invalid_exact_evm_nonce_already_used")) if !answer.transaction.is_empty() => {
                "used before, with the transaction"
            }
            other => panic!("{other:?}"),
        };
    }
    match shop.till.take(&shop.sale(), &payload(shop, row)).await.unwrap() {
        Taken::Work(ticket) => {
            shop.till.worked(ticket, b"second".to_vec()).await.unwrap();
            "work, then the answer"
        }
        Taken::Answered { answer, .. } => {
            assert_eq!(answer, b"first");
            "the stored answer"
        }
        Taken::Busy(_) => panic!("nobody sits after a restart"),
    }
}

fn on_chain(shop: &Shop) -> &'static str {
    if shop.token.standing() == 0 { "nothing" } else { "paid" }
}

#[test]
fn a_process_that_dies_at_any_point_goes_on_as_the_table_says() {
    let rows = table();
    for row in &rows {
        for step_first in [true, false] {
            let remains = die(row);
            remains.token.stop_at(None);
            live(async {
                let shop = remains.started().await;
                assert_eq!((stored(&shop), on_chain(&shop)), (&*row.stored, &*row.chain), "{}: left", row.point);
                if step_first {
                    shop.till.follow_once().await.unwrap();
                    assert_eq!(stored(&shop), row.step, "{}: after a step", row.point);
                }
                assert_eq!(again(&shop, row).await, row.again, "{}: again", row.point);
                assert_eq!(shop.token.sent(), 1, "{}: settled once", row.point);
                shop.check_books().await;
            });
        }
    }
}

#[test]
fn the_table_has_every_point_of_every_flow() {
    let points: BTreeSet<_> = table().into_iter().map(|row| (row.flow, row.died)).collect();
    let chain =
        ["while the chain simulates", "before the transfer is sent", "the transfer is mined, before that is heard"];
    for flow in ["upfront", "authorization", "facilitator"] {
        for died in chain {
            assert!(points.contains(&(flow.to_owned(), died.to_owned())), "{flow}: {died}");
        }
        assert!(points.contains(&(flow.to_owned(), "before the answer leaves".to_owned())), "{flow}");
        assert_eq!(points.contains(&(flow.to_owned(), "at work".to_owned())), flow != "facilitator");
    }
}
