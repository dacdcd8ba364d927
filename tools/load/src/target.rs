//! What is tested and how it is spoken to: a preset, what the command line says otherwise, and the
//! two put together into requests.

mod args;
mod endpoint;
mod headers;
mod preset;
mod route;
mod template;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub(crate) use self::args::{PublishMode, TargetArgs};
use self::endpoint::Endpoint;
use self::headers::Header;
use self::preset::{Facts, TokenPlace};
pub(crate) use self::preset::{Preset, Resume};
pub(crate) use self::route::Route;
use self::template::{Escape, Place, Template};
use crate::extract;

/// A server under test.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Target {
    /// What kind it is.
    pub(crate) preset: Preset,
    /// Where subscribers connect to.
    pub(crate) address: SocketAddr,
    /// Where the payload lies in an event's data.
    pub(crate) payload: extract::Place,
    /// Whether it takes up a stream where it broke off.
    pub(crate) resume: Resume,
    /// How to publish; `None`: somebody else does.
    pub(crate) publish: Option<Route>,
    subscribe: Endpoint,
    subscribe_headers: Vec<Header>,
    /// What `{cf_connect}` shows.
    connect_token: Option<String>,
}

impl Target {
    /// What `args` ask for, where the server is at the URL `base`.
    ///
    /// # Errors
    /// In words: a URL that cannot be asked, a place in a template or a header that has no meaning,
    /// options that contradict each other.
    pub(crate) fn resolve(args: &TargetArgs, base: &str) -> Result<Self, String> {
        let facts = args.preset.facts();
        let template = args.subscribe_url.as_deref().unwrap_or(facts.subscribe_url);
        let places = [Place::Topic, Place::Topics, Place::Connect];
        let subscribe = Endpoint::resolve(base, template, &places)
            .map_err(|error| format!("where to subscribe: {error}"))?;
        let pointer = args.payload_at.as_deref().or(facts.payload).filter(|at| !at.is_empty());
        let token = args.subscribe_token.as_ref().or(args.token.as_ref());
        let shown = facts.subscribe_token;
        Ok(Self {
            preset: args.preset,
            address: subscribe.address,
            payload: pointer.map_or(extract::Place::Whole, |at| extract::Place::Pointer(at.into())),
            resume: facts.resume,
            publish: route(args, &facts, base)?,
            subscribe,
            subscribe_headers: all_headers(args, &args.subscribe_headers, shown, token)?,
            connect_token: token.filter(|_| shown == TokenPlace::Connect).cloned(),
        })
    }

    /// Whether one subscription can be to several topics.
    pub(crate) fn takes_several_topics(&self) -> bool {
        !self.subscribe.path.has(Place::Topic)
    }

    /// The request of a subscriber to `topics`: several only where it takes several. One that comes
    /// back says what it had last, unless the server could make nothing of that.
    pub(crate) fn subscribe_request(
        &self,
        topics: &[&str],
        last_event_id: Option<&[u8]>,
    ) -> Vec<u8> {
        debug_assert!(topics.len() < 2 || self.takes_several_topics(), "they have no place");
        let path = self.subscribe.path.fill(topics, self.connect_token.as_deref()).concat();
        let ours = [
            ("Host", &self.subscribe.host[..]),
            ("Accept", "text/event-stream"),
            ("Cache-Control", "no-cache"),
        ];
        let headers = headers::lines(&headers::merge(&ours, &self.subscribe_headers));
        let mut request = format!("GET {path} HTTP/1.1\r\n{headers}").into_bytes();
        if let Some(id) = last_event_id.filter(|_| self.resume == Resume::LastEventId) {
            request.extend_from_slice(b"Last-Event-ID: ");
            request.extend_from_slice(id);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }
}

impl TargetArgs {
    /// The URL of a server that runs; `None`: Fanfare is to be started.
    ///
    /// # Errors
    /// When another kind of server is asked for, which this tool cannot start.
    pub(crate) fn running(&self) -> Result<Option<&str>, String> {
        match (&self.target, self.preset) {
            (Some(target), _) => Ok(Some(target)),
            (None, Preset::Fanfare) => Ok(None),
            (None, preset) => {
                let manual = preset.facts().manual;
                Err(format!("only Fanfare can be started here: give --target URL (see {manual})"))
            }
        }
    }

