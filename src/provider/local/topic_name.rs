//! The names of topics, and the patterns that stand for many of them.
//!
//! A name is segments with `/` between them. In a pattern the segment `*` stands for any one segment,
//! and `**`, as the last one, for one or more. That is all: no regular expression, no URLPattern, no
//! partial segment such as `user-*`. What few things there are can be looked up segment by segment, so
//! a pattern that does not match costs a publisher nothing beyond the prefix it shares with one that does,
//! and whoever reads a pattern sees at once what it lets through.

use crate::limits;

/// The topic implied when none is named.
pub const DEFAULT_TOPIC: &str = "";

const SEPARATOR: char = '/';

/// Stands for one segment.
pub(super) const ANY: &str = "*";

/// Stands for one segment or more, at the end.
pub(super) const REST: &str = "**";

/// Why a topic's name, or a pattern, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// A name over [`limits::TOPIC_BYTES_MAX`].
    #[error("topic name of {len} bytes is longer than {max}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The most it may have.
        max: usize,
    },
    /// A control character.
    #[error("topic name has a control character at byte {at}")]
    Control {
        /// Where.
        at: usize,
    },
    /// A message goes to topics, not to patterns.
    #[error("topic name is a pattern, which can be subscribed to but not published to")]
    Pattern,
    /// `**` stands for all that follows, so nothing can.
    #[error("pattern goes on after \"**\", which must be its last segment")]
    RestIsNotLast,
}

/// Checks the name of a topic to publish to: at most [`limits::TOPIC_BYTES_MAX`] bytes, no control
/// characters, and no segment that is `*` or `**`.
///
/// The empty name is [`DEFAULT_TOPIC`].
///
/// # Errors
/// [`TopicError`] names the fault.
pub fn check_topic(name: &str) -> Result<(), TopicError> {
    check_text(name)?;
    if is_pattern(name) { Err(TopicError::Pattern) } else { Ok(()) }
}

/// Checks what may be subscribed to: a topic's name, or a pattern such as `orders/*/status` or
/// `orders/**`.
///
/// # Errors
/// [`TopicError`] names the fault.
pub fn check_topic_or_pattern(name: &str) -> Result<(), TopicError> {
    check_text(name)?;
    let mut before_last = segments(name);
    before_last.next_back();
    if before_last.any(|segment| segment == REST) {
        return Err(TopicError::RestIsNotLast);
    }
    Ok(())
}

/// Whether a name that may be subscribed to is a pattern.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains('*') && segments(name).any(|segment| segment == ANY || segment == REST)
}

/// Whether a pattern stands for a topic.
pub(super) fn matches(pattern: &str, topic: &str) -> bool {
    let mut rest = segments(topic);
    for wanted in segments(pattern) {
        match (wanted, rest.next()) {
            (_, None) => return false,
            (REST, Some(_)) => return true,
            (ANY, Some(_)) => {}
            (wanted, Some(segment)) if wanted != segment => return false,
            _ => {}
        }
    }
    rest.next().is_none()
}

/// Whether a topic or pattern stands for nothing that `allowed`, a topic or pattern too, does not stand
/// for. Both have been checked; names are compared byte by byte.
///
/// ```
/// use fanfare::provider::covers;
///
/// assert!(covers("orders/**", "orders/7/status"));
/// assert!(covers("orders/**", "orders/*/status"));
/// assert!(!covers("orders/*", "orders/**"));
/// assert!(!covers("orders/7/status", "orders/*/status"));
/// ```
pub fn covers(allowed: &str, asked: &str) -> bool {
    let mut rest = segments(asked);
    for wanted in segments(allowed) {
        match (wanted, rest.next()) {
            (_, None) => return false,
            (REST, Some(_)) => return true,
            // What may be any number of segments is not covered by what is one.
            (_, Some(REST)) => return false,
            (ANY, Some(_)) => {}
            (wanted, Some(segment)) if wanted != segment => return false,
            _ => {}
        }
    }
    rest.next().is_none()
}

/// The segments of a name: at least one, which may be empty.
pub(super) fn segments(name: &str) -> std::str::Split<'_, char> {
    name.split(SEPARATOR)
}

fn check_text(name: &str) -> Result<(), TopicError> {
    if name.len() > limits::TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong { len: name.len(), max: limits::TOPIC_BYTES_MAX });
    }
    if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    match name.char_indices().find(|(_, char)| char.is_control()) {
        Some((at, _)) => Err(TopicError::Control { at }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_segment_and_two_are_the_rest() {
        for (pattern, yes, no) in [
            ("*", &["a", "", "a*"][..], &["a/b", "/"][..]),
            ("**", &["a", "", "a/b/c", "/"], &[]),
            ("a/*", &["a/b", "a/"], &["a", "a/b/c", "b/b"]),
            ("a/**", &["a/b", "a/b/c", "a/"], &["a", "ab"]),
            ("a/*/c", &["a/b/c", "a//c"], &["a/c", "a/b/c/", "a/b/d"]),
            ("*/b/**", &["a/b/c"], &["a/b", "b/a/b"]),
            ("a/b", &["a/b"], &["a/b/"]),
        ] {
            assert!(yes.iter().all(|topic| matches(pattern, topic)), "{pattern}");
            assert!(!no.iter().any(|topic| matches(pattern, topic)), "{pattern}");
        }
    }

    #[test]
    fn what_covers_a_pattern_matches_whatever_the_pattern_matches() {
        let names = ["", "a", "b", "a/a", "a/b", "b/a", "a/", "/a", "a/a/a", "a/b/a", "b/b/b/b"];
        let patterns = ["*", "**", "a/*", "*/a", "a/**", "*/**", "a/*/a", "*/*", "*/*/**"];
        let all = || names.iter().chain(&patterns);
        for (allowed, asked) in all().flat_map(|allowed| all().map(move |asked| (allowed, asked))) {
            let within = |topic: &&str| !matches(asked, topic) || matches(allowed, topic);
            if covers(allowed, asked) {
                assert!(names.iter().all(within), "{allowed} and {asked}");
            }
            if !is_pattern(asked) {
                assert_eq!(covers(allowed, asked), matches(allowed, asked), "{allowed}, {asked}");
            }
        }
        for (allowed, asked, covered) in [
            ("**", "**", true),
            ("**", "*/**", true),
            ("*/**", "**", false),
            ("*", "**", false),
            ("*", "*", true),
            ("a/*", "*/*", false),
            ("a/*/c", "a/*/c", true),
            ("a/*/c", "a/**", false),
            ("a/**", "a/*/**", true),
            ("a", "A", false),
        ] {
            assert_eq!(covers(allowed, asked), covered, "{allowed} and {asked}");
        }
    }

    #[test]
    fn a_star_within_a_segment_is_a_star() {
        assert!(check_topic("a*/**b").is_ok() && !is_pattern("a*/**b"));
        for pattern in ["*", "a/*", "**", "*/a"] {
            assert_eq!(check_topic(pattern), Err(TopicError::Pattern));
            assert!(check_topic_or_pattern(pattern).is_ok() && is_pattern(pattern));
        }
        assert_eq!(check_topic_or_pattern("a/**/b"), Err(TopicError::RestIsNotLast));
        assert_eq!(check_topic_or_pattern("**/**"), Err(TopicError::RestIsNotLast));
    }
}
