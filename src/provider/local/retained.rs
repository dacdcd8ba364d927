//! What is retained of one topic.

use super::LocalProvider;
use crate::sse::EventId;

/// What is retained of a topic at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// How many messages.
    pub messages: usize,
    /// The id that the newest one went out with.
    pub newest: Option<EventId>,
}

impl LocalProvider {
    /// What is retained of a topic; none if it has neither a message nor a subscriber.
    ///
    /// ```
    /// use fanfare::{LocalProvider, LogOptions, Message};
    ///
    /// let provider = LocalProvider::new(LogOptions::default());
    /// assert_eq!(provider.retained("news"), None);
    /// let receipt = provider.publish(&Message::new("doors open"), &["news"])?;
    /// let retained = provider.retained("news").expect("there is a message");
    /// assert_eq!((retained.messages, retained.newest), (1, receipt.id()));
    /// # Ok::<(), fanfare::PublishError>(())
    /// ```
    pub fn retained(&self, topic: &str) -> Option<Retained> {
        let topic = self.shared.topics.get(topic)?;
        let log = self.log();
        let newest = topic.newest(log.tail()..log.head()).and_then(|newest| {
            let segment = log.segment(newest)?;
            id_of(segment.frame(newest)?.event())
        });
        Some(Retained { messages: topic.frames(), newest })
    }
}

/// The id of an event of ours, which begins with it.
fn id_of(event: &[u8]) -> Option<EventId> {
    let line = event.strip_prefix(b"id: ")?.split(|byte| *byte == b'\n').next()?;
    str::from_utf8(line).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::{
        log::LogOptions,
        provider::{LocalProvider, SubscribeRequest},
        sse::Message,
    };

    #[test]
    fn the_newest_has_the_id_it_went_out_with() {
        let provider = LocalProvider::new(LogOptions::default());
        for number in 0..3 {
            provider.publish(&Message::new(number.to_string()), &["a", "b"]).unwrap();
        }
        let own = Message::new("x").event("t".parse().unwrap()).id("own".parse().unwrap());
        provider.publish(&own, &["a"]).unwrap();
        let retained = provider.retained("a").unwrap();
        assert_eq!((retained.messages, retained.newest.unwrap().as_str()), (4, "own"));
        assert_eq!(provider.retained("b").unwrap().messages, 3);

        let subscription = provider.subscribe(&SubscribeRequest::to(&["quiet", "b/*"])).unwrap();
        let quiet = provider.retained("quiet").unwrap();
        assert_eq!((quiet.messages, quiet.newest), (0, None));
        assert_eq!(provider.retained("b/*"), None);
        drop(subscription);
        assert_eq!(provider.retained("quiet"), None);
    }
}