    fn says_how_to_publish(&self) -> bool {
        self.publish_body.is_some()
            || self.publish_type.is_some()
            || self.publish_mode.is_some()
            || self.publish_token.is_some()
            || !self.publish_headers.is_empty()
    }
}

/// How to publish: the preset's way where nothing else is said.
fn route(args: &TargetArgs, facts: &Facts, base: &str) -> Result<Option<Route>, String> {
    let known = facts.publish.as_ref();
    let mode = publish_mode(args, facts)?;
    let known_url = known.and_then(|known| match mode {
        PublishMode::Ndjson => known.lines_url,
        PublishMode::Post | PublishMode::Turns => Some(known.url),
    });
    let Some(url) = args.publish_url.as_deref().or(known_url) else {
        return match args.says_how_to_publish() {
            true => Err("it is not known where to publish: give --publish-url".to_owned()),
            false => Ok(None),
        };
    };
    let content_type = args.publish_type.as_deref();
    let content_type = content_type.or_else(|| known.map(|known| known.content_type));
    let content_type = content_type.unwrap_or("text/plain");
    let (_, content_type) = headers::value_of("--publish-type", content_type)?;
    let body = args.publish_body.as_deref();
    let body = body.or_else(|| known.map(|known| known.body)).unwrap_or("{data}");
    let token = args.publish_token.as_ref().or(args.token.as_ref());
    Ok(Some(Route {
        endpoint: publish_endpoint(mode, base, url)?,
        mode,
        body: publish_body(body, &content_type)?,
        content_type,
        headers: all_headers(args, &args.publish_headers, facts.publish_token, token)?,
    }))
}

fn publish_mode(args: &TargetArgs, facts: &Facts) -> Result<PublishMode, String> {
    let takes_lines = facts.publish.as_ref().and_then(|known| known.lines_url).is_some();
    let by_itself = args.publish_body.is_some() || args.publish_type.is_some();
    match args.publish_mode {
        Some(PublishMode::Ndjson) if by_itself => {
            Err("--publish-body and --publish-type are of --publish-mode post".to_owned())
        }
        Some(PublishMode::Ndjson) if !takes_lines && args.preset != Preset::Plain => {
            Err("lines of NDJSON are Fanfare's: use --publish-mode post".to_owned())
        }
        Some(mode) => Ok(mode),
        None if takes_lines && !by_itself => Ok(PublishMode::Ndjson),
        None => Ok(facts.publish.as_ref().map_or(PublishMode::Post, |known| known.mode)),
    }
}

fn publish_endpoint(mode: PublishMode, base: &str, url: &str) -> Result<Endpoint, String> {
    let (places, why): (&[Place], _) = match mode {
        PublishMode::Ndjson => (&[], ", where each line has its topic"),
        PublishMode::Post | PublishMode::Turns => (&[Place::Topic], ""),
    };
    Endpoint::resolve(base, url, places).map_err(|error| format!("where to publish{why}: {error}"))
}

fn publish_body(body: &str, content_type: &str) -> Result<Template, String> {
    let body = Template::parse(body, Escape::of(content_type), &[Place::Topic, Place::Data])
        .map_err(|error| format!("--publish-body: {error}"))?;
    match body.has(Place::Data) {
        true => Ok(body),
        false => Err("--publish-body: a message needs its {data}".to_owned()),
    }
}

/// Those of both kinds of request, then those of this kind; a later one of a name stands for an
/// earlier one. The token stands for none.
fn all_headers(
    args: &TargetArgs,
    own: &[Header],
    shown: TokenPlace,
    token: Option<&String>,
) -> Result<Vec<Header>, String> {
    let both: Vec<_> = args.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let mut all = headers::merge(&both, own);
    if let Some(token) = token {
        let (name, value) = match shown {
            TokenPlace::Bearer => ("Authorization", format!("Bearer {token}")),
            TokenPlace::ApiKey => ("X-API-Key", token.clone()),
            TokenPlace::Connect => return Ok(all),
        };
        all.push(headers::value_of(name, &value).map_err(|error| format!("a token: {error}"))?);
    }
    Ok(all)
}
