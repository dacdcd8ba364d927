//! Callbacks: who is called for what, in which order.
//!
//! Invariant: while a callback runs, no lock is held but its own, which nothing else takes. So a
//! callback may add and remove others, itself too, and use every method of the handle.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::handle::State;
use crate::sse::Event;

pub(super) type OnEvent = dyn FnMut(&Event) + Send;
pub(super) type OnComment = dyn FnMut(&str) + Send;
pub(super) type OnState = dyn FnMut(State) + Send;

/// A callback's registration. Dropping it leaves the callback where it is.
#[derive(Clone)]
pub struct Listener {
    id: u64,
    removed: Arc<AtomicBool>,
    listeners: Weak<Listeners>,
}

impl Listener {
    /// Removes the callback, which is not called again: not for the event whose callbacks are being
    /// run either, unless it is the one that runs. Removing it twice is the same as once.
    pub fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        if let Some(listeners) = self.listeners.upgrade() {
            listeners.change(|table| table.remove(self.id));
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let removed = self.removed.load(Ordering::Relaxed);
        f.debug_struct("Listener").field("id", &self.id).field("removed", &removed).finish()
    }
}

/// The callbacks of one connection. A dispatch works on the table as it found it, and a change makes
/// a new one.
#[derive(Default)]
pub(super) struct Listeners {
    table: Mutex<Arc<Table>>,
    /// Whether there is a callback for comments: asked for each event.
    want_comments: AtomicBool,
}

#[derive(Clone, Default)]
struct Table {
    next_id: u64,
    /// No callback is taken, or kept, any more.
    ended: bool,
    by_type: FxHashMap<Box<str>, Vec<Callback<OnEvent>>>,
    on_message: Vec<Callback<OnEvent>>,
    on_any: Vec<Callback<OnEvent>>,
    on_comment: Vec<Callback<OnComment>>,
    on_state: Vec<Callback<OnState>>,
}

struct Callback<F: ?Sized> {
    id: u64,
    removed: Arc<AtomicBool>,
    call: Arc<Mutex<Box<F>>>,
}

impl Listeners {
    pub(super) fn on_event(self: &Arc<Self>, event_type: &str, call: Box<OnEvent>) -> Listener {
        self.add(call, |table| table.by_type.entry(event_type.into()).or_default())
    }

    pub(super) fn on_message(self: &Arc<Self>, call: Box<OnEvent>) -> Listener {
        self.add(call, |table| &mut table.on_message)
    }

    pub(super) fn on_any(self: &Arc<Self>, call: Box<OnEvent>) -> Listener {
        self.add(call, |table| &mut table.on_any)
    }

    pub(super) fn on_comment(self: &Arc<Self>, call: Box<OnComment>) -> Listener {
        self.add(call, |table| &mut table.on_comment)
    }

    pub(super) fn on_state(self: &Arc<Self>, call: Box<OnState>) -> Listener {
        self.add(call, |table| &mut table.on_state)
    }

    pub(super) fn want_comments(&self) -> bool {
        self.want_comments.load(Ordering::Acquire)
    }

    /// Calls whoever waits for `event`: by its type, then as a message if it is `unnamed`, then the
    /// others. Stops as soon as `is_over` says so.
    pub(super) fn event(&self, event: &Event, unnamed: bool, is_over: impl Fn() -> bool) {
        let table = self.table();
        let by_type = table.by_type.get(event.event_type()).map_or(&[][..], Vec::as_slice);
        let messages = if unnamed { &table.on_message[..] } else { &[] };
        for callback in by_type.iter().chain(messages).chain(&table.on_any) {
            if is_over() {
                return;
            }
            callback.run(|call| call(event));
        }
    }

    pub(super) fn comment(&self, text: &str, is_over: impl Fn() -> bool) {
        for callback in &self.table().on_comment {
            if is_over() {
                return;
            }
            callback.run(|call| call(text));
        }
    }

    pub(super) fn state(&self, state: State) {
        for callback in &self.table().on_state {
            callback.run(|call| call(state));
        }
    }

    /// Drops all callbacks, and every later one at once: what they hold (a handle, often) must not
    /// keep itself alive.
    pub(super) fn end(&self) {
        self.change(|table| *table = Table { ended: true, ..Table::default() });
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.lock())
    }

    fn add<F: ?Sized>(
        self: &Arc<Self>,
        call: Box<F>,
        list: impl FnOnce(&mut Table) -> &mut Vec<Callback<F>>,
    ) -> Listener {
        let removed = Arc::new(AtomicBool::new(false));
        let call = Arc::new(Mutex::new(call));
        let mut id = 0;
        self.change(|table| {
            if table.ended {
                return;
            }
            id = table.next_id;
            table.next_id += 1;
            let callback = Callback { id, removed: Arc::clone(&removed), call: Arc::clone(&call) };
            list(table).push(callback);
        });
        Listener { id, removed, listeners: Arc::downgrade(self) }
    }

    /// The old table, and with it what callbacks hold, is dropped outside the lock: that may be
    /// anything.
    fn change(&self, change: impl FnOnce(&mut Table)) {
        let mut table = self.table.lock();
        let mut changed = Table::clone(&table);
        change(&mut changed);
        self.want_comments.store(!changed.on_comment.is_empty(), Ordering::Release);
        let old = std::mem::replace(&mut *table, Arc::new(changed));
        drop(table);
        drop(old);
    }
}

