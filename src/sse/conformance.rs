//! The data-driven cases of encoding: fields in, and what a client makes of the bytes.

use std::time::Duration;

use serde_json::Value;

use super::{EventId, EventType, Message};

const CASES: &str = include_str!("../../tests/conformance/sse-encode-cases.json");

#[test]
fn a_client_gets_what_was_published() {
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("the cases are JSON");
    let mut checked = 0;
    for case in &cases {
        // Bytes, sizes and patterns in place of text are about the endpoint, not about encoding.
        let fields = case["publish"].as_object().expect("each case publishes something");
        if !fields.keys().all(|key| ["id", "event", "retry", "data", "comment"].contains(&&**key)) {
            continue;
        }
        let decoded = build(&case["publish"]).map(|message| decode(&message.to_bytes()));
        match (case["outcome"].as_str(), decoded) {
            (Some("ok"), decoded) => assert_eq!(decoded.as_ref(), Ok(&case["decoded"]), "{case}"),
            (Some("reject"), Err(_)) => {}
            // A comment is never refused: it is split, and still gives a client no event.
            (Some("reject"), Ok(decoded)) => {
                assert!(fields.contains_key("comment"), "{case}");
                assert_eq!(decoded, serde_json::json!([]), "{case}");
            }
            (outcome, _) => panic!("unknown outcome {outcome:?}: {case}"),
        }
        checked += 1;
    }
    assert!(checked >= 25, "only {checked} of {} cases were checked", cases.len());
}

fn build(publish: &Value) -> Result<Message, String> {
    let mut message = Message::empty();
    if let Some(id) = publish["id"].as_str() {
        message = message.id(EventId::new(id).map_err(|e| e.to_string())?);
    }
    if let Some(event) = publish["event"].as_str() {
        message = message.event(EventType::new(event).map_err(|e| e.to_string())?);
    }
    if let Some(retry) = publish.get("retry") {
        let millis = retry.as_u64().ok_or("not a number of milliseconds")?;
        message = message.retry(Duration::from_millis(millis));
    }
    if let Some(data) = publish["data"].as_str() {
        message = message.data(data);
    }
    if let Some(comment) = publish["comment"].as_str() {
        message = message.comment(comment);
    }
    Ok(message)
}

/// The standard's interpretation of a stream, of whole lines and from a fresh client.
fn decode(stream: &[u8]) -> Value {
    let stream = str::from_utf8(stream).expect("the encoder writes UTF-8");
    let normal = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut kind, mut data, mut last_id) = (String::new(), None::<String>, String::new());
    let mut events = Vec::new();
    for line in normal.split('\n') {
        if line.is_empty() {
            let kind = std::mem::take(&mut kind);
            let kind = if kind.is_empty() { "message".into() } else { kind };
            if let Some(data) = data.take() {
                let event = serde_json::json!({"type": kind, "data": data, "lastEventId": last_id});
                events.push(event);
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => kind = value.into(),
            "id" if !value.contains('\0') => last_id = value.into(),
            "data" => data = Some(data.map_or_else(|| value.into(), |text| text + "\n" + value)),
            _ => {}
        }
    }
    Value::Array(events)
}
