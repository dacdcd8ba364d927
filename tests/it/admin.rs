//! The operator's side: a listener of its own, that looks and closes, and that strangers do not reach.

use std::net::SocketAddr;

use serde_json::Value;

use crate::harness::{
    Connection, Driver, End, Options, Publisher, Response, Server, Subscriber, eventually,
};
use crate::slow::narrow_connection;

both_drivers!(
    an_operator_sees_the_connections_and_closes_one,
    many_connections_are_listed_page_by_page,
    who_lags_is_seen_to,
    the_busiest_topics_come_first,
    the_figures_come_live_to_as_many_as_there_is_room_for,
    it_answers_while_the_server_drains,
    it_is_on_its_own_port_alone,
    a_name_that_anybody_can_give_is_refused,
    faulty_requests_are_refused_by_name,
);

fn start(driver: Driver) -> Server {
    Options::new(driver).argument("--admin=127.0.0.1:0").start()
}

fn ask(address: SocketAddr, method: &str, target: &str) -> Response {
    let mut connection = Connection::open(address);
    connection.send(format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes());
    connection.response()
}

fn get(server: &Server, target: &str) -> Value {
    ask(server.admin(), "GET", target).expect_json(200)
}

fn ids(list: &Value) -> Vec<String> {
    let connections = list["connections"].as_array().expect("a list");
    connections.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

fn an_operator_sees_the_connections_and_closes_one(driver: Driver) {
    let server = start(driver);
    let mut subscribers = ["a", "b"].map(|topic| Subscriber::open(&server, &[topic, "both"]));
    let list = get(&server, "/connections");
    assert_eq!(list["next"], Value::Null);
    let listed = list["connections"].as_array().expect("a list");
    let mine = listed.iter().find(|one| one["topics"][0] == "b").expect("it is listed");
    assert_eq!(listed.len(), 2);
    assert_eq!(mine["topics"].as_array().map(Vec::len), Some(2));
    assert_eq!((&mine["peer"], &mine["state"]), (&"127.0.0.1".into(), &"live".into()));
    assert!(mine["age_seconds"].is_u64() && mine["behind"] == 0, "{mine}");

    let target = format!("/connections/{}", mine["id"].as_str().expect("an id"));
    assert_eq!(ask(server.admin(), "DELETE", &target).status, 204);
    assert_eq!(subscribers[1].until_end().1, End::InOrder);
    ask(server.admin(), "DELETE", &target).expect_fault(404);
    server.publish(&["both"], "who stays");
    assert_eq!(subscribers[0].next().data(), "who stays");
    let stats = get(&server, "/stats");
    let cores = stats["cores"].as_array().expect("a list");
    let sum =
        |read: fn(&Value) -> &Value| cores.iter().filter_map(|core| read(core).as_u64()).sum();
    let (ended, there): (u64, u64) =
        (sum(|core| &core["ends"]["operator"]), sum(|core| &core["subscribers"]));
    assert_eq!((ended, there), (1, 1));
    assert_eq!(stats["provider"]["published"], 1);
    let driver = stats["driver"].as_str().expect("a text");
    assert!(server.banner().contains(driver), "{driver}");
}

fn many_connections_are_listed_page_by_page(driver: Driver) {
    const SUBSCRIBERS: usize = 600;
    let server = start(driver);
    let asked: Vec<_> = (0..SUBSCRIBERS).map(|_| Subscriber::send(&server, &["crowd"])).collect();
    let _subscribers: Vec<_> = asked.into_iter().map(|one| one.accepted()).collect();
    let (mut seen, mut target, mut pages) = (Vec::new(), "/connections".to_owned(), 0);
    loop {
        let list = get(&server, &target);
        seen.extend(ids(&list));
        pages += 1;
        let Some(next) = list["next"].as_str() else { break };
        target = format!("/connections?from={next}");
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), SUBSCRIBERS, "each is there once");
    assert!(pages > 1, "not all at once");
}

fn who_lags_is_seen_to(driver: Driver) {
    let server = start(driver);
    let _stalled = stall(&server);
    let behind = eventually("one lags", || {
        let list = get(&server, "/connections");
        let first = &list["connections"][0];
        (first["state"] == "lagging").then(|| first["behind"].as_u64().expect("a number"))
    });
    assert!(behind > 0);
    let stats = get(&server, "/stats");
    let lagging = stats["cores"].as_array().expect("a list").iter();
    assert_eq!(lagging.filter_map(|core| core["lagging"].as_u64()).sum::<u64>(), 1);
}

/// A subscriber that is owed more than the kernel holds for it.
fn stall(server: &Server) -> Subscriber {
    let subscribe = "GET /events?topic=s HTTP/1.1\r\nHost: test\r\n\r\n";
    let stalled = Subscriber::request(narrow_connection(server), subscribe);
    let mut publisher = Publisher::open(server);
    let padding = "x".repeat(64 * 1024);
    for _ in 0..64 {
        publisher.text(&["s"], &padding);
    }
    stalled
}

