//! JSON bodies: one message, or an array of them that is published whole or not at all.

use serde_json::value::RawValue;

use super::item::{Addressed, Content, Item};
use crate::{
    limits,
    provider::{Publication, PublishError},
    server::fault::Fault,
};

/// A message, or an array of at most [`limits::BATCH_MESSAGES_MAX`]. Those are checked one by one, so
/// that a fault says in which message it is.
pub(super) fn parse<'j>(json: &'j [u8], query_topics: &'j [String]) -> Result<Content<'j>, Fault> {
    if first_byte(json) != Some(b'[') {
        return parse_one(json, query_topics).map(Content::One);
    }
    let items: Vec<&'j RawValue> = serde_json::from_slice(json).map_err(malformed)?;
    let (len, max) = (items.len(), limits::BATCH_MESSAGES_MAX);
    if len > max {
        return Err(Fault::bad_request(format!(
            "{len} messages are more than {max}: send them as application/x-ndjson"
        )));
    }
    let numbered = items.into_iter().zip(1..);
    let batch = numbered.map(|(item, number)| {
        parse_checked(item, query_topics).map_err(|fault| fault.of_message(number))
    });
    batch.collect::<Result<_, _>>().map(Content::Batch)
}

/// One message, which is an object.
pub(super) fn parse_one<'j>(
    json: &'j [u8],
    query_topics: &'j [String],
) -> Result<Addressed<'j>, Fault> {
    // serde would take an array as the fields in order.
    if first_byte(json).is_some_and(|byte| byte != b'{') {
        return Err(Fault::bad_request("a message is a JSON object"));
    }
    let item: Item<'j> = serde_json::from_slice(json).map_err(malformed)?;
    item.address(query_topics)
}

fn parse_checked<'j>(
    item: &'j RawValue,
    query_topics: &'j [String],
) -> Result<Addressed<'j>, Fault> {
    let addressed = parse_one(item.get().as_bytes(), query_topics)?;
    check(&addressed)?;
    Ok(addressed)
}

fn check((message, topics): &Addressed<'_>) -> Result<(), PublishError> {
    let topics: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
    Publication { message, topics: &topics }.check()
}

fn first_byte(json: &[u8]) -> Option<u8> {
    json.trim_ascii_start().first().copied()
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn malformed(fault: serde_json::Error) -> Fault {
    Fault::bad_request(fault.to_string())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::provider::DEFAULT_TOPIC;

    #[test]
    fn messages_name_their_topics_or_take_those_of_the_query() {
        let topics = ["q".to_owned()];
        let topics_of = |json: &'static str, query: &[String]| -> Vec<String> {
            let (_, topics) = parse_one(json.as_bytes(), query).unwrap();
            topics.into_iter().map(Cow::into_owned).collect()
        };
        assert_eq!(topics_of(r#"{"data":"","topics":["a","b"]}"#, &topics), ["a", "b"]);
        assert_eq!(topics_of(r#"{"data":"","topics":null}"#, &topics), ["q"]);
        assert_eq!(topics_of(r#" {"data":""}"#, &[]), [DEFAULT_TOPIC]);
    }
}
