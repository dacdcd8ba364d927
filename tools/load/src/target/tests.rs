//! What goes to each kind of server, to the letter.

use clap::{Parser, ValueEnum};

use super::*;

const BASE: &str = "http://127.0.0.1:8080";

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    target: TargetArgs,
}

fn try_target(line: &str) -> Result<Target, String> {
    let words = std::iter::once("fanfare-load").chain(line.split_whitespace());
    let line = CommandLine::try_parse_from(words).map_err(|error| error.to_string())?;
    Target::resolve(&line.target, BASE)
}

fn target(line: &str) -> Target {
    try_target(line).expect(line)
}

fn subscribe(line: &str, topics: &[&str]) -> String {
    let request = target(line).subscribe_request(topics, Some(b"7"));
    String::from_utf8(request).expect("text")
}

/// A publish request with a payload of three bytes.
fn publish(line: &str, topic: &str) -> String {
    let route = target(line).publish.expect("it is known how");
    let texts = route.message(topic, 3);
    let texts: Vec<_> = texts.iter().map(|text| String::from_utf8_lossy(text)).collect();
    texts.join("xyz")
}

fn get(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: text/event-stream\r\n\
         Cache-Control: no-cache\r\n{more}\r\n"
    )
}

fn post(path: &str, content_type: &str, more: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: {content_type}\r\n{more}\
         Content-Length: {len}\r\n\r\n{body}"
    )
}

#[test]
fn fanfare_takes_lines_or_texts() {
    let resumed = "Authorization: Bearer s\r\nLast-Event-ID: 7\r\n";
    let asked = subscribe("--token s", &["a b", "c"]);
    assert_eq!(asked, get("/events?topic=a%20b&topic=c", resumed));
    assert_eq!(publish("", "a\"b"), "{\"topics\":[\"a\\\"b\"],\"data\":\"xyz\"}\n");
    let route = target("--token s").publish.expect("it is known how");
    assert_eq!(
        String::from_utf8_lossy(&route.stream_head()),
        "POST /publish HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/x-ndjson\r\n\
         Authorization: Bearer s\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let text = publish("--publish-mode post", "a b");
    assert_eq!(text, post("/publish?topic=a%20b", "text/plain", "", "xyz"));
}

#[test]
fn mercure_takes_forms() {
    let line = "--preset mercure --subscribe-token r --publish-token w";
    let asked = subscribe(line, &["https://x/1", "b"]);
    let path = "/.well-known/mercure?topic=https%3A%2F%2Fx%2F1&topic=b";
    assert_eq!(asked, get(path, "Authorization: Bearer r\r\nLast-Event-ID: 7\r\n"));
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        publish(line, "a&b"),
        post("/.well-known/mercure", form, "Authorization: Bearer w\r\n", "topic=a%26b&data=xyz")
    );
}

#[test]
fn nchan_and_go_sse_take_texts() {
    let resumed = "Last-Event-ID: 7\r\n";
    assert_eq!(subscribe("--preset nchan", &["a/b"]), get("/sub/a%2Fb", resumed));
    assert_eq!(publish("--preset nchan", "a"), post("/pub/a", "text/plain", "", "xyz"));
    assert_eq!(subscribe("--preset go-sse", &["a", "b"]), get("/events?topic=a&topic=b", resumed));
    let text = publish("--preset go-sse", "a");
    assert_eq!(text, post("/publish?topic=a", "text/plain", "", "xyz"));
}

#[test]
fn centrifugo_takes_json_and_shows_tokens_its_own_way() {
    let line = "--preset centrifugo --subscribe-token j --publish-token k";
    let connect = "%7B%22subs%22%3A%7B%22a%22%3A%7B%7D%7D%2C%22token%22%3A%22j%22%7D";
    let path = format!("/connection/uni_sse?cf_connect={connect}");
    assert_eq!(subscribe(line, &["a"]), get(&path, ""));
    assert_eq!(
        publish(line, "a\"b"),
        post(
            "/api/publish",
            "application/json",
            "X-API-Key: k\r\n",
            r#"{"channel":"a\"b","data":"xyz"}"#
        )
    );
    let pointer = extract::Place::Pointer("/pub/data".to_owned());
    assert_eq!(target(line).payload, pointer);
}

#[test]
fn pushpin_is_published_to_on_its_other_port() {
    assert_eq!(subscribe("--preset pushpin", &["a"]), get("/events/a", ""));
    let item =
        r#"{"items":[{"channel":"a","formats":{"http-stream":{"content":"data: xyz\n\n"}}}]}"#;
    let sent = post("/publish/", "application/json", "", item).replace(":8080", ":5561");
    assert_eq!(publish("--preset pushpin", "a"), sent);
    let route = target("--preset pushpin").publish.expect("it is known how");
    assert_eq!(route.mode(), PublishMode::Turns);
    assert_eq!(route.address().to_string(), "127.0.0.1:5561");
}

