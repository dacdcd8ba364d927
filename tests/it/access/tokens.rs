//! Tokens: which are believed, how they are brought, what they allow, and when they end.

use std::thread;

use super::*;
use crate::harness::{End, eventually};

both_drivers!(
    every_algorithm_is_verified_by_its_key,
    a_token_may_be_brought_in_three_ways,
    two_tokens_are_none,
    a_set_of_keys_is_read_from_a_file,
    permissions_are_patterns,
    a_replay_is_of_what_may_be_subscribed_to,
    a_stream_ends_when_its_token_does,
    publishing_ends_when_its_token_does,
    nobody_publishes_on_an_open_address,
    the_urls_of_other_systems_ask_for_tokens_too,
);

fn every_algorithm_is_verified_by_its_key(driver: Driver) {
    use Algorithm::*;
    let pem = |name: &str| key(&format!("{name}.pem"));
    let rsa = EncodingKey::from_rsa_pem(&pem("rsa")).unwrap();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let claims = json!({"exp": now() + 3600, "fanfare": {"subscribe": ["a"], "publish": ["a"]}});
    for (public, private, algorithms) in [
        (key("rsa.pub.pem"), rsa, &[RS256, RS384, RS512, PS256, PS384, PS512][..]),
        (key("p256.pub.pem"), EncodingKey::from_ec_pem(&pem("p256")).unwrap(), &[ES256]),
        (key("p384.pub.pem"), EncodingKey::from_ec_pem(&pem("p384")).unwrap(), &[ES384]),
        (key("ed25519.pub.pem"), EncodingKey::from_ed_pem(&pem("ed25519")).unwrap(), &[EdDSA]),
        (SECRET.into(), secret, &[HS256, HS384, HS512]),
    ] {
        let keys = format!("--jwt-key-file={}", file(public).display());
        let server = Options::new(driver).argument(keys).start();
        for &algorithm in algorithms {
            let token = bearer(&sign(&Header::new(algorithm), &claims, &private));
            let subscribers =
                ask(&server, "topic=a", &token).map(|answer| answer.expect("believed"));
            publish(&server, "a", &token, "by its key").expect_json(202);
            for mut subscriber in subscribers {
                assert_eq!(subscriber.next().data(), "by its key", "{algorithm:?}");
            }
        }
        assert_eq!(statuses(&server, "topic=a", ""), [401, 401]);
        assert_eq!(statuses(&server, "topic=a", &bearer(&token(&["**"], &[]))), {
            // The last of the five is the secret's own.
            if algorithms.contains(&HS256) { [200, 200] } else { [401, 401] }
        });
    }
}

fn a_token_may_be_brought_in_three_ways(driver: Driver) {
    let server = protected(driver).start();
    let token = token(&["a"], &["a"]);
    let parameter = format!("topic=a&access_token={token}");
    for (query, headers) in [
        ("topic=a", bearer(&token)),
        ("topic=a", bearer(&token).replace("Bearer", "bearer")),
        ("topic=a", format!("Cookie: theme=dark; fanfare_token={token}\r\n")),
        (&parameter, String::new()),
        (&parameter, bearer(&token)),
        ("topic=a", bearer(ADMIN)),
    ] {
        assert_eq!(statuses(&server, query, &headers), [200, 200], "{query} {headers}");
    }
    for (query, headers) in [("topic=a", ""), ("topic=a", "Authorization: Basic YTpi\r\n")] {
        let refusals = ask(&server, query, headers).map(|answer| answer.expect_err("no token"));
        for refusal in refusals {
            assert_eq!((refusal.status, refusal.header("www-authenticate")), (401, Some("Bearer")));
            assert_eq!(refusal.header("cache-control"), Some("no-store"));
        }
    }
    // To publish, only by header (or by cookie from the server's own pages): addresses end up in logs.
    publish(&server, "a", &bearer(&token), "x").expect_json(202);
    let by_parameter = format!("a&access_token={token}");
    assert!(publish(&server, &by_parameter, "", "x").status >= 400);

    let renamed = protected(driver).argument("--token-cookie=c").argument("--token-parameter=p");
    let server = renamed.start();
    for (query, headers) in [
        (format!("topic=a&p={token}"), String::new()),
        ("topic=a".into(), format!("Cookie: c={token}\r\n")),
    ] {
        assert_eq!(statuses(&server, &query, &headers), [200, 200], "{query} {headers}");
    }
    assert_eq!(statuses(&server, &parameter, ""), [401, 401]);
}

