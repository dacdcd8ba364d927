//! What browsers are told about the pages of other sites, and what such pages cannot do.

use super::*;

both_drivers!(
    listed_pages_may_and_others_may_not,
    any_page_may_where_all_may_but_without_cookies,
    a_cookie_is_believed_from_listed_pages_only,
    another_site_s_page_cannot_publish,
);

const LISTED: &str = "https://app.test";
const OTHERS: [&str; 4] =
    ["https://evil-app.test", "https://app.test.evil.test", "null", "http://app.test"];

fn preflight(server: &Server, target: &str, origin: &str) -> Response {
    let mut connection = server.connect();
    connection.send(
        format!(
            "OPTIONS {target} HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: authorization,content-type\r\n\r\n"
        )
        .as_bytes(),
    );
    connection.response()
}

fn allowed(response: &Response) -> (Option<&str>, Option<&str>) {
    (
        response.header("access-control-allow-origin"),
        response.header("access-control-allow-credentials"),
    )
}

fn listed_pages_may_and_others_may_not(driver: Driver) {
    let server = protected(driver).argument(format!("--cors-origin={LISTED}")).start();
    for target in ["/publish", "/events"] {
        let answer = preflight(&server, target, LISTED);
        assert_eq!(answer.status, 200);
        assert_eq!(allowed(&answer), (Some(LISTED), Some("true")));
        for (name, value) in [
            ("access-control-allow-methods", "GET,POST"),
            ("access-control-allow-headers", "authorization"),
            ("access-control-allow-headers", "content-type"),
            ("access-control-allow-headers", "last-event-id"),
            ("vary", "origin"),
        ] {
            let header = answer.header(name).unwrap_or_default();
            assert!(header.contains(value), "{name}: {header}");
        }
        let age: u64 =
            answer.header("access-control-max-age").and_then(|a| a.parse().ok()).unwrap();
        assert!(age > 0);
    }
    let token = bearer(&token(&["a"], &["a"]));
    let from = |origin: &str| format!("{token}Origin: {origin}\r\n");
    for stream in ask(&server, "topic=a", &from(LISTED)) {
        let stream = stream.expect("allowed");
        assert_eq!(allowed(stream.head()), (Some(LISTED), Some("true")));
        assert_eq!(stream.head().header("vary"), Some("origin"));
    }
    for refusal in ask(&server, "topic=b", &from(LISTED)) {
        let refusal = refusal.expect_err("not that topic");
        assert_eq!(
            (refusal.status, allowed(&refusal).0),
            (403, Some(LISTED)),
            "so that it can be read"
        );
    }
    let published = publish(&server, "a", &from(LISTED), "x");
    assert_eq!((published.status, allowed(&published)), (202, (Some(LISTED), Some("true"))));
    for origin in OTHERS {
        assert_eq!(allowed(&preflight(&server, "/publish", origin)).0, None, "{origin}");
        for stream in ask(&server, "topic=a", &from(origin)) {
            let stream = stream.expect("its browser keeps it from the page");
            assert_eq!(allowed(stream.head()).0, None, "{origin}");
            assert_eq!(stream.head().header("vary"), Some("origin"));
        }
    }
    let own = Options::new(driver).start();
    for stream in ask(&own, "topic=a", &format!("Origin: {LISTED}\r\n")) {
        let stream = stream.expect("open");
        assert_eq!((allowed(stream.head()).0, stream.head().header("vary")), (None, None));
    }
}

fn any_page_may_where_all_may_but_without_cookies(driver: Driver) {
    let server = protected(driver).argument("--cors-origin=*").start();
    let token = token(&["a"], &["a"]);
    let any = (Some("*"), None);
    assert_eq!(allowed(&preflight(&server, "/publish", "https://any.test")), any);
    let origin = "Origin: https://any.test\r\n";
    for stream in ask(&server, "topic=a", &format!("{}{origin}", bearer(&token))) {
        assert_eq!(allowed(stream.expect("allowed").head()), any);
    }
    let cookie = format!("Cookie: fanfare_token={token}\r\n{origin}");
    assert_eq!(statuses(&server, "topic=a", &cookie), [403, 403]);
}

fn a_cookie_is_believed_from_listed_pages_only(driver: Driver) {
    let server = protected(driver).argument(format!("--cors-origin={LISTED}")).start();
    let cookie = format!("Cookie: fanfare_token={}\r\n", token(&["a"], &["a"]));
    let from = |origin: &str| format!("{cookie}Origin: {origin}\r\n");
    // `test` is the host that these requests are sent to.
    for origin in [LISTED, "https://test"] {
        assert_eq!(statuses(&server, "topic=a", &from(origin)), [200, 200], "{origin}");
        publish(&server, "a", &from(origin), "x").expect_json(202);
    }
    for origin in OTHERS {
        assert_eq!(statuses(&server, "topic=a", &from(origin)), [403, 403], "{origin}");
        assert_eq!(publish(&server, "a", &from(origin), "x").status, 403, "{origin}");
    }
    // Browsers leave it out of a page's own requests that read, and of none that write.
    assert_eq!(statuses(&server, "topic=a", &cookie), [200, 200]);
    assert_eq!(publish(&server, "a", &cookie, "x").status, 403);
}

fn another_site_s_page_cannot_publish(driver: Driver) {
    let server = Options::new(driver).start();
    publish(&server, "a", "", "from no page").expect_json(202);
    publish(&server, "a", "Origin: http://test\r\n", "from the server's own").expect_json(202);
    for origin in OTHERS {
        let headers = format!("Origin: {origin}\r\nContent-Type: text/plain\r\n");
        assert_eq!(publish(&server, "a", &headers, "x").status, 403, "{origin}");
    }
}
