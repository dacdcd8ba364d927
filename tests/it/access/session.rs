//! `on_session`: the library's user has the last word on each subscription.

use std::sync::Arc;

use fanfare::{
    DriverChoice, Message, Server as Library,
    server::{Access, Admit, Door, Permissions, Reject, Session, StaticToken},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::harness::End;

both_drivers!(
    it_gives_topics_headers_and_an_end,
    it_refuses_with_a_body,
    it_may_take_its_time,
    it_is_dropped_when_its_client_leaves,
    access_changes_while_the_server_runs,
);

fn serve(driver: Driver, access: Access) -> Library {
    let driver = match driver {
        Driver::Uring => DriverChoice::Uring,
        Driver::Epoll => DriverChoice::Epoll,
    };
    let builder = Library::builder().listen("127.0.0.1:0").cores(1).driver(driver).access(access);
    builder.start().expect("the server starts")
}

/// As [`ask`], of a server in this process.
fn ask_library(server: &Library, target: &str, headers: &str) -> [Result<Subscriber, Response>; 2] {
    let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    let mut kept = Connection::open(server.local_addr());
    assert_eq!(kept.get("/health").status, 200);
    let fresh = Connection::open(server.local_addr());
    [fresh, kept].map(|connection| ask_on(connection, &request))
}

fn publish_in(server: &Library, topic: &str, data: &str) {
    server.publisher().publish(&Message::new(data), &[topic]).expect("it is open");
}

fn it_gives_topics_headers_and_an_end(driver: Driver) {
    let answer = |session: Session| async move {
        assert_eq!((session.path(), session.query()), ("/events", Some("topic=own&as=17")));
        assert_eq!(
            (session.topics(), session.last_event_id()),
            (&["own".to_owned()][..], Some("7"))
        );
        assert_eq!(session.address(), Some("127.0.0.1".parse().unwrap()));
        let user = session.headers()["x-user"].to_str().expect("text").to_owned();
        let seen = HeaderName::from_static("x-seen");
        Ok(Admit::to(&[format!("users/{user}")])
            .after("")
            .header(header::SET_COOKIE, HeaderValue::from_static("seen=1"))
            .header(seen, HeaderValue::from_str(&user).expect("a header"))
            .header(header::CONTENT_TYPE, HeaderValue::from_static("text/html"))
            .lasts(Duration::from_millis(1500)))
    };
    let server = serve(driver, Access::new().on_session(answer));
    let headers = "X-User: 17\r\nLast-Event-ID: 7\r\n";
    for stream in ask_library(&server, "/events?topic=own&as=17", headers) {
        let mut stream = stream.expect("admitted");
        for (name, value) in [
            ("set-cookie", "seen=1"),
            ("x-seen", "17"),
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(stream.head().header(name), Some(value), "{name}");
        }
        publish_in(&server, "own", "not asked for any more");
        publish_in(&server, "users/17", "given");
        assert_eq!(stream.next().data(), "given");
        assert_eq!(stream.until_end(), (Vec::new(), End::InOrder));
    }
}

fn it_refuses_with_a_body(driver: Driver) {
    let access = Access::new().on_session(|session| async move {
        let refused = match session.query() {
            Some("json") => Reject::new(StatusCode::PAYMENT_REQUIRED, "{\"pay\":true}")
                .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            Some("elsewhere") => Reject::new(StatusCode::TEMPORARY_REDIRECT, "")
                .header(header::LOCATION, HeaderValue::from_static("https://other.test/events")),
            Some("panics") => panic!("as the test wants it"),
            _ => Reject::new(StatusCode::FORBIDDEN, "not you"),
        };
        Err(refused)
    });
    let server = serve(driver, access);
    let refused = |query: &str| {
        let target = format!("/events?{query}");
        let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
        let mut kept = Connection::open(server.local_addr());
        assert_eq!(kept.get("/health").status, 200);
        [Connection::open(server.local_addr()), kept].map(|mut connection| {
            connection.send(request.as_bytes());
            connection.response()
        })
    };
    for answer in refused("") {
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.expect_text(403), "not you");
    }
    for answer in refused("json") {
        assert_eq!(answer.expect_json(402), json!({"pay": true}));
    }
    for answer in refused("elsewhere") {
        assert_eq!(
            (answer.status, answer.header("location")),
            (307, Some("https://other.test/events"))
        );
    }
    for answer in refused("panics") {
        let fault = answer.expect_fault(500);
        assert_eq!(fault, "the subscription could not be decided about");
    }
    assert!(refused("").map(|answer| answer.status) == [403, 403], "and it goes on");
}

