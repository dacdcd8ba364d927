//! Nchan's publisher and subscriber locations, and what they tell of a channel ([its documentation]).
//!
//! [its documentation]: https://nchan.io/#publisher-endpoints

mod info;

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, Uri, request::Parts},
    response::Response,
    routing::get,
};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

use self::info::{Format, Info};
use super::{Get, Selected, events};
use crate::{
    limits,
    provider::{LocalProvider, SubscribeRequest, check_topic_or_pattern},
    server::{
        access::{Asked, PublishGrant},
        fault::Fault,
        publish,
        routes::Desk,
        selection::{self, SelectionError},
    },
    sse::{EventType, Message},
};

/// Where channels are subscribed to.
pub(super) const SUBSCRIBE: &str = "/sub";

/// Where they are published to.
const PUBLISH: &str = "/pub";

/// When channels were subscribed to last, of at most [`limits::NCHAN_CHANNELS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Channels(Mutex<Requested>);

#[derive(Debug, Default)]
struct Requested {
    last: HashMap<Arc<str>, Instant>,
    /// By when each was subscribed to first.
    oldest_first: VecDeque<Arc<str>>,
}

pub(super) fn routes(channels: Arc<Channels>) -> Router<Desk> {
    let for_info = Arc::clone(&channels);
    let tell =
        move |desk: State<Desk>, request: Request| async move { tell(&desk, &for_info, request) };
    let publish = async move |desk: State<Desk>, request: Request| {
        publish_message(&desk, &channels, request).await
    };
    let publisher = get(tell).post(publish.clone()).put(publish).delete(delete);
    Router::new()
        .route(SUBSCRIBE, get(events))
        .route(&format!("{SUBSCRIBE}/{{*channel}}"), get(events))
        .route(PUBLISH, publisher.clone())
        .route(&format!("{PUBLISH}/{{*channel}}"), publisher)
}

/// The channels that a request names, in its path or as often as it likes by `id`; none if it is not
/// for `location`.
pub(super) fn channels_at<'r>(
    location: &str,
    path: &'r str,
    query: Option<&'r str>,
) -> Option<Vec<Cow<'r, str>>> {
    match path.strip_prefix(location)? {
        "" => {
            let ids = selection::pairs(query).filter(|(name, _)| name == "id");
            Some(ids.map(|(_, id)| id).collect())
        }
        // As in a query, what is not UTF-8 becomes U+FFFD.
        rest => Some(vec![percent_decode_str(rest.strip_prefix('/')?).decode_utf8_lossy()]),
    }
}

impl Channels {
    /// What is subscribed to. The header wins over the parameter.
    pub(super) fn subscription(&self, channels: Vec<Cow<'_, str>>, get: &Get<'_>) -> Selected {
        let wants_events = |accept: &&[u8]| {
            accept
                .split(|byte| *byte == b',')
                .any(|range| range.trim_ascii_start().starts_with(b"text/event-stream"))
        };
        if !get.accept.iter().any(wants_events) {
            return Err(SelectionError::NotEventStream);
        }
        let mut topics = Vec::new();
        for channel in channels {
            check_topic_or_pattern(&channel)?;
            selection::add_topic(&mut topics, &channel, limits::TOPICS_PER_SUBSCRIPTION_MAX)?;
        }
        if topics.is_empty() {
            return Err(SelectionError::NoChannel);
        }
        let mut last_event_id = None;
        for (_, id) in selection::pairs(get.query).filter(|(name, _)| name == "last_event_id") {
            selection::set_once(&mut last_event_id, id.into_owned())?;
        }
        let by_header = selection::last_event_id(get.last_event_ids.iter().copied())?;
        self.note(&topics, Instant::now());
        Ok(SubscribeRequest { topics, last_event_id: by_header.or(last_event_id), lag: None })
    }

    pub(super) fn note(&self, topics: &[String], now: Instant) {
        let mut requested = self.0.lock();
        topics.iter().for_each(|topic| requested.note(topic, now));
    }

    /// How long ago a channel was subscribed to last; none is never, or longer ago than is known.
    pub(super) fn requested(&self, topic: &str, now: Instant) -> Option<Duration> {
        self.0.lock().last.get(topic).map(|at| now.saturating_duration_since(*at))
    }