impl Table {
    fn remove(&mut self, id: u64) {
        self.by_type.retain(|_, list| {
            remove(list, id);
            !list.is_empty()
        });
        remove(&mut self.on_message, id);
        remove(&mut self.on_any, id);
        remove(&mut self.on_comment, id);
        remove(&mut self.on_state, id);
    }
}

fn remove<F: ?Sized>(list: &mut Vec<Callback<F>>, id: u64) {
    list.retain(|callback| callback.id != id);
}

impl<F: ?Sized> Callback<F> {
    fn run(&self, run: impl FnOnce(&mut F)) {
        if !self.removed.load(Ordering::Acquire) {
            run(&mut **self.call.lock());
        }
    }
}

impl<F: ?Sized> Clone for Callback<F> {
    fn clone(&self) -> Self {
        let (removed, call) = (Arc::clone(&self.removed), Arc::clone(&self.call));
        Self { id: self.id, removed, call }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::EventRef;

    type Calls = Arc<Mutex<Vec<String>>>;

    fn event(event_type: &str, data: &str) -> Event {
        EventRef { event_type, data, last_event_id: "" }.to_event()
    }

    fn noting(calls: &Calls, name: &'static str) -> Box<OnEvent> {
        let calls = Arc::clone(calls);
        Box::new(move |event| calls.lock().push(format!("{name} {}", event.data())))
    }

    fn dispatch(listeners: &Listeners, data: &str) {
        listeners.event(&event("message", data), true, || false);
    }

    fn taken(calls: &Calls) -> Vec<String> {
        std::mem::take(&mut calls.lock())
    }

    #[test]
    fn by_type_then_messages_then_all_each_in_order() {
        let (listeners, calls) = (Arc::new(Listeners::default()), Calls::default());
        listeners.on_any(noting(&calls, "any 1"));
        listeners.on_message(noting(&calls, "message 1"));
        listeners.on_event("message", noting(&calls, "type 1"));
        listeners.on_event("price", noting(&calls, "price"));
        listeners.on_any(noting(&calls, "any 2"));
        listeners.on_message(noting(&calls, "message 2"));
        listeners.on_event("message", noting(&calls, "type 2"));

        dispatch(&listeners, "x");
        let expected = ["type 1 x", "type 2 x", "message 1 x", "message 2 x", "any 1 x", "any 2 x"];
        assert_eq!(taken(&calls), expected);
        listeners.event(&event("price", "y"), false, || false);
        assert_eq!(taken(&calls), ["price y", "any 1 y", "any 2 y"]);
        listeners.event(&event("Price", "z"), false, || false);
        assert_eq!(taken(&calls), ["any 1 z", "any 2 z"]);
    }

    #[test]
    fn removal_is_for_good_and_can_be_repeated() {
        let (listeners, calls) = (Arc::new(Listeners::default()), Calls::default());
        let first = listeners.on_any(noting(&calls, "1"));
        let second = listeners.on_event("message", noting(&calls, "2"));
        first.remove();
        first.remove();
        dispatch(&listeners, "x");
        assert_eq!(taken(&calls), ["2 x"]);
        second.remove();
        dispatch(&listeners, "y");
        assert!(taken(&calls).is_empty());
        assert!(listeners.table().by_type.is_empty(), "no type without a callback is kept");
    }

    #[test]
    fn a_callback_may_remove_itself_and_a_later_one() {
        let (listeners, calls) = (Arc::new(Listeners::default()), Calls::default());
        let targets: Arc<Mutex<Vec<Listener>>> = Arc::default();
        let (note, own) = (Arc::clone(&calls), Arc::clone(&targets));
        let first = listeners.on_event(
            "message",
            Box::new(move |event| {
                note.lock().push(format!("first {}", event.data()));
                own.lock().iter().for_each(Listener::remove);
            }),
        );
        let later = listeners.on_any(noting(&calls, "later"));
        listeners.on_any(noting(&calls, "last"));
        targets.lock().extend([first, later]);

        dispatch(&listeners, "x");
        dispatch(&listeners, "y");
        assert_eq!(taken(&calls), ["first x", "last x", "last y"]);
    }

    #[test]
    fn a_callback_added_by_a_callback_is_called_from_the_next_event_on() {
        let (listeners, calls) = (Arc::new(Listeners::default()), Calls::default());
        let (weak, note) = (Arc::downgrade(&listeners), Arc::clone(&calls));
        listeners.on_message(Box::new(move |_| {
            weak.upgrade().unwrap().on_any(noting(&note, "added"));
        }));
        dispatch(&listeners, "x");
        assert!(taken(&calls).is_empty());
        dispatch(&listeners, "y");
        assert_eq!(taken(&calls), ["added y"]);
    }

    #[test]
    fn nobody_is_called_once_it_is_over() {
        let (listeners, calls) = (Arc::new(Listeners::default()), Calls::default());
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        listeners.on_message(Box::new(move |_| flag.store(true, Ordering::Relaxed)));
        listeners.on_any(noting(&calls, "any"));
        listeners.event(&event("message", "x"), true, || over.load(Ordering::Relaxed));
        assert!(taken(&calls).is_empty());
    }

    #[test]
    fn the_end_drops_what_callbacks_hold() {
        let listeners = Arc::new(Listeners::default());
        let held = Arc::new(());
        let (first, second) = (Arc::clone(&held), Arc::clone(&held));
        listeners.on_comment(Box::new(move |_| _ = &first));
        assert!(listeners.want_comments());
        assert_eq!(Arc::strong_count(&held), 3);
        listeners.end();
        listeners.on_state(Box::new(move |_| _ = &second)).remove();
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(!listeners.want_comments());
    }
}
