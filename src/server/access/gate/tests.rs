#[cfg(feature = "jwt")]
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, header};

use super::{
    super::{Permissions, PublishRate, session::Admit},
    *,
};

const LOCAL: &str = "127.0.0.1:80";
const SECRET: &str = "static-token-of-a-reader";

fn gate_on(listen: &str, access: Access) -> Arc<Gate> {
    Arc::new(Gate::new(access, listen.parse().unwrap()).unwrap())
}

fn gate(access: Access) -> Arc<Gate> {
    gate_on(LOCAL, access)
}

fn reader() -> Access {
    let permissions = Permissions::new(&["news", "users/17/*"], &["users/17/typing"]).unwrap();
    Access::new().token(StaticToken::new(SECRET, permissions).unwrap())
}

fn asked(headers: &[(&str, &str)]) -> Asked {
    let pairs = headers.iter().map(|(name, value)| {
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    });
    Asked {
        path: "/events".into(),
        query: None,
        headers: pairs.collect(),
        peer: Some("192.0.2.1".parse().unwrap()),
    }
}

fn with_token() -> Asked {
    asked(&[("authorization", &format!("Bearer {SECRET}"))])
}

/// The status that a subscription comes to, or its grant.
fn subscribe(gate: &Arc<Gate>, asked: Asked, topics: &[&str]) -> Result<Grant, u16> {
    match gate.subscribe(asked, SubscribeRequest::to(topics)) {
        Decision::Made(made) => made.map_err(|refusal| status(&refusal)),
        Decision::Takes(_) => panic!("it takes time"),
    }
}

fn status(refusal: &Refusal) -> u16 {
    match refusal {
        Refusal::Fault(fault) => fault.status().as_u16(),
        Refusal::Rejected(_) => panic!("not in the server's words"),
    }
}

fn publish(gate: &Arc<Gate>, asked: &Asked, topics: &[&str]) -> Result<(), u16> {
    let check = |grant: PublishGrant| grant.check(topics.iter().copied(), 1);
    gate.publish(asked).and_then(check).map_err(|fault| fault.status().as_u16())
}

#[test]
fn by_default_everybody_subscribes_and_only_the_machine_itself_publishes() {
    for listen in ["127.0.0.1:80", "127.8.8.8:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        let gate = gate_on(listen, Access::new());
        assert!(gate.is_open() && publish(&gate, &asked(&[]), &["a"]).is_ok(), "{listen}");
    }
    for listen in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[fe80::1]:80"] {
        let gate = gate_on(listen, Access::new());
        assert!(gate.is_open(), "{listen}");
        assert_eq!(publish(&gate, &asked(&[]), &["a"]), Err(403), "{listen}");
        let fault = gate.publish(&asked(&[])).unwrap_err();
        assert!(fault.text().contains("set publish to open"), "{}", fault.text());
        let gate = gate_on(listen, Access::new().publish(Door::Open));
        assert_eq!(publish(&gate, &asked(&[]), &["a"]), Ok(()), "{listen}");
    }
    let closed = gate(Access::new().publish(Door::Closed));
    assert_eq!(publish(&closed, &asked(&[]), &["a"]), Err(403));
}

#[test]
fn with_tokens_nobody_does_anything_without_one() {
    let gate = gate(reader());
    assert!(!gate.is_open());
    assert_eq!(subscribe(&gate, asked(&[]), &["news"]).unwrap_err(), 401);
    assert_eq!(publish(&gate, &asked(&[]), &["users/17/typing"]), Err(401));
    assert_eq!(gate.check_visible(&asked(&[]), "news").unwrap_err().status(), 401);
    let wrong = asked(&[("authorization", "Bearer static-token-of-a-writer")]);
    assert_eq!(subscribe(&gate, with_token(), &["news", "users/17/*"]).unwrap().lasts, None);
    assert_eq!(subscribe(&gate, wrong.clone(), &["news"]).unwrap_err(), 401);
    assert_eq!(publish(&gate, &wrong, &["users/17/typing"]), Err(401));
}

