//! Whether a stream on which nothing is published stays open, and heartbeats come.

use std::{error::Error, time::Duration};

use tokio::time::Instant;

use super::{
    super::finding::{Finding, Level, Mend, grouped, mend},
    PATIENCE, Proxy, Targets,
    publishing::Publishing,
    stream::{Arrived, Stream},
};

/// What became of a stream that was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Idle {
    /// It was open to the end, and an event came then.
    Stayed {
        heartbeats: u64,
    },
    /// It was open, and an event did not come.
    Deaf,
    Ended {
        after: Duration,
        fault: String,
    },
}

/// Waits for a heartbeat, if there should be one, and leaves the stream alone, if that is asked for.
pub(super) async fn check(
    proxy: &Proxy,
    targets: &Targets,
    publishing: &Publishing,
) -> Result<Vec<Finding>, Box<dyn Error>> {
    let mut findings = Vec::new();
    if proxy.heartbeat > 0 {
        let interval = Duration::from_secs(proxy.heartbeat);
        let mut stream = Stream::open(targets, &proxy.headers, None)?;
        findings.push(judge_heartbeat(await_heartbeat(&mut stream, interval).await, interval));
    }
    if let Some(seconds) = proxy.idle {
        let time = Duration::from_secs(seconds);
        let mut stream = Stream::open(targets, &proxy.headers, None)?;
        findings.push(judge_idle(leave_alone(&mut stream, publishing, time).await, time));
    }
    Ok(findings)
}

/// How long a heartbeat took, or what came instead.
async fn await_heartbeat(stream: &mut Stream, interval: Duration) -> Result<Duration, String> {
    eprintln!("fanfare: waiting for a heartbeat, {} s at most", longest(interval).as_secs());
    let begun = Instant::now();
    loop {
        let left = longest(interval).saturating_sub(begun.elapsed());
        match stream.next(left).await {
            Some(Arrived::Comment) => return Ok(begun.elapsed()),
            Some(Arrived::Head | Arrived::Event) => {}
            Some(Arrived::End) => return Err(stream.end().unwrap_or_default().to_owned()),
            None => return Err(format!("none in {} s", longest(interval).as_secs())),
        }
    }
}

/// A stream is quiet for half as long again at most.
fn longest(interval: Duration) -> Duration {
    interval.saturating_mul(3) / 2 + PATIENCE
}

async fn leave_alone(stream: &mut Stream, publishing: &Publishing, time: Duration) -> Idle {
    eprintln!("fanfare: leaving a stream alone for {} s", time.as_secs());
    let (begun, mut heartbeats) = (Instant::now(), 0);
    while let Some(arrived) = stream.next(time.saturating_sub(begun.elapsed())).await {
        match arrived {
            Arrived::Comment => heartbeats += 1,
            Arrived::Head | Arrived::Event => {}
            Arrived::End => {
                let fault = stream.end().unwrap_or_default().to_owned();
                return Idle::Ended { after: begun.elapsed(), fault };
            }
        }
    }
    let mark = publishing.mark("idle");
    let published = publishing.publish(&mark).await.is_ok();
    if published && stream.event(&mark, PATIENCE).await.is_some() {
        return Idle::Stayed { heartbeats };
    }
    Idle::Deaf
}

fn judge_heartbeat(came: Result<Duration, String>, interval: Duration) -> Finding {
    const CHECK: &str = "heartbeat";
    match came {
        Ok(time) => {
            let found = format!("one after {:.1} s", time.as_secs_f64());
            Finding::ok(CHECK, found, "a quiet stream is not taken for a dead one")
        }
        Err(fault) => {
            let means = format!(
                "a quiet stream will be taken for a dead one; the server should send a heartbeat \
                 every {} s (--heartbeat)",
                interval.as_secs()
            );
            Finding::new(CHECK, Level::Problem, fault, means).mended_by(&PATIENT)
        }
    }
}

fn judge_idle(idle: Idle, time: Duration) -> Finding {
    const CHECK: &str = "idle";
    let seconds = grouped(time.as_secs());
    match idle {
        Idle::Stayed { heartbeats } => {
            let found = format!("open after {seconds} s on which nothing was published");
            Finding::ok(CHECK, found, format!("{heartbeats} heartbeats came meanwhile"))
        }
        Idle::Deaf => {
            let found = format!("open after {seconds} s, and an event does not come any more");
            Finding::new(CHECK, Level::Problem, found, "something on the way has forgotten it")
        }
        Idle::Ended { after, fault } => {
            let found = format!("ended after {} s: {fault}", after.as_secs());
            let means =
                "a time-out on the way is shorter than the server's silence, 1.5 heartbeats";
            Finding::new(CHECK, Level::Problem, found, means)
        }
    }
    .mended_by(&PATIENT)
}

const PATIENT: [Mend; 4] = [
    mend("nginx", "proxy_read_timeout 60s;"),
    mend("caddy", "read_timeout 60s    # in `transport http`, and no `write` in `timeouts`"),
    mend("haproxy", "timeout server 60s  # and timeout client 60s"),
    mend("fanfare", "--heartbeat 10      # or less, where the time-out is not yours to set"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_does_not_last_is_a_problem() {
        let time = Duration::from_secs(90);
        let ok = judge_idle(Idle::Stayed { heartbeats: 5 }, time);
        assert_eq!(ok.level(), Level::Ok);
        assert!(ok.to_text().contains("5 heartbeats"));
        let fault = "the stream broke off".to_owned();
        let ended = judge_idle(Idle::Ended { after: Duration::from_secs(60), fault }, time);
        assert!(ended.to_text().contains("ended after 60 s: the stream broke off"));
        assert!(ended.to_text().contains("proxy_read_timeout"));
        assert_eq!(judge_idle(Idle::Deaf, time).level(), Level::Problem);
        let none = judge_heartbeat(Err("none in 4 s".into()), Duration::from_secs(1));
        assert_eq!(none.level(), Level::Problem);
        let one = judge_heartbeat(Ok(Duration::from_millis(1_200)), Duration::from_secs(1));
        assert!(one.to_text().contains("one after 1.2 s"));
    }
}
