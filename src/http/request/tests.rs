use super::*;

/// The answer to the whole of `bytes`, after checking that every way to split them gives the same.
#[track_caller]
fn parse(bytes: &[u8]) -> Result<RequestHead<'_>, HeadError> {
    let whole = parse_head(bytes);
    let answer = summary(&whole);
    for cut in 0..bytes.len() {
        let first = summary(&parse_head(&bytes[..cut]));
        if first != "partial" {
            assert_eq!(first, answer, "at {cut}");
        } else {
            assert_eq!(summary(&parse_head_after(bytes, cut)), answer, "from {cut}");
        }
    }
    let dripped = (0..bytes.len()).map(|seen| summary(&parse_head_after(&bytes[..=seen], seen)));
    let first = dripped.into_iter().find(|answer| answer != "partial");
    assert_eq!(first.unwrap_or_else(|| "partial".into()), answer, "byte by byte");
    match whole? {
        Head::Complete(head) => Ok(head),
        Head::Partial => panic!("partial: {:?}", bytes.escape_ascii().to_string()),
    }
}

fn summary(answer: &Result<Head<'_>, HeadError>) -> String {
    match answer {
        Ok(Head::Partial) => "partial".into(),
        Ok(Head::Complete(head)) => format!("{head:?}"),
        Err(e) => format!("{e:?}"),
    }
}

/// The fault of a request line and headers, to which the blank line is added.
#[track_caller]
fn fault(head: &str) -> String {
    match parse(format!("{head}\r\n\r\n").as_bytes()) {
        Ok(head) => panic!("taken: {head:?}"),
        Err(HeadError::Malformed(fault)) => fault.into(),
        Err(fault) => fault.to_string(),
    }
}

/// Path and query of `target`.
#[track_caller]
fn target(target: &str) -> (String, Option<String>) {
    let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = parse(bytes.as_bytes()).unwrap();
    (head.path.into(), head.query.map(Into::into))
}

#[test]
fn a_head_is_taken_apart() {
    let bytes =
        b"GET /events?topic=a HTTP/1.1\r\nHost: h:80\r\nX:  \xff\xe9 \t\r\nx: \r\n\r\nbody\nmore";
    let head = parse(bytes).unwrap();
    assert_eq!((head.method, head.version), ("GET", Version::Http11));
    assert_eq!((head.path, head.query), ("/events", Some("topic=a")));
    assert_eq!(&bytes[head.len..], b"body\nmore");
    assert_eq!(head.header("HOST"), Some(&b"h:80"[..]));
    assert_eq!(head.headers("x").collect::<Vec<_>>(), [&b"\xff\xe9"[..], b""]);
    assert_eq!((head.header("y"), head.header("")), (None, None));
    assert_eq!(head.body_length(), BodyLength::None);
}

#[test]
fn the_least_head_is_a_request_line_of_http_1_0() {
    let head = parse(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((head.version, head.path, head.query, head.len), (Version::Http10, "/", None, 18));
    assert_eq!(head.header("host"), None);
}

#[test]
fn one_blank_line_may_come_before() {
    let head = parse(b"\r\nGET / HTTP/1.0\r\nA: b\r\n\r\n\r\n").unwrap();
    assert_eq!((head.method, head.len), ("GET", 26));
    assert_eq!(head.header("a"), Some(&b"b"[..]));
    assert_eq!(fault("\r\n\r\nGET / HTTP/1.0"), "blank lines before the request");
    assert_eq!(fault("\nGET / HTTP/1.0"), "line ends in a bare line feed");
}

#[test]
fn the_target_is_a_path_or_an_http_uri() {
    assert_eq!(target("/"), ("/".into(), None));
    assert_eq!(target("//a?b?c"), ("//a".into(), Some("b?c".into())));
    assert_eq!(target("/?"), ("/".into(), Some("".into())));
    assert_eq!(target("http://h:80/a?b"), ("/a".into(), Some("b".into())));
    assert_eq!(target("HTTPS://[::1]"), ("/".into(), None));
    assert_eq!(target("http://h?a=/b"), ("/".into(), Some("a=/b".into())));

    let fault = |target: &str| fault(&format!("GET {target} HTTP/1.1\r\nHost: h"));
    assert_eq!(parse(b"OPTIONS * HTTP/1.0\r\n\r\n").unwrap().path, "*");
    for target in ["*", "h:80", "a/b", "ftp://h/", "?a", "**", "*/"] {
        assert_eq!(fault(target), "request target is neither a path nor an http URI");
    }
    for target in ["http:///a", "http://u@h/", "http://?a", "http://h:x/", "http://:80/"] {
        assert_eq!(fault(target), "invalid host in the request target");
    }
    for target in ["/é", "/#a"] {
        assert_eq!(fault(target), "invalid byte in the request target");
    }
    for target in ["/%zz", "/?a=%", "/?a=%4", "/?%%41", "/%4g", "http://h%zz/"] {
        assert_eq!(fault(target), "invalid escape in the request target");
    }
    for target in ["/%ff", "/?a=%c3", "/?a=%c3&b=%a9", "/%c0%af", "/?%ed%a0%80"] {
        assert_eq!(fault(target), "the request target is not UTF-8");
    }
}

#[test]
fn nobody_gets_a_tunnel() {
    for target in ["h:80", "/", "*"] {
        assert_eq!(
            fault(&format!("CONNECT {target} HTTP/1.1\r\nHost: h")),
            "CONNECT is not served"
        );
    }
}

#[test]
fn only_one_expectation_can_be_met() {
    let head = |expected: &str| format!("POST / HTTP/1.1\r\nHost: h\r\nExpect: {expected}\r\n\r\n");
    for expected in ["100-continue", "100-Continue", " 100-continue\t"] {
        assert!(parse(head(expected).as_bytes()).is_ok());
    }
    for expected in ["", "200-maybe", "100-continue, x", "100-continue\r\nExpect: x"] {
        assert_eq!(parse(head(expected).as_bytes()).unwrap_err(), HeadError::Expectation);
    }
}

#[test]
fn the_host_must_be_one_and_valid() {
    let fault = |headers: &str| fault(&format!("GET / HTTP/1.1\r\n{headers}A: b"));
    assert_eq!(fault(""), "no Host");
    assert_eq!(fault("Host: a\r\nhost: a\r\n"), "more than one Host");
    for host in [
        "", ":80", "a b", "u@h", "a/b", "é", "a\\b", "<a>", "a:b", "a:1:2", "h:65536", "[::1",
        "[]", "[::1]80", "[a]", "a, b",
    ] {
        assert_eq!(fault(&format!("Host: {host}\r\n")), "invalid Host");
    }
    for host in ["h", "h:80", "h:", "[::1]:80", "a-b.c_d~%20"] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(parse(bytes.as_bytes()).unwrap().header("host"), Some(host.as_bytes()));
    }
}

