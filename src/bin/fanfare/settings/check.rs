//! Values that are right for themselves and do not go together, or are out of bounds.

use fanfare::limits::{self, LimitError, Limits};

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
    let age = resolved.settings.limits.connection_age;
    for (name, time, least) in [
        ("heartbeat", history.heartbeat, Span(limits::HEARTBEAT_MIN)),
        ("connection-age", age, Span(limits::CONNECTION_AGE_MIN)),
    ] {
        if time.or_none().is_some_and(|time| time < least.0) {
            add(name, format!("{time} is less than {least}"));
        }
    }
    if resolved.settings.access.has_burst_alone() {
        let text = "`publish-burst` is of no use without `publish-rate`".to_owned();
        problems.push(Problem { origin: resolved.origin("publish-burst"), text });
    }
    let faults = Limits::from(&resolved.settings.limits).faults();
    problems.extend(faults.iter().map(|fault| of_limit(resolved, fault)));
    problems
}

/// The library's words, with the names that the settings have here.
fn of_limit(resolved: &Resolved, fault: &LimitError) -> Problem {
    let (name, text) = (fault.name().replace('_', "-"), fault.to_string().replace('_', "-"));
    let origin = resolved.origin(&name);
    Problem { origin, text: text.replacen(&name, &format!("`{name}`"), 1) }
}
