//! The publisher on its thread, as the coordinator sees it: ordered to publish, asked how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};

use crate::publisher::{Outcome, Plan, Publisher};

/// A publisher that is connected.
#[derive(Debug)]
pub(super) struct Publishing {
    orders: Sender<Order>,
    outcomes: Receiver<Outcome>,
    thread: JoinHandle<Outcome>,
    written: Arc<AtomicU64>,
}

/// So many messages at a rate.
#[derive(Clone, Copy, Debug)]
struct Order {
    rate: f64,
    messages: u64,
}

impl Publishing {
    /// Connects.
    ///
    /// # Errors
    /// In words, when the server cannot be reached.
    pub(super) fn start(plan: Plan) -> Result<Self, String> {
        let written = Arc::clone(&plan.written);
        let mut publisher = Publisher::start(plan)?;
        let (orders, incoming) = mpsc::channel::<Order>();
        let (done, outcomes) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("publisher".to_owned())
            .spawn(move || {
                for order in incoming {
                    let outcome = publisher.publish(order.rate, order.messages);
                    if done.send(outcome).is_err() {
                        break;
                    }
                }
                publisher.finish()
            })
            .map_err(|error| format!("starting the publisher: {error}"))?;
        Ok(Self { orders, outcomes, thread, written })
    }

    /// Begins to publish.
    pub(super) fn order(&self, rate: f64, messages: u64) -> Result<(), String> {
        self.orders.send(Order { rate, messages }).map_err(|_| "the publisher has died".to_owned())
    }

    /// What came of an order; `None`: it is at it.
    pub(super) fn outcome(&self) -> Result<Option<Outcome>, String> {
        match self.outcomes.try_recv() {
            Ok(outcome) => Ok(Some(outcome)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err("the publisher has died".to_owned()),
        }
    }

    /// Messages written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits for the answers that are not in. What was published in all.
    pub(super) fn finish(self) -> Result<Outcome, String> {
        drop(self.orders);
        self.thread.join().map_err(|_| "the publisher has died".to_owned())
    }
}
