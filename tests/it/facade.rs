//! The façades, by the public clients and the documented exchanges of those whose URLs they answer.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::access::file;
use crate::harness::{Connection, Driver, Options, Server, Subscriber, post_request, skip};
use crate::readers::{folder, httpx_sse_from, python};

both_drivers!(
    mercures_python_client_publishes,
    mercures_python_client_brings_its_token,
    mercures_claims_are_permissions,
    httpx_sse_reads_mercure_and_resumes,
    mercure_selects_by_template_on_both_sides_of_the_port,
    nchans_documented_exchange,
    facades_are_off_by_default,
);

/// As long as the hash.
const SECRET: &str = "an-example-that-protects-nothing-0123456789";

const MERCURE: &str = "/.well-known/mercure";

fn server(driver: Driver) -> Server {
    Options::new(driver).argument("--facade=mercure,nchan").start()
}

fn subscribe(server: &Server, target: &str) -> Subscriber {
    let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\n\r\n");
    Subscriber::request(server.connect(), &request)
}

fn mercures_python_client_publishes(driver: Driver) {
    if !python().exists() {
        return skip("mercure-publisher is not installed (tests/readers/setup.sh installs it)");
    }
    let server = server(driver);
    let book = "https://example.com/books/1";
    let mut subscriber = subscribe(&server, &format!("{MERCURE}?topic={book}"));
    let updates = json!([
        {"topic": book, "data": {"title": "zwölf & mehr"}},
        {"topic": [book, "https://example.com/latest"], "data": "a\nb", "id": "urn:uuid:1",
         "type": "update", "retry": 1500},
    ]);
    let ids = publish_by_client(&server, SECRET, &["*"], &updates);
    let events = subscriber.take(2);
    assert_eq!(ids, [events[0].id(), "urn:uuid:1"]);
    let data: Value = serde_json::from_str(events[0].data()).expect("JSON");
    assert_eq!(data, json!({"title": "zwölf & mehr"}));
    assert_eq!((events[1].id(), events[1].data()), ("urn:uuid:1", "a\nb"));
    assert_eq!((events[1].kind.as_deref(), events[1].retry), (Some("update"), Some(1500)));
}

/// What mercure-publisher says of each update: its id, or the status of the refusal.
fn publish_by_client(server: &Server, key: &str, topics: &[&str], updates: &Value) -> Vec<String> {
    let output = Command::new(python())
        .arg(folder().join("publish_to_mercure.py"))
        .args([&*format!("http://{}{MERCURE}", server.address()), key])
        .args([json!(topics).to_string(), updates.to_string()])
        .output()
        .expect("python is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let said = String::from_utf8(output.stdout).expect("ids are text");
    said.lines().map(str::to_owned).collect()
}

/// Signed with [`SECRET`], for an hour, with Mercure's claim.
fn token(subscribe: &[&str], publish: &[&str]) -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    let claims = json!({
        "exp": since_1970.as_secs() + 3600,
        "mercure": {"subscribe": subscribe, "publish": publish},
    });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes()))
        .expect("the key fits the algorithm")
}

fn protected(driver: Driver) -> Server {
    let key = format!("--jwt-key-file={}", file(SECRET).display());
    Options::new(driver).argument("--facade=mercure").argument(key).start()
}

fn mercures_python_client_brings_its_token(driver: Driver) {
    if !python().exists() {
        return skip("mercure-publisher is not installed (tests/readers/setup.sh installs it)");
    }
    let server = protected(driver);
    let token = token(&["/books/{id}"], &[]);
    let mut subscriber =
        subscribe(&server, &format!("{MERCURE}?topic=/books/%7Bid%7D&authorization={token}"));
    let updates = json!([
        {"topic": "/books/1", "data": "for those alone who may", "private": true},
        {"topic": "/films/1", "data": "x"},
    ]);
    let said = publish_by_client(&server, SECRET, &["/books/{id}"], &updates);
    let event = subscriber.next();
    assert_eq!(event.data(), "for those alone who may");
    assert_eq!(said, [event.id(), "403"]);
    let other_key = SECRET.replace('0', "1");
    assert_eq!(publish_by_client(&server, &other_key, &["*"], &updates), ["401", "401"]);
}

