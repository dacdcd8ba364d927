//! The target of a request, and what it says about where it is: authorities in it and in `Host`.

use std::{borrow::Cow, net::Ipv6Addr};

use super::HeadError;

/// Path and query of a target in origin form, or in absolute form, whose authority is dropped.
pub(super) fn split_target(target: &str) -> Result<(&str, Option<&str>), HeadError> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(HeadError::Malformed("invalid byte in the request target"));
    }
    check_escapes(target)?;
    let from_path = if target.starts_with('/') { target } else { strip_authority(target)? };
    let (path, query) = match from_path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (from_path, None),
    };
    Ok((if path.is_empty() { "/" } else { path }, query))
}

/// Two readers of a broken escape would read two names.
fn check_escapes(text: &str) -> Result<(), HeadError> {
    let broken = text.split('%').skip(1).any(|rest| {
        let digits = rest.as_bytes().iter().take_while(|byte| byte.is_ascii_hexdigit());
        digits.take(2).count() < 2
    });
    if broken {
        return Err(HeadError::Malformed("invalid escape in the request target"));
    }
    let bytes: Cow<'_, [u8]> = percent_encoding::percent_decode_str(text).into();
    if str::from_utf8(&bytes).is_err() {
        return Err(HeadError::Malformed("the request target is not UTF-8"));
    }
    Ok(())
}

fn strip_authority(target: &str) -> Result<&str, HeadError> {
    const NEITHER: HeadError =
        HeadError::Malformed("request target is neither a path nor an http URI");
    let (scheme, rest) = target.split_once("://").ok_or(NEITHER)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(NEITHER);
    }
    let (authority, from_path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !is_authority(authority.as_bytes()) {
        return Err(HeadError::Malformed("invalid host in the request target"));
    }
    Ok(from_path)
}

/// Whether it is a `uri-host [ ":" port ]` of RFC 3986 with a host, as every http URI has one. Userinfo
/// may not be in it.
pub(super) fn is_authority(authority: &[u8]) -> bool {
    let Ok(authority) = str::from_utf8(authority) else { return false };
    let (is_host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        (!name.is_empty() && name.bytes().all(is_name_byte), port)
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.is_empty() || digits.parse::<u16>().is_ok())
}

/// Whether a `reg-name` of RFC 3986 may have `byte`.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}