fn two_tokens_are_none(driver: Driver) {
    let server = protected(driver).start();
    let [one, two] = [&["a"][..], &["a", "b"]].map(|topics| token(topics, &[]));
    for headers in [
        bearer(&one) + &bearer(&one),
        bearer(&one) + &bearer(&two),
        format!("{}Cookie: fanfare_token={two}\r\n", bearer(&one)),
        format!("Cookie: fanfare_token={one}; fanfare_token={two}\r\n"),
    ] {
        assert_eq!(statuses(&server, "topic=a", &headers), [401, 401], "{headers}");
    }
    let query = format!("topic=a&access_token={two}");
    assert_eq!(statuses(&server, &query, &bearer(&one)), [401, 401]);
}

fn a_set_of_keys_is_read_from_a_file(driver: Driver) {
    let set = json!({"keys": [
        {"kty": "oct", "kid": "old", "alg": "HS256", "k": "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0"},
        {"kty": "oct", "kid": "new", "alg": "HS256", "k": "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldy0"},
        {"kty": "later", "kid": "of a kind that is not known"},
    ]});
    let keys = format!("--jwt-key-file={}", file(set.to_string()).display());
    let server = Options::new(driver).argument(keys).start();
    let signed = |secret: &str, id: Option<&str>| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = id.map(str::to_owned);
        let claims = json!({"exp": now() + 60, "fanfare": {"subscribe": ["a"]}});
        let token = sign(&header, &claims, &EncodingKey::from_secret(secret.repeat(8).as_bytes()));
        statuses(&server, "topic=a", &bearer(&token))
    };
    assert_eq!(signed("old-", Some("old")), [200, 200]);
    assert_eq!(signed("new-", Some("new")), [200, 200]);
    assert_eq!(signed("old-", Some("new")), [401, 401]);
    assert_eq!(signed("old-", Some("older")), [401, 401]);
    assert_eq!(signed("old-", None), [401, 401], "one key, and no other, must fit");
}

