//! Publishing over HTTP: every format, streams of them, and several publishers at full speed.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Connection, Driver, Publisher, Server, Subscriber};

both_drivers!(
    a_text_is_the_data,
    a_json_message_says_everything,
    an_array_is_published_whole_or_not_at_all,
    a_form_says_everything,
    what_is_sent_again_under_its_key_is_published_once,
    a_key_is_that_of_one_publisher_at_a_time,
    a_batch_of_lines_is_published_in_order,
    a_line_is_published_when_it_arrives,
    a_bad_line_is_named_and_ends_the_batch,
    a_body_may_come_in_any_pieces,
    four_threads_at_full_speed_lose_nothing,
);

fn a_text_is_the_data(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["t"]);
    for content_type in ["text/plain", "text/plain; charset=utf-8", "application/octet-stream"] {
        let answer = server.post("/publish?topic=t", content_type, content_type.as_bytes());
        let answer = answer.expect_json(202);
        let event = subscriber.next();
        assert_eq!(answer, json!({"id": event.id(), "subscribers": 1}));
        assert_eq!((event.data(), &event.kind, event.retry), (content_type, &None, None));
    }
    let mut untyped = server.connect();
    untyped.send(b"POST /publish?topic=t HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
    untyped.response().expect_json(202);
    assert_eq!(subscriber.next().data(), "hi");
}

fn a_json_message_says_everything(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["j"]);
    let mut publisher = Publisher::open(&server);
    let message = json!({
        "topics": ["j"], "id": "mine", "event": "price", "data": "{\"eur\": 1}\n", "retry": 1500
    });
    let receipt = publisher.json(&message);
    assert_eq!((receipt.id.as_str(), receipt.subscribers), ("mine", 1));
    let event = subscriber.next();
    assert_eq!((event.id(), event.data()), ("mine", "{\"eur\": 1}\n"));
    assert_eq!((event.kind.as_deref(), event.retry), (Some("price"), Some(1500)));

    // Topics of the query are those of a message that names none.
    let answer = server.post("/publish?topic=j", "application/json", br#"{"data":"by query"}"#);
    answer.expect_json(202);
    assert_eq!(subscriber.next().data(), "by query");
}

fn an_array_is_published_whole_or_not_at_all(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["one", "two"]);
    let post = |batch: Value| {
        server.post("/publish?topic=one", "application/json", batch.to_string().as_bytes())
    };
    let receipts =
        post(json!([{"data": "1"}, {"data": "2", "topics": ["two", "three"], "id": "own"}]));
    let events = subscriber.take(2);
    let expected: Vec<_> =
        events.iter().map(|event| json!({"id": event.id(), "subscribers": 1})).collect();
    assert_eq!(receipts.expect_json(202), json!(expected));
    assert_eq!(events.iter().map(|event| event.data()).collect::<Vec<_>>(), ["1", "2"]);

    for bad in [json!({"data": "4", "event": "fanfare.x"}), json!({"dat": "4"}), json!("4")] {
        let fault = post(json!([{"data": "3"}, bad])).expect_fault(400);
        assert!(fault.starts_with("message 2: "), "{fault}");
    }
    server.publish(&["one"], "end");
    assert_eq!(subscriber.next().data(), "end", "nothing of a faulty batch is published");
}

fn a_form_says_everything(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["f"]);
    let form = "topic=f&topic=g&id=mine&event=price&data=1+%26+2%0A&retry=1500&conflation_key=k";
    let answer = server.post("/publish", "application/x-www-form-urlencoded", form.as_bytes());
    assert_eq!(answer.expect_json(202), json!({"id": "mine", "subscribers": 1}));
    let event = subscriber.next();
    assert_eq!((event.id(), event.data()), ("mine", "1 & 2\n"));
    assert_eq!((event.kind.as_deref(), event.retry), (Some("price"), Some(1500)));

    let parts = "--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n1 & 2\r\n--b--\r\n";
    let form = server.post("/publish?topic=f", "multipart/form-data; boundary=b", parts.as_bytes());
    form.expect_json(202);
    assert_eq!(subscriber.next().data(), "1 & 2");
}