#[test]
fn the_body_has_one_length() {
    let length = |headers: &str| {
        let bytes = format!("POST / HTTP/1.1\r\nHost: h\r\n{headers}\r\n\r\n");
        parse(bytes.as_bytes()).map(|head| head.body_length())
    };
    assert_eq!(length("Content-Length: 0"), Ok(BodyLength::Exact(0)));
    let largest = i64::MAX.unsigned_abs();
    assert_eq!(length(&format!("content-length: {largest}")), Ok(BodyLength::Exact(largest)));
    assert_eq!(length("TRANSFER-ENCODING: Chunked"), Ok(BodyLength::Chunked));
    assert_eq!(length("Transfer_Encoding: chunked"), Ok(BodyLength::None));

    let fault = |headers: &str| fault(&format!("POST / HTTP/1.1\r\nHost: h\r\n{headers}"));
    for value in [
        "",
        "+5",
        "-0",
        "0x5",
        "1 0",
        "5.0",
        "5, 5",
        "５",
        "05",
        "00",
        "5;",
        "9223372036854775808",
        "99999999999999999999",
    ] {
        assert_eq!(fault(&format!("Content-Length: {value}")), "invalid Content-Length");
    }
    for value in [
        "",
        "identity",
        "xchunked",
        "chunked, chunked",
        ", chunked",
        "chunked,",
        "gzip, chunked",
        "chunked, gzip",
        "chunked;a=b",
        "\"chunked\"",
    ] {
        assert_eq!(
            fault(&format!("Transfer-Encoding: {value}")),
            "Transfer-Encoding is not chunked"
        );
    }
    let both = "both Content-Length and Transfer-Encoding";
    assert_eq!(fault("Content-Length: 5\r\nTransfer-Encoding: chunked"), both);
    assert_eq!(fault("Transfer-Encoding: chunked\r\nContent-Length: 5"), both);
    assert_eq!(fault("Content-Length: 5\r\nContent-Length: 5"), "more than one Content-Length");
    assert_eq!(
        fault("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        "more than one Transfer-Encoding"
    );
    assert_eq!(
        parse(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap_err(),
        HeadError::Malformed("Transfer-Encoding in HTTP/1.0")
    );
}

#[test]
fn faults_of_grammar_are_refused() {
    for (head, expected) in [
        ("GET  / HTTP/1.1\r\nHost: h", "invalid request line"),
        ("GET\t/ HTTP/1.1\r\nHost: h", "invalid request line"),
        ("GET /\0 HTTP/1.1\r\nHost: h", "invalid request line"),
        ("\0\x01", "invalid request line"),
        ("GET / HTTP/1.2\r\nHost: h", "not HTTP/1.0 or HTTP/1.1"),
        ("GET / HTTP/2.0\r\nHost: h", "not HTTP/1.0 or HTTP/1.1"),
        ("GET / HTTP/01.1\r\nHost: h", "not HTTP/1.0 or HTTP/1.1"),
        ("PRI * HTTP/2.0\r\n\r\nSM", "not HTTP/1.0 or HTTP/1.1"),
        ("GET / HTTP/1.1 \r\nHost: h", "invalid line end"),
        ("GET / HTTP/1.1\rHost: h", "invalid line end"),
        ("GET / HTTP/1.1\r\n Host: h", "invalid header name"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c", "invalid header name"),
        ("GET / HTTP/1.1\r\nHost : h", "invalid header name"),
        ("GET / HTTP/1.1\r\nHost: h\r\n: a", "invalid header name"),
        ("GET / HTTP/1.1\r\nHost: h\r\ngarbage", "invalid header name"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\0c", "invalid header value"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\x0cc", "invalid header value"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc", "invalid header value"),
    ] {
        assert_eq!(fault(head), expected, "{head:?}");
    }
}

#[test]
fn a_byte_that_no_head_may_have_ends_it_without_a_line_end() {
    for bytes in
        [&b"\x16\x03\x01 a TLS hello"[..], b"GET /\0x", b"A\x7f", b"GET / HTTP/1.0\r\nA: \x08"]
    {
        assert!(matches!(parse(bytes).unwrap_err(), HeadError::Malformed(_)), "{bytes:?}");
    }
    assert_eq!(
        parse(b"GET / HTTP/1.1\rHost: h\r\r").unwrap_err(),
        HeadError::Malformed("invalid line end")
    );
}

#[test]
fn a_bare_line_feed_ends_no_line_wherever_it_is() {
    let good = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    for (at, _) in good.match_indices("\r\n") {
        let bytes = [&good[..at], &good[at + 1..]].concat();
        let expected = HeadError::Malformed("line ends in a bare line feed");
        assert_eq!(parse(bytes.as_bytes()).unwrap_err(), expected, "{bytes:?}");
    }
    // A fault before the bare LF is the one that counts, and one behind it is not looked at.
    assert_eq!(fault("GET / HTTP/1.1\r\nA B: c\r\nHost: h\nA: b"), "invalid header name");
    assert_eq!(fault("GET / HTTP/1.1\r\nHost: h\nA B: c"), "line ends in a bare line feed");
}

#[test]
fn a_head_may_be_as_long_as_the_bound_and_no_longer() {
    let padded = |len: usize| {
        let (start, end) = ("GET / HTTP/1.0\r\nA: ", "\r\n\r\n");
        [start, &"b".repeat(len - start.len() - end.len()), end].concat().into_bytes()
    };
    let longest = padded(HEAD_BYTES_MAX);
    let with_body = [&longest[..], b"body"].concat();
    for bytes in [&longest, &with_body] {
        let Ok(Head::Complete(head)) = parse_head(bytes) else { panic!("not complete") };
        assert_eq!(head.len, HEAD_BYTES_MAX);
    }

    let longer = padded(HEAD_BYTES_MAX + 1);
    assert!(matches!(parse_head(&longer[..HEAD_BYTES_MAX]), Ok(Head::Partial)));
    assert_eq!(parse_head(&longer).unwrap_err(), HeadError::TooLarge);
    assert_eq!(parse_head_after(&longer, HEAD_BYTES_MAX).unwrap_err(), HeadError::TooLarge);

    // One long line, which never has a line end to look at.
    let endless = vec![b'A'; HEAD_BYTES_MAX + 1];
    assert!(matches!(parse_head_after(&endless[..HEAD_BYTES_MAX], 9), Ok(Head::Partial)));
    assert_eq!(parse_head_after(&endless, HEAD_BYTES_MAX).unwrap_err(), HeadError::TooLarge);
}

#[test]
fn the_number_of_headers_is_bounded() {
    let with = |count: usize| ["GET / HTTP/1.0\r\n", &"A: b\r\n".repeat(count), "\r\n"].concat();
    assert_eq!(parse(with(HEADERS_MAX).as_bytes()).unwrap().headers("a").count(), HEADERS_MAX);
    assert_eq!(parse(with(HEADERS_MAX + 1).as_bytes()).unwrap_err(), HeadError::TooLarge);
}

#[test]
fn query_pairs_are_decoded_whatever_they_hold() {
    let bytes = b"GET /?a=b+c%20d&a=%C3%A9&=%25&%2B%26=%0d%0A%00&flag&&x=1=2 HTTP/1.0\r\n\r\n";
    let head = parse(bytes).unwrap();
    let pairs: Vec<_> = head.query_pairs().collect();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        pairs,
        [("a", "b c d"), ("a", "é"), ("", "%"), ("+&", "\r\n\0"), ("flag", ""), ("x", "1=2"),]
    );
    let plain = parse(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(plain.query_pairs().count(), 0);
}

#[test]
fn any_change_of_a_byte_gives_one_answer_for_every_split() {
    // A line end last, because a fault may wait for the end of its line.
    let good = b"GET /a?b HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nbody\n";
    for at in 0..good.len() {
        for byte in *b"\0\t\n\r :/A\x7f\xff" {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            if !matches!(parse_head(&bytes), Ok(Head::Partial)) {
                _ = parse(&bytes);
            }
        }
    }
}

#[test]
fn an_error_has_a_status() {
    assert_eq!(HeadError::Malformed("no Host").status(), 400);
    assert_eq!(HeadError::Malformed("no Host").to_string(), "malformed request: no Host");
    assert_eq!(HeadError::TooLarge.status(), 431);
    assert_eq!(HeadError::Expectation.status(), 417);
}
