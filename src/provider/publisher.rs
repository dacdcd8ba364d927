//! The handle that those who publish hold.

use std::{fmt, sync::Arc};

use super::{Provider, Publication, PublishError, Receipt};
use crate::sse::Message;

/// Publishes from any thread. Clones are cheap and share the provider.
///
/// ```
/// use fanfare::{LocalProvider, LogOptions, Message, Publisher};
///
/// let publisher = Publisher::new(LocalProvider::new(LogOptions::default()));
/// let receipt = publisher.publish(&Message::new("doors open"), &["lobby"])?;
/// assert_eq!(receipt.subscribers(), 0);
/// # Ok::<(), fanfare::PublishError>(())
/// ```
#[derive(Clone)]
pub struct Publisher {
    provider: Arc<dyn Provider>,
}

impl Publisher {
    /// A publisher for a provider.
    pub fn new(provider: impl Provider) -> Self {
        Self { provider: Arc::new(provider) }
    }

    /// What it publishes to.
    pub fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    /// Publishes at once; see [`Provider::publish`]. It never waits, so a publisher faster than
    /// the cores makes their subscribers lag, and in the end lose their connection.
    ///
    /// # Errors
    /// [`PublishError`] names what is wrong; the message then reaches nobody.
    pub fn publish(
        &self,
        message: &Message,
        topics: &[impl AsRef<str>],
    ) -> Result<Receipt, PublishError> {
        if let [topic] = topics {
            return self.provider.publish(message, &[topic.as_ref()]);
        }
        self.provider.publish(message, &names(topics))
    }

    /// Publishes as soon as the cores are not far behind; see [`ready`](Self::ready).
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    ///
    /// # Cancellation
    /// Dropped before it is done, the message has not been published.
    pub async fn publish_async(
        &self,
        message: &Message,
        topics: &[impl AsRef<str>],
    ) -> Result<Receipt, PublishError> {
        self.ready().await;
        self.publish(message, topics)
    }

    /// Publishes messages with nothing in between, all of them or none; see
    /// [`Provider::publish_batch`].
    ///
    /// # Errors
    /// [`PublishError`] of the first message that is wrong; then none is published.
    pub fn publish_batch<T: AsRef<str>>(
        &self,
        batch: &[(Message, Vec<T>)],
    ) -> Result<Vec<Receipt>, PublishError> {
        let topics = names_of_each(batch);
        self.provider.publish_batch(&publications(batch, &topics))
    }

    /// Publishes a batch once, however often it is asked to under the same key; see
    /// [`Provider::publish_once`].
    ///
    /// # Errors
    /// As [`publish_batch`](Self::publish_batch), and what [`PublishError`] says of keys.
    pub fn publish_once<T: AsRef<str>>(
        &self,
        key: &str,
        batch: &[(Message, Vec<T>)],
    ) -> Result<Vec<Receipt>, PublishError> {
        let topics = names_of_each(batch);
        self.provider.publish_once(key, &publications(batch, &topics))
    }

    /// Resolves when no core is far behind: the back-pressure a publisher may choose. See
    /// [`LocalProvider::ready`](super::LocalProvider::ready); a provider without a Log has none.
    pub async fn ready(&self) {
        if let Some(local) = self.provider.local() {
            local.ready().await;
        }
    }
}

fn names_of_each<T: AsRef<str>>(batch: &[(Message, Vec<T>)]) -> Vec<Vec<&str>> {
    batch.iter().map(|(_, topics)| names(topics)).collect()
}

fn publications<'p, T>(
    batch: &'p [(Message, Vec<T>)],
    topics: &'p [Vec<&'p str>],
) -> Vec<Publication<'p>> {
    let messages = batch.iter().map(|(message, _)| message);
    messages.zip(topics).map(|(message, topics)| Publication { message, topics }).collect()
}

fn names(topics: &[impl AsRef<str>]) -> Vec<&str> {
    topics.iter().map(AsRef::as_ref).collect()
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