#[test]
fn every_topic_must_be_allowed() {
    let gate = gate(reader());
    for topics in [&["news", "other"][..], &["users/18/inbox"], &["users/*/inbox"], &["**"], &[""]]
    {
        assert_eq!(subscribe(&gate, with_token(), topics).unwrap_err(), 403, "{topics:?}");
    }
    assert_eq!(publish(&gate, &with_token(), &["users/17/typing"]), Ok(()));
    for topics in [&["users/17/typing", "news"][..], &["users/17/inbox"], &[""]] {
        assert_eq!(publish(&gate, &with_token(), topics), Err(403), "{topics:?}");
    }
    assert!(gate.check_visible(&with_token(), "news").is_ok());
    assert_eq!(gate.check_visible(&with_token(), "other").unwrap_err().status(), 403);
}

#[test]
fn an_open_door_is_open_to_those_with_tokens_too() {
    let gate = gate(reader().subscribe(Door::Open).publish(Door::Open));
    for asked in [asked(&[]), with_token()] {
        assert!(subscribe(&gate, asked.clone(), &["other"]).is_ok());
        assert_eq!(publish(&gate, &asked, &["other"]), Ok(()));
    }
}

#[test]
fn places_are_counted_by_network_and_given_back() {
    let gate = gate(Access::new().connections_per_ip(2));
    let from = |address: &str| Asked { peer: Some(address.parse().unwrap()), ..asked(&[]) };
    let come = |address| subscribe(&gate, from(address), &["a"]);
    let first = come("2001:db8::1").unwrap();
    let _second = come("2001:db8::ffff:2").unwrap();
    assert_eq!(come("2001:db8::3").unwrap_err(), 429);
    let _other_network = come("2001:db8:0:1::1").unwrap();
    drop(first);
    let _third = come("2001:db8::3").unwrap();
    assert_eq!(come("2001:db8::1").unwrap_err(), 429);
    let [_a, _b] = ["192.0.2.1", "::ffff:192.0.2.1"].map(|address| come(address).unwrap());
    assert_eq!(come("192.0.2.1").unwrap_err(), 429);
    assert!(come("192.0.2.2").is_ok());
}

#[test]
fn places_are_counted_by_token() {
    let other = StaticToken::new("another-token-0123", Permissions::new(&["**"], &["**"]).unwrap());
    let gate = gate(reader().token(other.unwrap()).connections_per_token(1));
    let held = subscribe(&gate, with_token(), &["news"]).unwrap();
    assert_eq!(subscribe(&gate, with_token(), &["news"]).unwrap_err(), 429);
    let other = asked(&[("authorization", "Bearer another-token-0123")]);
    assert!(subscribe(&gate, other, &["news"]).is_ok());
    drop(held);
    assert!(subscribe(&gate, with_token(), &["news"]).is_ok());
}

#[test]
fn a_refused_subscription_takes_no_place() {
    let gate = gate(reader().connections_per_ip(1).connections_per_token(1));
    for _ in 0..3 {
        assert_eq!(subscribe(&gate, with_token(), &["other"]).unwrap_err(), 403);
        assert_eq!(subscribe(&gate, asked(&[]), &["news"]).unwrap_err(), 401);
    }
    assert!(subscribe(&gate, with_token(), &["news"]).is_ok());
}

#[test]
fn rates_are_by_token_or_else_by_address() {
    let slow = PublishRate::per_second(1.0 / 3600.0).burst(2);
    let gate = gate(reader().publish(Door::Open).publish_rate(slow));
    let from = |address: &str| Asked { peer: Some(address.parse().unwrap()), ..asked(&[]) };
    for publisher in [from("192.0.2.1"), from("192.0.2.2"), with_token()] {
        assert_eq!(publish(&gate, &publisher, &["a"]), Ok(()));
        assert_eq!(publish(&gate, &publisher, &["a"]), Ok(()));
        let grant = gate.publish(&publisher).unwrap();
        let fault = grant.check(["a"].into_iter(), 1).unwrap_err();
        assert_eq!(fault.status(), 429);
        let [(header::RETRY_AFTER, seconds)] = fault.headers() else { panic!("{fault:?}") };
        let seconds: u64 = seconds.to_str().unwrap().parse().unwrap();
        assert!((3590..=3600).contains(&seconds), "{seconds}");
    }
}

