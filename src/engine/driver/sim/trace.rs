//! What has happened in a simulation: all of it as a hash, and the end of it to be read.

use std::{
    collections::VecDeque,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// Lines kept to be shown when something is wrong.
const LINES_KEPT: usize = 30;

/// Everything that has happened.
#[derive(Debug, Default)]
pub(in crate::engine) struct Trace {
    /// Its keys are fixed.
    hasher: DefaultHasher,
    last: VecDeque<Note>,
    notes: u64,
    pub(in crate::engine) is_printed: bool,
}

/// One thing that has happened.
#[derive(Clone, Copy, Debug, Hash)]
pub(in crate::engine) struct Note {
    pub(in crate::engine) at: Duration,
    pub(in crate::engine) what: &'static str,
    /// None: it is no core's doing.
    pub(in crate::engine) core: Option<usize>,
    /// Which connection, or topics.
    pub(in crate::engine) whose: usize,
    pub(in crate::engine) number: u64,
}

impl Trace {
    pub(in crate::engine) fn note(&mut self, note: Note) {
        note.hash(&mut self.hasher);
        self.notes += 1;
        if self.is_printed {
            println!("{note}");
        }
        if self.last.len() == LINES_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(note);
    }

    pub(in crate::engine) fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    pub(in crate::engine) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// How much has happened.
    pub(in crate::engine) fn notes(&self) -> u64 {
        self.notes
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.last.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, what, core, whose, number } = self;
        write!(f, "{:>12.6} ", at.as_secs_f64())?;
        if let Some(core) = core {
            write!(f, "core {core} ")?;
        }
        write!(f, "{what} {whose}: {number}")
    }
}
