//! Where to subscribe and to publish.

use reqwest::Url;

/// Two URLs of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Targets {
    pub(super) events: Url,
    pub(super) publish: Url,
}

const TOPIC: &str = "topic";

impl Targets {
    /// From a stream's URL: `publish` beside it with its topics, unless something else is given. A stream
    /// that names no topic gets one that nobody else listens to.
    pub(super) fn derive(events: &str, publish: Option<&str>) -> Result<Self, String> {
        let mut events = parse(events)?;
        if !events.query_pairs().any(|(name, _)| name == TOPIC) {
            let topic = format!("fanfare-doctor/{:016x}", fastrand::u64(..));
            events.query_pairs_mut().append_pair(TOPIC, &topic);
        }
        let given = publish.is_some();
        let mut publish = match publish {
            Some(url) => parse(url)?,
            None => beside(&events)?,
        };
        if !given || !publish.query_pairs().any(|(name, _)| name == TOPIC) {
            let topics: Vec<String> = events
                .query_pairs()
                .filter(|(name, _)| name == TOPIC)
                .map(|(_, topic)| topic.into_owned())
                .collect();
            if topics.iter().any(|topic| topic.split('/').any(|part| part.starts_with('*'))) {
                return Err("nothing can be published to a pattern: name a topic".into());
            }
            let pairs = topics.iter().map(|topic| (TOPIC, topic));
            publish.query_pairs_mut().extend_pairs(pairs);
        }
        Ok(Self { events, publish })
    }
}

fn parse(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|fault| format!("{url:?} is no URL: {fault}"))?;
    match parsed.scheme() {
        "http" | "https" => Ok(parsed),
        other => Err(format!("{url:?} is no URL of HTTP or HTTPS: its scheme is {other}")),
    }
}

fn beside(events: &Url) -> Result<Url, String> {
    if !events.path().ends_with("/events") {
        return Err(format!("where to publish is not to be seen in {events}: give --publish-url"));
    }
    let mut publish = events.join("publish").map_err(|fault| fault.to_string())?;
    publish.set_query(None);
    Ok(publish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishing_is_beside_the_stream_with_its_topics() {
        let url = "https://example.com/live/events?topic=a%2Fb&token=x&topic=c";
        let targets = Targets::derive(url, None).unwrap();
        assert_eq!(targets.events.as_str(), url);
        assert_eq!(
            targets.publish.as_str(),
            "https://example.com/live/publish?topic=a%2Fb&topic=c"
        );
        let other = Targets::derive(url, Some("http://127.0.0.1:8080/publish")).unwrap();
        assert_eq!(other.publish.as_str(), "http://127.0.0.1:8080/publish?topic=a%2Fb&topic=c");
        let given = Targets::derive(url, Some("http://127.0.0.1:8080/p?topic=a%2Fb")).unwrap();
        assert_eq!(given.publish.as_str(), "http://127.0.0.1:8080/p?topic=a%2Fb");
    }

    #[test]
    fn a_stream_without_a_topic_disturbs_nobody() {
        let targets = Targets::derive("http://localhost/events", None).unwrap();
        let query = targets.events.query().unwrap();
        assert!(query.starts_with("topic=fanfare-doctor"), "{query}");
        assert_eq!(targets.publish.query(), Some(query));
        assert_ne!(targets, Targets::derive("http://localhost/events", None).unwrap());
    }

    #[test]
    fn what_cannot_be_published_to_is_named() {
        let fault = |url| Targets::derive(url, None).unwrap_err();
        assert!(fault("http://localhost/stream").contains("--publish-url"));
        assert!(fault("http://localhost/events?topic=a/**").contains("pattern"));
        assert!(fault("ftp://localhost/events").contains("scheme is ftp"));
        assert!(fault("localhost").contains("no URL"));
    }
}
