//! From a new connection to its subscription, its hand-over, or its refusal.

use std::{net::IpAddr, sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::{
    admission::{Admitted, Answer, Asked, HandedOver, Question, Reply, Verdict},
    connection::{Asking, Connection, EndReason, PartialHead, Prelude},
    core::{Core, EVENTS_PER_TURN},
    driver::{Driver, Received, Sent, Socket, Watch},
    group::Manner,
};
use crate::{
    http::{Head, Version, error, event_stream_head, parse_head_after},
    limits,
    log::{Framing, chunk_len, write_chunk},
};

impl<D: Driver> Core<D> {
    /// A connection has come in.
    pub(super) fn accepted(&mut self, socket: Socket, now: Instant) {
        self.context.counters.accepted.add(1);
        self.accept_retry.delay = limits::ACCEPT_RETRY_MIN;
        self.connections.adopt(socket, Connection::Reading(None));
        self.timers.add(now + self.limits.head_deadline, socket);
        // The request is often there already: this saves a watch.
        self.readable(socket, now);
    }

    /// Accepting has failed: the kernel is out of descriptors or memory. Tried again later, so that
    /// it does not become a loop.
    pub(super) fn accept_failed(&mut self, error: &std::io::Error, now: Instant) {
        self.context.counters.accept_failures.add(1);
        let delay = self.accept_retry.delay.max(limits::ACCEPT_RETRY_MIN);
        tracing::warn!(%error, retry_in = ?delay, "cannot accept connections");
        self.accept_retry.at = Some(now + delay);
        self.accept_retry.delay = (2 * delay).min(limits::ACCEPT_RETRY_MAX);
    }

    /// There may be something to receive.
    pub(super) fn readable(&mut self, socket: Socket, now: Instant) {
        let mut buffer = std::mem::take(&mut self.buffer);
        match self.connections.get(socket) {
            Some(Connection::Reading(_)) => self.receive_head(socket, &mut buffer, now),
            Some(Connection::Refused { .. }) => self.discard(socket, &mut buffer),
            _ => {}
        }
        self.buffer = buffer;
    }

    fn receive_head(&mut self, socket: Socket, buffer: &mut [u8], now: Instant) {
        loop {
            match self.driver.receive(socket, buffer) {
                Received::Bytes(count) => {
                    if self.take_head_bytes(socket, &buffer[..count], now) {
                        return;
                    }
                }
                Received::Nothing => return self.driver.watch(socket, Watch::Readable),
                Received::Ended => return self.end(socket, EndReason::Left),
            }
        }
    }

    /// Takes what has arrived of a head. False: the head is not complete.
    fn take_head_bytes(&mut self, socket: Socket, bytes: &[u8], now: Instant) -> bool {
        let Some(Connection::Reading(partial)) = self.connections.get_mut(socket) else {
            return true;
        };
        let mut partial = partial.take();
        let is_over = match &mut partial {
            None => self.judge(socket, bytes, 0, now),
            Some(partial) => {
                let seen = partial.bytes.len();
                partial.bytes.extend_from_slice(bytes);
                self.judge(socket, &partial.bytes, seen, now)
            }
        };
        if !is_over && let Some(connection) = self.connections.get_mut(socket) {
            let partial = partial.unwrap_or_else(|| Box::new(PartialHead { bytes: bytes.into() }));
            *connection = Connection::Reading(Some(partial));
        }
        is_over
    }

    /// Decides about the head in `bytes`, of which `seen` were not enough. False: they still are
    /// not.
    fn judge(&mut self, socket: Socket, bytes: &[u8], seen: usize, now: Instant) -> bool {
        match parse_head_after(bytes, seen) {
            Ok(Head::Partial) => return false,
            Ok(Head::Complete(head)) => {
                let peer = self.peer(socket);
                match self.context.admission.admit(&head, peer) {
                    Verdict::Subscribe(admitted) => {
                        if self.subscribe(socket, bytes, head.version, admitted, now) {
                            self.driver.watch(socket, Watch::Leave);
                        }
                    }
                    Verdict::HandOver => self.hand_over(socket, bytes, now),
                    Verdict::Refuse(response) => self.refuse(socket, &response, now),
                    Verdict::Ask(question) => {
                        self.ask(socket, bytes, head.version, question, now);
                    }
                }
            }
            Err(fault) => self.refuse(socket, &error(fault.status(), &fault.to_string()), now),
        }
        true
    }

    /// Where it comes from, if anybody wants to know.
    fn peer(&mut self, socket: Socket) -> Option<IpAddr> {
        self.context.admission.needs_peer().then(|| self.driver.peer(socket))?
    }

    /// Puts the question to the control runtime. Meanwhile the peer is only watched for leaving.
    fn ask(
        &mut self,
        socket: Socket,
        received: &[u8],
        version: Version,
        question: Question,
        now: Instant,
    ) {
        let Ok(permit) = self.context.questions.clone().try_reserve_owned() else {
            return self.refuse(socket, &error(503, "too many requests wait for a decision"), now);
        };
        let (asker, waits) = oneshot::channel();
        let reply = Reply {
            socket,
            answers: Arc::clone(&self.answers),
            reader: Arc::clone(&self.context.reader),
            asker,
            is_given: false,
        };
        let received = received.to_vec();
        let asking = Asking { received, version, has_timer: true, _waits: waits };
        if let Some(connection) = self.connections.get_mut(socket) {
            *connection = Connection::Asking(Box::new(asking));
            self.driver.watch(socket, Watch::Leave);
            permit.send(Asked::new(question, reply));
        }
    }

    /// Takes some of the answers that have come.
    pub(super) fn take_answers(&mut self, now: Instant) {
        for _ in 0..EVENTS_PER_TURN {
            let Some((socket, answer)) = self.answers.pop() else { return };
            let Some(Connection::Asking(asking)) = self.connections.get_mut(socket) else {
                continue;
            };
            let (received, version) = (std::mem::take(&mut asking.received), asking.version);
            match answer {
                Answer::Subscribe(admitted) => {
                    self.subscribe(socket, &received, version, admitted, now);
                }
                Answer::Refuse(response) => self.refuse(socket, &response, now),
            }
        }
    }

    /// Begins the subscription. False: it did not come to that.
    fn subscribe(
        &mut self,
        socket: Socket,
        received: &[u8],
        version: Version,
        admitted: Admitted,
        now: Instant,
    ) -> bool {
        let Admitted { request, headers, lasts, ticket } = admitted;
        if self.drain.is_some() || self.connections.len() > self.connections_max() {
            self.refuse(socket, &error(503, "no room for another subscriber"), now);
            return false;
        }
        let last_event_id = request.last_event_id.as_deref();
        if self.context.provider.needs_replayer(&request.topics, last_event_id) {
            self.hand_over(socket, received, now);
            return false;
        }
        let topics = match self.context.provider.join(&request.topics) {
            Ok(topics) => topics,
            Err(full) => {
                self.refuse(socket, &error(503, &full.to_string()), now);
                return false;
            }
        };
        let framing = match version {
            Version::Http10 => Framing::Bare,
            Version::Http11 => Framing::Chunked,
        };
        let manner = Manner { framing, lag: self.context.provider.lag_policy(&request) };
        // Interest before the start: what is published after this wakes the core.
        let group = self.groups.join(&topics, manner, now);
        // Frames nobody here wanted have not moved the core; this one may want them.
        self.go_to_head();
        let start = self.context.provider.start(&topics, last_event_id);
        let mut prelude = event_stream_head(version, &headers);
        if let Some(gap) = &start.gap {
            prelude.extend(framed(gap, framing));
        }
        self.context.counters.subscribed.add(1);
        self.context.counters.subscribers.add(1);
        self.leases.take(socket, lasts, ticket, now);
        self.subscribe_lagging(socket, group, Prelude::new(prelude), &start, now);
        true
    }

    fn hand_over(&mut self, socket: Socket, received: &[u8], now: Instant) {
        let Ok(permit) = self.context.hand_over.clone().try_reserve_owned() else {
            return self.refuse(socket, &error(503, "the control runtime is busy"), now);
        };
        let taken = self.driver.take(socket);
        self.forget(socket);
        match taken {
            Ok(taken) => {
                self.context.counters.ends(EndReason::HandedOver).add(1);
                permit.send(HandedOver { socket: taken, received: received.to_vec() });
            }
            Err(error) => {
                self.context.counters.ends(EndReason::NotHandedOver).add(1);
                tracing::warn!(%error, "cannot hand a connection over");
            }
        }
    }

    /// What it may have now: what there is room for, or less.
    fn connections_max(&self) -> usize {
        self.context.connections_max.min(self.limits.connections_per_core)
    }

    /// Tells the peer why, and throws away what it still sends: closing at once would reset the
    /// connection and take the answer with it.
    fn refuse(&mut self, socket: Socket, response: &[u8], now: Instant) {
        if self.send_one(socket, response) == Sent::Broken {
            return self.end(socket, EndReason::Left);
        }
        self.driver.finish(socket);
        if let Some(connection) = self.connections.get_mut(socket) {
            *connection = Connection::Refused { discarded: 0 };
            self.timers.add(now + limits::REFUSED_DEADLINE, socket);
            self.driver.watch(socket, Watch::Readable);
        }
    }

    fn discard(&mut self, socket: Socket, buffer: &mut [u8]) {
        loop {
            let Some(Connection::Refused { discarded }) = self.connections.get_mut(socket) else {
                return;
            };
            if *discarded > limits::DISCARDED_BYTES_MAX {
                return self.end(socket, EndReason::Refused);
            }
            match self.driver.receive(socket, buffer) {
                Received::Bytes(count) => *discarded += count,
                Received::Nothing => return self.driver.watch(socket, Watch::Readable),
                Received::Ended => return self.end(socket, EndReason::Refused),
            }
        }
    }
}

/// An event that is in no Log, as it goes out.
pub(super) fn framed(event: &[u8], framing: Framing) -> Vec<u8> {
    if framing == Framing::Bare {
        return event.to_vec();
    }
    let mut chunk = vec![0; chunk_len(event.len())];
    write_chunk(&mut chunk, event.len(), |bytes| bytes.copy_from_slice(event));
    chunk
}