#[test]
fn a_plain_stream_is_the_target_itself() {
    let plain = try_target("--preset plain").expect("nothing else is needed");
    assert_eq!((plain.publish, plain.payload), (None, extract::Place::Whole));
    let asked = plain_at("http://127.0.0.1:8080/feed?x=1");
    assert_eq!(asked, get("/feed?x=1", ""));
    let sent = publish("--preset plain --publish-url /in/{topic} --publish-type a/b", "t");
    assert_eq!(sent, post("/in/t", "a/b", "", "xyz"));
}

fn plain_at(url: &str) -> String {
    let args = TargetArgs { preset: Preset::Plain, ..TargetArgs::default() };
    let target = Target::resolve(&args, url).expect("a valid URL");
    String::from_utf8(target.subscribe_request(&["t"], None)).expect("text")
}

#[test]
fn what_is_said_stands_before_what_is_known() {
    let line = "--subscribe-url /s/{topic} --header X-A:1 --header X-B:1 --subscribe-header X-B:2 \
                --publish-url http://127.0.0.1:81/p --publish-body {topic}={data} \
                --publish-header accept:x --payload-at /x";
    let asked = get("/s/t", "X-A: 1\r\nX-B: 2\r\nLast-Event-ID: 7\r\n");
    assert_eq!(subscribe(line, &["t"]), asked);
    let sent = publish(line, "t");
    assert!(sent.starts_with("POST /p HTTP/1.1\r\nHost: 127.0.0.1:81\r\n"), "{sent}");
    assert!(sent.contains("X-A: 1\r\nX-B: 1\r\naccept: x\r\nContent-Length: 5\r\n"), "{sent}");
    assert!(sent.ends_with("\r\n\r\nt=xyz"), "{sent}");
    assert_eq!(target(line).payload, extract::Place::Pointer("/x".to_owned()));
    assert_eq!(target("--preset centrifugo --payload-at=").payload, extract::Place::Whole);
}

#[test]
fn several_topics_need_a_place() {
    for (line, several) in [
        ("--preset fanfare", true),
        ("--preset mercure", true),
        ("--preset centrifugo", true),
        ("--preset nchan", false),
        ("--preset pushpin", false),
    ] {
        assert_eq!(target(line).takes_several_topics(), several, "{line}");
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (line, why) in [
        ("--subscribe-url /{id}", "where to subscribe: {id}"),
        ("--subscribe-url /{data}", "{data}"),
        ("--subscribe-url https://127.0.0.1/", "only http://"),
        ("--publish-url /publish?topic={topic}", "each line has its topic: {topic}"),
        ("--publish-mode post --publish-url /{data}", "{data}"),
        ("--publish-body {topic}", "needs its {data}"),
        ("--publish-body {data}{id}", "--publish-body: {id}"),
        ("--publish-body {data} --publish-mode ndjson", "--publish-mode post"),
        ("--preset nchan --publish-mode ndjson", "lines of NDJSON are Fanfare's"),
        ("--preset plain --publish-token x", "give --publish-url"),
        ("--header nothing", "no header"),
        ("--header Content-Length:1", "Content-Length"),
        ("--payload-at pub", "JSON pointer"),
        ("--preset other", "centrifugo"),
    ] {
        let error = try_target(line).expect_err(line);
        assert!(error.contains(why), "{line}: {error}");
    }
    let args = TargetArgs { token: Some("a\r\nX: y".to_owned()), ..TargetArgs::default() };
    let error = Target::resolve(&args, BASE).expect_err("a line break in a token");
    assert!(error.contains("a token") && error.contains("line break"), "{error}");
}

#[test]
fn only_fanfare_can_be_started() {
    let args = |preset, target| TargetArgs { preset, target, ..TargetArgs::default() };
    assert_eq!(args(Preset::Fanfare, None).running(), Ok(None));
    let url = Some(BASE.to_owned());
    assert_eq!(args(Preset::Nchan, url).running(), Ok(Some(BASE)));
    let error = args(Preset::Nchan, None).running().expect_err("nothing to start");
    assert!(error.contains("--target") && error.contains("https://nchan.io/"), "{error}");
}

#[test]
fn the_help_names_the_manual_of_each_kind() {
    for preset in Preset::value_variants() {
        let value = preset.to_possible_value().expect("none is hidden");
        let help = value.get_help().expect("each has one").to_string();
        assert!(help.contains(preset.facts().manual), "{help}");
    }
}

#[test]
fn another_process_can_be_handed_a_target() {
    let target = target("--preset centrifugo --token t --header X-A:1");
    let text = serde_json::to_string(&target).expect("plain data");
    assert_eq!(serde_json::from_str::<Target>(&text).ok(), Some(target));
}