/// In each way that Mercure has, on a core and, on a kept connection, in the control runtime.
fn mercures_claims_are_permissions(driver: Driver) {
    let server = protected(driver);
    let ask = |target: &str, headers: &str| {
        let request = format!("GET {MERCURE}?{target} HTTP/1.1\r\nHost: t\r\n{headers}\r\n");
        let mut kept = server.connect();
        kept.get("/health").expect_text(200);
        let statuses = [server.connect(), kept].map(|mut connection| {
            connection.send(request.as_bytes());
            connection.head().status
        });
        assert_eq!(statuses[0], statuses[1], "on a core and elsewhere: {target}");
        statuses[0]
    };
    let (some, all) = (token(&["/a/{b}", "c"], &["c"]), token(&["*"], &["*"]));
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    for topics in ["topic=/a/1", "topic=/a/%7Bx%7D&topic=c", "matchURLPattern=/a/:x"] {
        assert_eq!(ask(topics, &bearer(&some)), 200, "{topics}");
        assert_eq!(ask(topics, &bearer(&all)), 200, "{topics}");
        assert_eq!(ask(&format!("{topics}&authorization={some}"), ""), 200, "{topics}");
        assert_eq!(ask(topics, &format!("Cookie: mercureAuthorization={some}\r\n")), 200);
        assert_eq!(ask(topics, ""), 401, "{topics}");
    }
    for topics in ["topic=*", "topic=/a/1/2", "topic=c&topic=d", "topic=/%7Bx%7D/1"] {
        assert_eq!(ask(topics, &bearer(&some)), 403, "{topics}");
    }
    assert_eq!(ask("topic=*", &bearer(&all)), 200);

    let publish = |form: &str, headers: &str| {
        let post = post_request(MERCURE, "application/x-www-form-urlencoded", form.as_bytes());
        let request = String::from_utf8(post).expect("text");
        let mut connection = server.connect();
        connection.send(request.replacen("\r\n", &format!("\r\n{headers}"), 1).as_bytes());
        connection.response().status
    };
    assert_eq!(publish("topic=c&data=x&private=on", &bearer(&some)), 200);
    assert_eq!(publish("topic=c&topic=d&data=x", &bearer(&some)), 403);
    assert_eq!(publish("topic=d&data=x", &bearer(&all)), 200);
    assert_eq!(publish("topic=c&data=x", ""), 401);
}

fn httpx_sse_reads_mercure_and_resumes(driver: Driver) {
    if !python().exists() {
        return skip("httpx-sse is not installed (tests/readers/setup.sh installs it)");
    }
    let server = server(driver);
    let url = format!("http://{}{MERCURE}?topic=/books/%7Bid%7D", server.address());
    let update = |data: &str| {
        let form = format!("topic=/books/{data}&data={data}");
        let answer = server.post(MERCURE, "application/x-www-form-urlencoded", form.as_bytes());
        let kind = answer.header("content-type").unwrap_or_default().to_owned();
        assert!(kind.starts_with("text/plain"), "{kind}");
        ["message".to_owned(), data.to_owned(), answer.expect_text(200)]
    };
    let before = update("0");
    let reader = httpx_sse_from(&url, "");
    server.await_subscribers("/books/1", 1);
    let first = update("1");
    assert_eq!(reader.next(), first);
    drop(reader);
    server.await_subscribers("/books/1", 0);
    let missed = update("2");
    let resumed = httpx_sse_from(&format!("{url}&lastEventID={}", before[2]), "");
    assert_eq!([resumed.next(), resumed.next()], [first, missed]);
}

