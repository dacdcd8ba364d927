//! Static tokens: secrets that are shared with their holders, for as long as the server runs.

use std::{fmt, fs, path::Path};

use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::{AccessError, Permissions};
use crate::limits;

/// A secret that lets whoever brings it do something.
///
/// ```
/// use fanfare::server::{Permissions, StaticToken};
///
/// let permissions = Permissions::new(&["**"], &["news"])?;
/// let token = StaticToken::new("0123456789abcdef", permissions)?;
/// assert!(!format!("{token:?}").contains("0123"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StaticToken {
    secret: Box<[u8]>,
    permissions: Permissions,
}

/// As it is written in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    token: String,
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
}

impl StaticToken {
    /// A token of [`limits::TOKEN_BYTES_MIN`] to [`limits::TOKEN_BYTES_MAX`] bytes, all of them visible
    /// ASCII: it must be one word of a header.
    ///
    /// # Errors
    /// [`AccessError::Token`] says what is wrong with it.
    pub fn new(secret: impl AsRef<str>, permissions: Permissions) -> Result<Self, AccessError> {
        let secret = secret.as_ref().as_bytes();
        let (min, max) = (limits::TOKEN_BYTES_MIN, limits::TOKEN_BYTES_MAX);
        if !(min..=max).contains(&secret.len()) {
            let fault = format!("{} bytes are not between {min} and {max}", secret.len());
            return Err(AccessError::Token(fault));
        }
        if !secret.iter().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(byte)) {
            let fault = "it has other bytes than visible ASCII without quotes, commas, semicolons";
            return Err(AccessError::Token(fault.into()));
        }
        Ok(Self { secret: secret.into(), permissions })
    }

    /// The tokens in a file of JSON: `[{"token": "…", "subscribe": ["news"], "publish": []}]`.
    ///
    /// # Errors
    /// [`AccessError::File`] if it cannot be read, [`AccessError::Token`] if one of them is faulty.
    pub fn read_file(path: impl AsRef<Path>) -> Result<Vec<Self>, AccessError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|error| AccessError::file(path, error))?;
        // What serde says would show what it found there, which may be a secret.
        let listed: Vec<Listed> = serde_json::from_str(&text).map_err(|fault| {
            let (file, line) = (path.display(), fault.line());
            AccessError::Token(format!(
                "{file}:{line}: expected a list of objects with token, subscribe and publish"
            ))
        })?;
        let named = |number: usize, fault: String| {
            AccessError::Token(format!("{}: token {}: {fault}", path.display(), number + 1))
        };
        let token = |(number, listed): (usize, Listed)| {
            let permissions = Permissions::new(&listed.subscribe, &listed.publish)
                .map_err(|fault| named(number, fault.to_string()))?;
            Self::new(&listed.token, permissions).map_err(|fault| match fault {
                AccessError::Token(fault) => named(number, fault),
                fault => fault,
            })
        };
        listed.into_iter().enumerate().map(token).collect()
    }

    /// What it lets its holder do.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }
}

impl fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticToken")
            .field("permissions", &self.permissions)
            .finish_non_exhaustive()
    }
}

/// The one of `tokens` that was brought.
///
/// All are compared, each in a time that depends on lengths alone, so that nothing of a secret can be
/// learnt from how long a refusal takes.
pub(super) fn find<'t>(tokens: &'t [StaticToken], brought: &[u8]) -> Option<&'t StaticToken> {
    let mut found = None;
    for token in tokens {
        if bool::from(token.secret.ct_eq(brought)) {
            found = Some(token);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &str) -> Result<StaticToken, String> {
        StaticToken::new(secret, Permissions::default()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_token_is_one_word_that_cannot_be_guessed() {
        assert!(token(&"a".repeat(limits::TOKEN_BYTES_MIN)).is_ok());
        assert!(token(&"a".repeat(limits::TOKEN_BYTES_MAX)).is_ok());
        for secret in [
            &"a".repeat(limits::TOKEN_BYTES_MIN - 1),
            &"a".repeat(limits::TOKEN_BYTES_MAX + 1),
            "0123456789 abcdef",
            "0123456789;abcdef",
            "0123456789abcdé\u{e9}",
        ] {
            assert!(token(secret).is_err(), "{secret}");
        }
    }

    #[test]
    fn only_the_whole_token_is_found() {
        let tokens = ["0123456789abcdef", "0123456789abcdeg"].map(|secret| token(secret).unwrap());
        let found = |brought: &str| find(&tokens, brought.as_bytes()).map(|it| &*it.secret);
        for secret in ["0123456789abcdef", "0123456789abcdeg"] {
            assert_eq!(found(secret), Some(secret.as_bytes()));
        }
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_names_its_faulty_token() {
        let path = std::env::temp_dir().join(format!("fanfare-tokens-{}", std::process::id()));
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            StaticToken::read_file(&path).map_err(|fault| fault.to_string())
        };
        let good = r#"{"token":"0123456789abcdef","subscribe":["a/*"]}"#;
        let tokens = read(&format!("[{good}]")).unwrap();
        assert!(tokens[0].permissions().may_subscribe("a/b"));
        assert!(!tokens[0].permissions().may_publish("a/b"));
        for (bad, fault) in [
            (r#"{"token":"short"}"#, "token 2: 5 bytes are not between"),
            (r#"{"token":"0123456789abcdef","publish":["a/**/b"]}"#, "token 2: pattern goes on"),
            (r#"{"token":"0123456789abcdef","publsh":[]}"#, ":1: expected a list of objects"),
            (r#""0123456789abcdef""#, ":1: expected a list of objects"),
        ] {
            let said = read(&format!("[{good},{bad}]")).unwrap_err();
            assert!(said.contains(fault), "{said}");
            assert!(!said.contains("0123456789abcdef"), "{said}");
        }
        fs::remove_file(&path).unwrap();
        assert!(StaticToken::read_file(&path).unwrap_err().to_string().contains("cannot read"));
    }
}
