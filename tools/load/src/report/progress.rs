//! How a run goes, while it runs: one line on standard error that is written over, or a line now
//! and then where nobody can see it change.

use std::fmt;
use std::io::{self, IsTerminal, Stderr, Write};
use std::time::Duration;

use super::figures::{compact, count, ms, number, seconds};

/// Between two lines that stay.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Back to the first column, and the line is empty.
const WIPE: &str = "\r\x1b[K";
/// Where the terminal does not tell how wide it is.
const COLUMNS: usize = 80;

/// Whether and how a run tells how it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProgressMode {
    /// Not at all.
    Silent,
    /// One line that changes.
    Live,
    /// A line every ten seconds.
    Lines,
}

impl ProgressMode {
    /// What fits standard error: `quiet` silences a terminal, `asked` makes anything else speak.
    pub(super) fn fitting(quiet: bool, asked: bool) -> Self {
        Self::of(io::stderr().is_terminal(), quiet, asked)
    }

    fn of(is_terminal: bool, quiet: bool, asked: bool) -> Self {
        match (is_terminal, asked) {
            (true, asked) if asked || !quiet => Self::Live,
            (false, true) => Self::Lines,
            _ => Self::Silent,
        }
    }
}

/// How a run stands at the end of a slice of time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing<'a> {
    /// The part of the run, of a run that has several.
    pub(crate) phase: Option<&'a str>,
    /// Since the run began.
    pub(crate) elapsed: Duration,
    /// How long it will be, when that is known.
    pub(crate) total: Option<Duration>,
    /// Streams that stand, of so many that are wanted.
    pub(crate) connected: u64,
    pub(crate) subscribers: u64,
    /// Messages so far, when any are published and they are counted.
    pub(crate) published: Option<u64>,
    pub(crate) delivered_per_second: f64,
    /// Of the deliveries in this slice; nothing when there was none.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// So far.
    pub(crate) faults: u64,
    /// In this slice.
    pub(crate) tester_cpu_cores: f64,
}

impl fmt::Display for Standing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} s", self.elapsed.as_secs_f64())?;
        if let Some(total) = self.total {
            write!(f, " of {}", seconds(total.as_secs_f64()))?;
        }
        if let Some(phase) = self.phase {
            write!(f, " | {phase}")?;
        }
        write!(f, " | {} of {} connected", count(self.connected), count(self.subscribers))?;
        if let Some(published) = self.published {
            write!(f, " | {} published", count(published))?;
        }
        write!(f, " | {} delivered/s", compact(self.delivered_per_second))?;
        for (name, value) in [("p50", self.p50_ms), ("p99", self.p99_ms)] {
            if let Some(value) = value {
                write!(f, " | {name} {} ms", ms(value))?;
            }
        }
        match self.faults {
            1 => write!(f, " | 1 FAULT")?,
            0 => write!(f, " | no faults")?,
            faults => write!(f, " | {} FAULTS", count(faults))?,
        }
        write!(f, " | tester {} cores", number(self.tester_cpu_cores))
    }
}

/// Tells how a run goes. What has been written over is wiped when it is dropped.
#[derive(Debug)]
pub(crate) struct Progress<W: Write = Stderr> {
    mode: ProgressMode,
    output: W,
    /// When the last line that stays was written.
    told: Option<Duration>,
    /// Something stands on the line that changes.
    is_dirty: bool,
}

impl Progress {
    /// Tells it on standard error.
    pub(crate) fn new(mode: ProgressMode) -> Self {
        Self::to(io::stderr(), mode)
    }
}

impl<W: Write> Progress<W> {
    fn to(output: W, mode: ProgressMode) -> Self {
        Self { mode, output, told: None, is_dirty: false }
    }

    /// Tells how the run stands; call it once per slice.
    ///
    /// Standard error may be closed or full: that is no reason to end a run.
    pub(crate) fn update(&mut self, standing: &Standing<'_>) {
        let _ = match self.mode {
            ProgressMode::Silent => Ok(()),
            ProgressMode::Live => self.write_over(&standing.to_string()),
            ProgressMode::Lines => self.write_now_and_then(standing),
        };
    }

