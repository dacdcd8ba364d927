//! The keys that verify tokens, each with the algorithms that are its own.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::super::AccessError;

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) decoding: DecodingKey,
    algorithms: Vec<Algorithm>,
    /// The name by which tokens choose it.
    id: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Key {
    pub(super) fn secret(secret: &[u8]) -> Result<Self, AccessError> {
        Self::new(DecodingKey::from_secret(secret))
    }

    pub(super) fn pem(pem: &[u8]) -> Result<Self, AccessError> {
        let is_private = pem.windows(PRIVATE.len()).any(|window| window == PRIVATE);
        if is_private {
            return fault("it is a private key, which is for whoever signs: give the public one");
        }
        if !pem.windows(PUBLIC.len()).any(|window| window == PUBLIC) {
            return fault("it is no public key: a certificate's is had by openssl x509 -pubkey");
        }
        let decoding = DecodingKey::from_ec_pem(pem)
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .or_else(|_| DecodingKey::from_rsa_pem(pem));
        match decoding {
            Ok(decoding) => Self::new(decoding),
            Err(_) => fault("it is no public key for RSA, P-256, P-384 or Ed25519 in PEM"),
        }
    }

    /// The keys of use of a set.
    pub(super) fn set(json: &[u8]) -> Result<Vec<Self>, AccessError> {
        // What serde says would show what it found there, which may be a secret.
        let Ok(set) = serde_json::from_slice::<Set>(json) else {
            return fault("it is no JSON Web Key Set");
        };
        let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys =
            jwks.filter_map(|jwk| Self::jwk(&jwk).transpose()).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return fault("none of the keys of the set is for signatures of a known kind");
        }
        Ok(keys)
    }

    /// None: it is for something else.
    fn jwk(jwk: &Jwk) -> Result<Option<Self>, AccessError> {
        let is_for_signatures =
            matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let is_of_known_kind = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) => {
                matches!(key.curve, EllipticCurve::P256 | EllipticCurve::P384)
            }
            AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519,
            AlgorithmParameters::RSA(_) | AlgorithmParameters::OctetKey(_) => true,
            _ => false,
        };
        if !is_for_signatures || !is_of_known_kind {
            return Ok(None);
        }
        let Ok(decoding) = DecodingKey::from_jwk(jwk) else {
            return fault("a key of the set is malformed");
        };
        let mut key = Self::new(decoding)?;
        if let Some(algorithm) = jwk.common.key_algorithm {
            let chosen = Algorithm::try_from(algorithm).ok();
            key.algorithms.retain(|own| Some(*own) == chosen);
        }
        key.id.clone_from(&jwk.common.key_id);
        Ok((!key.algorithms.is_empty()).then_some(key))
    }

    fn new(decoding: DecodingKey) -> Result<Self, AccessError> {
        use Algorithm::{
            ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512,
        };
        let len = match decoding.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
            DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
        };
        // By the length of a secret, or of a point of the curve with its prefix.
        let algorithms = match (decoding.family(), len) {
            (AlgorithmFamily::Hmac, 64..) => vec![HS256, HS384, HS512],
            (AlgorithmFamily::Hmac, 48..) => vec![HS256, HS384],
            (AlgorithmFamily::Hmac, 32..) => vec![HS256],
            (AlgorithmFamily::Hmac, len) => {
                return fault(format!("a secret of {len} bytes is shorter than 32"));
            }
            (AlgorithmFamily::Ec, 65) => vec![ES256],
            (AlgorithmFamily::Ec, 97) => vec![ES384],
            (AlgorithmFamily::Ed, 32) => vec![EdDSA],
            (AlgorithmFamily::Rsa, MODULUS_BYTES_MIN..) => {
                vec![RS256, RS384, RS512, PS256, PS384, PS512]
            }
            (AlgorithmFamily::Rsa, _) => return fault("an RSA key has fewer than 2048 bits"),
            _ => return fault("the curve is not P-256, P-384 or Ed25519"),
        };
        Ok(Self { decoding, algorithms, id: None })
    }

    /// Whether a token with this header may be signed with it. A key without a name is for every one.
    pub(super) fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        let is_chosen = match (&self.id, id) {
            (Some(own), Some(id)) => own == id,
            (None, _) | (_, None) => true,
        };
        is_chosen && self.algorithms.contains(&algorithm)
    }
}

const PRIVATE: &[u8] = b"PRIVATE KEY-----";
const PUBLIC: &[u8] = b"PUBLIC KEY-----";

/// Bytes of a modulus of 2,048 bits. A key in DER is longer by its exponent and framing.
const MODULUS_BYTES_MIN: usize = 256;

fn fault<T>(text: impl Into<String>) -> Result<T, AccessError> {
    Err(AccessError::Key(text.into()))
}
