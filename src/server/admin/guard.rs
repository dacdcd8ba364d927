//! What every answer of the operator's side has to do with browsers.
//!
//! A page from elsewhere may be in a browser that reaches this address. What it may send without
//! asking changes nothing here, and no header lets it read an answer. It could still give its own
//! name to this address (DNS rebinding) and so be of the same origin: hence only names that nobody
//! can give are answered.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::server::fault::Fault;

const HEADERS: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Refuses who asks for a name that somebody may have given to this address.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match check(&request) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Both names, if there are two; none at all is no browser's.
fn check(request: &Request) -> Result<(), Fault> {
    let hosts = request.headers().get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let absolute = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    for host in hosts.chain(absolute) {
        if !is_nobodys(host) {
            let host = String::from_utf8_lossy(host);
            let text = format!("{host:?} is neither an IP address nor localhost");
            return Err(Fault::new(StatusCode::MISDIRECTED_REQUEST, text));
        }
    }
    Ok(())
}

/// Whether no name server is asked for the host.
fn is_nobodys(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let host = authority.host();
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_answered() {
        for host in ["127.0.0.1", "127.0.0.1:9090", "[::1]:9090", "localhost", "LocalHost:1"] {
            assert!(is_nobodys(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost.",
            "[::1",
            "::1",
            "127.1",
            "\u{e9}",
        ] {
            assert!(!is_nobodys(host.as_bytes()), "{host}");
        }
    }
}
