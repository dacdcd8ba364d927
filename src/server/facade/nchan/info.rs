//! What Nchan tells of a channel, to the byte as it writes it.

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// A channel, at the moment of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) messages: usize,
    /// How long ago somebody subscribed.
    pub(super) requested: Option<Duration>,
    pub(super) subscribers: u32,
    /// Empty if there is none.
    pub(super) last_message_id: String,
}

/// What it is written in, and under which media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    syntax: Syntax,
    media_type: HeaderValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    Plain,
    Json,
    Xml,
    Yaml,
}

impl Format {
    /// The first that is known of those accepted, whatever their weights, as Nchan has it; else text.
    pub(super) fn accepted_by(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter();
        let ranges = accepted.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let mut known = ranges.filter_map(Self::of_range);
        known.next().unwrap_or_else(|| Self {
            syntax: Syntax::Plain,
            media_type: HeaderValue::from_static("text/plain"),
        })
    }

    fn of_range(range: &[u8]) -> Option<Self> {
        let media_type = range.split(|byte| *byte == b';').next()?.trim_ascii();
        let text = str::from_utf8(media_type).ok()?;
        let subtype = text.strip_prefix("text/").or_else(|| text.strip_prefix("application/"))?;
        let syntax = match subtype {
            "plain" => Syntax::Plain,
            "json" | "x-json" => Syntax::Json,
            "xml" => Syntax::Xml,
            "yaml" | "x-yaml" => Syntax::Yaml,
            _ => return None,
        };
        Some(Self { syntax, media_type: HeaderValue::from_bytes(media_type).ok()? })
    }
}

impl Info {
    pub(super) fn into_response(self, status: StatusCode, format: Format) -> Response {
        let text = self.to_text(format.syntax);
        (status, [(header::CONTENT_TYPE, format.media_type)], text).into_response()
    }

    fn to_text(&self, syntax: Syntax) -> String {
        let Self { messages, subscribers, last_message_id: id, .. } = self;
        let requested = self.requested_secs();
        match syntax {
            Syntax::Plain => format!(
                "queued messages: {messages}\r\nlast requested: {requested} sec. ago\r\n\
                 active subscribers: {subscribers}\r\nlast message id: {id}"
            ),
            Syntax::Json => format!(
                "{{\"messages\": {messages}, \"requested\": {requested}, \
                 \"subscribers\": {subscribers}, \"last_message_id\": {} }}",
                json!(id)
            ),
            Syntax::Xml => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\r\n<channel>\r\n  \
                 <messages>{messages}</messages>\r\n  <requested>{requested}</requested>\r\n  \
                 <subscribers>{subscribers}</subscribers>\r\n  \
                 <last_message_id>{}</last_message_id>\r\n</channel>",
                xml_escaped(id)
            ),
            // A text of JSON is one of YAML too.
            Syntax::Yaml => format!(
                "---\r\nmessages: {messages}\r\nrequested: {requested}\r\n\
                 subscribers: {subscribers}\r\nlast_message_id: {}\r\n\r\n",
                json!(id)
            ),
        }
    }

    /// Whole seconds; -1 is never.
    fn requested_secs(&self) -> i64 {
        self.requested.map_or(-1, |ago| i64::try_from(ago.as_secs()).unwrap_or(i64::MAX))
    }
}

fn xml_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> Info {
        Info {
            messages: 5,
            requested: Some(Duration::from_millis(18_900)),
            subscribers: 0,
            last_message_id: "1450755280:0".into(),
        }
    }

    /// The examples of Nchan's documentation.
    #[test]
    fn text_and_json_are_those_of_the_documentation() {
        assert_eq!(
            info().to_text(Syntax::Plain),
            "queued messages: 5\r\nlast requested: 18 sec. ago\r\nactive subscribers: 0\r\n\
             last message id: 1450755280:0"
        );
        assert_eq!(
            info().to_text(Syntax::Json),
            r#"{"messages": 5, "requested": 18, "subscribers": 0, "last_message_id": "1450755280:0" }"#
        );
    }

    #[test]
    fn an_id_cannot_break_out() {
        let forged = Info { last_message_id: "<a>&\"\\".into(), requested: None, ..info() };
        assert!(forged.to_text(Syntax::Xml).contains("<requested>-1</requested>"));
        assert!(forged.to_text(Syntax::Xml).contains("_id>&lt;a&gt;&amp;\"\\</last"));
        assert!(forged.to_text(Syntax::Yaml).contains("last_message_id: \"<a>&\\\"\\\\\"\r\n"));
        let json: serde_json::Value = serde_json::from_str(&forged.to_text(Syntax::Json)).unwrap();
        assert_eq!(json["last_message_id"], "<a>&\"\\");
    }

    #[test]
    fn the_first_format_that_is_known_is_taken() {
        let accepted = |accept: &'static str| {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            let format = Format::accepted_by(&headers);
            (format.syntax, format.media_type)
        };
        for (accept, syntax, media_type) in [
            ("text/json", Syntax::Json, "text/json"),
            ("image/png, application/x-yaml;q=0.1, text/xml", Syntax::Yaml, "application/x-yaml"),
            ("application/xml", Syntax::Xml, "application/xml"),
            ("*/*", Syntax::Plain, "text/plain"),
            ("text/html", Syntax::Plain, "text/plain"),
        ] {
            assert_eq!(accepted(accept), (syntax, HeaderValue::from_static(media_type)));
        }
        assert_eq!(Format::accepted_by(&HeaderMap::new()).syntax, Syntax::Plain);
    }
}
