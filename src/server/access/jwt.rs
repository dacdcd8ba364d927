//! JSON Web Tokens: signed by somebody whose keys are configured, and read here.
//!
//! The keys decide the algorithms, the token does not: a public key verifies signatures of its own kind
//! and no HMAC, and `none` is no algorithm at all. Whatever else a header names, such as a `jku` or a
//! `jwk`, is not looked at. A token costs one verification at most, because exactly one key must fit
//! it. Time enters by argument.

mod keys;

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{DecodingKey, Validation, crypto, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use self::keys::Key;
use super::{super::facade::mercure_permissions, AccessError, Permissions};

/// Which JSON Web Tokens are believed.
///
/// A token says in its claims what its holder may do, by topics and patterns:
///
/// ```json
/// {"sub": "17", "exp": 1767225600, "fanfare": {"subscribe": ["news", "users/17/*"], "publish": []}}
/// ```
///
/// ```
/// use fanfare::server::{Access, Jwt};
///
/// // At least as long as the hash: 32 bytes for HS256.
/// let jwt = Jwt::new().secret(b"only-for-this-example-0123456789")?.audience("chat");
/// let access = Access::new().jwt(jwt);
/// # Ok::<(), fanfare::server::AccessError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Jwt {
    keys: Vec<Key>,
    audience: Option<String>,
    issuer: Option<String>,
    leeway: Duration,
    expiry_required: bool,
    claim: String,
    /// Whether the claim of Mercure counts too.
    takes_mercures: bool,
}

/// What a token that is believed says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verified {
    /// Whom it was made for.
    pub(super) subject: Option<String>,
    pub(super) permissions: Permissions,
    /// When it is over, leeway included. None is never.
    pub(super) expires: Option<SystemTime>,
}

/// Why a token is not believed. Its bearer is told nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Disbelief {
    #[error("not a token that can be read: {0}")]
    Malformed(String),
    #[error("none or several of the keys fit its header")]
    NoKey,
    #[error("it names extensions that must be understood")]
    Critical,
    #[error("{0}")]
    Untrue(String),
    #[error("it does not expire")]
    NoExpiry,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("its permissions are faulty: {0}")]
    Permissions(String),
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<Date>,
    nbf: Option<Date>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Seconds since 1970, whole or not.
#[derive(Clone, Copy, Deserialize)]
struct Date(f64);

impl Jwt {
    /// Believes none yet: it needs a key.
    pub fn new() -> Self {
        Self {
            keys: Vec::new(),
            audience: None,
            issuer: None,
            leeway: Duration::ZERO,
            expiry_required: true,
            claim: DEFAULT_CLAIM.to_owned(),
            takes_mercures: false,
        }
    }

    /// Believes what is signed with this secret, by HMAC: HS256 if it has at least 32 bytes, HS384 and
    /// HS512 too if it has 48 and 64.
    ///
    /// # Errors
    /// [`AccessError::Key`] if it is shorter than 32 bytes (RFC 7518, section 3.2).
    pub fn secret(mut self, secret: &[u8]) -> Result<Self, AccessError> {
        self.keys.push(Key::secret(secret)?);
        Ok(self)
    }

    /// Believes what is signed with the private half of this public key, in PEM: RSA of 2,048 bits or
    /// more (RS256 to RS512, PS256 to PS512), P-256 (ES256), P-384 (ES384) or Ed25519 (EdDSA).
    ///
    /// # Errors
    /// [`AccessError::Key`] if it is something else, such as a private key.
    pub fn public_key(mut self, pem: &[u8]) -> Result<Self, AccessError> {
        self.keys.push(Key::pem(pem)?);
        Ok(self)
    }

    /// Believes what is signed with one of a JSON Web Key Set. Keys of unknown kinds, and those that are
    /// not for signatures, are passed over, as RFC 7517 wants it.
    ///
    /// # Errors
    /// [`AccessError::Key`] if it is not such a set, or has no key of use.
    pub fn jwks(mut self, json: &[u8]) -> Result<Self, AccessError> {
        self.keys.extend(Key::set(json)?);
        Ok(self)
    }

