//! The server that a case is played on: one that lets everybody in, or one that asks who somebody is.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use crate::access::{file, key};
use crate::harness::{Driver, Options, Server, Subscriber};

/// A server, and who may subscribe there.
pub(super) struct Subject {
    pub(super) server: Server,
    signer: Option<Signer>,
}

/// Signs what the server believes, and what it must not.
struct Signer {
    own: EncodingKey,
    /// The server's public key, taken for a secret.
    public_as_secret: EncodingKey,
}

/// What a case calls the tokens that it brings.
const CREDENTIALS: [&str; 4] = [VALID, OF_ANOTHER, EXPIRED, BY_PUBLIC_KEY];

const VALID: &str = "{valid}";
const OF_ANOTHER: &str = "{valid, other channel}";
const EXPIRED: &str = "{exp in the past}";
const BY_PUBLIC_KEY: &str = "{HS256 signed with the RSA public key}";

impl Subject {
    /// One where everybody may do everything.
    pub(super) fn open(driver: Driver) -> Self {
        Self { server: Server::start(driver), signer: None }
    }

    /// One that knows a public key, and lets everybody publish.
    pub(super) fn with_keys(driver: Driver) -> Self {
        let public = key("rsa.pub.pem");
        let server = Options::new(driver)
            .argument(format!("--jwt-key-file={}", file(&public).display()))
            .argument("--publish=open")
            .start();
        let own = EncodingKey::from_rsa_pem(&key("rsa.pem")).expect("a private key");
        let signer = Signer { own, public_as_secret: EncodingKey::from_secret(&public) };
        Self { server, signer: Some(signer) }
    }

    /// A subscriber that is let in.
    pub(super) fn subscribe(&self, topic: &str) -> Subscriber {
        let line = self
            .signer
            .as_ref()
            .map(|signer| format!("Authorization: Bearer {}\r\n", signer.token(VALID, topic)));
        let line = line.unwrap_or_default();
        let request = format!("GET /events?topic={topic} HTTP/1.1\r\nHost: test\r\n{line}\r\n");
        Subscriber::request(self.server.connect(), &request)
    }

    /// A case's request with tokens, for this topic, in the place of their names.
    pub(super) fn with_credentials(&self, request: &str, topic: &str) -> String {
        let Some(signer) = &self.signer else { return request.to_owned() };
        let cookie = format!("fanfare_token={}", signer.token(VALID, topic));
        let request = request.replace(&format!("Cookie: {VALID}"), &format!("Cookie: {cookie}"));
        CREDENTIALS.iter().fold(request, |request, name| {
            request.replace(
                &format!("Bearer {name}"),
                &format!("Bearer {}", signer.token(name, topic)),
            )
        })
    }
}

impl Signer {
    fn token(&self, name: &str, topic: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
        let expires = if name == EXPIRED { now - 3600 } else { now + 3600 };
        let topic = if name == OF_ANOTHER { "another" } else { topic };
        let claims = json!({"exp": expires, "fanfare": {"subscribe": [topic]}});
        let (algorithm, key) = match name {
            BY_PUBLIC_KEY => (Algorithm::HS256, &self.public_as_secret),
            _ => (Algorithm::RS256, &self.own),
        };
        encode(&Header::new(algorithm), &claims, key).expect("the key fits the algorithm")
    }
}
