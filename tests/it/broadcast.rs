//! Who gets what: topics, order, exact data, and the bytes on the wire.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;

use serde_json::json;
use socket2::SockRef;

use crate::harness::{Driver, Publisher, Server, Subscriber};

both_drivers!(
    head_arrives_before_any_event,
    an_event_on_the_wire_is_one_chunk_with_its_fields_in_order,
    one_message_reaches_several_topics,
    several_topics_on_one_connection_bring_each_message_once,
    all_subscribers_see_one_order,
    data_arrives_as_it_was,
    http_1_0_gets_bare_events,
    no_topic_means_the_default_topic,
    a_topic_may_have_any_name,
    a_subscriber_that_leaves_is_no_longer_counted,
    a_head_may_come_in_any_pieces,
);

fn head_arrives_before_any_event(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["news"]);
    let head = subscriber.head();
    assert_eq!(head.version, "HTTP/1.1");
    assert!(head.header("content-type").is_some_and(|t| t.starts_with("text/event-stream")));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert!(head.is_chunked());

    // Whoever has the head is subscribed: a message published from now on is theirs.
    let receipt = server.publish(&["news"], "first");
    assert_eq!(receipt.subscribers, 1);
    let event = subscriber.next();
    assert_eq!((event.id(), event.data()), (receipt.id.as_str(), "first"));
}

fn an_event_on_the_wire_is_one_chunk_with_its_fields_in_order(driver: Driver) {
    let server = Server::start(driver);
    let mut connection = server.connect();
    connection.send(b"GET /events?topic=a HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(connection.head().status, 200);

    let mut publisher = Publisher::open(&server);
    let message = json!({"topics": ["a"], "event": "tick", "data": "1\n2\n", "retry": 250});
    let id = publisher.json(&message).id;
    let own = publisher.json(&json!({"topics": ["a"], "id": "own 7", "data": ": é"})).id;
    assert_eq!(own, "own 7");

    let event = format!("id: {id}\nevent: tick\nretry: 250\ndata: 1\ndata: 2\ndata: \n\n");
    for event in [event.as_str(), "id: own 7\ndata: : é\n\n"] {
        // The size may be padded: a frame is stored with its chunk header in front.
        let mut size = Vec::new();
        while !size.ends_with(b"\r\n") {
            size.extend(connection.exactly(1));
        }
        let size = std::str::from_utf8(&size).expect("a size").trim_end();
        assert_eq!(usize::from_str_radix(size, 16), Ok(event.len()));
        let chunk = connection.exactly(event.len() + 2);
        assert_eq!(String::from_utf8_lossy(&chunk), format!("{event}\r\n"));
    }
}

fn one_message_reaches_several_topics(driver: Driver) {
    let server = Server::start(driver);
    let mut a = Subscriber::open(&server, &["a"]);
    let mut b = Subscriber::open(&server, &["b"]);
    let mut c = Subscriber::open(&server, &["c"]);

    let both = server.publish(&["a", "b"], "for a and b");
    assert_eq!(both.subscribers, 2);
    let json = json!({"topics": ["b", "c"], "data": "for b and c"});
    assert_eq!(Publisher::open(&server).json(&json).subscribers, 2);
    server.publish(&["a", "b", "c"], "end");

    let data = |subscriber: &mut Subscriber, count| -> Vec<String> {
        subscriber.take(count).iter().map(|event| event.data().to_owned()).collect()
    };
    assert_eq!(data(&mut a, 2), ["for a and b", "end"]);
    assert_eq!(data(&mut b, 3), ["for a and b", "for b and c", "end"]);
    assert_eq!(data(&mut c, 2), ["for b and c", "end"]);
}

fn several_topics_on_one_connection_bring_each_message_once(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["a", "b", "a"]);
    let mut expected = Vec::new();
    for (number, topics) in [&["a", "b"][..], &["a"], &["c"], &["b", "c", "a", "b"], &["b"]]
        .into_iter()
        .cycle()
        .take(50)
        .enumerate()
    {
        let receipt = server.publish(topics, &number.to_string());
        let wanted = topics != ["c"];
        assert_eq!(receipt.subscribers > 0, wanted, "of {topics:?}");
        if wanted {
            expected.push((receipt.id, number.to_string()));
        }
    }
    for (id, data) in expected {
        let event = subscriber.next();
        assert_eq!((event.id(), event.data()), (id.as_str(), data.as_str()));
    }
}

fn all_subscribers_see_one_order(driver: Driver) {
    const PUBLISHERS: usize = 4;
    const MESSAGES: usize = 250;
    let server = Server::start(driver);
    // Some on one topic, some on another, some on both; every message is on both.
    let topics: [&[&str]; 4] = [&["x"], &["y"], &["x", "y"], &["y", "z", "x"]];
    let open = |topics: &&[&str]| Subscriber::open(&server, topics);
    let mut subscribers: Vec<_> = topics.iter().cycle().take(12).map(open).collect();

    thread::scope(|scope| {
        for name in 0..PUBLISHERS {
            let mut publisher = Publisher::open(&server);
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    publisher.text(&["x", "y"], &format!("{name} {number}"));
                }
            });
        }
    });

    let first = subscribers[0].take(PUBLISHERS * MESSAGES);
    let sequences: Vec<_> = first.iter().map(|event| event.sequence()).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "sequences rise: {sequences:?}");
    for name in 0..PUBLISHERS {
        let prefix = format!("{name} ");
        let of_one = first.iter().filter_map(|event| event.data().strip_prefix(&prefix));
        let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
        assert!(of_one.eq(expected), "what one publisher sends stays in its order");
    }
    for subscriber in &mut subscribers[1..] {
        assert!(subscriber.take(first.len()) == first, "one order for all");
    }
}

