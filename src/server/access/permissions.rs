//! Who may do what: topics and patterns that may be subscribed to, and published to.

use serde::Deserialize;

use crate::{
    limits,
    provider::{TopicError, check_topic_or_pattern, covers},
};

/// What a token lets its holder do, each a list of topics and [patterns](crate::provider::covers).
///
/// ```
/// use fanfare::server::Permissions;
///
/// let permissions = Permissions::new(&["news", "users/17/*"], &["users/17/typing"])?;
/// assert!(permissions.may_subscribe("users/17/inbox"));
/// assert!(!permissions.may_subscribe("users/*/inbox"));
/// assert!(permissions.may_publish("users/17/typing"));
/// # Ok::<(), fanfare::provider::TopicError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Listed")]
pub struct Permissions {
    subscribe: Vec<String>,
    publish: Vec<String>,
}

/// As it is written in a token's claims: other members are passed over.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
}

impl Permissions {
    /// Lets subscribe to these, and publish to those. Of each, only the first
    /// [`limits::PERMISSION_TOPICS_MAX`] count.
    ///
    /// # Errors
    /// [`TopicError`]: one of them is neither a topic's name nor a pattern.
    pub fn new(
        subscribe: &[impl AsRef<str>],
        publish: &[impl AsRef<str>],
    ) -> Result<Self, TopicError> {
        Ok(Self { subscribe: checked(subscribe)?, publish: checked(publish)? })
    }

    /// Permits what these do, too.
    #[cfg(feature = "jwt")]
    pub(in crate::server) fn extend(&mut self, others: Self) {
        self.subscribe.extend(others.subscribe);
        self.publish.extend(others.publish);
    }

    /// Whether its holder may subscribe to a topic, or to all that a pattern stands for. One of the
    /// permissions must cover the whole pattern.
    pub fn may_subscribe(&self, topic_or_pattern: &str) -> bool {
        self.subscribe.iter().any(|allowed| covers(allowed, topic_or_pattern))
    }

    /// Whether its holder may publish to a topic.
    pub fn may_publish(&self, topic: &str) -> bool {
        self.publish.iter().any(|allowed| covers(allowed, topic))
    }
}

impl TryFrom<Listed> for Permissions {
    type Error = TopicError;

    fn try_from(listed: Listed) -> Result<Self, TopicError> {
        Self::new(&listed.subscribe, &listed.publish)
    }
}

fn checked(topics: &[impl AsRef<str>]) -> Result<Vec<String>, TopicError> {
    let topics = topics.iter().take(limits::PERMISSION_TOPICS_MAX).map(AsRef::as_ref);
    topics.map(|topic| check_topic_or_pattern(topic).map(|()| topic.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Permissions, String> {
        serde_json::from_str(json).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_is_not_listed_is_not_allowed() {
        let nothing = parse("{}").unwrap();
        assert!(!nothing.may_subscribe("") && !nothing.may_publish(""));
        let permissions = parse(r#"{"subscribe":["a/*"],"publish":["a/**"],"x":1}"#).unwrap();
        assert!(permissions.may_subscribe("a/b") && permissions.may_subscribe("a/*"));
        assert!(permissions.may_publish("a/b/c") && !permissions.may_subscribe("a/b/c"));
    }

    #[test]
    fn a_name_has_one_form() {
        let permissions = Permissions::new(&["a/b", "caf\u{e9}", "x/**"], &["a"]).unwrap();
        for other in ["A/b", "a/B", "a//b", "/a/b", "a/b/", "a/./b", "a/b/../b", "a%2Fb", "a\\b"] {
            assert!(!permissions.may_subscribe(other), "{other}");
        }
        // Composed and decomposed, and a Cyrillic letter that looks the same.
        assert!(!permissions.may_subscribe("cafe\u{301}") && !permissions.may_publish("\u{430}"));
        // Two dots are a segment like any other: nothing is resolved, neither here nor later.
        assert!(permissions.may_subscribe("x/../a/b"));
    }

    #[test]
    fn a_faulty_pattern_is_no_permission() {
        assert!(parse(r#"{"subscribe":["a/**/b"]}"#).unwrap_err().contains("last segment"));
        assert!(parse(r#"{"publish":["a\n"]}"#).unwrap_err().contains("control character"));
        assert!(parse(r#"{"publish":"a"}"#).is_err());
    }
}
