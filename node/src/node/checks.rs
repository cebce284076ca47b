//! What can be wrong with a running node, one line each, with what to do about it.

use super::Inner;
use crate::agents::Served;
use crate::config::Role;
use haggle_base::{PeerId, U256, Usdc};
use haggle_catalog::look::Health;
use haggle_catalog::remote::ASKED;
use haggle_escrow::Trust;
use haggle_gateway::view::{CheckView, ChecksView, Verdict};
use haggle_network::Reach;
use std::net::IpAddr;
use std::time::Duration;

/// How far this machine's clock may be from the chain's: a tenth of what records allow is left for other nodes.
const CLOCK_SLACK: Duration = Duration::from_secs(540);

fn check(name: &str, verdict: Verdict, detail: impl Into<String>, hint: &str) -> CheckView {
    let hint = if verdict == Verdict::Ok { String::new() } else { hint.to_owned() };
    CheckView { name: name.to_owned(), verdict, detail: detail.into(), hint }
}

const fn or_warn(fine: bool) -> Verdict {
    if fine { Verdict::Ok } else { Verdict::Warn }
}

const fn or_fail(fine: bool) -> Verdict {
    if fine { Verdict::Ok } else { Verdict::Fail }
}

impl Inner {
    /// Every check of a running node.
    pub(super) async fn checks(&self) -> ChecksView {
        let mut items = self.check_chain().await;
        items.extend(self.check_money().await);
        items.extend(self.check_peers());
        items.extend(self.check_market().await);
        ChecksView { items }
    }

    async fn check_chain(&self) -> Vec<CheckView> {
        let latest = self.reader.latest().await;
        let reached = match &latest {
            Ok(head) => check("chain", Verdict::Ok, format!("block {}", head.number), ""),
            Err(error) => check(
                "chain",
                Verdict::Fail,
                format!("no RPC answers: {error}"),
                "see that the URLs of `haggle config get chain.rpc` answer, or name others",
            ),
        };
        let endpoints = self.reader.endpoints();
        let odd = endpoints.iter().filter(|endpoint| endpoint.standing != haggle_escrow::Standing::Fresh).count();
        let alone = self.reader.trust() == Trust::Single && !self.file.is_devnet();
        let trust = check(
            "rpc trust",
            or_warn(odd == 0 && !alone),
            self.chain_trust(),
            "give `chain.rpc` three URLs of different providers, and replace those that are named",
        );
        let clock = match latest {
            Ok(head) => {
                let (now, chain) = (self.clock.now(), head.time);
                let apart = now.since(chain).max(chain.since(now));
                let detail = format!("{} s from the chain's newest block", apart.as_secs());
                // a devnet's clock is moved by its tests, and stands between blocks
                let fine = apart <= CLOCK_SLACK || self.file.is_devnet();
                check(
                    "clock",
                    or_warn(fine),
                    detail,
                    "set this machine's clock by NTP: records from the future are refused",
                )
            }
            Err(_) => {
                check("clock", Verdict::Skipped, "there is no chain to compare it with", "bring the chain back first")
            }
        };
        vec![reached, trust, clock]
    }

    async fn check_money(&self) -> Vec<CheckView> {
        let own = self.keys.add(0).payment.address();
        let gas = match self.reader.eth_balance(own).await {
            Ok(wei) => check(
                "gas",
                or_warn(wei > U256::ZERO),
                format!("{own} has {} gwei for transactions", wei / U256::from(1_000_000_000_u64)),
                "send it some ether: sellers and channels need it to settle",
            ),
            Err(error) => check("gas", Verdict::Skipped, error.to_string(), "bring the chain back first"),
        };
        let usdc = match self.settlement.wallet(&self.own_did()).await {
            Ok(wallet) => {
                let free = wallet.on_chain.checked_sub(wallet.reserved).unwrap_or(Usdc::ZERO);
                let detail = format!("{free} free at {own}, {} a day at most", wallet.limits.per_day);
                check(
                    "usdc",
                    or_warn(!free.is_zero() && !wallet.limits.per_day.is_zero()),
                    detail,
                    "to buy, send the token to that address and look at `haggle config get budget`",
                )
            }
            Err(error) => check("usdc", Verdict::Skipped, error.to_string(), "bring the chain back first"),
        };
        let agents = self.agents.shown();
        let unbound = agents.iter().filter(|agent| self.catalog.binding(agent).address().is_none()).count();
        let bound = check(
            "payable",
            or_fail(unbound == 0),
            format!("{} of {} agents can be paid", agents.len() - unbound, agents.len()),
            "`haggle publish AGENT` signs its card anew",
        );
        vec![gas, usdc, bound]
    }