    /// Leaves nothing on the line that changes.
    pub(crate) fn finish(&mut self) {
        if std::mem::take(&mut self.is_dirty) {
            let _ = write!(self.output, "{WIPE}").and_then(|()| self.output.flush());
        }
    }

    fn write_over(&mut self, line: &str) -> io::Result<()> {
        // A line that does not fit would go on in the next one, which nothing wipes.
        let line: String = line.chars().take(columns().saturating_sub(1)).collect();
        self.is_dirty = true;
        write!(self.output, "{WIPE}{line}")?;
        self.output.flush()
    }

    fn write_now_and_then(&mut self, standing: &Standing<'_>) -> io::Result<()> {
        let is_due = |told: Duration| standing.elapsed.saturating_sub(told) >= LINE_EVERY;
        if !self.told.is_none_or(is_due) {
            return Ok(());
        }
        self.told = Some(standing.elapsed);
        writeln!(self.output, "{standing}")
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        self.finish();
    }
}

/// How wide the terminal is now.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.ok().map_or(COLUMNS, |size| usize::from(size.ws_col)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(elapsed: u64) -> Standing<'static> {
        Standing {
            phase: None,
            elapsed: Duration::from_secs(elapsed),
            total: Some(Duration::from_secs(30)),
            connected: 999,
            subscribers: 1_000,
            published: Some(12_000),
            delivered_per_second: 999_500.0,
            p50_ms: Some(1.2),
            p99_ms: Some(3.0),
            faults: 0,
            tester_cpu_cores: 0.4,
        }
    }

    fn told(mode: ProgressMode, at: &[u64]) -> String {
        let mut output = Vec::new();
        let mut progress = Progress::to(&mut output, mode);
        at.iter().for_each(|&at| progress.update(&standing(at)));
        drop(progress);
        String::from_utf8(output).expect("text")
    }

    #[test]
    fn a_terminal_has_one_line_that_is_wiped_in_the_end() {
        let told = told(ProgressMode::Live, &[1, 2]);
        let lines: Vec<_> = told.split(WIPE).collect();
        assert_eq!(lines.len(), 4, "{told:?}");
        assert!(lines[1].starts_with("1 s of 30 s | 999 of 1,000 connected | 12,000 pub"));
        assert!(lines[2].starts_with("2 s of") && lines[3].is_empty() && !told.contains('\n'));
    }

    #[test]
    fn anything_else_has_a_line_every_ten_seconds() {
        let told = told(ProgressMode::Lines, &[1, 2, 10, 11, 12, 25]);
        let starts: Vec<_> = told.lines().map(|line| &line[..5]).collect();
        assert_eq!(starts, ["1 s o", "11 s ", "25 s "]);
        assert!(!told.contains('\r'), "{told:?}");
    }

    #[test]
    fn silence_is_silent_and_everyone_gets_what_fits() {
        assert_eq!(told(ProgressMode::Silent, &[1, 20]), "");
        for (is_terminal, quiet, asked, mode) in [
            (true, false, false, ProgressMode::Live),
            (true, true, false, ProgressMode::Silent),
            (true, true, true, ProgressMode::Live),
            (false, false, false, ProgressMode::Silent),
            (false, false, true, ProgressMode::Lines),
            (false, true, true, ProgressMode::Lines),
        ] {
            assert_eq!(ProgressMode::of(is_terminal, quiet, asked), mode);
        }
    }

    #[test]
    fn a_line_says_what_is_known() {
        let idle = Standing { subscribers: 5, connected: 5, faults: 2, ..Standing::default() };
        let words = "0 s | 5 of 5 connected | 0 delivered/s | 2 FAULTS | tester 0 cores";
        assert_eq!(idle.to_string(), words);
        let climbing = Standing { phase: Some("step 2"), ..standing(7) };
        assert!(climbing.to_string().starts_with("7 s of 30 s | step 2 | 999 of"));
    }
}