    fn info(
        &self,
        local: &LocalProvider,
        topic: &str,
        subscribers: u32,
        last_message_id: String,
    ) -> Info {
        let messages = local.retained(topic).map_or(0, |retained| retained.messages);
        let requested = self.requested(topic, Instant::now());
        Info { messages, requested, subscribers, last_message_id }
    }
}

impl Requested {
    fn note(&mut self, topic: &str, now: Instant) {
        if let Some(last) = self.last.get_mut(topic) {
            *last = now;
            return;
        }
        if self.last.len() >= limits::NCHAN_CHANNELS_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.last.remove(&oldest);
        }
        let topic: Arc<str> = topic.into();
        self.oldest_first.push_back(Arc::clone(&topic));
        self.last.insert(topic, now);
    }
}

fn tell(desk: &Desk, channels: &Channels, request: Request) -> Result<Response, Fault> {
    let (head, _) = request.into_parts();
    let local = local(desk)?;
    let topic = channel(&head.uri)?;
    desk.gates.current().publish(&Asked::of_parts(&head))?.check([&*topic].into_iter(), 0)?;
    let retained = local.retained(&topic).ok_or_else(no_such_channel)?;
    let newest = retained.newest.map(|id| id.to_string()).unwrap_or_default();
    let info = channels.info(local, &topic, local.subscribers(&topic), newest);
    Ok(info.into_response(StatusCode::OK, Format::accepted_by(&head.headers)))
}

/// 201 if somebody got the message, 202 if it waits for somebody.
async fn publish_message(
    desk: &Desk,
    channels: &Channels,
    request: Request,
) -> Result<Response, Fault> {
    let (head, mut body) = request.into_parts();
    let published = match desk.gates.current().publish(&Asked::of_parts(&head)) {
        Ok(grant) => publish_to(desk, channels, &grant, &head, &mut body).await,
        Err(fault) => Err(fault),
    };
    publish::discard_if_refused(published.as_ref().err(), &head.headers, &mut body).await;
    published
}

async fn publish_to(
    desk: &Desk,
    channels: &Channels,
    grant: &PublishGrant,
    head: &Parts,
    body: &mut Body,
) -> Result<Response, Fault> {
    let topic = channel(&head.uri)?.into_owned();
    let local = local(desk)?;
    let data = publish::read_text(&head.headers, body, &desk.tuning.get().limits).await?;
    let mut message = Message::new(data);
    if let Some(event) = head.headers.get(EVENT_HEADER) {
        message = message.event(event_type(event.as_bytes())?);
    }
    let publication = [(message, vec![Cow::Owned(topic)])];
    let receipts = publish::publish_whole(desk, grant, None, &publication).await?;
    let [(_, topics)] = &publication;
    let (subscribers, id) =
        receipts.first().map_or((0, None), |receipt| (receipt.subscribers(), receipt.id()));
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    let info = channels.info(local, &topics[0], subscribers, id);
    let status = if subscribers > 0 { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    Ok(info.into_response(status, Format::accepted_by(&head.headers)))
}

const EVENT_HEADER: &str = "x-eventsource-event";

fn event_type(header: &[u8]) -> Result<EventType, Fault> {
    String::from_utf8_lossy(header)
        .parse()
        .map_err(|fault| Fault::bad_request(format!("header X-EventSource-Event: {fault}")))
}

async fn delete() -> Fault {
    let text = "channels cannot be deleted: messages go when the history is full";
    Fault::new(StatusCode::NOT_IMPLEMENTED, text)
}

/// The one channel that is published to, or asked about.
fn channel(uri: &Uri) -> Result<Cow<'_, str>, Fault> {
    let mut channels = channels_at(PUBLISH, uri.path(), uri.query()).unwrap_or_default();
    let Some(channel) = channels.pop() else { return Err(SelectionError::NoChannel.into()) };
    if !channels.is_empty() {
        return Err(Fault::bad_request("more than one channel"));
    }
    selection::check_named(&channel)?;
    Ok(channel)
}

fn local(desk: &Desk) -> Result<&LocalProvider, Fault> {
    desk.publisher.provider().local().ok_or_else(|| {
        Fault::new(StatusCode::NOT_IMPLEMENTED, "this provider does not tell of its topics")
    })
}

fn no_such_channel() -> Fault {
    Fault::new(StatusCode::NOT_FOUND, "no such channel")
}
