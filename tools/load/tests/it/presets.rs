//! Each preset against a server that answers as that kind does: it is asked as its manual says,
//! and every delivery is recognised.

use crate::mock::load;
use crate::peers::{self, Manners, Peer, Request};

/// 20 subscribers, 200 messages: what `load` asks for.
const SUBSCRIBERS: usize = 20;
const MESSAGES: usize = 200;

/// Runs the tester against a server of that kind, which must pass. What the server was asked.
fn passes(manners: Manners, flags: &str) -> (Vec<Request>, Vec<Request>, u64) {
    let peer = Peer::serve(manners);
    let flags = flags.replace("PEER", &format!("http://{}", peer.address));
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let run = load(peer.address, &flags);
    assert_eq!(run.status, Some(0), "{flags:?}: {run:?}");
    assert_eq!(run.report["delivery"]["delivered"], SUBSCRIBERS * MESSAGES, "{run:?}");
    assert_eq!(run.report["publish"]["accepted"], MESSAGES, "{run:?}");
    let (subscribed, published) = (peer.asked("GET"), peer.asked("POST"));
    assert_eq!((subscribed.len(), published.len()), (SUBSCRIBERS, MESSAGES));
    let foreign = run.report["delivery"]["foreign_events"].as_u64().unwrap_or_default();
    (subscribed, published, foreign)
}

#[test]
fn mercure_passes() {
    let flags = "--preset mercure --subscribe-token reader --publish-token writer --topic a/b";
    let (subscribed, published, foreign) = passes(peers::mercure, flags);
    assert_eq!(subscribed[0].line, "GET /.well-known/mercure?topic=a%2Fb");
    assert!(published[0].body.starts_with("topic=a%2Fb&data=00000000"), "{:?}", published[0]);
    assert_eq!(foreign, 0);
}

#[test]
fn nchan_passes() {
    let (_, published, foreign) = passes(peers::nchan, "--preset nchan");
    assert_eq!(published[0].line, "POST /pub/load");
    assert_eq!((published[0].header("content-type"), foreign), ("text/plain", 0));
}

#[test]
fn go_sse_passes() {
    let (subscribed, ..) = passes(peers::go_sse, "--preset go-sse --topic a&b --header X-A:1");
    assert_eq!(subscribed[0].line, "GET /events?topic=a%26b");
    assert_eq!(subscribed[0].header("x-a"), "1");
}

#[test]
fn centrifugo_passes() {
    let flags = "--preset centrifugo --subscribe-token reader --publish-token writer";
    let (subscribed, published, foreign) = passes(peers::centrifugo, flags);
    assert!(subscribed[0].header("authorization").is_empty(), "{:?}", subscribed[0]);
    assert_eq!(published[0].header("content-type"), "application/json");
    // To each subscriber one reply to connecting, and a ping behind each message; the last may
    // come when all is counted.
    let at_least = (SUBSCRIBERS * MESSAGES) as u64;
    assert!((at_least..=at_least + SUBSCRIBERS as u64).contains(&foreign), "{foreign}");
}

#[test]
fn pushpin_passes() {
    // Its publish port is a fixed one, which others may use here.
    let (subscribed, published, _) =
        passes(peers::pushpin, "--preset pushpin --publish-url PEER/publish/");
    assert_eq!(subscribed[0].line, "GET /events/load");
    assert_eq!(published[0].header("content-type"), "application/json");
}

#[test]
fn a_plain_stream_passes() {
    let flags = "--preset plain --target PEER/feed --publish-url PEER/in --publish-type \
                 application/json --publish-body {\"say\":\"{data}\"}";
    let (subscribed, published, _) = passes(peers::plain, flags);
    assert_eq!(subscribed[0].line, "GET /feed");
    assert!(published[0].body.starts_with("{\"say\":\"00000000"), "{:?}", published[0]);
}

#[test]
fn a_token_that_is_missing_is_the_servers_to_say() {
    let run = load(Peer::serve(peers::mercure).address, &["--preset", "mercure"]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(run.stderr.contains("401"), "{run:?}");
    let flags = ["--preset", "mercure", "--token", "reader"];
    let run = load(Peer::serve(peers::mercure).address, &flags);
    assert_eq!(run.status, Some(1), "{run:?}");
    let error = run.report["publish"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("401"), "{error}");
}

#[test]
fn where_nothing_is_known_of_publishing_subscribers_can_be_held() {
    let peer = Peer::serve(peers::plain);
    let target = format!("http://{}/feed", peer.address);
    let plain = ["--preset", "plain", "--target", &target];
    let run = load(peer.address, &plain);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(run.stderr.contains("--publish-url"), "{run:?}");
    let run = load(peer.address, &[&plain[..], &["--rate", "0"]].concat());
    assert_eq!(run.status, Some(0), "{run:?}");
}