    /// As [`public_key`](Self::public_key) if the file is in PEM, as [`jwks`](Self::jwks) if it is a JSON
    /// object, and as [`secret`](Self::secret) otherwise, without the line end at its end.
    ///
    /// # Errors
    /// [`AccessError::File`] if it cannot be read, and those of these three.
    pub fn key_file(self, path: impl AsRef<Path>) -> Result<Self, AccessError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| AccessError::file(path, error))?;
        let text = bytes.trim_ascii();
        let added = if text.starts_with(b"-----BEGIN ") {
            self.public_key(text)
        } else if text.starts_with(b"{") {
            self.jwks(text)
        } else {
            self.secret(bytes.strip_suffix(b"\n").unwrap_or(&bytes))
        };
        added.map_err(|fault| match fault {
            AccessError::Key(fault) => AccessError::Key(format!("{}: {fault}", path.display())),
            fault => fault,
        })
    }

    /// Wants tokens to be for this audience. Without one, only tokens for no audience are believed.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Wants tokens to be by this issuer. Default: by anybody who has a key.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// How far the clocks of whoever signs may be off: a token is taken so long before it is valid, and
    /// it and what it has begun last so much longer. Default: none.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Believes tokens that have no `exp`, and so never end. Default: it does not.
    #[must_use]
    pub fn without_expiry(mut self) -> Self {
        self.expiry_required = false;
        self
    }

    /// The claim that has the permissions. Default: `fanfare`.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>) -> Self {
        self.claim = name.into();
        self
    }

    /// Permits what the claim of Mercure says, too.
    pub(super) fn with_mercures(mut self) -> Self {
        self.takes_mercures = true;
        self
    }

    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// What a token says, if it is to be believed at this time.
    pub(super) fn verify(&self, token: &[u8], now: SystemTime) -> Result<Verified, Disbelief> {
        let header = decode_header(token).map_err(malformed)?;
        if header.crit.is_some() {
            return Err(Disbelief::Critical);
        }
        let fits = |key: &&Key| key.fits(header.alg, header.kid.as_deref());
        let mut fitting = self.keys.iter().filter(fits);
        let (Some(key), None) = (fitting.next(), fitting.next()) else {
            return Err(Disbelief::NoKey);
        };
        let claims = self.decode(token, &key.decoding, header.alg)?;
        let expires = self.check_times(&claims, now)?;
        let mut permissions = match claims.others.get(&self.claim) {
            None => Permissions::default(),
            Some(value) => Permissions::deserialize(value)
                .map_err(|fault| Disbelief::Permissions(fault.to_string()))?,
        };
        if self.takes_mercures
            && let Some(claim) = claims.others.get(MERCURE_CLAIM)
        {
            permissions.extend(mercure_permissions(claim));
        }
        Ok(Verified { subject: claims.sub, permissions, expires })
    }

    fn decode(
        &self,
        token: &[u8],
        key: &DecodingKey,
        algorithm: jsonwebtoken::Algorithm,
    ) -> Result<Claims, Disbelief> {
        // There may be another one in this process; whichever it is verifies the same.
        let _ = crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let mut validation = Validation::new(algorithm);
        // The times are checked here, against the time that was given.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        validation.required_spec_claims.clear();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        let decoded = decode(token, key, &validation);
        Ok(decoded.map_err(|fault| Disbelief::Untrue(fault.to_string()))?.claims)
    }

    fn check_times(
        &self,
        claims: &Claims,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Disbelief> {
        if let Some(valid_from) = claims.nbf.map(Date::time).transpose()?
            && valid_from > now + self.leeway
        {
            return Err(Disbelief::NotYet);
        }
        match claims.exp.map(Date::time).transpose()? {
            None if self.expiry_required => Err(Disbelief::NoExpiry),
            None => Ok(None),
            Some(expires) if now >= expires + self.leeway => Err(Disbelief::Expired),
            Some(expires) => Ok(Some(expires + self.leeway)),
        }
    }
}

impl Default for Jwt {
    fn default() -> Self {
        Self::new()
    }
}

const DEFAULT_CLAIM: &str = "fanfare";

const MERCURE_CLAIM: &str = "mercure";

impl Date {
    /// Far away is as good as farther: a clock must be able to add to it.
    const SECONDS_MAX: f64 = (1_u64 << 40) as f64;

    fn time(self) -> Result<SystemTime, Disbelief> {
        if self.0 < 0.0 {
            return Err(Disbelief::Malformed("a time before 1970".into()));
        }
        Ok(UNIX_EPOCH + Duration::from_secs_f64(self.0.min(Self::SECONDS_MAX)))
    }
}

fn malformed(fault: jsonwebtoken::errors::Error) -> Disbelief {
    Disbelief::Malformed(fault.to_string())
}

#[cfg(test)]
mod tests;
