//! The publisher against servers that answer, stop answering, or end the connection.

use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use super::*;
use crate::target::{Target, TargetArgs};

fn plan(mode: PublishMode, base: &str, topics: &[&str]) -> Plan {
    let args = TargetArgs { publish_mode: Some(mode), ..TargetArgs::default() };
    let target = Target::resolve(&args, base).expect("a valid URL");
    Plan {
        route: target.publish.expect("it is known how"),
        topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
        format: Format::new(40, 1),
        clock: Clock::start(),
        written: Arc::default(),
    }
}

fn segment(first: u64, messages: u64, rate: f64) -> Segment {
    Segment { first, messages, rate, start_ns: 0 }
}

/// A server that reads requests and gives each connection what `answer` says to its n-th one,
/// until that is nothing: then it closes. Tells the bodies it has read, connection by connection.
fn server(
    answer: impl Fn(usize, usize) -> Option<&'static str> + Send + 'static,
) -> (String, mpsc::Receiver<(usize, String)>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (said, bodies) = mpsc::channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let mut requests = stream;
            let mut count = 0;
            while let Some(body) = read_request(&mut requests) {
                let _ = said.send((number, body));
                let Some(text) = answer(number, count) else { break };
                if requests.write_all(text.as_bytes()).is_err() || text.contains("close") {
                    break;
                }
                count += 1;
            }
            // What is not answered is read all the same: a reset could overtake the answers.
            let _ = requests.shutdown(Shutdown::Write);
            let _ = io::copy(&mut requests, &mut io::sink());
        }
    });
    (format!("http://{address}"), bodies)
}

/// The payload of one POST of 40 bytes.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let mut body = [0; 40];
    stream.read_exact(&mut body).ok()?;
    Some(String::from_utf8_lossy(&body).into_owned())
}

const TAKEN: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";
const LAST: &str = "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn due_times_are_fixed_in_advance() {
    let segment = Segment { start_ns: 1_000, ..segment(0, 10, 3.0) };
    assert_eq!(segment.due_ns(0), 1_000);
    assert_eq!(segment.due_ns(3), 1_000_001_000);
    // No drift: the thousandth is as exact as the first.
    assert_eq!(segment.due_ns(3_000), 1_000_000_001_000);
    let stamp = segment.stamp(3, 1_000_501_000);
    assert_eq!((stamp.intended_ns, stamp.sent_ns()), (1_000_001_000, 1_000_501_000));
}

