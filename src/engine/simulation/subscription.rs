//! What one subscription must get: computed from the list of what was published, byte by byte.

use std::time::{Duration, Instant};

use super::{
    admission::Admitted,
    plan::LogPlan,
    publisher::Publisher,
    selection::Topics,
    stream::{Body, HEARTBEAT, Stream, Unit, begins_end, wrapped},
};
use crate::{
    log::{AutomaticId, Sequence},
    provider::{AfterGap, LagPolicy},
};

/// One subscription, as far as it has got.
#[derive(Debug)]
pub(super) struct Subscription {
    topics: Topics,
    last_event_id: Option<String>,
    lag: LagPolicy,
    /// How long its stream may be.
    lasts: Option<Duration>,
    /// When it began to be.
    admitted_at: Option<Instant>,
    stream: Stream,
    place: Place,
    /// Whole messages that it has got.
    pub(super) messages: u64,
    pub(super) has_gap: bool,
    pub(super) has_skipped: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Its head is not complete, as far as anybody knows.
    NotBegun,
    /// It begins with whatever is published from somewhere between these on.
    Between(Sequence, Sequence),
    Resumes(Resume),
    /// It has had everything before.
    At(Sequence),
}

/// How a subscription goes on that says what it saw last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Resume {
    /// What may be meant by the last event's id: the one after that. None where it is nobody's.
    after: Vec<Sequence>,
    gap: GapRule,
    /// What follows a gap.
    first: Sequence,
    reasons: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GapRule {
    /// Nothing is lost.
    Never,
    /// The Log may not know whether something is lost.
    Maybe,
    Must,
}

impl Subscription {
    pub(super) fn new(
        topics: Topics,
        last_event_id: Option<String>,
        lag: LagPolicy,
        lasts: Option<Duration>,
    ) -> Self {
        Self {
            topics,
            last_event_id,
            lag,
            lasts,
            admitted_at: None,
            stream: Stream::default(),
            place: Place::NotBegun,
            messages: 0,
            has_gap: false,
            has_skipped: false,
        }
    }

