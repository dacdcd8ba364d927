//! Whether a client that comes back gets what it missed: whether its `Last-Event-ID` passes.

use std::error::Error;

use super::{
    super::{
        super::header::Header,
        finding::{Finding, Level, Mend, mend},
    },
    PATIENCE, Targets,
    publishing::Publishing,
    stream::Stream,
};

const CHECK: &str = "resume";

/// Publishes while nobody listens, and comes back after the event with the id.
pub(super) async fn check(
    targets: &Targets,
    headers: &[Header],
    publishing: &Publishing,
    last_event_id: String,
) -> Result<Finding, Box<dyn Error>> {
    let mark = publishing.mark("missed");
    if let Err(fault) = publishing.publish(&mark).await {
        return Ok(Finding::unknown(CHECK, fault));
    }
    let mut stream = Stream::open(targets, headers, Some(&last_event_id))?;
    Ok(judge(stream.event(&mark, PATIENCE).await.is_some()))
}

fn judge(comes: bool) -> Finding {
    if comes {
        return Finding::ok(CHECK, "what was missed comes first", "Last-Event-ID passes");
    }
    let means = "Last-Event-ID is lost, or the server that answers is another one";
    Finding::new(CHECK, Level::Problem, "what was missed does not come", means).mended_by(&HEADER)
}

const HEADER: [Mend; 3] = [
    mend("nginx", "no `proxy_set_header Last-Event-ID` and no `proxy_pass_request_headers off;`"),
    mend("caddy", "no `header_up -Last-Event-ID`"),
    mend("haproxy", "no `http-request del-header Last-Event-ID`"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_header_is_a_problem() {
        assert_eq!(judge(true).level(), Level::Ok);
        assert!(judge(false).to_text().contains("Last-Event-ID is lost"));
    }
}
