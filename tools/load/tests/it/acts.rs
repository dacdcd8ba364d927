//! What a misbehaving server does to deliveries, by plan, and what an audit must make of it.

use std::time::Duration;

/// What becomes of one delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// It is made.
    Send,
    /// It is not.
    Drop,
    /// It is made twice.
    Twice,
    /// It comes after the next one.
    Swap,
    /// It comes so much later, whatever comes meanwhile.
    Late(Duration),
    /// The byte of its data at this place, counted around, is another one.
    Corrupt(usize),
    /// It comes as another run would have sent it: whole, with a checksum that is not this run's.
    OtherRun,
    /// An event of another type comes first.
    Named,
    /// A comment comes first, and another one inside it.
    Heartbeat,
    /// The newest message of another topic comes first.
    Misroute,
    /// It is cut in the middle, and the connection with it.
    Cut,
}

/// What is written for one act.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Sent {
    /// A message by its number, as it was published.
    Intact(usize, String),
    /// A message with other bytes.
    Wrong(usize, String),
    /// A message as it was published, after that time.
    Later(Duration, String),
    /// Half of one.
    Half(String),
    /// A message of another topic, as it was published.
    Other,
    /// An event of a type of its own.
    Named,
    /// A message as it was published, with comments around and in it.
    Heartbeat(String),
}

/// One subscriber's deliveries, played act by act.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    held: Vec<Sent>,
    over: bool,
}

/// What an audit must report.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Expected {
    pub(crate) delivered: usize,
    pub(crate) missing: usize,
    pub(crate) duplicated: usize,
    pub(crate) reordered: usize,
    pub(crate) corrupted: usize,
    pub(crate) misrouted: usize,
    pub(crate) cut: usize,
    pub(crate) foreign: usize,
}

impl Stage {
    /// What is written when it is `message`'s turn.
    pub(crate) fn play(&mut self, act: Act, message: usize, data: &str) -> Vec<Sent> {
        let text = || data.to_owned();
        let intact = || Sent::Intact(message, text());
        if self.over {
            return Vec::new();
        }
        let mut sent = match act {
            Act::Send => vec![intact()],
            Act::Drop => vec![],
            Act::Twice => vec![intact(), intact()],
            Act::Swap => {
                self.held.push(intact());
                return Vec::new();
            }
            Act::Late(time) => vec![Sent::Later(time, text())],
            Act::Corrupt(at) => vec![Sent::Wrong(message, changed(data, at % data.len().max(1)))],
            // The checksum stands before the filler, behind 28 digits.
            Act::OtherRun => vec![Sent::Wrong(message, changed(data, 28 + message % 8))],
            Act::Named => vec![Sent::Named, intact()],
            Act::Misroute => vec![Sent::Other, intact()],
            Act::Heartbeat => vec![Sent::Heartbeat(text())],
            Act::Cut => vec![Sent::Half(text())],
        };
        self.over = act == Act::Cut;
        if !self.over {
            sent.append(&mut self.held);
        }
        sent
    }

    /// Whether the connection has been cut.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }
}

/// `data` with another letter at `at`, as printable as any.
fn changed(data: &str, at: usize) -> String {
    let other = |letter| if letter == 'e' { 'f' } else { 'e' };
    let letters = data.chars().enumerate();
    letters.map(|(place, letter)| if place == at { other(letter) } else { letter }).collect()
}

impl Expected {
    /// By definition, from what is written to each of `subscribers` for the `messages` messages of
    /// its topic. What comes later than planned comes when all else has come.
    pub(crate) fn of(
        act: impl Fn(usize, usize) -> Act,
        subscribers: impl IntoIterator<Item = usize>,
        messages: usize,
    ) -> Self {
        let mut expected = Self::default();
        for subscriber in subscribers {
            let mut stage = Stage::default();
            let (mut sent, mut later) = (Vec::new(), Vec::new());
            for message in 0..messages {
                let act = act(subscriber, message);
                for one in stage.play(act, message, "0123456789abcdef0123456789abcdefghij") {
                    match one {
                        Sent::Later(_, data) => later.push(Sent::Intact(message, data)),
                        Sent::Heartbeat(data) => sent.push(Sent::Intact(message, data)),
                        other => sent.push(other),
                    }
                }
            }
            expected.cut += usize::from(stage.is_over());
            sent.append(&mut later);
            expected.book(&sent, messages);
        }
        expected
    }