#[test]
fn what_is_due_goes_out_in_one_chunk_to_each_topic_in_turn() {
    let plan = plan(PublishMode::Ndjson, "http://127.0.0.1:1", &["a", "b"]);
    let mut writer = Writer::new(&plan);
    let count = writer.encode_due(&plan, segment(100, 1_000, 1_000.0), 11, 13_000_000);
    assert_eq!(count, 3);
    let (body, _) = crate::worker::dechunk(&writer.out, 7).expect("one whole chunk");
    let lines = body.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let line: Value = serde_json::from_slice(line).expect("JSON");
        let data = line["data"].as_str().expect("text");
        let stamp = plan.format.decode(data.as_bytes()).expect("intact");
        assert_eq!(stamp.sent_ns(), 13_000_000);
        (stamp.sequence, line["topics"].to_string())
    });
    let expected = [(111, r#"["b"]"#), (112, r#"["a"]"#), (113, r#"["b"]"#)];
    assert!(lines.eq(expected.map(|(sequence, topics)| (sequence, topics.to_owned()))));
}

#[test]
fn a_schedule_far_behind_is_written_in_batches() {
    let mut plan = plan(PublishMode::Post, "http://127.0.0.1:1", &["t"]);
    let mut writer = Writer::new(&plan);
    let late = u64::MAX / 2;
    assert_eq!(writer.encode_due(&plan, segment(0, 1_000, 1e6), 0, late), 512);
    let text = String::from_utf8_lossy(&writer.out).into_owned();
    assert_eq!(text.matches("POST /publish?topic=t HTTP/1.1\r\n").count(), 512);
    assert_eq!(writer.encode_due(&plan, segment(0, 1_000, 1e6), 995, late), 5);
    plan.format = Format::new(100_000, 1);
    let mut writer = Writer::new(&plan);
    assert_eq!(writer.encode_due(&plan, segment(0, 1_000, 1e6), 0, late), 3);
}

#[test]
fn segments_follow_one_another_on_one_connection() {
    let (base, bodies) = server(|_, _| Some(TAKEN));
    let plan = plan(PublishMode::Post, &base, &["a", "b"]);
    let format = plan.format.clone();
    let mut publisher = Publisher::start(plan).expect("it listens");
    let first = publisher.publish(1_000.0, 5);
    let second = publisher.publish(2_000.0, 7);
    assert_eq!((first.published, first.error), (5, None));
    assert!(second.start_ns > first.end_ns, "{second:?}");
    let total = publisher.finish();
    assert_eq!((total.published, total.accepted, total.error), (12, 12, None));
    assert_eq!((total.start_ns, total.end_ns), (first.start_ns, second.end_ns));
    let came = bodies.try_iter().map(|(connection, body)| {
        (connection, format.decode(body.as_bytes()).expect("intact").sequence)
    });
    assert!(came.eq((0..12).map(|sequence| (0, sequence))));
}

#[test]
fn a_server_that_ends_connections_is_followed_while_nothing_is_in_doubt() {
    // Five requests a connection, and the writer sees each end before it goes on.
    let (base, bodies) = server(|_, count| Some(if count == 4 { LAST } else { TAKEN }));
    let mut publisher =
        Publisher::start(plan(PublishMode::Post, &base, &["t"])).expect("it listens");
    for messages in [5, 5, 2] {
        assert_eq!(publisher.publish(10_000.0, messages).error, None);
        if messages == 5 {
            publisher.connection.reader.wait(WRITE_DEADLINE);
        }
    }
    let total = publisher.finish();
    assert_eq!((total.published, total.accepted, total.error), (12, 12, None));
    let connections: Vec<usize> = bodies.try_iter().map(|(connection, _)| connection).collect();
    assert_eq!(connections, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2]);
}

#[test]
fn in_turns_each_message_waits_for_the_answer_to_the_last() {
    let (base, bodies) = server(|_, _| Some(LAST));
    let plan = plan(PublishMode::Turns, &base, &["t"]);
    let format = plan.format.clone();
    let mut publisher = Publisher::start(plan).expect("it listens");
    publisher.publish(1_000_000.0, 20);
    let total = publisher.finish();
    assert_eq!((total.published, total.accepted, total.error), (20, 20, None));
    let came: Vec<_> = bodies
        .try_iter()
        .map(|(number, body)| (number, format.decode(body.as_bytes()).expect("intact")))
        .collect();
    let sequences = came.iter().map(|(number, stamp)| (*number as u64, stamp.sequence));
    assert!(sequences.eq((0..20).map(|sequence| (sequence, sequence))));
    // All were due at the same moment: the last waited for nineteen answers, and says so.
    assert!(came[19].1.sent_ns() > came[0].1.sent_ns(), "{came:?}");
}

#[test]
fn a_connection_that_ends_with_messages_in_doubt_fails_by_name() {
    // All messages are sent before the first answer.
    let (base, _bodies) = server(|_, count| (count < 3).then_some(TAKEN));
    let mut publisher =
        Publisher::start(plan(PublishMode::Post, &base, &["t"])).expect("it listens");
    publisher.publish(1_000_000.0, 10);
    let total = publisher.finish();
    assert_eq!((total.published, total.accepted), (10, 3));
    let error = total.error.expect("seven are in doubt");
    assert!(error.contains("7 messages unanswered"), "{error}");
}

#[test]
fn a_refusal_ends_the_publishing() {
    let (base, _bodies) =
        server(|_, _| Some("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n"));
    let mut publisher =
        Publisher::start(plan(PublishMode::Post, &base, &["t"])).expect("it listens");
    let outcome = publisher.publish(20.0, 1_000);
    let error = outcome.error.clone().expect("refused");
    assert!(error.contains("403 no!"), "{error}");
    assert!(outcome.published < 10, "{outcome:?}");
    assert_eq!(publisher.publish(20.0, 1).error.as_deref(), Some(&error[..]));
    assert_eq!(publisher.finish().error, Some(error));
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let error = Publisher::start(plan(PublishMode::Post, "http://127.0.0.1:1", &["t"]));
    assert!(error.is_err_and(|error| error.contains("refused")));
}
