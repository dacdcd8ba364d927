//! Where to connect and what to ask for: URL templates made into addresses and request heads.

use std::net::{SocketAddr, ToSocketAddrs};

/// One URL, resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Endpoint {
    /// Where to connect.
    pub(crate) address: SocketAddr,
    /// The `Host` header.
    pub(crate) host: String,
    /// Path and query.
    pub(crate) path: String,
}

impl Endpoint {
    /// Resolves `template`, a path on `target` or a whole URL, for `topic`.
    ///
    /// # Errors
    /// In words, when it is not an `http://` URL or its host has no address.
    pub(crate) fn resolve(target: &str, template: &str, topic: &str) -> Result<Self, String> {
        let template = template.replace("{topic}", &percent_encode(topic));
        let url = match template.contains("://") {
            true => template,
            false => {
                format!("{}/{}", target.trim_end_matches('/'), template.trim_start_matches('/'))
            }
        };
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(format!("{url}: only http:// URLs are supported"));
        };
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(format!("{url}: white space in a URL"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { host.to_owned() } else { format!("{host}:80") };
        let addresses = with_port.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
        // Of the names of this machine, servers under test as a rule listen on the IPv4 one.
        let address = addresses
            .min_by_key(SocketAddr::is_ipv6)
            .ok_or_else(|| format!("{host} has no address"))?;
        Ok(Self { address, host: host.to_owned(), path })
    }

    /// The request of a subscriber.
    pub(crate) fn subscribe_request(&self) -> Vec<u8> {
        let Self { host, path, .. } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\
             Cache-Control: no-cache\r\n\r\n"
        )
        .into_bytes()
    }

    /// The head of a publish request, up to its body; `body` is its framing header.
    pub(crate) fn publish_head(&self, content_type: &str, body: &str) -> String {
        let Self { host, path, .. } = self;
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n{body}\r\n\r\n"
        )
    }
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte as char);
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "http://127.0.0.1:8080/";

    #[test]
    fn a_path_is_taken_on_the_target() {
        let endpoint = Endpoint::resolve(TARGET, "/events?topic={topic}", "a b/ü");
        let endpoint = endpoint.expect("a valid URL");
        assert_eq!(endpoint.address, SocketAddr::from(([127, 0, 0, 1], 8080)));
        assert_eq!(endpoint.host, "127.0.0.1:8080");
        assert_eq!(endpoint.path, "/events?topic=a%20b%2F%C3%BC");
    }

    #[test]
    fn a_whole_url_stands_alone() {
        let endpoint = Endpoint::resolve(TARGET, "http://127.0.0.1?x={topic}", "t");
        let endpoint = endpoint.expect("a valid URL");
        assert_eq!((endpoint.address.port(), &endpoint.path[..]), (80, "/?x=t"));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for bad in ["https://127.0.0.1/", "/a b", "/a\r\nb"] {
            assert!(Endpoint::resolve(TARGET, bad, "t").is_err(), "{bad}");
        }
    }
}
