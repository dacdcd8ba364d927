//! Who it is that asks: what a token comes to.

use std::{hash::BuildHasher, time::SystemTime};

use http::header;

use super::{
    super::{
        super::fault::Fault,
        Permissions,
        credentials::{self, Credential, Ways},
        origins::Cookies,
        request::Asked,
        tokens,
    },
    Gate,
    faults::{origin_refused, unauthorised},
};

/// Whom a token was made for, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holder(u64);

/// Whoever brought a token that is believed.
#[derive(Clone, Debug)]
pub(super) struct Principal {
    pub(super) holder: Holder,
    pub(super) subject: Option<String>,
    pub(super) permissions: Permissions,
    pub(super) expires: Option<SystemTime>,
}

/// What a token has come to without looking at a signature.
#[derive(Debug)]
pub(super) enum Bearer {
    Nobody,
    Known(Principal),
    Unverified(Credential),
}

impl Gate {
    /// Whose token a request brings, as far as that can be said without a signature.
    pub(super) fn identify(&self, asked: &Asked, ways: Ways) -> Result<Bearer, Fault> {
        if !self.knows_tokens() {
            // Whatever is there is somebody else's.
            return Ok(Bearer::Nobody);
        }
        let credential = credentials::find(asked, &self.names, ways).map_err(|fault| {
            tracing::debug!(%fault, "a token is refused");
            unauthorised()
        })?;
        let Some(credential) = credential else { return Ok(Bearer::Nobody) };
        if credential.is_only_by_cookie {
            let says_origin = asked.headers.contains_key(header::ORIGIN);
            let must_say = ways == Ways::WithoutParameter;
            if (must_say && !says_origin) || !self.origins.allow(&asked.headers, Cookies::Used) {
                return Err(origin_refused());
            }
        }
        if let Some(token) = tokens::find(&self.tokens, &credential.token) {
            let holder = Holder(self.hasher.hash_one((KIND_STATIC, &credential.token)));
            let permissions = token.permissions().clone();
            return Ok(Bearer::Known(Principal {
                holder,
                subject: None,
                permissions,
                expires: None,
            }));
        }
        if self.verifies_signatures() {
            Ok(Bearer::Unverified(credential))
        } else {
            Err(unauthorised())
        }
    }

    /// Looks at the signature, if there is one to look at.
    pub(super) fn verify(&self, bearer: Bearer) -> Result<Option<Principal>, Fault> {
        match bearer {
            Bearer::Nobody => Ok(None),
            Bearer::Known(principal) => Ok(Some(principal)),
            Bearer::Unverified(credential) => self.verify_signature(&credential).map(Some),
        }
    }

    #[cfg(feature = "jwt")]
    fn verify_signature(&self, credential: &Credential) -> Result<Principal, Fault> {
        let Some(jwt) = &self.jwt else { return Err(unauthorised()) };
        let verified = jwt.verify(&credential.token, (self.clock.0)()).map_err(|fault| {
            tracing::debug!(%fault, "a token is refused");
            unauthorised()
        })?;
        let holder = match &verified.subject {
            Some(subject) => self.hasher.hash_one((KIND_SUBJECT, subject)),
            None => self.hasher.hash_one((KIND_TOKEN, &credential.token)),
        };
        Ok(Principal {
            holder: Holder(holder),
            subject: verified.subject,
            permissions: verified.permissions,
            expires: verified.expires,
        })
    }

    #[cfg(not(feature = "jwt"))]
    fn verify_signature(&self, _: &Credential) -> Result<Principal, Fault> {
        Err(unauthorised())
    }

    pub(super) fn knows_tokens(&self) -> bool {
        self.verifies_signatures() || !self.tokens.is_empty()
    }

    fn verifies_signatures(&self) -> bool {
        #[cfg(feature = "jwt")]
        return self.jwt.is_some();
        #[cfg(not(feature = "jwt"))]
        return false;
    }
}

const KIND_STATIC: u8 = 0;
#[cfg(feature = "jwt")]
const KIND_SUBJECT: u8 = 1;
#[cfg(feature = "jwt")]
const KIND_TOKEN: u8 = 2;