#[test]
fn a_cookie_is_believed_from_pages_that_may() {
    let gate = gate(reader().cors_origin("https://app.test"));
    let cookie = ("cookie", "fanfare_token=static-token-of-a-reader");
    let host = ("host", "own.test");
    for (origin, may_read, may_write) in [
        (None, true, Err(403)),
        (Some("https://app.test"), true, Ok(())),
        (Some("https://own.test"), true, Ok(())),
        (Some("https://evil.test"), false, Err(403)),
        (Some("null"), false, Err(403)),
    ] {
        let mut headers = vec![host, cookie];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let read = subscribe(&gate, asked(&headers), &["news"]).map(|_| ());
        assert_eq!(read, if may_read { Ok(()) } else { Err(403) }, "{origin:?}");
        assert_eq!(publish(&gate, &asked(&headers), &["users/17/typing"]), may_write, "{origin:?}");
    }
    // Beside the same token in a header it adds nothing.
    let bearer = format!("Bearer {SECRET}");
    let both = asked(&[host, cookie, ("authorization", &bearer)]);
    assert_eq!(publish(&gate, &both, &["users/17/typing"]), Ok(()));
}

#[test]
fn other_sites_pages_cannot_publish_to_an_open_door() {
    let gate = gate(Access::new());
    let from_page = |origin| asked(&[("host", "127.0.0.1:80"), ("origin", origin)]);
    assert_eq!(publish(&gate, &from_page("http://127.0.0.1:80"), &["a"]), Ok(()));
    for origin in ["https://evil.test", "null", "http://127.0.0.1:81"] {
        assert_eq!(publish(&gate, &from_page(origin), &["a"]), Err(403), "{origin}");
    }
}

#[tokio::test]
async fn a_callback_has_the_last_word() {
    let access = reader().connections_per_token(1).on_session(|session| async move {
        assert_eq!(session.topics(), ["news"]);
        assert_eq!(session.address(), Some("192.0.2.1".parse().unwrap()));
        Ok(Admit::to(&["elsewhere"]).lasts(Duration::MAX))
    });
    let gate = gate(access);
    let ask = |asked| gate.subscribe(asked, SubscribeRequest::to(&["news"])).made();
    assert_eq!(status(&ask(asked(&[])).await.unwrap_err()), 401, "the token's comes first");
    let grant = ask(with_token()).await.unwrap();
    assert_eq!(grant.request, SubscribeRequest::to(&["elsewhere"]));
    assert_eq!(grant.lasts, Some(limits::SESSION_MAX));
    assert_eq!(status(&ask(with_token()).await.unwrap_err()), 429);
}

#[tokio::test]
async fn a_callback_that_fails_lets_nobody_in() {
    let panics = gate(Access::new().on_session(|_| async { panic!("in the callback") }));
    let wrong = gate(Access::new().on_session(|_| async { Ok(Admit::to(&["a/**/b"])) }));
    for gate in [panics, wrong] {
        let decision = gate.subscribe(asked(&[]), SubscribeRequest::to(&["a"])).made().await;
        assert_eq!(status(&decision.unwrap_err()), 500);
    }
}

#[test]
fn what_comes_after_it_counts_on() {
    let (fast, slow) = (PublishRate::per_second(0.001).burst(2), PublishRate::per_second(0.001));
    let now = gate(reader().connections_per_token(2).publish_rate(fast));
    let first = subscribe(&now, with_token(), &["news"]).unwrap();
    assert_eq!(publish(&now, &with_token(), &["users/17/typing"]), Ok(()));
    let next = |access| now.successor(access).map(Arc::new);
    let strict = next(reader().connections_per_token(1).publish_rate(slow)).unwrap();
    assert_eq!(subscribe(&strict, with_token(), &["news"]).unwrap_err(), 429);
    assert_eq!(publish(&strict, &with_token(), &["users/17/typing"]), Err(429));
    drop(first);
    assert!(subscribe(&strict, with_token(), &["news"]).is_ok());
    let by_cookie = asked(&[("cookie", &format!("mercureAuthorization={SECRET}"))]);
    assert_eq!(subscribe(&strict, by_cookie.clone(), &["news"]).unwrap_err(), 401);
    let hub = gate(Access::new().with_mercures()).successor(reader()).map(Arc::new).unwrap();
    assert!(subscribe(&hub, by_cookie, &["news"]).is_ok());
    let without = next(Access::new().subscribe(Door::Closed)).unwrap();
    assert_eq!(subscribe(&without, with_token(), &["news"]).unwrap_err(), 401);
    assert!(next(Access::new().cors_origin("no origin")).is_err());
}

