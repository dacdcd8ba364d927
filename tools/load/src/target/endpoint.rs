//! Where to connect and which path to ask for.

use std::net::{SocketAddr, ToSocketAddrs};

use serde::{Deserialize, Serialize};

use super::template::{Escape, Place, Template};

/// A URL, its host resolved, its places not filled in yet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Endpoint {
    /// Where to connect.
    pub(crate) address: SocketAddr,
    /// The `Host` header.
    pub(crate) host: String,
    /// Path and query.
    pub(crate) path: Template,
}

impl Endpoint {
    /// Resolves `template`: a path on `target`, a whole URL, or nothing for `target` itself.
    /// `{host}` is the target's host without its port; other places are those of `allowed`.
    ///
    /// # Errors
    /// In words, when it is not an `http://` URL, its host has no address, or it has a place
    /// without meaning.
    pub(crate) fn resolve(target: &str, template: &str, allowed: &[Place]) -> Result<Self, String> {
        let url = match template {
            "" => target.to_owned(),
            whole if whole.contains("://") => whole.replace("{host}", host_of(target)?),
            path => format!("{}/{}", target.trim_end_matches('/'), path.trim_start_matches('/')),
        };
        let (authority, path) = split(&url)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(format!("{url}: white space in a URL"));
        }
        if path.contains('#') {
            return Err(format!("{url}: what follows # is not sent to a server"));
        }
        if authority.contains('@') {
            return Err(format!("{url}: credentials in a URL are not sent; give a header"));
        }
        Ok(Self {
            address: resolve(authority)?,
            host: authority.to_owned(),
            path: Template::parse(&path, Escape::Percent, allowed)?,
        })
    }
}

/// Host and port of a URL, and what follows them.
fn split(url: &str) -> Result<(&str, &str), String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("{url}: only http:// URLs are supported"))?;
    Ok(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

fn host_of(target: &str) -> Result<&str, String> {
    let (authority, _) = split(target)?;
    Ok(port_of(authority).map_or(authority, |(host, _)| host))
}

fn port_of(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    port.parse().ok().map(|port| (host, port))
}

fn resolve(authority: &str) -> Result<SocketAddr, String> {
    let with_port = match port_of(authority) {
        Some(_) => authority.to_owned(),
        None => format!("{authority}:80"),
    };
    let addresses = with_port.to_socket_addrs().map_err(|error| format!("{authority}: {error}"))?;
    // Of the names of this machine, servers under test as a rule listen on the IPv4 one.
    addresses.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| format!("{authority} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "http://127.0.0.1:8080/";

    fn resolved(target: &str, template: &str) -> (SocketAddr, String, String) {
        let endpoint = Endpoint::resolve(target, template, &[Place::Topic]).expect("a valid URL");
        (endpoint.address, endpoint.host, endpoint.path.fill(&["a b"], None).remove(0))
    }

    #[test]
    fn a_path_is_taken_on_the_target() {
        let (address, host, path) = resolved(TARGET, "/events?topic={topic}");
        assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], 8080)));
        assert_eq!((&host[..], &path[..]), ("127.0.0.1:8080", "/events?topic=a%20b"));
        let (_, _, path) = resolved("http://127.0.0.1/prefix/", "events");
        assert_eq!(path, "/prefix/events");
    }

    #[test]
    fn a_whole_url_stands_alone() {
        let (address, _, path) = resolved(TARGET, "http://127.0.0.1?x={topic}");
        assert_eq!((address.port(), &path[..]), (80, "/?x=a%20b"));
        let (address, host, _) = resolved("http://127.0.0.1:7999", "http://{host}:5561/publish/");
        assert_eq!((address.port(), &host[..]), (5561, "127.0.0.1:5561"));
        let (address, host, _) = resolved("http://[::1]:7999/", "http://{host}:5561/publish/");
        assert_eq!((address.to_string(), &host[..]), ("[::1]:5561".to_owned(), "[::1]:5561"));
    }

    #[test]
    fn nothing_is_the_target_itself() {
        let (address, _, path) = resolved("http://127.0.0.1:80/feed/{topic}?x=1", "");
        assert_eq!((address.port(), &path[..]), (80, "/feed/a%20b?x=1"));
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_name() {
        for (bad, why) in [
            ("https://127.0.0.1/", "only http://"),
            ("ftp://127.0.0.1/", "only http://"),
            ("/a b", "white space"),
            ("/a\r\nb", "white space"),
            ("/a#b", "#"),
            ("http://me:secret@127.0.0.1/", "credentials"),
            ("/{id}", "{id}"),
        ] {
            let error = Endpoint::resolve(TARGET, bad, &[]).expect_err(bad);
            assert!(error.contains(why), "{bad}: {error}");
        }
        assert!(Endpoint::resolve("127.0.0.1:80", "/events", &[]).is_err());
    }
}
