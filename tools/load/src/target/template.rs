//! Texts with places to fill in: `{topic}`, `{topics}`, `{data}` and `{cf_connect}`.
//!
//! A place is a name of lower-case letters in braces, so the braces of JSON are text. What is filled
//! in is escaped for where it stands. `{data}` is not filled in here: what comes out are the texts
//! between the payloads, so that a publisher copies bytes and nothing else. The payload's letters
//! are the unreserved ones of URLs, which no escape changes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A text with its places found.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Template {
    parts: Vec<Part>,
    escape: Escape,
}

/// How what is filled in is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Escape {
    /// Percent-encoded: URLs and forms.
    Percent,
    /// As inside a JSON string.
    Json,
    /// As it is.
    None,
}

/// A place.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Place {
    /// `{topic}`: the one topic.
    Topic,
    /// `{topics}`: `topic=a&topic=b`.
    Topics,
    /// `{data}`: the message's payload.
    Data,
    /// `{cf_connect}`: Centrifugo's connect request with the topics and the token, as JSON.
    Connect,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Part {
    Text(String),
    Place(Place),
}

impl Escape {
    /// What suits a body of `content_type`.
    pub(crate) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => Self::Percent,
            "application/json" => Self::Json,
            other if other.ends_with("+json") => Self::Json,
            _ => Self::None,
        }
    }

    fn apply(self, text: &str) -> String {
        match self {
            Self::Percent => percent_encode(text),
            Self::Json => {
                let quoted = Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::None => text.to_owned(),
        }
    }
}

impl Place {
    const ALL: [(Self, &str); 4] = [
        (Self::Topic, "topic"),
        (Self::Topics, "topics"),
        (Self::Data, "data"),
        (Self::Connect, "cf_connect"),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(place, _)| *place)
    }
}

impl Template {
    /// Finds the places in `text`, which may be those of `allowed`.
    ///
    /// # Errors
    /// Names the place that is unknown, or has no meaning in this text.
    pub(crate) fn parse(text: &str, escape: Escape, allowed: &[Place]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_place(rest) {
            let place = Place::named(name).filter(|place| allowed.contains(place));
            let place = place.ok_or_else(|| format!("{{{name}}} has no meaning in {text}"))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Place(place));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts, escape })
    }

    /// Whether it has `place`.
    pub(crate) fn has(&self, place: Place) -> bool {
        self.parts.contains(&Part::Place(place))
    }

    /// Fills in all but the payload: the texts before, between and after the payloads.
    pub(crate) fn fill(&self, topics: &[&str], token: Option<&str>) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Place(Place::Topic) => {
                    text.push_str(&self.escape.apply(topics.first().copied().unwrap_or_default()));
                }
                Part::Place(Place::Topics) => {
                    let each =
                        topics.iter().map(|topic| format!("topic={}", percent_encode(topic)));
                    text.push_str(&each.collect::<Vec<_>>().join("&"));
                }
                Part::Place(Place::Connect) => {
                    text.push_str(&self.escape.apply(&connect_request(topics, token)));
                }
                Part::Place(Place::Data) => texts.push(std::mem::take(&mut text)),
            }
        }
        texts.push(text);
        texts.remove(0);
        texts
    }
}

/// What stands before the first place in `text`, its name, and what follows it.
fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices('{').find_map(|(open, _)| {
        let (name, after) = text[open + 1..].split_once('}')?;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let named = !name.is_empty() && name.bytes().all(is_name);
        named.then_some((&text[..open], name, after))
    })
}

/// See <https://centrifugal.dev/docs/transports/uni_client_protocol>.
fn connect_request(topics: &[&str], token: Option<&str>) -> String {
    let topics: serde_json::Map<_, _> =
        topics.iter().map(|topic| ((*topic).to_owned(), json!({}))).collect();
    let mut request = json!({ "subs": topics });
    if let Some(token) = token {
        request["token"] = token.into();
    }
    request.to_string()
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte as char);
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Place; 4] = [Place::Topic, Place::Topics, Place::Data, Place::Connect];

    fn filled(text: &str, escape: Escape, topics: &[&str]) -> Vec<String> {
        Template::parse(text, escape, &ALL).expect("known places").fill(topics, Some("t\"1"))
    }

    #[test]
    fn a_topic_is_escaped_for_where_it_stands() {
        let topic = ["a b/\"ü\""];
        assert_eq!(filled("/x/{topic}", Escape::Percent, &topic), ["/x/a%20b%2F%22%C3%BC%22"]);
        assert_eq!(filled(r#""{topic}""#, Escape::Json, &topic), [r#""a b/\"ü\"""#]);
        assert_eq!(filled("{topic}!", Escape::None, &topic), ["a b/\"ü\"!"]);
    }

    #[test]
    fn several_topics_have_a_place_of_their_own() {
        let filled = |text| filled(text, Escape::Percent, &["a&", "b"]).remove(0);
        assert_eq!(filled("/events?{topics}"), "/events?topic=a%26&topic=b");
        assert_eq!(
            filled("{cf_connect}"),
            percent_encode(r#"{"subs":{"a&":{},"b":{}},"token":"t\"1"}"#)
        );
    }

    #[test]
    fn the_braces_of_json_are_text() {
        let text = r#"{"channel":"{topic}","data":"{data}","opts":{}, "x":{ topic }}"#;
        assert_eq!(
            filled(text, Escape::Json, &["t"]),
            [r#"{"channel":"t","data":""#, r#"","opts":{}, "x":{ topic }}"#]
        );
    }

    #[test]
    fn each_payload_parts_the_text() {
        assert_eq!(filled("{data}", Escape::None, &[]), ["", ""]);
        assert_eq!(filled("a{data}{data}b", Escape::None, &[]), ["a", "", "b"]);
        assert_eq!(filled("", Escape::None, &[]), [""]);
    }

    #[test]
    fn a_place_without_meaning_is_named() {
        for text in ["/{id}", "/{data}", "{{nothing}}"] {
            let error = Template::parse(text, Escape::Percent, &[Place::Topic]);
            let error = error.expect_err(text);
            assert!(error.contains("has no meaning") && error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_body_is_escaped_as_its_type_wants() {
        assert_eq!(Escape::of("application/x-www-form-urlencoded"), Escape::Percent);
        assert_eq!(Escape::of("Application/JSON; charset=utf-8"), Escape::Json);
        assert_eq!(Escape::of("application/vnd.x+json"), Escape::Json);
        assert_eq!(Escape::of("text/plain"), Escape::None);
    }
}
