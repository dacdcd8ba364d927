//! What is outside of a connection: its state, its commands and its callbacks, from any thread.

use std::{sync::Arc, task::Waker};

use parking_lot::Mutex;

use super::listeners::{Listener, Listeners};
use crate::sse::Event;

/// Where a [`Connection`](super::Connection) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Nothing has been received yet; the first request may not have been sent either.
    Connecting,
    /// The response was accepted, and the stream is being read.
    Open,
    /// The connection was lost, or the first request failed; another one waits or is under way.
    Reconnecting,
    /// It is over: closed, dropped, or failed for good.
    Closed,
}

/// Looks at a [`Connection`](super::Connection) and controls it, from any thread and from its
/// callbacks. Clones are handles of the same connection, and none keeps it alive.
///
/// Callbacks are run by the task that polls the connection, before it yields the event: first those
/// for the event's type, then [`on_message`](Self::on_message), then [`on_any`](Self::on_any), each
/// in the order they were added. Every method here may be used inside one. A callback removed by an
/// earlier one is not called; one that was added is called from the next event on. A callback that
/// takes long delays the stream; one that panics takes the polling task with it.
///
/// ```
/// use fanfare::{Client, Message, Server, client::State};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder().listen("127.0.0.1:0").start()?;
/// let connection = Client::new()?.get(&format!("http://{}/events", server.local_addr()))?;
///
/// let publisher = server.publisher();
/// connection.handle().on_state(move |state| {
///     if state == State::Open {
///         publisher.publish(&Message::new("hello"), &[""]).expect("a running server");
///     }
/// });
/// let handle = connection.handle();
/// connection.handle().on_message(move |event| {
///     assert_eq!(event.data(), "hello");
///     handle.close();
/// });
/// connection.run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionHandle {
    shared: Arc<Shared>,
}

impl ConnectionHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Calls `f` for each event of exactly this type. An event that names none has the type
    /// `message`, or the empty one in [`Dialect::GoSse`](crate::sse::Dialect::GoSse).
    pub fn on_event(&self, event_type: &str, f: impl FnMut(&Event) + Send + 'static) -> Listener {
        self.shared.listeners.on_event(event_type, Box::new(f))
    }

    /// Calls `f` for each event of the type that unnamed ones have: see [`on_event`](Self::on_event).
    pub fn on_message(&self, f: impl FnMut(&Event) + Send + 'static) -> Listener {
        self.shared.listeners.on_message(Box::new(f))
    }

    /// Calls `f` for each event.
    pub fn on_any(&self, f: impl FnMut(&Event) + Send + 'static) -> Listener {
        self.shared.listeners.on_any(Box::new(f))
    }

    /// Calls `f` for each comment line, with what follows its colon.
    pub fn on_comment(&self, f: impl FnMut(&str) + Send + 'static) -> Listener {
        self.shared.listeners.on_comment(Box::new(f))
    }

    /// Calls `f` when the state changes, and with [`State::Connecting`] when the first request is
    /// about to be sent. [`State::Closed`] is the last of all callbacks; it is not announced if the
    /// connection is dropped before it is polled again.
    pub fn on_state(&self, f: impl FnMut(State) + Send + 'static) -> Listener {
        self.shared.listeners.on_state(Box::new(f))
    }

    /// The state now.
    pub fn state(&self) -> State {
        let control = self.shared.control.lock();
        if control.closing { State::Closed } else { control.state }
    }

    /// What the next request says was received last: the id of the latest event that had one, or of
    /// the caller's own request before there was any; empty for none.
    pub fn last_event_id(&self) -> String {
        self.shared.control.lock().last_event_id.clone()
    }

    /// Drops the present connection, or the wait for the next one, and sends a request at once. The
    /// backoff goes on where it was. Does nothing before the connection is first polled, and after
    /// its end.
    ///
    /// Used inside a callback it takes effect after the event, which is still delivered.
    pub fn reconnect(&self) {
        self.shared.command(|control| control.reconnect = true);
    }

    /// Ends the connection for good: [`state`](Self::state) is [`State::Closed`] from now on, and
    /// there is no further request, event or callback, but for the one that tells
    /// [`on_state`](Self::on_state). What is open is dropped when the connection is polled next,
    /// which this brings about.
    pub fn close(&self) {
        self.shared.command(|control| control.closing = true);
    }
}

/// What a connection shares with its handles.
#[derive(Debug)]
pub(super) struct Shared {
    control: Mutex<Control>,
    pub(super) listeners: Arc<Listeners>,
}

#[derive(Debug)]
struct Control {
    state: State,
    closing: bool,
    reconnect: bool,
    last_event_id: String,
    /// Who polled last.
    waker: Option<Waker>,
}

/// What a handle asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Reconnect,
    Close,
}

impl Shared {
    pub(super) fn new(last_event_id: String) -> Self {
        let (state, closing, reconnect, waker) = (State::Connecting, false, false, None);
        let control = Control { state, closing, reconnect, last_event_id, waker };
        Self { control: Mutex::new(control), listeners: Arc::default() }
    }

    /// From now on a command wakes `waker`.
    pub(super) fn wake_by(&self, waker: &Waker) {
        let mut control = self.control.lock();
        match &mut control.waker {
            Some(known) => known.clone_from(waker),
            unknown => *unknown = Some(waker.clone()),
        }
    }

    pub(super) fn take_command(&self) -> Option<Command> {
        let mut control = self.control.lock();
        if control.closing {
            return Some(Command::Close);
        }
        std::mem::take(&mut control.reconnect).then_some(Command::Reconnect)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.control.lock().closing
    }

    pub(super) fn state(&self) -> State {
        self.control.lock().state
    }

    pub(super) fn has_command(&self) -> bool {
        let control = self.control.lock();
        control.closing || control.reconnect
    }

    /// Enters `state`, and tells those who want to know if it is another one. Once a handle has
    /// closed the connection, nothing but that is told.
    pub(super) fn enter(&self, state: State) {
        let told = {
            let mut control = self.control.lock();
            let before = std::mem::replace(&mut control.state, state);
            before != state && (!control.closing || state == State::Closed)
        };
        if told {
            self.listeners.state(state);
        }
    }

    /// The connection is gone.
    pub(super) fn abandon(&self) {
        self.control.lock().state = State::Closed;
        self.listeners.end();
    }

    pub(super) fn set_last_event_id(&self, id: &str) {
        let mut control = self.control.lock();
        if control.last_event_id != id {
            id.clone_into(&mut control.last_event_id);
        }
    }

    fn command(&self, give: impl FnOnce(&mut Control)) {
        let waker = {
            let mut control = self.control.lock();
            give(&mut control);
            control.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
