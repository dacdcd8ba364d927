//! Whether an event arrives when it is published, or when enough others have followed it.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::finding::{Finding, Level, Mend, grouped, mend},
    PATIENCE,
    publishing::Publishing,
    stream::Stream,
};

const CHECK: &str = "delivery";

/// How many events are timed, one after the other.
const EVENTS: usize = 3;

/// What takes longer is late: a proxy that buffers by time has ticks of this size.
const PROMPT: Duration = Duration::from_millis(500);

/// The first bytes that follow an event which is held back, and the most: doubled in between.
const PADDING_BYTES_MIN: usize = 512;
const PADDING_BYTES_MAX: usize = 128 * 1024;

/// How long an event has to arrive after it was followed by more.
const AFTER_PADDING: Duration = Duration::from_millis(500);

/// What is known to arrive.
pub(super) enum Delivered {
    /// Events do, the last of them with this id.
    Yes { last_event_id: String },
    /// They don't, or late.
    No,
}

/// When an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    After(Duration),
    /// Only when so many bytes had followed it.
    Pushed {
        by: usize,
    },
    /// Not even when so many had.
    Never {
        after: usize,
    },
}

/// Publishes some events, and says when they came.
pub(super) async fn check(
    stream: &mut Stream,
    publishing: &Publishing,
    findings: &mut Vec<Finding>,
) -> Delivered {
    let (mut slowest, mut last_event_id) = (Duration::ZERO, String::new());
    for number in 0..EVENTS {
        let mark = publishing.mark(&format!("event {number}"));
        let begun = Instant::now();
        if let Err(fault) = publishing.publish(&mark).await {
            findings.push(not_published(&fault));
            return Delivered::No;
        }
        let Some((at, event)) = stream.event(&mark, PATIENCE).await else {
            findings.push(match stream.end() {
                Some(fault) => Finding::new(CHECK, Level::Problem, fault, "the stream was cut"),
                None => judge(push(stream, publishing, &mark).await),
            });
            return Delivered::No;
        };
        slowest = slowest.max(at - begun);
        last_event_id = event.last_event_id().to_owned();
    }
    findings.push(judge(Came::After(slowest)));
    Delivered::Yes { last_event_id }
}

/// Lets more and more follow an event that is held back.
async fn push(stream: &mut Stream, publishing: &Publishing, mark: &str) -> Came {
    let (mut bytes, mut pushed) = (PADDING_BYTES_MIN, 0);
    while bytes <= PADDING_BYTES_MAX {
        if publishing.publish(&"x".repeat(bytes)).await.is_err() {
            break;
        }
        pushed += bytes;
        if stream.event(mark, AFTER_PADDING).await.is_some() {
            return Came::Pushed { by: pushed };
        }
        bytes *= 2;
    }
    Came::Never { after: pushed }
}

fn judge(came: Came) -> Finding {
    match came {
        Came::After(time) if time <= PROMPT => {
            let found = format!("{EVENTS} events, each there {} ms after it was published at most", time.as_millis());
            Finding::ok(CHECK, found, "nothing on the way buffers")
        }
        Came::After(time) => {
            let found = format!("an event was there {} ms after it was published", time.as_millis());
            Finding::new(CHECK, Level::Warning, found, "something on the way waits for more, or is slow")
        }
        Came::Pushed { by } => {
            let found = format!("an event was held back until {} bytes had followed it", grouped(by as u64));
            Finding::new(CHECK, Level::Problem, found, "a proxy buffers: what is rare comes late, or never")
        }
        Came::Never { after } => {
            let found = format!(
                "an event did not come within {} s, nor when {} bytes had followed it",
                PATIENCE.as_secs(),
                grouped(after as u64)
            );
            Finding::new(CHECK, Level::Problem, found, "a proxy keeps the stream to itself, or its server is another one than is published to")
        }
    }
    .mended_by(&UNBUFFERED)
}

fn not_published(fault: &str) -> Finding {
    let means =
        "whether events are held back cannot be seen: --publish-url may name another way in";
    Finding::new("publish", Level::Problem, fault, means)
}

const UNBUFFERED: [Mend; 3] = [
    mend(
        "nginx",
        "proxy_buffering off; proxy_http_version 1.1;    # and no proxy_ignore_headers X-Accel-Buffering",
    ),
    mend(
        "caddy",
        "no `encode` and no `buffer_responses` around it: reverse_proxy flushes a stream by itself",
    ),
    mend("haproxy", "option http-no-delay    # and no http-response wait-for-body"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_told_with_what_released_it() {
        assert_eq!(judge(Came::After(Duration::from_millis(4))).level(), Level::Ok);
        assert_eq!(judge(Came::After(Duration::from_secs(1))).level(), Level::Warning);
        let pushed = judge(Came::Pushed { by: 3_584 });
        assert_eq!(pushed.level(), Level::Problem);
        let text = pushed.to_text();
        assert!(
            text.contains("until 3,584 bytes") && text.contains("proxy_buffering off"),
            "{text}"
        );
        let never = judge(Came::Never { after: 0 });
        assert_eq!(never.level(), Level::Problem);
    }
}