    /// When its time is up.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        Some(self.admitted_at? + self.lasts?)
    }

    /// Its head was complete, at the latest when `latest` was the head of the Log.
    pub(super) fn admitted(
        &mut self,
        admitted: Admitted,
        latest: Sequence,
        now: Instant,
        publisher: &Publisher,
        log: LogPlan,
    ) {
        assert_eq!(self.place, Place::NotBegun, "it asks once");
        self.admitted_at = Some(now);
        self.place = match &self.last_event_id {
            None => Place::Between(admitted.head, latest),
            Some(id) => Place::Resumes(self.resume(id, admitted, publisher, log)),
        };
    }

    fn resume(&self, id: &str, at: Admitted, publisher: &Publisher, log: LogPlan) -> Resume {
        let bound = log.replay_last.map_or(at.tail, |count| at.head.minus(count));
        let replayable = at.tail.max(bound).min(at.head);
        let first = match log.after_gap {
            AfterGap::Everything => replayable,
            AfterGap::Live => at.head,
        };
        let automatic: Option<AutomaticId> = id.parse().ok();
        let holders = publisher.published.iter().enumerate().filter(|(_, one)| one.id == id);
        let holders =
            holders.map(|(nth, _)| Sequence::FIRST.plus(nth)).filter(|&at_id| at_id < at.head);
        let holders: Vec<Sequence> = holders.collect();
        let retained: Vec<Sequence> =
            holders.iter().filter(|&&held| held >= at.tail).map(|held| held.plus(1)).collect();
        let (after, reasons): (_, &[_]) = match automatic {
            Some(ours) if ours.epoch == log.epoch => {
                (vec![Sequence::new(ours.position + 1)], &["evicted"])
            }
            // An id that comes again means its first message.
            _ if holders.first().is_some_and(|&first| first >= at.tail) => {
                (vec![retained[0]], &["evicted"])
            }
            _ if !retained.is_empty() => (retained, &["evicted", "unknown"]),
            Some(_) => (Vec::new(), &["epoch"]),
            None => (Vec::new(), &["unknown"]),
        };
        let gap = match after[..] {
            [] => GapRule::Must,
            // The first with this id is gone: whether a later one is known by it is all the same.
            _ if reasons.len() > 1 => GapRule::Maybe,
            [after] if after >= at.head || after >= replayable => GapRule::Never,
            [after] if publisher.next_of(self.topics, after).is_some_and(|at| at < replayable) => {
                GapRule::Must
            }
            _ => GapRule::Maybe,
        };
        Resume { after, gap, first, reasons }
    }

    /// Looks at all that was sent on its connection.
    pub(super) fn look(&mut self, sent: &[u8], publisher: &Publisher, tail: Sequence) {
        while let Some(unit) = self.stream.next(sent) {
            match unit {
                Unit::Event(event) => self.event(event, publisher, tail),
                Unit::StreamBegins => {
                    assert_ne!(self.place, Place::NotBegun, "an answer before the request");
                }
                Unit::Heartbeat | Unit::Refused | Unit::ComeBack | Unit::Ends => {}
            }
        }
        self.check_rest(self.stream.rest(sent), publisher, tail);
    }

    fn event(&mut self, event: &str, publisher: &Publisher, tail: Sequence) {
        let is_gap = event.contains("\nevent: fanfare.gap\n");
        if is_gap && event.contains("\"reason\":\"lagged\"") {
            return self.skip(event, publisher, tail);
        }
        let place = std::mem::replace(&mut self.place, Place::NotBegun);
        self.place = match place {
            Place::Resumes(resume) if is_gap => {
                assert_ne!(resume.gap, GapRule::Never, "a gap where nothing is lost: {resume:?}");
                let told = |reason: &&&str| self.gap_event(&resume, reason, publisher) == event;
                assert!(
                    resume.reasons.iter().find(told).is_some(),
                    "{resume:?} is told as {event}"
                );
                self.has_gap = true;
                Place::At(resume.first)
            }
            place => {
                self.messages += 1;
                Place::At(self.message(event, &place, publisher).plus(1))
            }
        };
    }

    /// It was too slow, and is told where it goes on.
    fn skip(&mut self, event: &str, publisher: &Publisher, tail: Sequence) {
        assert_ne!(self.lag, LagPolicy::Disconnect, "it did not ask to skip");
        assert!(self.has_lost(tail, publisher), "it skips and has lost nothing: {self:?}");
        let number = |field: &str| {
            let (_, rest) = event.split_once(field).expect("the gap event has it");
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Sequence::new(digits.parse().expect("it is a number"))
        };
        let epoch = publisher.id_at(0).trim_end_matches('0').to_owned();
        let had = number(&format!("\"requested\":\"{epoch}"));
        let first = number(&format!("\"first_available\":\"{epoch}"));
        assert!(had < first && first <= publisher.head(), "{event}");
        let due = self.due(&self.place, publisher);
        assert!(due.iter().any(|&due| had < due), "{due:?} was due, and is left out by {event}");
        self.has_skipped = true;
        self.place = Place::At(first);
    }

    fn gap_event(&self, resume: &Resume, reason: &str, publisher: &Publisher) -> String {
        let first = resume.first.number();
        format!(
            "id: {}\nevent: fanfare.gap\ndata: {{\"requested\":\"{}\",\"first_available\":\"{}\",\
             \"reason\":\"{reason}\"}}\n\n",
            publisher.id_at(first - 1),
            self.last_event_id.as_deref().unwrap_or_default(),
            publisher.id_at(first),
        )
    }

    /// Which message an event is, of those that may come next.
    fn message(&self, event: &str, place: &Place, publisher: &Publisher) -> Sequence {
        if let Place::Resumes(resume) = place {
            assert_ne!(resume.gap, GapRule::Must, "a loss is silent: {resume:?}, then {event}");
        }
        let due = self.due(place, publisher);
        let is_it = |at: &Sequence| publisher.at(*at).is_some_and(|one| one.event == event);
        due.iter().copied().find(is_it).unwrap_or_else(|| {
            panic!("of {:?}, {due:?} is due at {place:?}; what came is {event}", self.topics)
        })
    }

    /// The messages that may come next.
    fn due(&self, place: &Place, publisher: &Publisher) -> Vec<Sequence> {
        let due = self.due_in_order(place, publisher);
        if self.lag != LagPolicy::Conflate {
            return due;
        }
        let spared = |&at: &Sequence| {
            let next = publisher.is_superseded(at, self.topics);
            next.then(|| publisher.next_of(self.topics, at.plus(1))).flatten()
        };
        due.into_iter().flat_map(|first| std::iter::successors(Some(first), spared)).collect()
    }

    fn due_in_order(&self, place: &Place, publisher: &Publisher) -> Vec<Sequence> {
        let next = |from| publisher.next_of(self.topics, from);
        match place {
            Place::NotBegun => Vec::new(),
            Place::Between(earliest, latest) => {
                let each = std::iter::successors(next(*earliest), |at| next(at.plus(1)));
                let in_doubt: Vec<_> = each.take_while(|at| at < latest).collect();
                in_doubt.into_iter().chain(next(*latest)).collect()
            }
            Place::Resumes(resume) => resume.after.iter().filter_map(|&at| next(at)).collect(),
            Place::At(at) => next(*at).into_iter().collect(),
        }
    }

    /// I4: what is behind the last whole event is the beginning of the next.
    fn check_rest(&self, rest: &[u8], publisher: &Publisher, tail: Sequence) {
        let body = self.stream.body();
        let (Place::At(_), false, Body::Chunked | Body::Bare) =
            (&self.place, rest.is_empty(), body)
        else {
            return;
        };
        let due = self.due(&self.place, publisher);
        let is_due = due.iter().filter_map(|&at| publisher.at(at)).any(|message| {
            let event = wrapped(&message.event, body);
            event.starts_with(rest)
        });
        let is_heartbeat = wrapped(HEARTBEAT, body).starts_with(rest);
        let is_end = begins_end(rest, body);
        let text = String::from_utf8_lossy(rest);
        let skips = !self.disconnects() && self.has_lost(tail, publisher);
        assert!(
            is_due || is_heartbeat || is_end || skips && begins_gap(&text, body, publisher),
            "{due:?} is due at {:?}; what begins is {text:?}",
            self.place
        );
    }

    /// Whether it was answered with something else than a stream.
    pub(super) fn is_refused(&self) -> bool {
        self.stream.body() == Body::Refusal
    }

    /// Whether its head was complete.
    pub(super) fn is_begun(&self) -> bool {
        self.place != Place::NotBegun
    }

    /// Whether it has all that is owed to it of what was published before `head`.
    pub(super) fn is_complete(&self, sent: &[u8], head: Sequence, publisher: &Publisher) -> bool {
        // Where a later one stands for a message, it is that one which is owed, though not before `head`.
        let spared = |at: Sequence| {
            self.lag == LagPolicy::Conflate && publisher.is_superseded(at, self.topics)
        };
        let next = |from| {
            let mut owed = publisher.next_of(self.topics, from);
            while let Some(at) = owed.filter(|&at| spared(at)) {
                owed = publisher.next_of(self.topics, at.plus(1));
            }
            owed.is_some_and(|at| at < head)
        };
        let is_owed = match &self.place {
            Place::NotBegun => true,
            Place::Between(_, latest) => next(*latest),
            Place::Resumes(resume) => {
                resume.gap == GapRule::Must || resume.after.iter().all(|&after| next(after))
            }
            Place::At(at) => next(*at),
        };
        let rest = self.stream.rest(sent);
        let body = self.stream.body();
        let is_whole = rest.is_empty() || begins_end(rest, body);
        is_whole && !is_owed && body != Body::Unknown
    }

    /// Whether it is cut where it has lost something.
    pub(super) fn disconnects(&self) -> bool {
        self.lag == LagPolicy::Disconnect
    }

    /// Whether its stream has ended in order.
    pub(super) fn is_over(&self) -> bool {
        self.stream.body() == Body::Over
    }

    /// Whether its stream should end with a last chunk and has not.
    pub(super) fn lacks_last_chunk(&self) -> bool {
        self.stream.body() == Body::Chunked
    }

    /// Whether something that it still needs is before `tail`.
    pub(super) fn has_lost(&self, tail: Sequence, publisher: &Publisher) -> bool {
        let first = match &self.place {
            Place::Resumes(resume) if resume.gap != GapRule::Never => Some(resume.first),
            _ => None,
        };
        let first = first.and_then(|first| publisher.next_of(self.topics, first));
        self.due_in_order(&self.place, publisher).into_iter().chain(first).any(|at| at < tail)
    }
}

/// Whether it is the beginning of a gap event.
fn begins_gap(rest: &str, body: Body, publisher: &Publisher) -> bool {
    const TYPE: &str = "\nevent: fanfare.gap\ndata: {";
    let event = match body {
        Body::Chunked => rest.split_once("\r\n").map_or("", |(_, event)| event),
        _ => rest,
    };
    let id = format!("id: {}", publisher.id_at(0).trim_end_matches('0'));
    let Some(number) = event.strip_prefix(&id) else { return id.starts_with(event) };
    let after = number.trim_start_matches(|digit: char| digit.is_ascii_digit());
    after.starts_with(TYPE) || TYPE.starts_with(after)
}
