//! The one way out to URLs that a stranger supplied: webhooks, shops, and whatever else comes with a message or a card.
//!
//! A name is resolved once, every address is judged, and exactly those addresses are dialled: a name that answers
//! differently the second time gains nothing. Redirects are not followed, proxies are not used.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use haggle_a2a::{A2aError, Kind};
use http::HeaderMap;
use reqwest::{Client, redirect::Policy};
use url::{Host, Url};

/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// Most addresses of one name that are dialled.
const MAX_ADDRESSES: usize = 8;
/// Longest time until a connection is accepted.
const CONNECT: Duration = Duration::from_secs(5);

/// What a stranger's URL may point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Addresses that anybody on the internet can reach.
    #[default]
    Public,
    /// Also this machine and its networks: for a market on one machine, and for tests.
    Anywhere,
}

/// A stranger's URL that may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) Url);

/// Judges the parts of a URL that need no resolution.
///
/// # Errors
/// [`Kind::InvalidParams`] naming `field`.
pub(crate) fn target(url: &str, field: &str, reach: Reach) -> Result<Target, A2aError> {
    let wrong = |text: &str| A2aError::invalid_params(field, text);
    if url.len() > MAX_URL_BYTES {
        return Err(wrong("is over 2 KiB"));
    }
    let url = Url::parse(url).map_err(|_| wrong("must be an http or https URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must be an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not carry a name or a password"));
    }
    let literal = match url.host() {
        None => return Err(wrong("must name a host")),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
    };
    if literal.is_some_and(|ip| !may_dial(ip, reach)) {
        return Err(wrong("must not point at a private address"));
    }
    Ok(Target(url))
}

/// Posts a body. The status that came back, whatever it is.
///
/// # Errors
/// [`Kind::Refused`] if the host's addresses may not be dialled, [`Kind::Unreachable`], or [`Kind::ConnectionLost`].
pub(crate) async fn post(
    target: &Target,
    headers: HeaderMap,
    body: Bytes,
    reach: Reach,
    patience: Duration,
) -> Result<u16, A2aError> {
    let asked = async {
        let client = client(&target.0, reach).await?;
        let sent = client.post(target.0.clone()).headers(headers).body(body).send().await;
        sent.map(|response| response.status().as_u16()).map_err(|cause| {
            let kind = if cause.is_connect() { Kind::Unreachable } else { Kind::ConnectionLost };
            A2aError::new(kind, "the URL's server did not answer")
        })
    };
    match tokio::time::timeout(patience, asked).await {
        Ok(answered) => answered,
        Err(_) => Err(A2aError::new(Kind::ConnectionLost, "the URL's server did not answer in time")),
    }
}

/// A client that reaches this host at the addresses that were judged, and nothing else.
pub(crate) async fn client(url: &Url, reach: Reach) -> Result<Client, A2aError> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await;
    let found: Vec<SocketAddr> = found
        .map_err(|_| A2aError::new(Kind::Unreachable, "the URL's host cannot be resolved"))?
        .take(MAX_ADDRESSES)
        .collect();
    if found.is_empty() || found.iter().any(|address| !may_dial(address.ip(), reach)) {
        return Err(A2aError::refused("private_address", "the URL's host has a private address"));
    }
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .resolve_to_addrs(&host, &found)
        .build()
        .map_err(|cause| A2aError::new(Kind::Internal, format!("no HTTP client: {cause}")))
}

fn may_dial(ip: IpAddr, reach: Reach) -> bool {
    reach == Reach::Anywhere || is_public(ip)
}

/// Whether an address can be anybody's on the internet: the special-purpose registries of IANA (RFC 6890) left out.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match embedded(ip) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    // Only 2000::/3 is given out; of it, these are not hosts: Teredo and others, documentation.
    let given_out = first & 0xe000 == 0x2000;
    let special = (first == 0x2001 && (second < 0x0200 || second == 0x0db8)) || first == 0x3fff;
    given_out && !special
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, by NAT64 or by 6to4.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = ip.segments();
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(from(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_nobodys_on_the_internet_are_not_dialled() {
        for private in [
            "127.0.0.1",
            "127.8.8.8",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::808:808",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "3fff::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in
            ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn urls_that_cannot_be_a_strangers_are_named() {
        let judged = |url: &str| target(url, "url", Reach::Public);
        for wrong in [
            "",
            "nonsense",
            "ftp://example.org/x",
            "file:///etc/passwd",
            "http://alice@example.org/",
            "http://a:b@example.org/",
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:169.254.169.254]/latest/meta-data",
            "http://169.254.169.254/",
            "https://10.1.2.3:8443/hook",
        ] {
            let error = judged(wrong).expect_err(wrong);
            assert_eq!(error.kind(), Kind::InvalidParams, "{wrong}");
        }
        assert!(judged(&format!("http://example.org/{}", "x".repeat(MAX_URL_BYTES))).is_err());
        assert!(judged("https://example.org:8443/hook?x=1").is_ok());
        assert!(target("http://127.0.0.1:9/hook", "url", Reach::Anywhere).is_ok());
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused_when_it_is_resolved() {
        let home = target("http://localhost:9/hook", "url", Reach::Public).unwrap();
        let refused =
            post(&home, HeaderMap::new(), Bytes::new(), Reach::Public, Duration::from_secs(30)).await.unwrap_err();
        assert_eq!((refused.kind(), refused.metadata("code")), (Kind::Refused, Some("private_address")));
    }
}