#[cfg(feature = "jwt")]
mod signed {
    use std::time::UNIX_EPOCH;

    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    /// A gate whose clock is a number of seconds.
    fn gate_at(access: Access) -> (Arc<Gate>, Arc<AtomicU64>) {
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&seconds);
        let now = move || UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed));
        let access = access.jwt(Jwt::new().secret(KEY).unwrap());
        let mut gate = Gate::new(access, LOCAL.parse().unwrap()).unwrap();
        gate.clock = Clock(Box::new(now));
        (Arc::new(gate), seconds)
    }

    fn until(expires: u64, subject: Option<&str>) -> Asked {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let claims = json!({
            "sub": subject, "exp": expires, "fanfare": {"subscribe": ["a"], "publish": ["a"]}
        });
        let token =
            jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(KEY));
        asked(&[("authorization", &format!("Bearer {}", token.unwrap()))])
    }

    async fn ask(gate: &Arc<Gate>, asked: Asked) -> Result<Grant, u16> {
        let decision = gate.subscribe(asked, SubscribeRequest::to(&["a"])).made().await;
        decision.map_err(|refusal| status(&refusal))
    }

    #[tokio::test]
    async fn a_week_of_streams_end_when_their_tokens_do() {
        const WEEK: u64 = 7 * 24 * 60 * 60;
        let (gate, now) = gate_at(Access::new());
        for hour in (0..WEEK).step_by(3600) {
            now.store(hour, Ordering::Relaxed);
            for left in [1, 60, 3600, WEEK] {
                let grant = ask(&gate, until(hour + left, None)).await.unwrap();
                assert_eq!(grant.lasts, Some(Duration::from_secs(left)));
            }
            assert_eq!(ask(&gate, until(hour, None)).await.unwrap_err(), 401);
        }
        let endless = ask(&gate, until(u64::MAX, None)).await.unwrap();
        assert_eq!(endless.lasts, Some(limits::SESSION_MAX));
    }

    #[tokio::test]
    async fn a_token_that_expires_while_it_is_decided_about_is_over() {
        let clock = Arc::new(parking_lot::Mutex::new(None::<Arc<AtomicU64>>));
        let later = Arc::clone(&clock);
        let access = Access::new().on_session(move |session| {
            later.lock().as_ref().unwrap().fetch_add(10, Ordering::Relaxed);
            async move {
                assert_eq!(session.subject(), Some("17"));
                Ok(Admit::as_asked().lasts(Duration::from_secs(5)))
            }
        });
        let (gate, now) = gate_at(access);
        *clock.lock() = Some(Arc::clone(&now));
        assert_eq!(ask(&gate, until(10, Some("17"))).await.unwrap_err(), 401);
        // 20 now, and 30 after it.
        now.store(20, Ordering::Relaxed);
        let grant = ask(&gate, until(33, Some("17"))).await.unwrap();
        assert_eq!(grant.lasts, Some(Duration::from_secs(3)), "the sooner of both");
    }

    #[test]
    fn publishing_ends_with_the_token_in_the_middle_of_a_stream() {
        let (gate, now) = gate_at(Access::new());
        let asked = until(10, None);
        let grant = gate.publish(&asked).unwrap();
        assert!(grant.check(["a"].into_iter(), 1).is_ok());
        now.store(10, Ordering::Relaxed);
        assert_eq!(grant.check(["a"].into_iter(), 1).unwrap_err().status(), 401);
    }

    #[tokio::test]
    async fn tokens_of_one_subject_share_their_places() {
        let (gate, _) = gate_at(Access::new().connections_per_token(2));
        let _first = ask(&gate, until(100, Some("17"))).await.unwrap();
        let _second = ask(&gate, until(200, Some("17"))).await.unwrap();
        assert_eq!(ask(&gate, until(300, Some("17"))).await.unwrap_err(), 429);
        let _other = ask(&gate, until(100, Some("18"))).await.unwrap();
        let _unnamed = ask(&gate, until(100, None)).await.unwrap();
        let _unnamed_too = ask(&gate, until(200, None)).await.unwrap();
    }
}
