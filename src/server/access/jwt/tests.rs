use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn sign(header: &Header, claims: &Value, key: &EncodingKey) -> Vec<u8> {
    let _ = crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    encode(header, claims, key).unwrap().into_bytes()
}

fn hs256(claims: &Value) -> Vec<u8> {
    sign(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET))
}

fn by_secret() -> Jwt {
    Jwt::new().secret(SECRET).unwrap()
}

#[test]
fn a_token_says_who_may_do_what_until_when() {
    let claims = json!({
        "sub": "17", "exp": 1_000, "iat": 5, "fanfare": {"subscribe": ["a/*"], "publish": ["b"]}
    });
    let verified = by_secret().verify(&hs256(&claims), at(999)).unwrap();
    let permissions = Permissions::new(&["a/*"], &["b"]).unwrap();
    let subject = Some("17".to_owned());
    assert_eq!(verified, Verified { subject, permissions, expires: Some(at(1_000)) });
    let nothing = by_secret().verify(&hs256(&json!({"exp": 1_000})), at(0)).unwrap();
    assert_eq!(nothing.permissions, Permissions::default());
    let renamed = by_secret().claim("mercure");
    let claims = json!({"exp": 1_000, "mercure": {"subscribe": ["x"]}, "fanfare": 7});
    assert!(renamed.verify(&hs256(&claims), at(0)).unwrap().permissions.may_subscribe("x"));
}

#[test]
fn times_are_exact_to_the_second_and_below() {
    let fault = |claims: Value, now| by_secret().verify(&hs256(&claims), now).unwrap_err();
    let millisecond = Duration::from_millis(1);
    assert!(by_secret().verify(&hs256(&json!({"exp": 1_000})), at(1_000) - millisecond).is_ok());
    assert_eq!(fault(json!({"exp": 1_000}), at(1_000)), Disbelief::Expired);
    assert_eq!(fault(json!({"exp": 1_000.5}), at(1_000) + 500 * millisecond), Disbelief::Expired);
    let from = json!({"exp": 2_000, "nbf": 1_000});
    assert_eq!(fault(from.clone(), at(1_000) - millisecond), Disbelief::NotYet);
    assert!(by_secret().verify(&hs256(&from), at(1_000)).is_ok());
    for odd in [json!({}), json!({"exp": null}), json!({"sub": "1", "nbf": 0})] {
        assert_eq!(fault(odd, at(0)), Disbelief::NoExpiry);
    }
    for odd in [json!("1000"), json!(-1), json!([]), json!(true)] {
        let fault = fault(json!({"exp": odd}), at(0));
        assert!(matches!(fault, Disbelief::Untrue(_) | Disbelief::Malformed(_)), "{odd}: {fault}");
    }
    let far = by_secret().verify(&hs256(&json!({"exp": u64::MAX})), at(0)).unwrap();
    assert!(far.expires.unwrap() > at(1 << 39));
}

#[test]
fn leeway_moves_both_ends_and_an_end_can_be_done_without() {
    let lenient = by_secret().leeway(Duration::from_secs(30));
    let claims = json!({"exp": 1_000, "nbf": 500});
    assert_eq!(lenient.verify(&hs256(&claims), at(1_029)).unwrap().expires, Some(at(1_030)));
    assert_eq!(lenient.verify(&hs256(&claims), at(1_030)), Err(Disbelief::Expired));
    assert!(lenient.verify(&hs256(&claims), at(470)).is_ok());
    assert_eq!(lenient.verify(&hs256(&claims), at(469)), Err(Disbelief::NotYet));
    let endless = by_secret().without_expiry();
    assert_eq!(endless.verify(&hs256(&json!({})), at(0)).unwrap().expires, None);
    assert_eq!(endless.verify(&hs256(&json!({"exp": 5})), at(5)), Err(Disbelief::Expired));
}

#[test]
fn audience_and_issuer_are_as_configured() {
    let for_chat = by_secret().audience("chat").issuer("us");
    let is_believed = |jwt: &Jwt, claims: Value| {
        let mut claims = claims;
        claims["exp"] = json!(10);
        jwt.verify(&hs256(&claims), at(0)).is_ok()
    };
    assert!(is_believed(&for_chat, json!({"aud": "chat", "iss": "us"})));
    assert!(is_believed(&for_chat, json!({"aud": ["mail", "chat"], "iss": "us"})));
    for claims in [
        json!({"iss": "us"}),
        json!({"aud": "chat"}),
        json!({"aud": "mail", "iss": "us"}),
        json!({"aud": ["mail"], "iss": "us"}),
        json!({"aud": [], "iss": "us"}),
        json!({"aud": {"chat": 1}, "iss": "us"}),
        json!({"aud": "chat", "iss": "them"}),
    ] {
        assert!(!is_believed(&for_chat, claims.clone()), "{claims}");
    }
    assert!(is_believed(&by_secret(), json!({"iss": "anybody"})));
    assert!(!is_believed(&by_secret(), json!({"aud": "somebody else"})), "RFC 7519, section 4.1.3");
}

