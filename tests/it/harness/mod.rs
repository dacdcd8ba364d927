//! What every test stands on: a server process, clients that speak to it in raw bytes, and the
//! rule for tests that cannot run.
//!
//! No test asserts a time. What must come is awaited for [`PATIENCE`], which is far more than any
//! machine needs; what must not come is shown by a later message having come instead.

mod connection;
mod cutting_proxy;
mod metrics;
mod publisher;
mod random;
pub(crate) mod scripted;
mod server;
mod subscriber;

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use io_uring::IoUring;

pub(crate) use self::connection::{Connection, Response, post_request};
pub(crate) use self::cutting_proxy::CuttingProxy;
pub(crate) use self::metrics::Metrics;
pub(crate) use self::publisher::{Publisher, Receipt, query_of_topics};
pub(crate) use self::random::Random;
pub(crate) use self::server::{Options, Server, binary, free_address};
pub(crate) use self::subscriber::{End, Event, Pending, Subscriber};

/// How long a test waits for what must happen before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Makes of each `fn(Driver)` two tests, one per driver.
macro_rules! both_drivers {
    ($($test:ident),+ $(,)?) => {
        mod uring {
            $(#[test] fn $test() { $crate::harness::Driver::Uring.run(super::$test) })+
        }
        mod epoll {
            $(#[test] fn $test() { $crate::harness::Driver::Epoll.run(super::$test) })+
        }
    };
}

/// How the server under test moves its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Driver {
    Uring,
    Epoll,
}

impl Driver {
    /// Runs a test over this driver, or says why it cannot.
    pub(crate) fn run(self, test: fn(Self)) {
        match self.refusal() {
            None => test(self),
            Some(error) => skip(&format!("io_uring is denied here ({error})")),
        }
    }

    /// The name that `--driver` takes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }

    /// Asks the kernel itself, so that a server that wrongly believes it is denied is not excused.
    fn refusal(self) -> Option<String> {
        static URING: OnceLock<Option<String>> = OnceLock::new();
        let ask = || {
            let ring: io::Result<IoUring> =
                IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(8);
            ring.err().map(|error| error.to_string())
        };
        match self {
            Self::Uring => URING.get_or_init(ask).clone(),
            Self::Epoll => None,
        }
    }
}

/// Passes over a test that this machine cannot run; in CI that is a failure.
///
/// Written past the capture of the test harness: what was not tested must be seen to be so.
pub(crate) fn skip(why: &str) {
    assert!(!is_ci(), "nothing may be skipped in CI: {why}");
    // A closed stderr is no reason to fail.
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

/// Whether this is CI, where a test that cannot run is a failure.
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Held by tests that need most of the machine's file descriptors, so that they take turns.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks again and again until the answer is there.
///
/// # Panics
///
/// After [`PATIENCE`], naming what was awaited.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
