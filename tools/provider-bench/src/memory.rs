//! What a subscriber costs in memory.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use fanfare::{
    Provider,
    provider::{SubscribeRequest, Subscription},
};
use futures_core::Stream;

use crate::message;

/// Bytes that one subscriber has allocated: the provider's and its subscription's, without a task.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Subscribed, and not read yet.
    pub subscribed: usize,
    /// Waiting for the first event.
    pub waiting: usize,
    /// Waiting again, after 100 events came at once and were read.
    pub used: usize,
}

const SUBSCRIBERS: usize = 10_000;
const EVENTS: usize = 100;

impl Memory {
    /// Measures the provider, where `in_use` gives the bytes that are allocated at the moment.
    ///
    /// # Panics
    /// If the provider fails where it should not.
    pub fn measure(provider: &impl Provider, in_use: impl Fn() -> usize) -> Self {
        // What is allocated once: by the first subscriber, and by the history.
        let mut first = [subscribe(provider)];
        publish(provider);
        poll_all(&mut first);
        let mut subscriptions = Vec::with_capacity(SUBSCRIBERS);
        let before = in_use();
        let each = || in_use().saturating_sub(before) / SUBSCRIBERS;
        subscriptions.extend((0..SUBSCRIBERS).map(|_| subscribe(provider)));
        let subscribed = each();
        poll_all(&mut subscriptions);
        let waiting = each();
        publish(provider);
        poll_all(&mut first);
        // A thread of the provider may still be delivering.
        while poll_all(&mut subscriptions) {}
        Self { subscribed, waiting, used: each() }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscribed, waiting, used } = self;
        write!(f, "{subscribed:>12} {waiting:>12} {used:>12}")
    }
}

fn subscribe(provider: &impl Provider) -> Subscription {
    provider.subscribe(&SubscribeRequest::to(&["topic"])).expect("it is subscribed")
}

fn publish(provider: &impl Provider) {
    for n in 1..=EVENTS {
        provider.publish(&message(n == EVENTS), &["topic"]).expect("it is published");
    }
}

/// Takes what there is until every subscription waits: whether there was anything.
fn poll_all(subscriptions: &mut [Subscription]) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    let mut any = false;
    for subscription in subscriptions {
        while let Poll::Ready(item) = Pin::new(&mut *subscription).poll_next(&mut context) {
            item.expect("it goes on").expect("it is not overtaken");
            any = true;
        }
    }
    any
}
