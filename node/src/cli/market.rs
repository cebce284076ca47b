//! `find` and `show`.

use super::CliError;
use super::args::{Find, Globals, Show};
use super::client::Client;
use super::terminal;
use haggle_gateway::view::{
    AgentView, ExplainedView, ExplanationView, FacetView, FacetsView, ListingDetail, ListingPage, ListingQuery,
    ListingView, PartView, PriceBandView, WordView,
};

pub(super) async fn find(globals: &Globals, args: Find) -> Result<(), CliError> {
    let client = globals.client()?;
    let query = ListingQuery {
        q: args.text,
        any: args.any.then_some(true),
        category: args.category,
        skill: args.skill,
        tag: args.tag,
        scheme: args.scheme,
        region: args.region,
        min_price: args.min_price,
        max_price: args.max_price,
        min_reputation: args.min_reputation,
        sort: args.sort,
        reputation_weight: args.reputation_weight,
        limit: Some(args.limit),
        cursor: args.cursor,
        facets: args.facets.then_some(true),
        explain: args.explain.then_some(true),
        live: Some(true),
    };
    let page: ListingPage = client.get_with("/v1/listings", &query).await?;
    if globals.json {
        terminal::json(&page);
        return Ok(());
    }
    if page.items.is_empty() {
        terminal::line(match &page.coverage {
            None => "Nothing matches in this node's copy of the market.".to_owned(),
            Some(_) => format!("Nothing matches in what index nodes answered: {}.", coverage_line(&page)),
        });
        let next = [("haggle status".to_owned(), "shows how many listings and peers there are")];
        terminal::next(globals.quiet, &next);
        return Ok(());
    }
    for listing in &page.items {
        print_listing(listing);
        if let Some(why) = &listing.explanation {
            print_explanation(listing, why);
        }
    }
    if let Some(explained) = &page.explained {
        print_explained(explained);
    }
    if let Some(facets) = &page.facets {
        print_facets(facets);
    }
    let shown = page.items.len();
    terminal::aside(format!("{shown} of {} listings, {}", page.total, coverage_line(&page)));
    if let Some(cursor) = &page.next {
        terminal::aside(format!("more: --cursor {cursor}"));
    }
    if let Some(first) = page.items.first() {
        let next = [
            (format!("haggle show {}", first.id), "its promises, its past, and what protects you"),
            (format!("haggle hire {} @FILE", first.id), "quote, escrow, work, check, release"),
        ];
        terminal::next(globals.quiet, &next);
    }
    Ok(())
}

/// Whether that is all there is, and if a light node knows why not, why not.
fn coverage_line(page: &ListingPage) -> String {
    match page.coverage.as_ref().and_then(|coverage| coverage.why_partial.as_deref()) {
        _ if page.complete => "complete".to_owned(),
        Some(why) => format!("partial: {why}"),
        None => "partial".to_owned(),
    }
}

pub(super) fn price_line(listing: &ListingView) -> String {
    let price = if listing.price.units() == 0 { "free".to_owned() } else { format!("{} USDC a call", listing.price) };
    let past = match &listing.reputation.success_rate {
        Some(rate) => format!("{} calls, success {rate}", listing.reputation.total_calls),
        None => "no calls known".to_owned(),
    };
    format!("{price} · {past} · {}", live_word(listing))
}

/// Whether it answers, as far as this node has looked.
fn live_word(listing: &ListingView) -> &'static str {
    match listing.liveness.as_ref().filter(|seen| seen.fresh).map(|seen| seen.state.as_str()) {
        Some("busy") => "busy",
        Some("degraded") => "its node answers, what runs it does not",
        Some("probation") => "no answer just now",
        Some("down") => "offline",
        _ if listing.online => "online",
        _ => "not looked for yet",
    }
}

fn print_listing(listing: &ListingView) {
    terminal::heading(format!("{}  {}", listing.name, terminal::short(&listing.agent)));
    terminal::line(format!("  {}", listing.description));
    terminal::line(format!("  {}", price_line(listing)));
    terminal::aside(format!("  {}", listing.id));
}

/// The numbers that the order was made of, as sums that can be done again.
fn print_explanation(listing: &ListingView, why: &ExplanationView) {
    let mut rows = Vec::new();
    if let Some(score) = why.score {
        let part = |part: &PartView| format!("{} x {:.4} {}", part.weight, part.value, part.part);
        let parts: Vec<_> = why.parts.iter().map(part).collect();
        rows.push(("score", format!("{score:.4} = {}", parts.join(" + "))));
    }
    if let Some(text) = why.text {
        let words: Vec<_> = why.words.iter().map(word_match).collect();
        let sum = if words.is_empty() { String::new() } else { format!(" = {}", words.join(" + ")) };
        rows.push(("words", format!("{text:.3}{sum}")));
    }
    if let Some(seen) = &why.figures {
        let time = seen.avg_response_ms.map_or_else(|| "no time known".to_owned(), |time| format!("{time} ms"));
        let calls = format!(
            "{} of {} calls succeeded, {time}, uptime {}, trust {}",
            seen.successes, seen.total_calls, seen.uptime_24h, seen.trust_score
        );
        rows.push(("figures", calls));
    }
    if let Some(cost) = why.cost_per_success {
        rows.push(("cost", format!("{cost} USDC a success at {} USDC a call", listing.price)));
    }
    rows.push(("rank", why.rank.clone()));
    terminal::pairs(rows);
}