    fn check_peers(&self) -> Vec<CheckView> {
        let peers = self.network.peers();
        let known = self.file.bootstrap.iter().chain(&self.config.p2p.bootstrap);
        let wanted: Vec<PeerId> = known.filter_map(|address| address.rsplit_once("/p2p/")?.1.parse().ok()).collect();
        let is_first = !wanted.is_empty() && wanted.iter().all(|peer| *peer == self.network.peer_id());
        let connected = check(
            "peers",
            or_fail(!peers.is_empty() || wanted.is_empty() || is_first),
            format!("{} connected", peers.len()),
            "`haggle peer connect` with an address or a ticket of somebody you know",
        );
        let reached = wanted.iter().filter(|peer| self.network.is_connected(peer)).count();
        let bootstrap = check(
            "bootstrap",
            or_warn(reached > 0 || wanted.is_empty() || is_first),
            format!("{reached} of {} connected", wanted.len()),
            "see that this machine may dial out, and that the network file is a current one",
        );
        let open = self.addresses().iter().filter(|address| is_public(address)).count();
        let is_relayed = self.addresses().iter().any(|address| address.contains("/p2p-circuit"));
        let tried = match self.network.reach() {
            Reach::Yes => "peers have dialled this node",
            Reach::No => "peers cannot dial this node directly",
            Reach::Unknown => "no peer has tried",
        };
        let is_reached = is_relayed || self.network.reach() != Reach::No && open > 0;
        let reach = check(
            "reach",
            or_warn(is_reached || self.file.is_devnet()),
            format!("{open} of {} addresses look as if others can dial them; {tried}", self.addresses().len()),
            "open the ports of `p2p.listen` in the firewall and the router, or name relays (`p2p.relays`)",
        );
        let status = self.catalog.status();
        let known = self.lookup.known();
        let (is_supplied, source) = match self.lookup.role() {
            Role::Light if known < ASKED => (false, format!("asks index nodes and knows {known} of {ASKED}")),
            Role::Light => (true, format!("asks index nodes and knows {known}")),
            Role::Interest if known == 0 => (false, "knows no index node to ask for what it does not hold".to_owned()),
            Role::Interest if status.complete => (true, format!("reconciled what it holds; knows {known} index nodes")),
            Role::Full | Role::Index if status.complete => (true, "reconciled with a peer".to_owned()),
            Role::Full | Role::Index | Role::Interest => (false, "not reconciled with anybody yet".to_owned()),
        };
        let hint = match self.lookup.role() {
            Role::Interest if known == 0 => {
                "name index nodes in p2p.bootstrap, or connect to some (`haggle peer connect`)"
            }
            Role::Light => "name index nodes in p2p.bootstrap, or connect to some (`haggle peer connect`)",
            Role::Full | Role::Index | Role::Interest => {
                "wait a moment: nodes reconcile when they connect, and say anew what nobody heard"
            }
        };
        let records = check(
            "records",
            or_warn(is_supplied && status.waiting_announcements == 0 || peers.is_empty()),
            format!("{} listings; {source}; {} announcements wait", status.listings, status.waiting_announcements),
            hint,
        );
        vec![connected, bootstrap, reach, records]
    }

    async fn check_market(&self) -> Vec<CheckView> {
        let outside = match self.seen_from_outside().await {
            Ok(seen) => check(
                "outside",
                or_fail(!seen.is_hidden()),
                seen.words(),
                "`haggle listing why ID` asks who holds it; `haggle publish AGENT` spreads it anew",
            ),
            Err(error) => check("outside", Verdict::Fail, error.to_string(), "look at the node's log"),
        };
        // nobody waits for what runs a draft, or an agent off the market
        let offered: Vec<Served> = self.agents.all().into_iter().filter(Served::is_on_the_market).collect();
        let mut silent = Vec::new();
        for served in &offered {
            if !matches!(self.health_of(&served.row.did).await, Health::Serving | Health::Busy) {
                silent.push(served.row.name.as_str().to_owned());
            }
        }
        let detail = match silent.as_slice() {
            [] => format!("what runs all {} of them answers", offered.len()),
            some => format!("no answer from what runs {}", some.join(", ")),
        };
        let agents = check(
            "agents",
            or_fail(silent.is_empty()),
            detail,
            "start what runs them, or take them off the market with `haggle publish AGENT --withdraw`",
        );
        vec![outside, agents]
    }
}

/// Whether others can dial an address from elsewhere: a relayed one, a name, or an IP that is not private.
fn is_public(address: &str) -> bool {
    let mut parts = address.split('/').skip(1);
    let host = match (parts.next(), parts.next()) {
        _ if address.contains("/p2p-circuit") => return true,
        (Some("ip4" | "ip6"), Some(ip)) => ip,
        (Some("dns" | "dns4" | "dns6"), Some(name)) => return name != "localhost",
        _ => return false,
    };
    match host.parse() {
        Ok(IpAddr::V4(ip)) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()),
        Ok(IpAddr::V6(ip)) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified())
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_public;

    #[test]
    fn an_address_is_public_if_others_can_dial_it() {
        for open in [
            "/ip4/203.0.113.7/tcp/4001",
            "/ip6/2001:db8::1/udp/4001/quic-v1",
            "/dns4/node.example/tcp/4001",
            "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWCV6cqcyq1Hj2WRwSAvep4rMmuTZjoag5wpmFQVGPGDry/p2p-circuit",
        ] {
            assert!(is_public(open), "{open}");
        }
        for closed in
            ["/ip4/127.0.0.1/tcp/4001", "/ip4/192.168.1.4/tcp/4001", "/ip6/::1/tcp/1", "/dns/localhost/tcp/1", ""]
        {
            assert!(!is_public(closed), "{closed}");
        }
    }
}
