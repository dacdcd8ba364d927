//! The part of the command line that says what is tested and how it is spoken to.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::headers::{self, Header};
use super::preset::Preset;

/// Where these options stand in the help, wherever the struct is flattened into a command line.
const HEADING: &str = "Server under test";

/// The server under test.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TargetArgs {
    /// Server under test, as in http://127.0.0.1:8080; without it, Fanfare is started
    #[arg(long, value_name = "URL", help_heading = HEADING)]
    pub(crate) target: Option<String>,

    /// What kind of server it is: the defaults of all that follows
    #[arg(long, value_enum, default_value_t, help_heading = HEADING)]
    pub(crate) preset: Preset,

    /// Where to subscribe: a path on the target or a whole URL, with {topic} (the topic) or
    /// {topics} (topic=a&topic=b) in it
    #[arg(long, value_name = "TEMPLATE", help_heading = HEADING)]
    pub(crate) subscribe_url: Option<String>,

    /// Where to publish: a path on the target or a whole URL ({host}: the target's), with {topic}
    #[arg(long, value_name = "TEMPLATE", help_heading = HEADING)]
    pub(crate) publish_url: Option<String>,

    /// How to publish: one long chunked NDJSON request (Fanfare), a POST per message, pipelined, or
    /// a POST per message after the answer to the last
    #[arg(long, value_enum, help_heading = HEADING)]
    pub(crate) publish_mode: Option<PublishMode>,

    /// Body of a POST, with {topic} and {data} in it, escaped as --publish-type wants
    #[arg(long, value_name = "TEMPLATE", help_heading = HEADING)]
    pub(crate) publish_body: Option<String>,

    /// Media type of that body, such as application/json
    #[arg(long, value_name = "TYPE", help_heading = HEADING)]
    pub(crate) publish_type: Option<String>,

    /// JSON pointer to the payload in an event's data, as in /pub/data (default: it is the data)
    #[arg(long, value_name = "POINTER", value_parser = pointer, help_heading = HEADING)]
    pub(crate) payload_at: Option<String>,

    /// Header of every request, as in 'X-Tenant: a'; may be repeated
    #[arg(long = "header", value_name = "HEADER", value_parser = headers::parse, help_heading = HEADING)]
    pub(crate) headers: Vec<Header>,

    /// Header of subscribe requests only
    #[arg(long = "subscribe-header", value_name = "HEADER", value_parser = headers::parse, help_heading = HEADING)]
    pub(crate) subscribe_headers: Vec<Header>,

    /// Header of publish requests only
    #[arg(long = "publish-header", value_name = "HEADER", value_parser = headers::parse, help_heading = HEADING)]
    pub(crate) publish_headers: Vec<Header>,

    /// Token for subscribing and publishing, shown as the kind of server wants it
    #[arg(long, help_heading = HEADING)]
    pub(crate) token: Option<String>,

    /// Token for subscribing only
    #[arg(long, value_name = "TOKEN", help_heading = HEADING)]
    pub(crate) subscribe_token: Option<String>,

    /// Token for publishing only
    #[arg(long, value_name = "TOKEN", help_heading = HEADING)]
    pub(crate) publish_token: Option<String>,
}

/// How messages reach the server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PublishMode {
    /// One chunked request for the whole run, one JSON line per message.
    Ndjson,
    /// One pipelined request per message.
    Post,
    /// One request per message, each after the answer to the last: for servers that take no more
    /// at once. What becomes due meanwhile is late, which is in the figures.
    Turns,
}

impl PublishMode {
    /// As a report says it.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Ndjson => "one NDJSON request",
            Self::Post => "pipelined POSTs",
            Self::Turns => "POSTs in turn, each after an answer",
        }
    }
}

fn pointer(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("expected a JSON pointer such as /pub/data".to_owned()),
    }
}