fn data_arrives_as_it_was(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["exact"]);
    let long = "0123456789abcdef\n".repeat(6_000);
    let same = [
        "",
        "plain",
        "\n",
        "ends in a newline\n",
        "\n\n\nmany\n\n\n",
        " leading space",
        "\ttab",
        ": no comment",
        "data: no field",
        "id: no id\nretry: 1\nevent: no type",
        "é 🎺 \u{2028} \u{85} \u{feff}",
        "form feed \u{c} and vertical tab \u{b}",
        &long,
    ];
    for data in same {
        server.publish(&["exact"], data);
        assert!(subscriber.next().data() == data, "sent {data:?}");
        let json = json!({"topics": ["exact"], "data": data});
        Publisher::open(&server).json(&json);
        assert!(subscriber.next().data() == data, "sent {json}");
    }
    // SSE has one line end: a CR arrives as the newline that it stands for.
    for (data, expected) in [("a\rb", "a\nb"), ("a\r\nb\r", "a\nb\n"), ("\r\r\n\n", "\n\n\n")] {
        server.publish(&["exact"], data);
        assert_eq!(subscriber.next().data(), expected, "sent {data:?}");
    }
}

fn http_1_0_gets_bare_events(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber =
        Subscriber::request(server.connect(), "GET /events?topic=old HTTP/1.0\r\n\r\n");
    assert!(!subscriber.head().is_chunked());
    assert_eq!(subscriber.head().header("content-length"), None);
    let ids: Vec<_> =
        (0..3).map(|number| server.publish(&["old"], &number.to_string()).id).collect();
    // The subscriber parses without chunks here, so a chunk header would not pass as a field.
    for (number, id) in (0..).zip(&ids) {
        let event = subscriber.next();
        assert_eq!((event.id(), event.number()), (id.as_str(), number));
    }
    let request = format!("GET /events?topic=old HTTP/1.0\r\nLast-Event-ID: {}\r\n\r\n", ids[0]);
    let mut resumed = Subscriber::request(server.connect(), &request);
    server.publish(&["old"], "3");
    let numbers: Vec<_> = resumed.take(3).iter().map(|event| event.number()).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

fn no_topic_means_the_default_topic(driver: Driver) {
    let server = Server::start(driver);
    let mut default = Subscriber::open(&server, &[]);
    let mut named = Subscriber::open(&server, &["default"]);
    server.publish(&["default"], "named");
    let receipt = server.publish(&[], "default");
    assert_eq!(receipt.subscribers, 1);
    Publisher::open(&server).json(&json!({"data": "default as JSON"}));
    server.publish(&["default"], "named again");

    assert_eq!(default.next().data(), "default");
    assert_eq!(default.next().data(), "default as JSON");
    assert_eq!(named.next().data(), "named");
    assert_eq!(named.next().data(), "named again");
}

fn a_topic_may_have_any_name(driver: Driver) {
    let server = Server::start(driver);
    let long = "x".repeat(256);
    let wide = "é".repeat(128);
    for topic in ["a b", "a+b", "a&b=c", "100%", "Ω/🎺#?", "..", "0", " ", &long, &wide] {
        let mut subscriber = Subscriber::open(&server, &[topic]);
        server.publish(&[topic], topic);
        assert_eq!(subscriber.next().data(), topic);
        assert_eq!(server.subscribers(topic), 1);
    }
}

fn a_subscriber_that_leaves_is_no_longer_counted(driver: Driver) {
    let server = Server::start(driver);
    assert_eq!(server.subscribers("t"), 0);
    let mut stays = Subscriber::open(&server, &["t", "u"]);
    let closes = Subscriber::open(&server, &["t"]);
    let [resets, shuts] = [(); 2].map(|()| {
        let mut stream = TcpStream::connect(server.address()).expect("the server accepts");
        stream.write_all(b"GET /events?topic=t HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
        stream
    });
    server.await_subscribers("t", 4);

    SockRef::from(&resets).set_linger(Some(std::time::Duration::ZERO)).expect("a linger");
    drop((closes, resets));
    shuts.shutdown(Shutdown::Both).expect("a shutdown");
    server.await_subscribers("t", 1);
    assert_eq!(server.subscribers("u"), 1);
    assert_eq!(server.publish(&["t"], "on").subscribers, 1);
    assert_eq!(stays.next().data(), "on");
}

fn a_head_may_come_in_any_pieces(driver: Driver) {
    let server = Server::start(driver);
    let head = "GET /events?topic=p HTTP/1.1\r\nHost: test\r\nX-Empty:\r\n\r\n";
    let mut bytewise = server.connect();
    for byte in head.bytes() {
        bytewise.send(&[byte]);
    }
    let mut subscribers = vec![Subscriber::request(bytewise, "")];
    for cut in 1..head.len() {
        let mut connection = server.connect();
        connection.send(&head.as_bytes()[..cut]);
        thread::yield_now();
        subscribers.push(Subscriber::request(connection, &head[cut..]));
    }
    let receipt = server.publish(&["p"], "whole");
    assert_eq!(receipt.subscribers, subscribers.len() as u64);
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next().id(), receipt.id);
    }
}
