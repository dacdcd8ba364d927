//! The token of a request: there is one at most, wherever it is brought.

use form_urlencoded::parse;
use http::{HeaderMap, HeaderValue, header};

use super::request::Asked;
use crate::limits;

/// Where else than in `Authorization` a token may be, by name.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) cookie: String,
    pub(super) parameter: String,
    /// Where clients of Mercure put it, too.
    pub(super) takes_mercures: bool,
}

impl Names {
    fn is_cookie(&self, name: &[u8]) -> bool {
        name == self.cookie.as_bytes() || (self.takes_mercures && name == b"mercureAuthorization")
    }

    fn is_parameter(&self, name: &str) -> bool {
        name == self.parameter || (self.takes_mercures && name == "authorization")
    }
}

/// A token as it was brought, not believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) token: Vec<u8>,
    /// Browsers add cookies to requests that other sites make them send.
    pub(super) is_only_by_cookie: bool,
}

/// What a request may bring its token in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    /// All three: `EventSource` has no way to set a header.
    WithParameter,
    /// Header and cookie: what publishes can set a header, and addresses end up in logs.
    WithoutParameter,
}

/// Why a request's token is refused unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CredentialError {
    #[error("there are several headers for one token")]
    SeveralHeaders,
    #[error("there are several tokens, and they differ")]
    Several,
    #[error("the token is empty or over {} bytes", limits::TOKEN_BYTES_MAX)]
    Length,
}

/// Finds the token; none is no fault.
pub(super) fn find(
    asked: &Asked,
    names: &Names,
    ways: Ways,
) -> Result<Option<Credential>, CredentialError> {
    let in_header = bearer(&asked.headers)?.map(<[u8]>::to_vec);
    let in_cookies = cookies(&asked.headers, names).map(<[u8]>::to_vec);
    let query = asked.query.as_deref().filter(|_| ways == Ways::WithParameter);
    let in_query = parse(query.unwrap_or_default().as_bytes())
        .filter(|(name, _)| names.is_parameter(name))
        .map(|(_, value)| value.into_owned().into_bytes());

    let is_only_by_cookie = in_header.is_none();
    let mut found: Option<Credential> = None;
    let others = in_query.map(|token| (token, false));
    let by_cookie = in_cookies.map(|token| (token, is_only_by_cookie));
    for (token, is_only_by_cookie) in
        in_header.map(|token| (token, false)).into_iter().chain(others).chain(by_cookie)
    {
        if token.is_empty() || token.len() > limits::TOKEN_BYTES_MAX {
            return Err(CredentialError::Length);
        }
        match &found {
            None => found = Some(Credential { token, is_only_by_cookie }),
            Some(found) if found.token != token => return Err(CredentialError::Several),
            Some(_) => {}
        }
    }
    Ok(found)
}

/// The token of the one `Authorization` header that is a bearer's. Another scheme is somebody else's.
fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, CredentialError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next(), values.next()) else {
        return Err(CredentialError::SeveralHeaders);
    };
    let scheme_and_token = value.map(HeaderValue::as_bytes).and_then(|value| {
        let (scheme, token) = value.split_at_checked(BEARER.len())?;
        scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim_ascii())
    });
    Ok(scheme_and_token)
}

const BEARER: &[u8] = b"Bearer ";

/// The values of the cookies of these names, of which there should be one.
fn cookies<'h>(headers: &'h HeaderMap, names: &Names) -> impl Iterator<Item = &'h [u8]> {
    let pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let pair = pair.trim_ascii();
        let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
        let value = value.strip_prefix(b"=").filter(|_| names.is_cookie(name))?;
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(quoted.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(
        headers: &[(&'static str, &str)],
        query: &str,
        ways: Ways,
    ) -> Result<Option<(String, bool)>, CredentialError> {
        let names = Names {
            cookie: "fanfare_token".into(),
            parameter: "access_token".into(),
            takes_mercures: false,
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let asked =
            Asked { path: "/events".into(), query: Some(query.into()), headers: map, peer: None };
        let found = find(&asked, &names, ways)?;
        Ok(found.map(|found| (String::from_utf8(found.token).unwrap(), found.is_only_by_cookie)))
    }

    fn with(headers: &[(&'static str, &str)], query: &str) -> Option<(String, bool)> {
        find_in(headers, query, Ways::WithParameter).unwrap()
    }

    #[test]
    fn a_token_is_found_wherever_it_may_be() {
        let by_header = Some(("t.0-_k/+=".to_owned(), false));
        for scheme in ["Bearer ", "bearer ", "BEARER   "] {
            let value = format!("{scheme}t.0-_k/+=");
            assert_eq!(with(&[("authorization", &value)], ""), by_header);
        }
        let by_cookie = Some(("abc".to_owned(), true));
        for value in ["fanfare_token=abc", "a=b; fanfare_token=abc;c", "fanfare_token=\"abc\""] {
            assert_eq!(with(&[("cookie", value)], ""), by_cookie);
        }
        assert_eq!(with(&[], "topic=a&access_token=a%2Bb"), Some(("a+b".to_owned(), false)));
        for nothing in [("authorization", "Basic abc"), ("cookie", "xfanfare_token=abc")] {
            assert_eq!(with(&[nothing], "access-token=abc"), None);
        }
        let publishing = find_in(&[], "access_token=abc", Ways::WithoutParameter);
        assert_eq!(publishing, Ok(None));
    }

    #[test]
    fn the_same_token_twice_is_one_and_two_are_refused() {
        let all = [("authorization", "Bearer abc"), ("cookie", "fanfare_token=abc")];
        assert_eq!(with(&all, "access_token=abc"), Some(("abc".to_owned(), false)));
        let two = |headers, query| find_in(headers, query, Ways::WithParameter);
        assert_eq!(two(&all, "access_token=abd"), Err(CredentialError::Several));
        assert_eq!(two(&[], "access_token=a&access_token=b"), Err(CredentialError::Several));
        let cookies = [("cookie", "fanfare_token=a"), ("cookie", "fanfare_token=b")];
        assert_eq!(two(&cookies, ""), Err(CredentialError::Several));
        let headers = [("authorization", "Bearer abc"), ("authorization", "Bearer abc")];
        assert_eq!(two(&headers, ""), Err(CredentialError::SeveralHeaders));
    }

    #[test]
    fn a_token_has_its_bounds() {
        let of = |len: usize| {
            let value = format!("Bearer {}", "a".repeat(len));
            find_in(&[("authorization", &value)], "", Ways::WithParameter)
        };
        assert!(of(limits::TOKEN_BYTES_MAX).unwrap().is_some());
        assert_eq!(of(limits::TOKEN_BYTES_MAX + 1), Err(CredentialError::Length));
        let empty = find_in(&[], "access_token=", Ways::WithParameter);
        assert_eq!(empty, Err(CredentialError::Length));
    }
}
