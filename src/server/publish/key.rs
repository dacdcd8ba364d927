//! The `Idempotency-Key` header ([draft-ietf-httpapi-idempotency-key-header]).
//!
//! The draft wants a quoted string. Many clients send the bare key, so that is taken as well, which
//! is why this is no parser of structured fields.
//!
//! [draft-ietf-httpapi-idempotency-key-header]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::server::fault::Fault;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says of an answer that nothing was published for it: it is that of an earlier request.
pub(super) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request, if it has one. Its length is for the provider to judge.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Fault::bad_request("idempotency key is given twice"));
    }
    parse(value).map(Some).ok_or_else(|| Fault::bad_request("idempotency key is malformed"))
}

fn parse(value: &HeaderValue) -> Option<String> {
    // None where it is not printable ASCII.
    let text = value.to_str().ok()?.trim();
    match text.strip_prefix('"') {
        Some(quoted) => unquote(quoted.strip_suffix('"')?),
        None => (!text.contains('"')).then(|| text.to_owned()),
    }
}

/// What stands between the quotes; a backslash takes the quote or backslash behind it as it is.
fn unquote(quoted: &str) -> Option<String> {
    let mut key = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            '"' => return None,
            _ => key.push(character),
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_quoted_or_bare() {
        let key = |value: &'static str| parse(&HeaderValue::from_static(value));
        assert_eq!(key("\"8e03978e-40d5\"").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(key("8e03978e-40d5").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(key(r#""a \"b\" \\ c""#).as_deref(), Some(r#"a "b" \ c"#));
        assert_eq!(key("\"\"").as_deref(), Some(""));
        for malformed in ["\"", "\"a", "a\"", "\"a\"b\"", r#""a\n""#, r#""a\""#, "\"a\"; b=c"] {
            assert_eq!(key(malformed), None, "{malformed}");
        }
        assert_eq!(parse(&HeaderValue::from_bytes(b"\"\xc3\xa9\"").unwrap()), None);
    }
}
