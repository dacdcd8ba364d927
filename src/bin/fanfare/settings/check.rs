//! Values that are right for themselves and do not go together, or are out of bounds.

use fanfare::limits;

use super::{Problem, Resolved, Size, Span};

/// What is wrong with these.
pub(super) fn check_together(resolved: &Resolved) -> Vec<Problem> {
    let history = &resolved.settings.history;
    let least_history = Size(limits::HISTORY_BYTES_MIN);
    let mut problems = Vec::new();
    let mut add = |name: &str, text| {
        let origin = resolved.origin(name);
        problems.push(Problem { origin, text: format!("`{name}` of {text}") });
    };
    if history.history_bytes.0 < least_history.0 {
        add("history-bytes", format!("{} is less than {least_history}", history.history_bytes));
    }
    if let Some(lag_bytes) = history.lag_bytes.filter(|bytes| bytes.0 > history.history_bytes.0) {
        let text = format!("{lag_bytes} is more than `history-bytes` of {}", history.history_bytes);
        add("lag-bytes", text);
    }
    let least_heartbeat = Span(limits::HEARTBEAT_MIN);
    if !history.heartbeat.0.is_zero() && history.heartbeat.0 < least_heartbeat.0 {
        add("heartbeat", format!("{} is less than {least_heartbeat}", history.heartbeat));
    }
    if resolved.settings.access.has_burst_alone() {
        let text = "`publish-burst` is of no use without `publish-rate`".to_owned();
        problems.push(Problem { origin: resolved.origin("publish-burst"), text });
    }
    problems
}
