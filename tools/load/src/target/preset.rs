//! What is known of the servers that people use: each a row of facts, from its manual.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::args::PublishMode;

/// A server whose ways are known.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preset {
    /// Fanfare: /events?topic=..., published by lines or POSTs at /publish (README.md)
    #[default]
    Fanfare,
    /// Mercure hub: /.well-known/mercure; tokens are JSON Web Tokens (<https://mercure.rocks/spec>)
    Mercure,
    /// Nchan, its subscribers at /sub/CHANNEL and publishers at /pub/CHANNEL (<https://nchan.io/>)
    Nchan,
    /// go-sse's handler at /events?topic=...; how to publish is up to the application: the body of
    /// POST /publish?topic=... is taken to be the data (<https://pkg.go.dev/github.com/tmaxmax/go-sse>)
    GoSse,
    /// Centrifugo 5 or 6 by uni_sse; --subscribe-token is a JSON Web Token, --publish-token the API
    /// key (<https://centrifugal.dev/docs/transports/uni_sse>)
    Centrifugo,
    /// Pushpin, before an origin that holds /events/CHANNEL as a stream of that channel, published
    /// to on port 5561 (<https://pushpin.org/docs/usage/>)
    Pushpin,
    /// Any event stream at --target itself; publishes only with --publish-url
    /// (<https://html.spec.whatwg.org/#server-sent-events>)
    Plain,
}

/// How a server of one kind is spoken to.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Where to subscribe, a template.
    pub(crate) subscribe_url: &'static str,
    /// How to publish, where the server takes messages over HTTP.
    pub(crate) publish: Option<Publishing>,
    /// JSON pointer to the payload in an event's data; `None`: it is the data.
    pub(crate) payload: Option<&'static str>,
    /// How a subscriber shows its token.
    pub(crate) subscribe_token: TokenPlace,
    /// How a publisher shows its token.
    pub(crate) publish_token: TokenPlace,
    /// What a subscriber that comes back with a last event id gets.
    pub(crate) resume: Resume,
    /// The manual that says so.
    pub(crate) manual: &'static str,
}

/// A publish request.
#[derive(Debug)]
pub(crate) struct Publishing {
    /// Where each message goes by itself, a template.
    pub(crate) url: &'static str,
    /// `Post`, or `Turns` where the server takes no pipelined requests.
    pub(crate) mode: PublishMode,
    /// Where messages can go as lines of one request: then they do.
    pub(crate) lines_url: Option<&'static str>,
    /// The media type of the body of a message by itself.
    pub(crate) content_type: &'static str,
    /// The body, a template.
    pub(crate) body: &'static str,
}

/// Where a token goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TokenPlace {
    /// `Authorization: Bearer ...`
    Bearer,
    /// `X-API-Key: ...`
    ApiKey,
    /// In `{cf_connect}`.
    Connect,
}

/// Whether the server takes up an event stream where it broke off.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Resume {
    /// By `Last-Event-ID`, as far back as it keeps messages.
    LastEventId,
    /// It does not, over this transport.
    Never,
}

const RAW: &str = "{data}";

impl Preset {
    /// As it is typed.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// What is known of it.
    pub(crate) fn facts(self) -> Facts {
        match self {
            Self::Fanfare => Facts {
                subscribe_url: "/events?{topics}",
                publish: Some(Publishing {
                    lines_url: Some("/publish"),
                    ..post("/publish?topic={topic}", RAW)
                }),
                ..Facts::plain("README.md")
            },
            Self::Mercure => Facts {
                subscribe_url: "/.well-known/mercure?{topics}",
                publish: Some(Publishing {
                    content_type: "application/x-www-form-urlencoded",
                    ..post("/.well-known/mercure", "topic={topic}&data={data}")
                }),
                ..Facts::plain("https://mercure.rocks/spec")
            },
            Self::Nchan => Facts {
                subscribe_url: "/sub/{topic}",
                publish: Some(post("/pub/{topic}", RAW)),
                ..Facts::plain("https://nchan.io/")
            },
            Self::GoSse => Facts {
                subscribe_url: "/events?{topics}",
                publish: Some(post("/publish?topic={topic}", RAW)),
                ..Facts::plain("https://pkg.go.dev/github.com/tmaxmax/go-sse")
            },
            Self::Centrifugo => Facts {
                subscribe_url: "/connection/uni_sse?cf_connect={cf_connect}",
                publish: Some(Publishing {
                    content_type: "application/json",
                    ..post("/api/publish", r#"{"channel":"{topic}","data":"{data}"}"#)
                }),
                payload: Some("/pub/data"),
                subscribe_token: TokenPlace::Connect,
                publish_token: TokenPlace::ApiKey,
                resume: Resume::Never,
                ..Facts::plain("https://centrifugal.dev/docs/transports/uni_sse")
            },
            Self::Pushpin => Facts {
                subscribe_url: "/events/{topic}",
                // Its publish port ends each connection after an answer (1.36 does), and answers
                // pipelined requests with a 400.
                publish: Some(Publishing {
                    mode: PublishMode::Turns,
                    content_type: "application/json",
                    ..post("http://{host}:5561/publish/", PUSHPIN_ITEM)
                }),
                resume: Resume::Never,
                ..Facts::plain("https://pushpin.org/docs/usage/")
            },
            Self::Plain => Facts::plain("https://html.spec.whatwg.org/#server-sent-events"),
        }
    }
}

/// What reaches the subscribers is the content as it is, so it is a whole event.
const PUSHPIN_ITEM: &str =
    r#"{"items":[{"channel":"{topic}","formats":{"http-stream":{"content":"data: {data}\n\n"}}}]}"#;

impl Facts {
    /// Of a server of which nothing is known but that it serves event streams.
    const fn plain(manual: &'static str) -> Self {
        Self {
            subscribe_url: "",
            publish: None,
            payload: None,
            subscribe_token: TokenPlace::Bearer,
            publish_token: TokenPlace::Bearer,
            resume: Resume::LastEventId,
            manual,
        }
    }
}

/// One request for each message, its body as text.
const fn post(url: &'static str, body: &'static str) -> Publishing {
    Publishing { url, mode: PublishMode::Post, lines_url: None, content_type: "text/plain", body }
}
