//! Whether the stream is compressed for those that would take it so, as browsers would.

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING};
use reqwest::{Client, Response};
use tokio::time::timeout;

use super::{
    super::{
        super::{header::Header, with_causes},
        finding::{Finding, Level, Mend, mend},
    },
    PATIENCE, Targets,
    publishing::Publishing,
};

const CHECK: &str = "compression";

/// What browsers send.
const CODINGS: &str = "gzip, deflate, br, zstd";

/// Subscribes as a browser does, and looks whether an event makes any bytes come.
pub(super) async fn check(
    targets: &Targets,
    headers: &[Header],
    publishing: &Publishing,
) -> Finding {
    // No total time-out: dropping the response ends it. Nothing here takes the compression off.
    let mut request = Client::new().get(targets.events.clone());
    for Header { name, value } in headers {
        request = request.header(name, value);
    }
    let request = request.header(ACCEPT, "text/event-stream").header(ACCEPT_ENCODING, CODINGS);
    let mut response = match timeout(PATIENCE, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(fault)) => return Finding::unknown(CHECK, with_causes(&fault)),
        Err(_) => return judge("who would take it compressed gets no head", false),
    };
    let coding = response.headers().get(CONTENT_ENCODING).cloned();
    match coding.as_ref().map(|value| value.to_str().unwrap_or("unknown")) {
        None | Some("identity") => Finding::ok(CHECK, "none, for whoever would take it", ""),
        Some(coding) => judge(
            &format!("{coding}, for whoever would take it"),
            makes_bytes_come(&mut response, publishing).await,
        ),
    }
}

/// Whether something comes soon after an event is published.
async fn makes_bytes_come(response: &mut Response, publishing: &Publishing) -> bool {
    if publishing.publish(&publishing.mark("compressed")).await.is_err() {
        return false;
    }
    matches!(timeout(PATIENCE, response.chunk()).await, Ok(Ok(Some(_))))
}

fn judge(found: &str, comes: bool) -> Finding {
    let (level, means) = if comes {
        (Level::Warning, "events come, each flushed: it takes CPU and memory for every subscriber")
    } else {
        (Level::Problem, "events wait until the compressor has enough: browsers get them late")
    };
    Finding::new(CHECK, level, found, means).mended_by(&UNCOMPRESSED)
}

const UNCOMPRESSED: [Mend; 3] = [
    mend("nginx", "gzip off;    # or no text/event-stream in gzip_types"),
    mend("caddy", "no `encode` around the stream: put it into another `handle`"),
    mend("haproxy", "no `compression` in the backend of the stream"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_that_holds_back_is_a_problem() {
        assert_eq!(judge("gzip", true).level(), Level::Warning);
        let held = judge("gzip", false);
        assert_eq!(held.level(), Level::Problem);
        assert!(held.to_text().contains("gzip off;"));
    }
}