    fn book(&mut self, sent: &[Sent], messages: usize) {
        let mut came = vec![false; messages];
        let (mut newest, mut wrong) = (None, 0);
        for one in sent {
            match one {
                Sent::Intact(number, _) if came[*number] => self.duplicated += 1,
                Sent::Intact(number, _) => {
                    came[*number] = true;
                    self.reordered += usize::from(newest > Some(*number));
                    newest = newest.max(Some(*number));
                }
                Sent::Wrong(..) => wrong += 1,
                Sent::Named => self.foreign += 1,
                Sent::Other => self.misrouted += 1,
                Sent::Half(_) | Sent::Later(..) | Sent::Heartbeat(_) => {}
            }
        }
        let delivered = came.iter().filter(|came| **came).count();
        self.delivered += delivered;
        self.corrupted += wrong;
        self.missing += messages - delivered - wrong;
    }
}

/// A plan that a seed decides: about one delivery in fourteen is not as it should be, and one
/// subscriber in ten is cut.
pub(crate) fn seeded(seed: u64, subscriber: usize, message: usize) -> Act {
    if mixed(seed, subscriber, usize::MAX).is_multiple_of(10)
        && mixed(seed, subscriber, usize::MAX - 1) % 200 == message as u64
    {
        return Act::Cut;
    }
    let dice = mixed(seed, subscriber, message);
    match dice % 100 {
        0 => Act::Drop,
        1 => Act::Twice,
        2 => Act::Swap,
        3 => Act::Corrupt((dice >> 32) as usize),
        4 => Act::OtherRun,
        5 => Act::Named,
        6 => Act::Heartbeat,
        _ => Act::Send,
    }
}

/// The same where there are several topics: their messages go astray as well. Before its first
/// message a topic may be the only one that has any.
pub(crate) fn seeded_among_topics(seed: u64, subscriber: usize, message: usize) -> Act {
    match seeded(seed, subscriber, message) {
        Act::Send if message > 0 && mixed(seed, subscriber, message) % 100 == 7 => Act::Misroute,
        act => act,
    }
}

/// A splitmix64 finaliser.
fn mixed(seed: u64, subscriber: usize, message: usize) -> u64 {
    let place = (subscriber as u64).rotate_left(32) ^ message as u64;
    let mut value = (seed ^ place).wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[test]
fn a_seed_plans_each_fault() {
    for seed in [1, 2, 5] {
        let planned = Expected::of(|s, m| seeded(seed, s, m), 0..20, 200);
        let Expected { missing, duplicated, reordered, corrupted, cut, foreign, .. } = planned;
        let counts = [missing, duplicated, reordered, corrupted, cut, foreign];
        assert!(counts.iter().all(|&count| count > 0), "seed {seed}: {planned:?}");
    }
}

#[test]
fn what_is_expected_follows_by_definition() {
    let clean = Expected { delivered: 4, ..Expected::default() };
    for (acts, expected) in [
        ([Act::Send, Act::Send, Act::Send, Act::Send], clean),
        (
            [Act::Send, Act::Drop, Act::Twice, Act::Send],
            Expected { delivered: 3, missing: 1, duplicated: 1, ..clean },
        ),
        (
            [Act::Swap, Act::Swap, Act::Send, Act::Swap],
            Expected { delivered: 3, reordered: 2, missing: 1, ..clean },
        ),
        (
            [Act::Swap, Act::Drop, Act::Send, Act::Named],
            Expected { foreign: 1, delivered: 3, missing: 1, ..clean },
        ),
        (
            [Act::Corrupt(3), Act::OtherRun, Act::Heartbeat, Act::Cut],
            Expected { delivered: 1, corrupted: 2, missing: 1, cut: 1, ..clean },
        ),
        (
            [Act::Late(Duration::ZERO), Act::Cut, Act::Send, Act::Send],
            Expected { delivered: 1, missing: 3, cut: 1, ..clean },
        ),
    ] {
        assert_eq!(Expected::of(|_, message| acts[message], 0..1, 4), expected, "{acts:?}");
    }
}
