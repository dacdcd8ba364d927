//! What a client makes of a stream.

use std::time::Duration;

use serde_json::json;

use crate::harness::Service;
use crate::scripted::{Bytes, Reply, ScriptedServer};

#[test]
fn fields_are_read_as_the_standard_says() {
    let service = Service::start();
    service.reads("data: Hello\n\n", &[["message", "Hello", ""]]);
    service.reads(
        "data:Hello\n\ndata:  two spaces\n\n",
        &[["message", "Hello", ""], ["message", " two spaces", ""]],
    );
    service.reads(
        "event: greeting\ndata: Hello\n\ndata: x\n\n",
        &[["greeting", "Hello", ""], ["message", "x", ""]],
    );
    service.reads("data: Hello\ndata:\ndata: there\n\n", &[["message", "Hello\n\nthere", ""]]);
    service.reads("data\n\ndata:\ndata:\n\n", &[["message", "", ""], ["message", "\n", ""]]);
    service.reads(
        "id: abc\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
        &[["message", "a", "abc"], ["message", "b", "abc"], ["message", "c", ""]],
    );
    service.reads(
        "id: abc\ndata: a\n\nid: x\0y\ndata: b\n\n",
        &[["message", "a", "abc"], ["message", "b", "abc"]],
    );
    service.reads(
        "unknown: x\nDATA: x\n data: x\ndata: a\nretry: no\n\nevent: lost\n\ndata: b\n\n",
        &[["message", "a", ""], ["message", "b", ""]],
    );
    service.reads("data: {\"é\": \"🎺\"}\n\n", &[["message", "{\"é\": \"🎺\"}", ""]]);
}

#[test]
fn a_mark_at_the_start_is_dropped_and_one_elsewhere_is_not() {
    let service = Service::start();
    for stream in ["\u{feff}data: a\n\n", "\u{feff}:c\ndata: a\n\n", "\u{feff}\n\ndata: a\n\n"] {
        let server = ScriptedServer::once(Reply::stream(stream));
        let mut client = service.client(&server, json!({}));
        if stream.contains(":c") {
            client.expect_comment("c");
        }
        client.expect_event(["message", "a", ""]);
    }
    service.reads("\u{feff}\u{feff}data: lost\n\ndata: a\n\n", &[["message", "a", ""]]);
    service.reads(
        "data: a\n\n\u{feff}data: lost\n\ndata: \u{feff}b\n\n",
        &[["message", "a", ""], ["message", "\u{feff}b", ""]],
    );
    let dripping = Reply::stream("\u{feff}data: a\n\n").dripping(Duration::from_millis(2));
    let server = ScriptedServer::once(dripping);
    service.client(&server, json!({})).expect_event(["message", "a", ""]);
}

#[test]
fn comments_are_reported_between_the_events() {
    let service = Service::start();
    let server =
        ScriptedServer::once(Reply::stream(":one\n: two\ndata: a\n\n:\n::three\ndata: b\n\n"));
    let mut client = service.client(&server, json!({}));
    client.expect_comment("one");
    client.expect_comment("two");
    client.expect_event(["message", "a", ""]);
    client.expect_comment("");
    client.expect_comment(":three");
    client.expect_event(["message", "b", ""]);
}

/// Each pair of line ends, whole and byte by byte.
#[test]
fn lines_end_in_any_way() {
    let service = Service::start();
    let ends = ["\n", "\r", "\r\n"];
    for first in ends {
        for second in ends {
            let stream = format!(
                "event: t{first}data: a{second}data: b{first}{second}: c{second}data: d{first}id: 1{second}{first}data: e{second}{second}"
            );
            // CR and LF, each as the end of a line of its own, would be one end together.
            if first.len() + second.len() == 2 && first != second {
                continue;
            }
            for dripping in [false, true] {
                let mut reply = Reply::stream(&*stream);
                if dripping {
                    reply = reply.dripping(Duration::from_millis(1));
                }
                let server = ScriptedServer::once(reply);
                let mut client = service.client(&server, json!({}));
                client.expect_event(["t", "a\nb", ""]);
                client.expect_comment("c");
                client.expect_event(["message", "d", "1"]);
                client.expect_event(["message", "e", "1"]);
                client.end();
            }
        }
    }
    service.reads("data: a\r\r", &[["message", "a", ""]]);
    let both = [["message", "a", ""], ["message", "b", ""]];
    service.reads("data: a\n\rdata: b\n\r", &both);
    service
        .reads("data: a\u{2028}b\u{85}c\u{b}d\n\n", &[["message", "a\u{2028}b\u{85}c\u{b}d", ""]]);
}

#[test]
fn ten_mebibytes_are_one_event() {
    let service = Service::start();
    let mut stream = Bytes::from("data: ");
    stream.push_repeated(b"0123456789abcdef", 10 << 16);
    stream.push(b"\n\ndata: small\n\n");
    let server = ScriptedServer::once(Reply::stream(stream));
    let mut client = service.client(&server, json!({}));
    let report = client.report();
    let data = report["event"]["data"].as_str().expect("an event");
    assert_eq!((data.len(), &data[data.len() - 17..]), (10 << 20, "f0123456789abcdef"));
    client.expect_event(["message", "small", ""]);
}
