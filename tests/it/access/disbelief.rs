//! Tokens that must not be believed, each refused with the same words as every other.

use super::*;

both_drivers!(what_is_forged_is_refused, what_does_not_hold_is_refused);

/// Signs for a server that knows its public key alone, and wants an audience.
struct Signer {
    own: EncodingKey,
    other: EncodingKey,
    public: Vec<u8>,
}

impl Signer {
    fn new() -> Self {
        let private = |name| EncodingKey::from_rsa_pem(&key(name)).expect("a private key");
        Self { own: private("rsa.pem"), other: private("other.pem"), public: key("rsa.pub.pem") }
    }

    fn server(&self, driver: Driver) -> Server {
        let key_file = format!("--jwt-key-file={}", file(&self.public).display());
        let server =
            Options::new(driver).argument(key_file).argument("--jwt-audience=chat").start();
        assert_eq!(statuses(&server, "topic=a", &bearer(&self.good())), [200, 200]);
        publish(&server, "a", &bearer(&self.good()), "x").expect_json(202);
        server
    }

    fn good(&self) -> String {
        self.with(json!({}))
    }

    /// One whose claims are changed like this; null is left out.
    fn with(&self, change: Value) -> String {
        sign(&Header::new(Algorithm::RS256), &claims(change), &self.own)
    }

    fn with_header(&self, key: &EncodingKey, change: fn(&mut Header)) -> String {
        let mut header = Header::new(Algorithm::RS256);
        change(&mut header);
        sign(&header, &claims(json!({})), key)
    }
}

fn claims(change: Value) -> Value {
    let mut claims = json!({
        "exp": now() + 3600, "aud": "chat", "fanfare": {"subscribe": ["a"], "publish": ["a"]}
    });
    for (name, value) in change.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    claims
}

fn by_secret(secret: &[u8]) -> String {
    let key = EncodingKey::from_secret(secret);
    sign(&Header::new(Algorithm::HS256), &claims(json!({})), &key)
}

#[track_caller]
fn check_refused(server: &Server, name: &str, token: &str) {
    let asked = ask(server, "topic=a", &bearer(token))
        .map(|answer| answer.err().unwrap_or_else(|| panic!("{name} is believed")));
    for refusal in asked.into_iter().chain([publish(server, "a", &bearer(token), "x")]) {
        assert_eq!(refusal.status, 401, "{name}");
        assert_eq!(refusal.expect_fault(401), "a valid access token is needed", "{name}");
    }
}

fn what_is_forged_is_refused(driver: Driver) {
    let signer = Signer::new();
    let server = signer.server(driver);
    let good = signer.good();
    let [head, payload, signature] = *good.split('.').collect::<Vec<_>>() else { panic!("{good}") };
    let none = "eyJhbGciOiJub25lIn0";
    let other_payload = signer.with(json!({"sub": "0"}));
    let other_payload = other_payload.split('.').nth(1).expect("a payload");
    let brings_its_key = |header: &mut Header| {
        header.jku = Some("http://127.0.0.1:1/keys".into());
        header.x5u = Some("http://127.0.0.1:1/chain".into());
        header.jwk = serde_json::from_value(json!({"kty": "oct", "k": "AAAA"})).ok();
    };
    let other = &signer.other;
    for (name, token) in [
        ("none", format!("{none}.{payload}.")),
        ("None", format!("eyJhbGciOiJOb25lIn0.{payload}.")),
        ("none, with a signature", format!("{none}.{payload}.{signature}")),
        ("no algorithm", format!("e30.{payload}.{signature}")),
        ("no signature", format!("{head}.{payload}.")),
        ("the public key as a secret", by_secret(&signer.public)),
        ("the same, trimmed", by_secret(signer.public.trim_ascii())),
        ("an empty secret", by_secret(b"")),
        ("another key", signer.with_header(other, |_| {})),
        ("another key that it brings itself", signer.with_header(other, brings_its_key)),
        (
            "a path for a key",
            signer.with_header(other, |it| it.kid = Some("../../dev/null".into())),
        ),
        ("another payload", format!("{head}.{other_payload}.{signature}")),
        ("a signature that is cut", good[..good.len() - 2].to_owned()),
        ("one part more", format!("{good}.{signature}")),
        ("two parts", format!("{head}.{payload}")),
        ("dots", "..".into()),
        ("two words", "a b".into()),
        ("not base64", format!("{head}.{payload}.%%%%")),
    ] {
        check_refused(&server, name, &token);
    }
}

fn what_does_not_hold_is_refused(driver: Driver) {
    let signer = Signer::new();
    let server = signer.server(driver);
    for (name, change) in [
        ("another audience", json!({"aud": "mail"})),
        ("no audience", json!({"aud": null})),
        ("no end", json!({"exp": null})),
        ("an end that is none", json!({"exp": "tomorrow"})),
        ("expired", json!({"exp": now() - 1})),
        ("not yet", json!({"nbf": now() + 3600})),
        ("faulty permissions", json!({"fanfare": {"subscribe": ["a/**/b"]}})),
        ("permissions that are none", json!({"fanfare": "all"})),
        ("oversized", json!({"x": "x".repeat(4096)})),
    ] {
        check_refused(&server, name, &signer.with(change));
    }
    let critical = |header: &mut Header| header.crit = Some(vec!["exp".into()]);
    check_refused(&server, "must be understood", &signer.with_header(&signer.own, critical));
    assert_eq!(statuses(&server, "topic=a", &bearer(&signer.good())), [200, 200]);
}