fn what_is_sent_again_under_its_key_is_published_once(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["k"]);
    let publish = |body: &str| {
        let mut connection = server.connect();
        let (target, len) = ("/publish?topic=k", body.len());
        connection.send(
            format!(
                "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
                 Idempotency-Key: \"order 17\"\r\nContent-Length: {len}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        connection.response()
    };
    let batch = r#"[{"data":"1"},{"data":"2"}]"#;
    let first = publish(batch);
    assert_eq!(first.header("idempotency-replayed"), None);
    let receipts = first.expect_json(202);
    let again = publish(batch);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect_json(202), receipts);
    let fault = publish(r#"[{"data":"1"}]"#).expect_fault(422);
    assert!(fault.contains("used for something else"), "{fault}");
    server.publish(&["k"], "end");
    let data: Vec<_> = subscriber.take(3).iter().map(|event| event.data().to_owned()).collect();
    assert_eq!(data, ["1", "2", "end"]);
}

/// Of many that send the same at the same time one publishes, and all get its receipt.
fn a_key_is_that_of_one_publisher_at_a_time(driver: Driver) {
    const THREADS: usize = 8;
    let server = Server::start(driver);
    let request = "POST /publish?topic=r HTTP/1.1\r\nHost: test\r\nIdempotency-Key: race\r\n\
                   Content-Length: 4\r\n\r\nonce";
    let answers: Vec<_> = thread::scope(|scope| {
        let publish = || {
            let mut connection = server.connect();
            connection.send(request.as_bytes());
            let response = connection.response();
            let is_replayed = response.header("idempotency-replayed").is_some();
            (is_replayed, response.expect_json(202))
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(publish)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert_eq!(answers.iter().filter(|(is_replayed, _)| !is_replayed).count(), 1);
    assert!(answers.iter().all(|(_, receipt)| *receipt == answers[0].1), "{answers:?}");
}

fn a_batch_of_lines_is_published_in_order(driver: Driver) {
    const LINES: u64 = 20_000;
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["n"]);
    let line = |number| format!("{{\"data\":\"{number}\"}}\n");
    let body: String = (0..LINES).map(line).collect();
    // More than one message may have, which a batch as a whole may be.
    let body = format!("{body}{}", line(LINES).trim_end());
    assert!(body.len() > 256 * 1024, "{}", body.len());
    let batch = server.post("/publish?topic=n", "application/x-ndjson", body.as_bytes());
    let answer = batch.expect_json(202);
    assert_eq!(answer["published"], LINES + 1);
    let mut last = None;
    for number in 0..=LINES {
        let event = subscriber.next();
        assert_eq!(event.number(), number);
        last = event.id;
    }
    assert_eq!(answer["id"].as_str(), last.as_deref());
}

/// Begins a POST whose body comes in chunks.
fn begin_lines(server: &Server, target: &str) -> Connection {
    let mut connection = server.connect();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    connection.send(head.as_bytes());
    connection
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn a_line_is_published_when_it_arrives(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["live", "other"]);
    let mut publisher = begin_lines(&server, "/publish?topic=live");
    for number in 0..5 {
        publisher.send(&chunk(&format!("{{\"data\":\"{number}\"}}\n")));
        assert_eq!(subscriber.next().number(), number, "before the body ends");
    }
    // A line torn over two chunks, and one chunk with the ends of two.
    publisher.send(&chunk("{\"topics\":[\"other\"],"));
    publisher.send(&chunk("\"data\":\"5\"}\n{\"data\":\"6\"}\n{\"da"));
    assert_eq!([subscriber.next().number(), subscriber.next().number()], [5, 6]);
    publisher.send(&chunk("ta\":\"7\"}"));
    publisher.send(b"0\r\n\r\n");
    let answer = publisher.response().expect_json(202);
    let last = subscriber.next();
    assert_eq!(last.number(), 7, "the last line may lack its newline");
    assert_eq!(answer, json!({"id": last.id(), "published": 8}));
}

fn a_bad_line_is_named_and_ends_the_batch(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["n"]);
    let good = "{\"data\":\"good\"}\n";
    let long = format!("{{\"data\":\"{}\"}}\n", "x".repeat(300 * 1024));
    for (bad, status) in [
        ("{\"data\":\n", 400),
        ("[]\n", 400),
        ("{\"topics\":[\"\"],\"data\":\"x\"}\n", 400),
        ("{\"event\":\"fanfare.gap\",\"data\":\"x\"}\n", 400),
        ("{\"id\":\"a\\nb\",\"data\":\"x\"}\n", 400),
        (&long, 413),
    ] {
        let shown = &bad[..bad.len().min(60)];
        let body = format!("{good}{good}{bad}{good}");
        let answer = server.post("/publish?topic=n", "application/x-ndjson", body.as_bytes());
        let answer = answer.expect_problem(status);
        assert_eq!((&answer["line"], &answer["published"]), (&Value::from(3), &Value::from(2)));
        server.publish(&["n"], "end");
        let data: Vec<_> = subscriber.take(3).iter().map(|e| e.data().to_owned()).collect();
        assert_eq!(data, ["good", "good", "end"], "around {shown}");
    }
}

fn a_body_may_come_in_any_pieces(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["p"]);
    let head = "POST /publish?topic=p HTTP/1.1\r\nHost: test\r\nContent-Length: 12\r\n\r\n";
    let request = format!("{head}twelve bytes");
    for cut in (1..request.len()).step_by(5).chain([head.len(), request.len()]) {
        let mut connection = server.connect();
        connection.send(&request.as_bytes()[..cut]);
        thread::yield_now();
        connection.send(&request.as_bytes()[cut..]);
        connection.response().expect_json(202);
        assert_eq!(subscriber.next().data(), "twelve bytes", "cut at {cut}");
    }
    // In chunks, whose head and first bytes go together to whoever reads the rest.
    let mut connection = server.connect();
    let chunked = "POST /publish?topic=p HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   6\r\ntwelve\r\n";
    connection.send(chunked.as_bytes());
    connection.send(b"6\r\n bytes\r\n0\r\n\r\n");
    connection.response().expect_json(202);
    assert_eq!(subscriber.next().data(), "twelve bytes");
}

fn four_threads_at_full_speed_lose_nothing(driver: Driver) {
    const THREADS: usize = 4;
    const SINGLE: u64 = 1_000;
    const PIPELINED: u64 = 1_000;
    const LINES: u64 = 4_000;
    const EACH: u64 = SINGLE + PIPELINED + LINES;
    let server = Server::start(driver);
    let topics: [&[&str]; 3] = [&["f"], &["f", "g"], &["g"]];
    let subscribers = topics.map(|topics| Subscriber::open(&server, topics));

    thread::scope(|scope| {
        for name in 0..THREADS {
            let mut publisher = Publisher::open(&server);
            let text = move |number: u64| format!("{name} {number}");
            scope.spawn(move || {
                for number in 0..SINGLE {
                    // Each topic has two, of which one is on both.
                    assert_eq!(publisher.text(&["f", "g"], &text(number)).subscribers, 3);
                }
                let pipelined: Vec<_> = (SINGLE..SINGLE + PIPELINED).map(text).collect();
                for batch in pipelined.chunks(25) {
                    publisher.pipelined(&["f", "g"], batch);
                }
                let line = |number| format!("{{\"data\":\"{}\"}}\n", text(number));
                let lines: Vec<_> = (SINGLE + PIPELINED..EACH).map(line).collect();
                for batch in lines.chunks(500) {
                    publisher.lines(&["f", "g"], &batch.concat());
                }
            });
        }
        for subscriber in subscribers {
            scope.spawn(move || expect_all(subscriber, THREADS, EACH));
        }
    });
}

/// Reads `each` messages of every publisher, each publisher's in its order.
fn expect_all(mut subscriber: Subscriber, publishers: usize, each: u64) {
    let mut next = vec![0; publishers];
    let mut sequence = None;
    while next.iter().any(|&number| number < each) {
        let event = subscriber.next();
        let data = event.data();
        let (name, number) = data.split_once(' ').expect("a publisher and a number");
        let name: usize = name.parse().expect("a publisher");
        assert_eq!(number.parse(), Ok(next[name]), "of publisher {name}");
        next[name] += 1;
        assert!(sequence < Some(event.sequence()), "sequences rise");
        sequence = Some(event.sequence());
    }
}