fn word_match(word: &WordView) -> String {
    let slip = if word.by_slip { ", with a slip" } else { "" };
    format!("{:.3} {} (title {:.3}, anywhere {:.3}{slip})", word.score, word.word, word.title, word.anywhere)
}

fn print_explained(explained: &ExplainedView) {
    let filters: Vec<_> = explained.filters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let by = if filters.is_empty() { "nothing".to_owned() } else { filters.join(" ") };
    terminal::aside(format!("sorted by {}, the lowest rank first; filtered by {by}", explained.sort));
}

fn print_facets(facets: &FacetsView) {
    let by_word = [
        ("category", &facets.category),
        ("tag", &facets.tag),
        ("skill", &facets.skill),
        ("region", &facets.region),
        ("scheme", &facets.scheme),
    ];
    for (name, facet) in by_word {
        print_facet(name, facet);
    }
    terminal::heading("by price");
    let bands: Vec<_> = facets.price.iter().filter(|band| band.count > 0).map(|band| (band_word(band), band)).collect();
    terminal::pairs(bands.iter().map(|(word, band)| (word.as_str(), band.count.to_string())));
}

fn print_facet(name: &str, facet: &FacetView) {
    if facet.values.is_empty() {
        return;
    }
    terminal::heading(format!("by {name}"));
    terminal::pairs(facet.values.iter().map(|seen| (seen.value.as_str(), seen.count.to_string())));
    let left_out = facet.distinct.saturating_sub(facet.values.len() as u64);
    if left_out > 0 {
        terminal::aside(format!("  and {left_out} less frequent ones"));
    }
}

/// The prices of a band, as a person says them.
fn band_word(band: &PriceBandView) -> String {
    match band.max_price {
        Some(most) if most.is_zero() => "free".to_owned(),
        Some(most) => format!("{} to {most} USDC", band.min_price),
        None => format!("{} USDC and more", band.min_price),
    }
}

pub(super) async fn show(globals: &Globals, args: &Show) -> Result<(), CliError> {
    let client = globals.client()?;
    if args.what.starts_with("did:") {
        show_agent(globals, &client, &args.what).await
    } else {
        show_listing(globals, &client, &args.what).await
    }
}

async fn show_agent(globals: &Globals, client: &Client, did: &str) -> Result<(), CliError> {
    let agent: AgentView = client.get(&format!("/v1/agents/{did}")).await?;
    if globals.json {
        terminal::json(&agent);
        return Ok(());
    }
    terminal::heading(&agent.name);
    let paid_at = match (&agent.payment_address, &agent.binding_problem) {
        (Some(address), _) => address.clone(),
        (None, Some(problem)) => format!("cannot be paid: {problem}"),
        (None, None) => "cannot be paid".to_owned(),
    };
    let figures = &agent.reputation;
    let unknown = || "not known yet".to_owned();
    terminal::pairs([
        ("did", agent.did.clone()),
        ("served here", if agent.local { "yes" } else { "no" }.to_owned()),
        ("paid at", paid_at),
        ("hosts", agent.hosts.join(", ")),
        ("calls", figures.total_calls.to_string()),
        ("success rate", figures.success_rate.clone().unwrap_or_else(unknown)),
        ("response time", figures.avg_response_ms.map_or_else(unknown, |ms| format!("{ms} ms"))),
        ("trust score", figures.trust_score.clone().unwrap_or_else(unknown)),
        ("attestations", figures.attestations.to_string()),
    ]);
    for listing in &agent.listings {
        print_listing(listing);
    }
    terminal::aside(&agent.notice);
    Ok(())
}

async fn show_listing(globals: &Globals, client: &Client, id: &str) -> Result<(), CliError> {
    let detail: ListingDetail = client.get(&format!("/v1/listings/{id}")).await?;
    if globals.json {
        terminal::json(&detail);
        return Ok(());
    }
    let listing = &detail.listing;
    let agent: AgentView = client.get(&format!("/v1/agents/{}", listing.agent)).await?;
    terminal::heading(format!("{}  {}", listing.name, terminal::short(&listing.agent)));
    terminal::line(format!("  {}", listing.description));
    terminal::line(format!("  {}", price_line(listing)));
    terminal::pairs([
        ("id", listing.id.clone()),
        ("agent", listing.agent.clone()),
        ("category", listing.category.clone()),
        ("tags", listing.tags.join(", ")),
        ("delivers within", format!("{} s of funding", detail.deliver_within_seconds)),
        ("review window", format!("{} s after a posted delivery", detail.review_seconds)),
        ("cost per success", listing.cost_per_success.to_string()),
        ("expires", listing.expires.clone()),
        ("signed record", format!("{} bytes, in --json as hex", detail.record.len() / 2)),
    ]);
    terminal::aside(&agent.notice);
    let next = [(format!("haggle hire {} @FILE", listing.id), "quote, escrow, work, check, release")];
    terminal::next(globals.quiet, &next);
    Ok(())
}