fn permissions_are_patterns(driver: Driver) {
    let server = protected(driver).start();
    let token = bearer(&token(&["news", "users/17/*", "open/**"], &["users/17/typing"]));
    for (query, status) in [
        ("topic=news", 200),
        ("topic=users/17/inbox&topic=news", 200),
        ("topic=users%2F17%2F*", 200),
        ("topic=open/a/b&topic=open/**&topic=open/*/c", 200),
        ("", 403),
        ("topic=News", 403),
        ("topic=news/", 403),
        ("topic=news&topic=secret", 403),
        ("topic=users/18/inbox", 403),
        ("topic=users/17/../18/inbox", 403),
        ("topic=users/*/inbox", 403),
        ("topic=users/17/**", 403),
        ("topic=**", 403),
        ("topic=users%252F17%252Finbox", 403),
        ("topic=n%C3%A9ws", 403),
    ] {
        assert_eq!(statuses(&server, query, &token), [status; 2], "{query}");
    }
    publish(&server, "users/17/typing", &token, "x").expect_json(202);
    for topic in ["users/17/inbox", "news", "users%252F17%252Ftyping", "users/17/typing&topic=news"]
    {
        assert_eq!(publish(&server, topic, &token, "x").status, 403, "{topic}");
    }
    // A message's own topics count as those of the query do, in every line.
    let mut lines = server.connect();
    let body = "{\"data\":\"1\"}\n{\"data\":\"2\",\"topics\":[\"users/17/typing\",\"news\"]}\n";
    let length = body.len();
    lines.send(
        format!(
            "POST /publish?topic=users/17/typing HTTP/1.1\r\nHost: test\r\n{token}\
             Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    );
    let answer = lines.response().expect_problem(403);
    assert_eq!((&answer["line"], &answer["published"]), (&json!(2), &json!(1)), "{answer}");
    let counts = |headers: &str| {
        let mut connection = server.connect();
        let target = "/subscribers?topic=news";
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n").as_bytes());
        connection.response().status
    };
    assert_eq!((counts(&token), counts("")), (200, 401));
}

fn a_replay_is_of_what_may_be_subscribed_to(driver: Driver) {
    let server = protected(driver).start();
    let first = publish_as_admin(&server, "secret", "0");
    for (topic, data) in [("a", "1"), ("secret", "2"), ("a", "3")] {
        publish_as_admin(&server, topic, data);
    }
    let narrow = bearer(&token(&["a"], &[]));
    // The id of a message that it may not see is a place like any other.
    let resume = format!("{narrow}Last-Event-ID: {first}\r\n");
    for subscriber in ask(&server, "topic=a", &resume) {
        let events = subscriber.expect("allowed").take(2);
        assert_eq!([events[0].data(), events[1].data()], ["1", "3"]);
    }
    for query in ["topic=secret", "topic=a&topic=secret", "topic=*"] {
        assert_eq!(statuses(&server, query, &resume), [403, 403], "{query}");
    }
}

fn a_stream_ends_when_its_token_does(driver: Driver) {
    let server = protected(driver).start();
    let end = now() + 3;
    let token = expiring(end, &["a"], &[]);
    let streams = ask(&server, "topic=a", &bearer(&token)).map(|answer| answer.expect("in time"));
    publish_as_admin(&server, "a", "before");
    for mut stream in streams {
        assert_eq!(stream.next().data(), "before");
        assert_eq!(stream.until_end(), (Vec::new(), End::InOrder));
        assert!(until(end).is_zero(), "not before its time");
    }
    assert_eq!(statuses(&server, "topic=a", &bearer(&token)), [401, 401]);
    publish_as_admin(&server, "a", "after");
    let gone = || (server.metrics().sum("fanfare_subscribers") == 0.0).then_some(());
    eventually("nobody is left", gone);
}

fn publishing_ends_when_its_token_does(driver: Driver) {
    let server = protected(driver).start();
    let end = now() + 2;
    let token = bearer(&expiring(end, &[], &["a"]));
    let mut connection = server.connect();
    connection.send(
        format!(
            "POST /publish?topic=a HTTP/1.1\r\nHost: test\r\n{token}\
             Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n\
             d\r\n{{\"data\":\"1\"}}\n\r\n"
        )
        .as_bytes(),
    );
    let mut subscriber = ask(&server, "topic=a", &bearer(ADMIN)).map(|it| it.expect("allowed"));
    thread::sleep(until(end + 1));
    connection.send(b"d\r\n{\"data\":\"2\"}\n\r\n0\r\n\r\n");
    let answer = connection.response().expect_problem(401);
    assert_eq!((&answer["line"], &answer["published"]), (&json!(2), &json!(1)), "{answer}");
    publish_as_admin(&server, "a", "3");
    let seen = subscriber[0].next();
    assert!(["1", "3"].contains(&seen.data()), "{seen:?}");
}

fn nobody_publishes_on_an_open_address(driver: Driver) {
    let server = Options::new(driver).listen("0.0.0.0:0").start();
    let fault = publish(&server, "a", "", "x").expect_fault(403);
    assert!(fault.contains("set publish to open"), "{fault}");
    assert_eq!(statuses(&server, "topic=a", ""), [200, 200]);
    let open = Options::new(driver).listen("0.0.0.0:0").argument("--publish=open").start();
    publish(&open, "a", "", "x").expect_json(202);
    let closed = Options::new(driver).argument("--publish=closed").argument("--subscribe=closed");
    let closed = closed.start();
    assert_eq!(publish(&closed, "a", "", "x").status, 403);
    assert_eq!(statuses(&closed, "topic=a", ""), [401, 401]);
}

fn the_urls_of_other_systems_ask_for_tokens_too(driver: Driver) {
    let server = protected(driver).argument("--facade=mercure,nchan").start();
    let token = bearer(&token(&["books"], &["books"]));
    let mercure = "/.well-known/mercure";
    let forms = ["topic=books&data=x", "topic=secret&data=x"];
    let asked = |method: &str, target: &str, headers: &str, body: &str| {
        let length = body.len();
        let mut connection = server.connect();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        );
        connection.send(request.as_bytes());
        connection.head().status
    };
    for (headers, allowed, forbidden) in [("", 401, 401), (&*token, 200, 403)] {
        assert_eq!(asked("POST", mercure, headers, forms[0]), allowed);
        assert_eq!(asked("POST", mercure, headers, forms[1]), forbidden);
        for path in [mercure, "/sub"] {
            let target = |topic| match path {
                "/sub" => format!("/sub/{topic}"),
                _ => format!("{path}?topic={topic}"),
            };
            assert_eq!(asked("GET", &target("books"), headers, ""), allowed, "{path}");
            assert_eq!(asked("GET", &target("secret"), headers, ""), forbidden, "{path}");
        }
        assert_eq!(asked("POST", "/pub/secret", headers, "x"), forbidden);
        assert_eq!(asked("GET", "/pub/secret", headers, ""), forbidden);
    }
    assert_eq!(asked("GET", "/pub/books", &token, ""), 200);
}
