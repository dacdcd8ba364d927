//! Providers with one fault each: exactly the rule that is about it must fail.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_core::Stream;
use parking_lot::Mutex;
use tokio_stream::StreamExt;

use super::*;
use crate::{
    log::{AutomaticId, Overtaken},
    provider::{
        Closed, GAP_EVENT, Publication, PublishError, Receipt, SubscribeError, SubscribeRequest,
        Subscription,
    },
    sse::{EventId, Line, Message},
};

/// What is good in them: the smallest history, so that the rules about it are short.
type Inner = Arc<SerialProvider>;

const HISTORY: usize = 64;

fn of_whole() -> Capabilities {
    let replay = Replay { remembers: HISTORY, forgets: HISTORY, unknown_id: UnknownId::Gap };
    Capabilities { replay: Some(replay), ..of_local() }
}

type Hook<A, T> = Box<dyn for<'a> Fn(&Inner, A) -> T + Send + Sync>;
type Publish =
    Box<dyn Fn(&Inner, &Message, &[&str]) -> Result<Receipt, PublishError> + Send + Sync>;
type PublishBatch =
    Box<dyn Fn(&Inner, &[Publication<'_>]) -> Result<Vec<Receipt>, PublishError> + Send + Sync>;
type Subscribe =
    Box<dyn Fn(&Inner, &SubscribeRequest) -> Result<Subscription, SubscribeError> + Send + Sync>;

/// A good provider, but for what a test puts in its way.
struct Broken {
    inner: Inner,
    publish: Publish,
    publish_batch: PublishBatch,
    subscribe: Subscribe,
    shutdown: Hook<(), Result<(), Closed>>,
    local: Option<LocalProvider>,
}

/// One without a fault yet.
fn whole() -> Broken {
    Broken {
        inner: Arc::new(SerialProvider::new(HISTORY)),
        publish: Box::new(Inner::publish),
        publish_batch: Box::new(Inner::publish_batch),
        subscribe: Box::new(subscribe),
        shutdown: Box::new(|inner, ()| inner.shutdown()),
        local: None,
    }
}

fn subscribe(inner: &Inner, request: &SubscribeRequest) -> Result<Subscription, SubscribeError> {
    inner.subscribe(request)
}

fn publishing(
    publish: impl Fn(&Inner, &Message, &[&str]) -> Result<Receipt, PublishError> + Send + Sync + 'static,
) -> Broken {
    Broken { publish: Box::new(publish), ..whole() }
}

fn batching(
    publish_batch: impl Fn(&Inner, &[Publication<'_>]) -> Result<Vec<Receipt>, PublishError>
    + Send
    + Sync
    + 'static,
) -> Broken {
    Broken { publish_batch: Box::new(publish_batch), ..whole() }
}

fn subscribing(
    subscribe: impl Fn(&Inner, &SubscribeRequest) -> Result<Subscription, SubscribeError>
    + Send
    + Sync
    + 'static,
) -> Broken {
    Broken { subscribe: Box::new(subscribe), ..whole() }
}

impl Provider for Broken {
    fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, PublishError> {
        (self.publish)(&self.inner, message, topics)
    }

    fn publish_batch(&self, batch: &[Publication<'_>]) -> Result<Vec<Receipt>, PublishError> {
        (self.publish_batch)(&self.inner, batch)
    }

    fn subscribe(&self, request: &SubscribeRequest) -> Result<Subscription, SubscribeError> {
        (self.subscribe)(&self.inner, request)
    }

    fn shutdown(&self) -> Result<(), Closed> {
        (self.shutdown)(&self.inner, ())
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn local(&self) -> Option<&LocalProvider> {
        self.local.as_ref()
    }
}

/// Runs every rule, and gives what the only broken one said.
#[track_caller]
fn breaks(rule: &str, make: impl Fn() -> Broken + Send + Sync + 'static) -> String {
    breaks_with(rule, of_whole(), make)
}

#[track_caller]
fn breaks_with(
    rule: &str,
    capabilities: Capabilities,
    make: impl Fn() -> Broken + Send + Sync + 'static,
) -> String {
    let patience = Duration::from_secs(3);
    let report = run(&Capabilities { patience, ..capabilities }, make);
    let broken: Vec<_> = report.failures().collect();
    assert!(matches!(broken[..], [only] if only.rule == rule), "{rule:?} should fail:\n{report}");
    broken[0].to_string()
}

fn data(message: &Message) -> String {
    let lines = message.lines().filter_map(|line| match line {
        Line::Data(text) => Some(text),
        Line::Comment(_) => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The events of an item.
fn split(item: &Bytes) -> Vec<String> {
    let text = std::str::from_utf8(item).unwrap();
    text.split_terminator("\n\n").map(|event| format!("{event}\n\n")).collect()
}

fn nowhere() -> Receipt {
    Receipt::new(None, 0)
}

#[test]
fn a_whole_one_breaks_nothing() {
    run(&of_whole(), whole).assert();
}

#[test]
fn accepts_no_topics() {
    let text = breaks("no topics", || {
        publishing(|inner, message, topics| match topics {
            [] => Ok(nowhere()),
            topics => inner.publish(message, topics),
        })
    });
    assert!(text.contains("open, publish did not fail by NoTopics"), "{text}");
}

#[test]
fn looks_whether_it_is_closed_before_the_topics() {
    let text = breaks("no topics", || {
        subscribing(|inner, request| match inner.is_closed() {
            true => Err(Closed.into()),
            false => subscribe(inner, request),
        })
    });
    assert!(text.contains("shut down, subscribe did not fail by NoTopics"), "{text}");
}

#[test]
fn takes_reserved_types() {
    breaks("refused by the limits", || {
        publishing(|inner, message, topics| match inner.publish(message, topics) {
            Err(PublishError::ReservedEventType) => Ok(nowhere()),
            other => other,
        })
    });
}

#[test]
fn takes_the_same_message_once() {
    breaks("published twice", || {
        let last = Mutex::new((Message::empty(), nowhere()));
        publishing(move |inner, message, topics| {
            if !topics.is_empty() && !message.is_empty() && last.lock().0 == *message {
                return Ok(last.lock().1.clone());
            }
            let receipt = inner.publish(message, topics)?;
            *last.lock() = (message.clone(), receipt.clone());
            Ok(receipt)
        })
    });
}

#[test]
fn loses_a_final_newline() {
    let text = breaks("content arrives as it was", || {
        publishing(|inner, message, topics| match data(message).strip_suffix('\n') {
            Some(rest) => inner.publish(&Message::new(rest), topics),
            None => inner.publish(message, topics),
        })
    });
    assert!(text.contains(r#""a final newline\n" arrived as "a final newline""#), "{text}");
}

#[test]
fn names_another_id() {
    let capabilities = Capabilities { replay: None, ..of_whole() };
    breaks_with("receipts name the ids", capabilities, || {
        let given = AtomicUsize::new(0);
        publishing(move |inner, message, topics| {
            let receipt = inner.publish(message, topics)?;
            let id = message.event_id().cloned().unwrap_or_else(|| {
                EventId::new(given.fetch_add(1, Ordering::Relaxed).to_string()).unwrap()
            });
            Ok(Receipt::new(Some(id), receipt.subscribers()))
        })
    });
}

#[test]
fn counts_who_is_gone() {
    let text = breaks("dropping is the end", || {
        let subscribed = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
        let counted = Arc::clone(&subscribed);
        let publish: Publish = Box::new(move |inner, message, topics| {
            let receipt = inner.publish(message, topics)?;
            let count = counted.lock().get(topics[0]).copied().unwrap_or_default();
            Ok(Receipt::new(receipt.id(), count))
        });
        let subscribe: Subscribe = Box::new(move |inner, request| {
            let subscription = subscribe(inner, request)?;
            let mut topics = request.topics.clone();
            topics.dedup();
            topics.iter().for_each(|topic| {
                *subscribed.lock().entry(topic.clone()).or_default() += 1;
            });
            Ok(subscription)
        });
        Broken { publish, subscribe, ..whole() }
    });
    assert!(text.contains("one of two dropped, 2 were counted"), "{text}");
}

/// Tells the list of wakers of each poll.
struct Listed(Subscription, Arc<Mutex<Vec<Waker>>>);

impl Stream for Listed {
    type Item = Result<Bytes, Overtaken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.1.lock().push(context.waker().clone());
        Pin::new(&mut self.0).poll_next(context)
    }
}

#[test]
fn goes_on_waking_who_is_gone() {
    let text = breaks("dropping is the end", || {
        let wakers = Arc::new(Mutex::new(Vec::new()));
        let listed = Arc::clone(&wakers);
        let publish: Publish = Box::new(move |inner, message, topics| {
            wakers.lock().iter().rev().take(100).for_each(Waker::wake_by_ref);
            inner.publish(message, topics)
        });
        let subscribe: Subscribe = Box::new(move |inner, request| {
            let subscription = subscribe(inner, request)?;
            Ok(Subscription::new(Listed(subscription, Arc::clone(&listed))))
        });
        Broken { publish, subscribe, ..whole() }
    });
    assert!(text.contains("its task was woken 5 times for 5 messages"), "{text}");
}

#[test]
fn drops_one() {
    let text = breaks("what follows is received", || {
        publishing(|inner, message, topics| match &*data(message) {
            "7" => Ok(nowhere()),
            _ => inner.publish(message, topics),
        })
    });
    assert!(text.contains(r#"event 8 was "8", not "7""#), "{text}");
}

#[test]
fn sends_one_twice() {
    let text = breaks("what follows is received", || {
        publishing(|inner, message, topics| {
            if data(message) == "7" {
                inner.publish(message, topics)?;
            }
            inner.publish(message, topics)
        })
    });
    assert!(text.contains(r#"event 9 was "7", not "8""#), "{text}");
}

/// Publishes the one after the other has been.
fn changing_places(first: &'static str, second: &'static str) -> Broken {
    let held = Mutex::new(None);
    publishing(move |inner, message, topics| {
        if data(message) == first {
            *held.lock() = Some((message.clone(), topics[0].to_owned()));
            return Ok(nowhere());
        }
        let receipt = inner.publish(message, topics)?;
        if data(message) == second
            && let Some((held, topic)) = held.lock().take()
        {
            inner.publish(&held, &[&topic])?;
        }
        Ok(receipt)
    })
}

#[test]
fn changes_the_order_of_two() {
    breaks("what follows is received", || changing_places("41", "42"));
}

#[test]
fn changes_the_order_of_two_publishers_that_know_of_each_other() {
    let text = breaks("later is after", || changing_places("hand 100", "hand 101"));
    assert!(text.contains(r#"event 101 was "hand 101", not "hand 100""#), "{text}");
}

#[test]
fn panics() {
    let text = breaks("later is after", || {
        publishing(|inner, message, topics| {
            assert!(data(message) != "hand 5", "that one, never");
            inner.publish(message, topics)
        })
    });
    assert!(text.contains("it panicked: that one, never"), "{text}");
}

#[test]
fn takes_an_empty_id_for_the_beginning() {
    breaks("what came before is not", || {
        let first = Arc::new(Mutex::new(None::<String>));
        let given = Arc::clone(&first);
        let publish: Publish = Box::new(move |inner, message, topics| {
            let receipt = inner.publish(message, topics)?;
            given.lock().get_or_insert_with(|| receipt.id().unwrap().into());
            Ok(receipt)
        });
        let subscribe: Subscribe = Box::new(move |inner, request| {
            let mut request = request.clone();
            if request.last_event_id.as_deref() == Some("") {
                request.last_event_id.clone_from(&first.lock());
            }
            subscribe(inner, &request)
        });
        Broken { publish, subscribe, ..whole() }
    });
}

#[test]
fn takes_topics_for_the_same_that_differ_in_case() {
    let text = breaks("topics are apart", || {
        let publish: Publish = Box::new(|inner, message, topics| {
            let lower: Vec<_> = topics.iter().map(|topic| topic.to_ascii_lowercase()).collect();
            inner.publish(message, &lower.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let subscribe: Subscribe = Box::new(|inner, request| {
            let mut request = request.clone();
            request.topics.iter_mut().for_each(|topic| topic.make_ascii_lowercase());
            subscribe(inner, &request)
        });
        Broken { publish, subscribe, ..whole() }
    });
    assert!(text.contains(r#"of topic "a": event 2 was "to \"A\"", not nothing"#), "{text}");
}

#[test]
fn publishes_to_each_topic() {
    breaks("several topics, once", || {
        publishing(|inner, message, topics| {
            Publication { message, topics }.check()?;
            let receipts = topics.iter().map(|topic| inner.publish(message, &[topic]));
            Ok(receipts.collect::<Result<Vec<_>, _>>()?.pop().expect("there is a topic"))
        })
    });
}

#[test]
fn cuts_events_in_two() {
    breaks("items are whole events", || {
        subscribing(|inner, request| {
            let mut rest = None;
            let mut inner = subscribe(inner, request)?;
            Ok(Subscription::new(PollFn(move |context: &mut Context<'_>| {
                if let Some(rest) = rest.take() {
                    return Poll::Ready(Some(Ok(rest)));
                }
                let item = Pin::new(&mut inner).poll_next(context);
                item.map_ok(|mut bytes| {
                    rest = Some(bytes.split_off(bytes.len() / 2));
                    bytes
                })
            })))
        })
    });
}

struct PollFn<F>(F);

impl<F> Stream for PollFn<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, Overtaken>>> + Unpin,
{
    type Item = Result<Bytes, Overtaken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        (self.0)(context)
    }
}

#[test]
fn waits_for_who_does_not_read() {
    let text = breaks("who does not read", || {
        let unread: Arc<Mutex<Vec<Weak<AtomicUsize>>>> = Arc::default();
        let counters = Arc::clone(&unread);
        let publish: Publish = Box::new(move |inner, message, topics| {
            let receipt = inner.publish(message, topics)?;
            let live: Vec<_> = unread.lock().iter().filter_map(Weak::upgrade).collect();
            if topics == ["a"] {
                live.iter().for_each(|unread| _ = unread.fetch_add(1, Ordering::Relaxed));
            }
            while live.iter().any(|unread| unread.load(Ordering::Relaxed) > 1000) {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(receipt)
        });
        let subscribe: Subscribe = Box::new(move |inner, request| {
            let subscription = subscribe(inner, request)?;
            let unread = Arc::new(AtomicUsize::new(0));
            counters.lock().retain(|unread| unread.strong_count() > 0);
            counters.lock().push(Arc::downgrade(&unread));
            Ok(Subscription::new(subscription.map(move |item| {
                let read = item.as_ref().map_or(0, |item| split(item).len());
                let less = |left: usize| Some(left.saturating_sub(read));
                let _ = unread.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
                item
            })))
        });
        Broken { publish, subscribe, ..whole() }
    });
    assert!(text.contains("it hangs in publish\n"), "{text}");
}

fn without_gaps(subscription: Subscription) -> impl Stream<Item = Result<Bytes, Overtaken>> {
    let gap = format!("event: {GAP_EVENT}\n");
    subscription.filter(move |item| {
        !item.as_ref().is_ok_and(|item| String::from_utf8_lossy(item).contains(&gap))
    })
}

#[test]
fn skips_in_silence_what_is_lost() {
    let text = breaks("who does not read", || {
        subscribing(|inner, request| {
            let (inner, request) = (inner.clone(), request.clone());
            let mut stream: Pin<Box<dyn Stream<Item = _> + Send>> =
                Box::pin(subscribe(&inner, &request)?);
            Ok(Subscription::new(PollFn(move |context: &mut Context<'_>| {
                let item = stream.as_mut().poll_next(context);
                if let Poll::Ready(Some(Err(Overtaken))) = item {
                    stream = Box::pin(without_gaps(after(&inner, &request, "lost")));
                    return stream.as_mut().poll_next(context);
                }
                item
            })))
        })
    });
    assert!(text.contains("came where 1024 was due"), "{text}");
}

#[test]
fn gives_some_what_two_publish_in_another_order() {
    breaks("one order", || {
        subscribing(|inner, request| {
            let subscription = subscribe(inner, request)?;
            if request.topics.len() < 3 || request.topics[0] != "odd" {
                return Ok(subscription);
            }
            let by =
                |item: &Bytes| split(item)[0].split_once("data: ").map(|(_, by)| by.as_bytes()[0]);
            let mut held = None;
            let mut subscription = subscription;
            Ok(Subscription::new(PollFn(move |context: &mut Context<'_>| {
                if let Some(held) = held.take() {
                    return Poll::Ready(Some(Ok(held)));
                }
                let first = Pin::new(&mut subscription).poll_next(context);
                let Poll::Ready(Some(Ok(first))) = first else { return first };
                match Pin::new(&mut subscription).poll_next(context) {
                    Poll::Ready(Some(Ok(second))) if by(&first) != by(&second) => {
                        held = Some(first);
                        Poll::Ready(Some(Ok(second)))
                    }
                    Poll::Ready(Some(Ok(second))) => {
                        held = Some(second);
                        Poll::Ready(Some(Ok(first)))
                    }
                    _ => Poll::Ready(Some(Ok(first))),
                }
            })))
        })
    });
}

#[test]
fn misses_one_that_another_publishes_meanwhile() {
    let text = breaks("joining while others publish", || {
        subscribing(|inner, request| {
            let subscription = subscribe(inner, request)?;
            if request.topics != ["odd", "even"] || request.last_event_id.is_some() {
                return Ok(subscription);
            }
            let mut seen = 0;
            Ok(Subscription::new(subscription.map(move |item| {
                let mut events = split(&item?);
                seen += events.len();
                if seen == 3 {
                    events.clear();
                }
                Ok(events.concat().into())
            })))
        })
    });
    assert!(text.contains("was due"), "{text}");
}

#[test]
fn publishes_the_part_of_a_batch_before_the_fault() {
    let text = breaks("batches are all or nothing", || {
        let lock = Mutex::new(());
        batching(move |inner, batch| {
            if batch.len() < 2 {
                return inner.publish_batch(batch);
            }
            let _locked = lock.lock();
            // All that is right at once, so that nothing comes in between.
            let right = batch.iter().take_while(|one| one.check().is_ok()).count();
            let receipts = inner.publish_batch(&batch[..right])?;
            batch.get(right).map_or(Ok(receipts), |wrong| Err(wrong.check().unwrap_err()))
        })
    });
    assert!(text.contains("event 2 was"), "{text}");
}

#[test]
fn lets_others_into_a_batch() {
    breaks("nothing within a batch", || {
        batching(|inner, batch| {
            batch.iter().try_for_each(|publication| publication.check())?;
            if inner.is_closed() {
                return Err(Closed.into());
            }
            let publish = |one: &Publication<'_>| {
                thread::yield_now();
                inner.publish(one.message, one.topics)
            };
            batch.iter().map(publish).collect()
        })
    });
}

#[test]
fn publishes_batches_though_it_says_that_it_does_not() {
    let capabilities = Capabilities { batches: false, ..of_whole() };
    breaks_with("batches are refused", capabilities, whole);
}

/// The ids that were given, with a topic of each.
type Given = Arc<Mutex<Vec<(String, String)>>>;

/// One that remembers the ids it gives, to subscribe by them wrongly.
fn remembering(
    subscribe: impl Fn(&Inner, &SubscribeRequest, &[(String, String)]) -> Subscription
    + Send
    + Sync
    + 'static,
) -> Broken {
    let given = Given::default();
    let known = Arc::clone(&given);
    let publish: Publish = Box::new(move |inner, message, topics| {
        let mut given = given.lock();
        let receipt = inner.publish(message, topics)?;
        given.push((receipt.id().unwrap().into(), topics[0].to_owned()));
        Ok(receipt)
    });
    let subscribe: Subscribe = Box::new(move |inner, request| {
        request.check()?;
        if inner.is_closed() {
            return Err(Closed.into());
        }
        Ok(subscribe(inner, request, &known.lock()))
    });
    Broken { publish, subscribe, ..whole() }
}

fn after(inner: &Inner, request: &SubscribeRequest, id: &str) -> Subscription {
    subscribe(inner, &request.clone().after(id)).unwrap()
}

fn asked(request: &SubscribeRequest) -> &str {
    request.last_event_id.as_deref().unwrap_or_default()
}

#[test]
fn knows_only_ids_of_the_topics_asked_for() {
    breaks("exactly what follows an id", || {
        remembering(|inner, request, given| {
            match given.iter().find(|(id, _)| id == asked(request)) {
                Some((_, topic)) if !request.topics.contains(topic) => after(inner, request, ""),
                _ => subscribe(inner, request).unwrap(),
            }
        })
    });
}

#[test]
fn replays_everything_after_the_newest_id_where_its_ring_is_full() {
    let text = breaks("nothing follows the newest id", || {
        remembering(|inner, request, given| match given {
            [(first, _), .., (newest, _)] if given.len() == 14 && newest == asked(request) => {
                after(inner, request, first)
            }
            _ => subscribe(inner, request).unwrap(),
        })
    });
    assert!(text.contains("after the newest of 14 messages"), "{text}");
}

#[test]
fn replays_the_message_of_an_own_id_again() {
    breaks("own ids are followed", || {
        remembering(|inner, request, given| {
            match given.iter().position(|(id, _)| id == asked(request)) {
                Some(at) if at > 0 && asked(request).starts_with("own") => {
                    after(inner, request, &given[at - 1].0)
                }
                _ => subscribe(inner, request).unwrap(),
            }
        })
    });
}

#[test]
fn replays_what_is_left_without_a_word_of_the_gap() {
    let text = breaks("forgotten ids", || {
        remembering(|inner, request, given| {
            let subscription = subscribe(inner, request).unwrap();
            if !given.iter().any(|(id, _)| id == asked(request)) {
                return subscription;
            }
            Subscription::new(without_gaps(subscription))
        })
    });
    assert!(text.contains("no gap was told"), "{text}");
}

#[test]
fn takes_unknown_ids_for_none() {
    breaks("unknown ids", || {
        subscribing(|inner, request| match asked(request).parse::<AutomaticId>() {
            Err(_) if !asked(request).starts_with("own") => {
                subscribe(inner, &SubscribeRequest::to(&request.topics))
            }
            _ => subscribe(inner, request),
        })
    });
}

/// What is there without waiting.
fn ready_items(subscription: &mut Subscription) -> Vec<Result<Bytes, Overtaken>> {
    let mut context = Context::from_waker(Waker::noop());
    let mut items = Vec::new();
    let mut pending = 0;
    // Once it may be pending only to let other tasks run.
    while pending < 2 {
        match Pin::new(&mut *subscription).poll_next(&mut context) {
            Poll::Ready(Some(item)) => (pending, _) = (0, items.push(item)),
            _ => pending += 1,
        }
    }
    items
}

#[test]
fn has_a_seam_between_replay_and_live() {
    breaks("no seam between replay and live", || {
        subscribing(|inner, request| {
            let mut replayed = subscribe(inner, request)?;
            if asked(request).is_empty() {
                return Ok(replayed);
            }
            let items = ready_items(&mut replayed);
            thread::sleep(Duration::from_micros(200));
            let live = subscribe(inner, &SubscribeRequest::to(&request.topics))?;
            Ok(Subscription::new(tokio_stream::iter(items).chain(live)))
        })
    });
}

#[test]
fn shuts_down_again() {
    breaks("shutdown succeeds once", || Broken {
        shutdown: Box::new(|inner, ()| {
            let _ = inner.shutdown();
            Ok(())
        }),
        ..whole()
    });
}

#[test]
fn subscribes_after_the_end() {
    breaks("closed after shutdown", || {
        subscribing(|inner, request| match subscribe(inner, request) {
            Err(SubscribeError::Closed(_)) => Ok(Subscription::new(tokio_stream::empty())),
            other => other,
        })
    });
}

#[test]
fn ends_quiet_subscriptions_with_an_error() {
    breaks("subscriptions end in order", || {
        subscribing(|inner, request| {
            let seen = Arc::new(AtomicBool::new(false));
            let quiet = Arc::clone(&seen);
            let subscription = subscribe(inner, request)?.map(move |item| {
                seen.store(true, Ordering::Relaxed);
                item
            });
            let end = PollFn(move |_: &mut Context<'_>| {
                let quiet = !quiet.load(Ordering::Relaxed);
                Poll::Ready(quiet.then_some(Err(Overtaken)))
            });
            Ok(Subscription::new(subscription.chain(end)))
        })
    });
}

#[test]
fn says_closed_of_what_was_published() {
    breaks("published or closed", || {
        publishing(|inner, message, topics| {
            let receipt = inner.publish(message, topics)?;
            if data(message).contains("raced") {
                thread::sleep(Duration::from_micros(200));
                if inner.is_closed() {
                    return Err(Closed.into());
                }
            }
            Ok(receipt)
        })
    });
}

#[test]
fn has_another_s_log() {
    breaks("the Log has it all", || Broken { local: Some(local()), ..whole() });
}