#[test]
fn a_secret_is_as_long_as_its_hash() {
    assert!(Jwt::new().secret(&SECRET[..31]).is_err());
    for (len, algorithms) in [
        (32, &[Algorithm::HS256][..]),
        (47, &[Algorithm::HS256]),
        (48, &[Algorithm::HS256, Algorithm::HS384]),
        (64, &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]),
    ] {
        let secret = &SECRET[..len];
        let jwt = Jwt::new().secret(secret).unwrap();
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let key = EncodingKey::from_secret(secret);
            let token = sign(&Header::new(algorithm), &json!({"exp": 10}), &key);
            let is_believed = jwt.verify(&token, at(0)).is_ok();
            assert_eq!(is_believed, algorithms.contains(&algorithm), "{algorithm:?} with {len}");
        }
    }
}

#[test]
fn keys_that_are_none_are_refused_by_name() {
    for (pem, said) in [
        ("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----", "private key"),
        ("-----BEGIN CERTIFICATE-----\nMC4C\n-----END CERTIFICATE-----", "openssl x509"),
        ("-----BEGIN PUBLIC KEY-----\nMC4C\n-----END PUBLIC KEY-----", "no public key for RSA"),
    ] {
        let fault = Jwt::new().public_key(pem.as_bytes()).unwrap_err().to_string();
        assert!(fault.contains(said), "{fault}");
    }
    let short = "AQAB".repeat(40);
    let weak = format!(r#"{{"keys":[{{"kty":"RSA","n":"{short}","e":"AQAB"}}]}}"#);
    for (set, said) in [
        ("{}", "no JSON Web Key Set"),
        ("[]", "no JSON Web Key Set"),
        (r#"{"keys":[]}"#, "none of the keys"),
        (r#"{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}"#, "5 bytes is shorter than 32"),
        (r#"{"keys":[{"kty":"quantum","x":"AA"}]}"#, "none of the keys"),
        (r#"{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}"#, "none of the keys"),
        (&weak, "fewer than 2048 bits"),
    ] {
        let fault = Jwt::new().jwks(set.as_bytes()).unwrap_err().to_string();
        assert!(fault.contains(said), "{fault}");
    }
}

/// The HMAC keys `a` and `b` of 32 bytes, the first for HS256 alone, and one that is for encryption.
fn set() -> Jwt {
    let [a, b] = [["YWFh", "YWE"], ["YmJi", "YmI"]].map(|[text, end]| text.repeat(10) + end);
    let set = json!({"keys": [
        {"kty": "oct", "kid": "a", "alg": "HS256", "k": a},
        {"kty": "oct", "kid": "b", "use": "sig", "k": b},
        {"kty": "oct", "kid": "c", "use": "enc", "k": a},
        {"kty": "new", "kid": "d", "is": {"of": "no", "use": "here"}},
    ]});
    Jwt::new().jwks(set.to_string().as_bytes()).unwrap()
}

#[test]
fn a_set_is_chosen_from_by_name() {
    let token = |byte: &str, id: Option<&str>| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = id.map(str::to_owned);
        let key = EncodingKey::from_secret(byte.repeat(32).as_bytes());
        set().verify(&sign(&header, &json!({"exp": 10}), &key), at(0)).map(|_| ())
    };
    assert_eq!(token("a", Some("a")), Ok(()));
    assert_eq!(token("b", Some("b")), Ok(()));
    assert!(matches!(token("b", Some("a")), Err(Disbelief::Untrue(_))));
    for id in [Some("c"), Some("d"), Some("A"), Some(""), Some("../a"), Some("a' OR 1=1"), None] {
        assert_eq!(token("a", id), Err(Disbelief::NoKey), "{id:?}");
    }
}

#[test]
fn a_week_of_tokens_is_believed_exactly_while_each_lasts() {
    const WEEK: u64 = 7 * 24 * 60 * 60;
    const LIFE: u64 = 15 * 60;
    let jwt = by_secret();
    let start = 1_700_000_000;
    for issued in (0..WEEK).step_by(LIFE as usize) {
        let expires = start + issued + LIFE;
        let token = hs256(&json!({"nbf": start + issued, "exp": expires}));
        assert_eq!(jwt.verify(&token, at(start + issued - 1)), Err(Disbelief::NotYet));
        for now in (start + issued..expires).step_by(60) {
            assert_eq!(jwt.verify(&token, at(now)).unwrap().expires, Some(at(expires)));
        }
        for now in [expires, expires + 1, start + WEEK + LIFE] {
            assert_eq!(jwt.verify(&token, at(now)), Err(Disbelief::Expired));
        }
    }
}
