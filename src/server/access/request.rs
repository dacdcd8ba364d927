//! What access is decided from: a request as both the cores and the control runtime have it, and
//! where it comes from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use ipnet::IpNet;

use crate::{http::RequestHead, limits};

/// A request without its body.
#[derive(Clone, Debug)]
pub(in crate::server) struct Asked {
    /// As sent, not decoded.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    /// The other end of the connection, where it is known.
    pub(super) peer: Option<IpAddr>,
}

/// Who is on the other end of a connection, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Peer(pub(in crate::server) Option<IpAddr>);

impl Asked {
    pub(in crate::server) fn of_head(head: &RequestHead<'_>, peer: Option<IpAddr>) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in head.header_lines() {
            // The parser has let them through, so they are what HTTP calls a name and a value.
            if let Ok(name) = HeaderName::from_bytes(name)
                && let Ok(value) = HeaderValue::from_bytes(value)
            {
                headers.append(name, value);
            }
        }
        let query = head.query.map(str::to_owned);
        Self { path: head.path.to_owned(), query, headers, peer }
    }

    pub(in crate::server) fn of_parts(parts: &Parts) -> Self {
        Self {
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers.clone(),
            peer: peer(&parts.extensions),
        }
    }
}

/// The other end of a request's connection: as the control runtime knows it, or the app that the router
/// is nested in.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let of_app = || extensions.get::<ConnectInfo<SocketAddr>>();
    match extensions.get::<Peer>() {
        Some(peer) => peer.0,
        None => of_app().map(|ConnectInfo(address)| address.ip()),
    }
}

/// Which header a proxy writes the address of its client to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`, as RFC 7239 has it.
    Forwarded,
}

/// The proxies whose word is taken for where a request comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    pub(super) trusted: Vec<IpNet>,
    pub(super) header: ForwardedHeader,
}

impl Proxies {
    /// Where a request comes from: the peer, or, where that is a trusted proxy, the last address that
    /// was not written down by one.
    ///
    /// Read from the end, for whatever is further ahead may have been sent by the client. An entry that
    /// cannot be read ends it, and the proxy that passed it on counts as the client.
    pub(super) fn client(&self, asked: &Asked) -> Option<IpAddr> {
        let mut client = asked.peer?.to_canonical();
        let entries = asked.headers.get_all(self.header.name()).iter().rev().flat_map(|value| {
            let value = value.to_str().unwrap_or_default();
            value.rsplit(',').map(str::trim).collect::<Vec<_>>()
        });
        for entry in entries.take(limits::FORWARDED_HOPS_MAX) {
            if !self.trust(client) {
                break;
            }
            let Some(address) = self.header.address(entry) else { break };
            client = address.to_canonical();
        }
        Some(client)
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

impl ForwardedHeader {
    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => header::FORWARDED,
        }
    }

    fn address(self, entry: &str) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => address(entry),
            Self::Forwarded => {
                let pairs = entry.split(';').filter_map(|pair| pair.trim().split_once('='));
                let mut nodes = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
                address(nodes.next()?.1.trim_matches('"'))
            }
        }
    }
}

/// An address, with a port or without: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, _port) = rest.split_once(']')?;
        return address.parse().ok().map(IpAddr::V6);
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, _port) = text.split_once(':')?;
    address.parse().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, header: ForwardedHeader, lines: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header.name(), HeaderValue::from_static(line));
        }
        let asked =
            Asked { path: "/".into(), query: None, headers, peer: Some(peer.parse().unwrap()) };
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap()).to_vec();
        Proxies { trusted, header }.client(&asked).unwrap().to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let by_x =
            |peer, lines: &[&'static str]| client(peer, ForwardedHeader::XForwardedFor, lines);
        assert_eq!(by_x("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(by_x("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(by_x("::ffff:10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(by_x("10.0.0.1", &["[2001:db9::1]:80"]), "2001:db9::1");
        // What the client wrote itself comes before what the proxy wrote.
        assert_eq!(by_x("10.0.0.1", &["127.0.0.1, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(by_x("10.0.0.1", &["127.0.0.1", "198.51.100.1, 10.9.9.9"]), "198.51.100.1");
        assert_eq!(by_x("2001:db8::9", &["10.1.1.1, 10.2.2.2"]), "10.1.1.1");
        // What cannot be read is not passed over.
        assert_eq!(by_x("10.0.0.1", &["198.51.100.1, unknown"]), "10.0.0.1");
        assert_eq!(by_x("10.0.0.1", &[""]), "10.0.0.1");
        assert_eq!(by_x("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read_too_and_no_other_then() {
        let by_standard =
            |lines: &[&'static str]| client("10.0.0.1", ForwardedHeader::Forwarded, lines);
        assert_eq!(by_standard(&["for=198.51.100.1;proto=https"]), "198.51.100.1");
        assert_eq!(by_standard(&["by=10.0.0.1;For=\"[2001:db9::1]:80\""]), "2001:db9::1");
        assert_eq!(by_standard(&["for=1.1.1.1, for=_hidden"]), "10.0.0.1");
        let mixed = Asked {
            path: "/".into(),
            query: None,
            headers: HeaderMap::from_iter([(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_static("1.1.1.1"),
            )]),
            peer: Some("10.0.0.1".parse().unwrap()),
        };
        let proxies = Proxies {
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            header: ForwardedHeader::Forwarded,
        };
        assert_eq!(proxies.client(&mixed).unwrap().to_string(), "10.0.0.1");
    }
}