fn it_may_take_its_time(driver: Driver) {
    let released = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&released);
    let access = Access::new().on_session(move |session| {
        let waits = Arc::clone(&waits);
        async move {
            if session.query() == Some("topic=a&slow") {
                waits.acquire().await.expect("it is not closed").forget();
            }
            Ok(Admit::as_asked())
        }
    });
    // One core, so that whoever held it would hold everybody.
    let server = serve(driver, access);
    let slow = "GET /events?topic=a&slow HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut undecided: Vec<_> = (0..20)
        .map(|_| {
            let mut connection = Connection::open(server.local_addr());
            connection.send(slow.as_bytes());
            connection
        })
        .collect();
    let quick = ask_library(&server, "/events?topic=a", "");
    let mut quick = quick.map(|answer| answer.expect("admitted meanwhile"));
    for number in 0..100 {
        publish_in(&server, "a", &number.to_string());
    }
    for stream in &mut quick {
        assert!(stream.take(100).iter().map(|event| event.number()).eq(0..100));
    }
    let patience = Duration::from_secs(1);
    assert_eq!(undecided[0].rest_within(patience), None, "neither admitted nor refused");
    released.add_permits(undecided.len());
    let mut admitted: Vec<_> = undecided
        .into_iter()
        .map(|connection| Subscriber::answered_on(connection).expect("admitted in the end"))
        .collect();
    publish_in(&server, "a", "to all");
    for stream in admitted.iter_mut().chain(&mut quick) {
        assert_eq!(stream.next().data(), "to all");
    }
}

fn it_is_dropped_when_its_client_leaves(driver: Driver) {
    /// Says so when it is dropped.
    struct Dropped(mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let access = Access::new().on_session(move |_| {
        let (begun, dropped) = (begun.clone(), Dropped(dropped.clone()));
        async move {
            let _ = begun.send(());
            let _dropped = dropped;
            std::future::pending().await
        }
    });
    let server = serve(driver, access);
    let mut connection = Connection::open(server.local_addr());
    connection.send(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n");
    begins.blocking_recv().expect("it is asked");
    assert!(drops.try_recv().is_err(), "as long as its client waits");
    drop(connection);
    drops.blocking_recv().expect("it is dropped");
}

fn access_changes_while_the_server_runs(driver: Driver) {
    let server = serve(driver, Access::new());
    let asked = |headers: &str| {
        let [fresh, kept] = ask_library(&server, "/events?topic=a", headers);
        let status =
            |answer: Result<Subscriber, Response>| answer.map_or_else(|it| it.status, |_| 200);
        [status(fresh), status(kept)]
    };
    let open = ask_library(&server, "/events?topic=a", "").map(|answer| answer.expect("open"));
    let everything = Permissions::new(&["**"], &["**"]).expect("a pattern");
    let rotated = |secret| StaticToken::new(secret, everything.clone()).expect("a token");
    for (new, old) in
        [("the-first-of-all-tokens", ""), ("the-second-of-all-tokens", "the-first-of-all-tokens")]
    {
        server.set_access(Access::new().token(rotated(new))).expect("it is right");
        assert_eq!(asked(&bearer(new)), [200, 200]);
        assert_eq!(asked(&bearer(old)), [401, 401]);
        assert_eq!(asked(""), [401, 401]);
    }
    let faulty = Access::new().subscribe(Door::Open).cors_origin("no origin");
    server.set_access(faulty).expect_err("it is not right");
    assert_eq!(asked(""), [401, 401], "nothing has changed");
    server.set_access(Access::new()).expect("it is right");
    assert_eq!(asked(""), [200, 200]);
    publish_in(&server, "a", "to those from before");
    for mut stream in open {
        assert_eq!(stream.next().data(), "to those from before");
    }
}