fn the_busiest_topics_come_first(driver: Driver) {
    let server = start(driver);
    let _subscribers = [&["b", "a"][..], &["a", "n/*"], &["a"], &["n/*"]]
        .map(|topics| Subscriber::open(&server, topics));
    let busy = get(&server, "/topics?limit=2");
    let expected = serde_json::json!({
        "topics": [{"topic": "a", "subscribers": 3}, {"topic": "n/*", "subscribers": 2}],
        "complete": true,
    });
    assert_eq!(busy, expected);
}

fn the_figures_come_live_to_as_many_as_there_is_room_for(driver: Driver) {
    const WATCHERS_MAX: usize = 16;
    let server = start(driver);
    let address = server.admin();
    let request = format!("GET /stats/live HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let watch = || Subscriber::request(Connection::open(address), &request);
    let mut watchers: Vec<_> = (0..WATCHERS_MAX).map(|_| watch()).collect();
    let mut crowded = Connection::open(address);
    crowded.send(request.as_bytes());
    crowded.response().expect_fault(503);

    let _subscriber = Subscriber::open(&server, &["a"]);
    let mut uptime = 0.0;
    let mut snapshot = |watcher: &mut Subscriber| -> Value {
        let snapshot: Value = serde_json::from_str(watcher.next().data()).expect("JSON");
        let now = snapshot["uptime_seconds"].as_f64().expect("a number");
        assert!(now > uptime, "a later one");
        uptime = now;
        snapshot
    };
    eventually("the subscriber is in the figures", || {
        (snapshot(&mut watchers[0])["provider"]["subscribers"] == 1).then_some(())
    });
    // Whoever leaves makes room.
    watchers.pop();
    eventually("there is room again", || {
        let mut connection = Connection::open(address);
        connection.send(request.as_bytes());
        (connection.head().status == 200).then_some(())
    });
}

fn it_answers_while_the_server_drains(driver: Driver) {
    let mut server = start(driver);
    let address = server.admin();
    assert_eq!(ask(address, "GET", "/ready").expect_text(200), "ready");
    let _stalled = stall(&server);
    server.signal();
    server.await_log("draining");
    let refused = eventually("the drain has begun", || {
        let response = ask(address, "GET", "/ready");
        (response.status == 503).then(|| response.expect_fault(503))
    });
    assert_eq!(refused, "the server is shutting down");
    assert_eq!(get(&server, "/stats")["draining"], true);
    assert_eq!(ask(address, "GET", "/health").status, 200);
    assert!(server.ended().success());
}

fn it_is_on_its_own_port_alone(driver: Driver) {
    let server = start(driver);
    for target in ["/stats", "/stats/live", "/connections", "/topics"] {
        server.get(target).expect_fault(404);
    }
    let address = server.admin();
    for target in ["/publish", "/events", "/subscribers"] {
        ask(address, "GET", target).expect_fault(404);
    }
    let metrics = ask(address, "GET", "/metrics").expect_text(200);
    assert!(metrics.contains("fanfare_subscribers 0"), "{metrics}");
}

fn a_name_that_anybody_can_give_is_refused(driver: Driver) {
    let server = start(driver);
    let address = server.admin();
    let get = |host: &str, target: &str| {
        let mut connection = Connection::open(address);
        let origin = format!("Origin: http://{host}");
        connection
            .send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n\r\n").as_bytes());
        let response = connection.response();
        assert_eq!(response.header("access-control-allow-origin"), None);
        response
    };
    for host in ["localhost", "localhost:1", "127.0.0.1", "[::1]:8"] {
        assert_eq!(get(host, "/stats").status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example"] {
        let absolute = format!("http://{host}/stats");
        for (host, target) in [(host, "/stats"), (host, "/"), ("127.0.0.1", &*absolute)] {
            let fault = get(host, target).expect_fault(421);
            assert!(fault.contains("evil.example"), "{fault}");
        }
    }
}

fn faulty_requests_are_refused_by_name(driver: Driver) {
    let server = start(driver);
    let address = server.admin();
    for (method, target, status) in [
        ("GET", "/connections?from=9-0", 400),
        ("GET", "/connections?from=x", 400),
        ("GET", "/connections?page=1", 400),
        ("GET", "/topics?limit=0", 400),
        ("DELETE", "/connections/1", 400),
        ("DELETE", "/connections/%ff", 400),
        ("DELETE", "/connections/9-0-1", 404),
        ("DELETE", "/connections/0-4294967295-1", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/stats", 405),
    ] {
        let response = ask(address, method, target);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        response.expect_fault(status);
    }
}