/// On a core, and on a connection that the control runtime has after another request.
fn mercure_selects_by_template_on_both_sides_of_the_port(driver: Driver) {
    let server = server(driver);
    let target = format!("{MERCURE}?topic=/a/%7Bb%7D&matchURLPattern=/c/:d&topic=/e");
    let on_core = subscribe(&server, &target);
    let mut connection = server.connect();
    connection.get("/health").expect_text(200);
    let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n");
    let in_control = Subscriber::request(connection, &request);
    for topic in ["/a/1", "/c/2", "/e", "/a/1/x"] {
        let form = format!("topic={topic}&data={topic}");
        let answer = server.post(MERCURE, "application/x-www-form-urlencoded", form.as_bytes());
        answer.expect_text(200);
    }
    server.publish(&["/e"], "end");
    for mut subscriber in [on_core, in_control] {
        let data: Vec<_> = subscriber.take(4).iter().map(|e| e.data().to_owned()).collect();
        assert_eq!(data, ["/a/1", "/c/2", "/e", "end"]);
    }
    let refused = server.get(&format!("{MERCURE}?topic=/a/b-%7Bc%7D")).expect_fault(400);
    assert!(refused.starts_with("topic selector \"/a/b-{c}\" is not supported"), "{refused}");
    let private = server.post(MERCURE, "application/x-www-form-urlencoded", b"topic=a&private=on");
    private.expect_fault(501);
}

/// Asks as `curl -H "Accept: …"` does.
fn ask(connection: &mut Connection, method: &str, accept: &str, body: &str) -> (u16, String) {
    let post = post_request("/pub?id=foo", "application/x-www-form-urlencoded", body.as_bytes());
    let request = String::from_utf8(post).expect("text").replacen("POST", method, 1);
    let accept = format!("\r\nAccept: {accept}\r\nHost:");
    connection.send(request.replacen("\r\nHost:", &accept, 1).as_bytes());
    let response = connection.response();
    let status = response.status;
    (status, response.expect_text(status))
}

/// Its documentation's requests and answers; the ids alone are ours.
fn nchans_documented_exchange(driver: Driver) {
    let server = server(driver);
    let mut publisher = server.connect();
    let (status, _) = ask(&mut publisher, "GET", "*/*", "");
    assert_eq!(status, 404, "there is no channel");
    let (status, text) = ask(&mut publisher, "POST", "*/*", "test message");
    let lines: Vec<_> = text.split("\r\n").collect();
    let ["queued messages: 1", "last requested: -1 sec. ago", "active subscribers: 0", last] =
        *lines
    else {
        panic!("{text:?}")
    };
    assert_eq!(status, 202, "nobody has it");
    let id = last.strip_prefix("last message id: ").expect("an id");

    let (status, text) = ask(&mut publisher, "GET", "text/json", "");
    assert_eq!(status, 200);
    assert_eq!(
        text,
        format!(
            r#"{{"messages": 1, "requested": -1, "subscribers": 0, "last_message_id": "{id}" }}"#
        )
    );
    let mut subscriber = subscribe(&server, "/sub?id=foo");
    let (status, text) = ask(&mut publisher, "POST", "text/json", "test message");
    assert_eq!(status, 201, "somebody has it");
    let info: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&info["messages"], &info["subscribers"]), (&json!(2), &json!(1)));
    let event = subscriber.next();
    assert_eq!(
        (event.id(), event.data()),
        (info["last_message_id"].as_str().unwrap(), "test message")
    );

    let (_, xml) = ask(&mut publisher, "PUT", "text/xml", "3");
    assert!(xml.contains("\r\n  <messages>3</messages>\r\n"), "{xml}");
    assert!(xml.contains("\r\n  <subscribers>1</subscribers>\r\n"), "{xml}");
    let (_, yaml) = ask(&mut publisher, "GET", "application/yaml", "");
    assert!(yaml.starts_with("---\r\nmessages: 3\r\nrequested: "), "{yaml}");
    // The browser's way to resume, and the path's way to name a channel.
    let mut resumed = subscribe(&server, &format!("/sub/foo?last_event_id={id}"));
    assert_eq!(resumed.take(2).iter().map(|e| e.data()).collect::<Vec<_>>(), ["test message", "3"]);
    let (status, _) = ask(&mut publisher, "DELETE", "*/*", "");
    assert_eq!(status, 501);
}

fn facades_are_off_by_default(driver: Driver) {
    let server = Server::start(driver);
    for target in [&*format!("{MERCURE}?topic=a"), "/sub?id=a", "/pub?id=a"] {
        server.get(target).expect_fault(404);
    }
}
