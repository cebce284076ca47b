//! `bench pay`: what taking a payment costs.

use super::{facilitators, parts};
use crate::cli::CliError;
use crate::cli::args::{BenchPay, Globals};
use crate::cli::terminal::{self, Progress};
use serde::Serialize;

/// The one object of `bench pay --json`.
#[derive(Debug, Serialize)]
struct Report {
    voucher_verify_per_core: f64,
    secp_recover_per_core: f64,
    voucher_ratio: f64,
    voucher_vs_alloy: f64,
    /// Processor time that paying by voucher adds to a call, both ends together, everything on disk.
    paid_added_cpu_us: f64,
    /// Paid calls a second on 64 channels, to raw libp2p requests from 64 callers.
    paid_rate_ratio: f64,
    /// Our facilitator against the npm one; null without it, as the next.
    exact_verify_ratio: Option<f64>,
    exact_settle_ratio: Option<f64>,
}

pub(super) async fn run(globals: &Globals, args: BenchPay) -> Result<(), CliError> {
    let progress = Progress::start(globals.quiet || globals.json, "vouchers beside the bare curve");
    let vouchers = parts::vouchers(args.quick).await?;
    progress.say("paid calls beside free ones, between two nodes");
    let paid = parts::paid(args.quick).await?;
    let beside = match &args.peers {
        Some(folder) => Some(facilitators::run(folder, args.quick, &progress).await?),
        None => None,
    };
    drop(progress);
    let report = Report {
        voucher_verify_per_core: vouchers.voucher_verify_per_core,
        secp_recover_per_core: vouchers.secp_recover_per_core,
        voucher_ratio: vouchers.voucher_ratio(),
        voucher_vs_alloy: vouchers.voucher_vs_alloy(),
        paid_added_cpu_us: paid.paid_us - paid.free_us,
        paid_rate_ratio: paid.paid_rate / paid.raw_rate,
        exact_verify_ratio: beside.map(|beside| beside.verified / beside.verified_by_other),
        exact_settle_ratio: beside.map(|beside| beside.settled / beside.settled_by_other),
    };
    if globals.json {
        terminal::json(&report);
        return Ok(());
    }
    terminal::heading("Vouchers verified a second on one core");
    terminal::pairs([
        ("ours", format!("{:.0}", report.voucher_verify_per_core)),
        ("bare recovery", format!("{:.0}: {:.2}x", report.secp_recover_per_core, report.voucher_ratio)),
        ("alloy's default", format!("{:.0}: {:.2}x", vouchers.alloy_default_per_core, report.voucher_vs_alloy)),
    ]);
    terminal::heading("A call paid by voucher, both ends together");
    terminal::pairs([
        ("free", format!("{:.0} us of processor time", paid.free_us)),
        ("paid", format!("{:.0} us: {:.0} more", paid.paid_us, report.paid_added_cpu_us)),
        (
            "rate",
            format!(
                "{:.0}/s on 64 channels, raw libp2p {:.0}/s: {:.2}x",
                paid.paid_rate, paid.raw_rate, report.paid_rate_ratio
            ),
        ),
    ]);
    if let Some(beside) = beside {
        terminal::heading("Payments of `exact` a second, on the same chain");
        terminal::pairs([
            ("verified here", format!("{:.0}", beside.verified)),
            ("verified by npm", format!("{:.0}", beside.verified_by_other)),
            ("settled here", format!("{:.0}", beside.settled)),
            ("settled by npm", format!("{:.0}", beside.settled_by_other)),
        ]);
    }
    Ok(())
}
