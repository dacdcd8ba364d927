//! What was published lately under a key, so that publishing it again is only reading the receipt.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use crate::{
    limits,
    provider::{Publication, PublishError, Receipt},
};

/// Keys of the last [`limits::IDEMPOTENCY_WINDOW`], at most [`limits::IDEMPOTENCY_KEYS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Idempotency {
    by_key: HashMap<Arc<str>, Published>,
    oldest_first: VecDeque<(Duration, Arc<str>)>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Published {
    fingerprint: u64,
    receipts: Box<[Receipt]>,
}

impl Idempotency {
    /// The receipts of what was published under `key`, or else of what `publish` does.
    pub(super) fn publish_once(
        &mut self,
        key: &str,
        batch: &[Publication<'_>],
        now: Duration,
        publish: impl FnOnce() -> Result<Vec<Receipt>, PublishError>,
    ) -> Result<Vec<Receipt>, PublishError> {
        let (len, max) = (key.len(), limits::IDEMPOTENCY_KEY_BYTES_MAX);
        if len == 0 || len > max {
            return Err(PublishError::IdempotencyKey { len, max });
        }
        self.forget_while(|_, at| now.saturating_sub(at) >= limits::IDEMPOTENCY_WINDOW);
        let fingerprint = self.fingerprint(batch);
        if let Some(published) = self.by_key.get(key) {
            if published.fingerprint != fingerprint {
                return Err(PublishError::IdempotencyKeyReused);
            }
            return Ok(published.receipts.iter().map(Receipt::repeated).collect());
        }
        let receipts = publish()?;
        self.forget_while(|len, _| len >= limits::IDEMPOTENCY_KEYS_MAX);
        let key: Arc<str> = key.into();
        self.oldest_first.push_back((now, Arc::clone(&key)));
        self.by_key.insert(key, Published { fingerprint, receipts: receipts.as_slice().into() });
        Ok(receipts)
    }

    /// Forgets the oldest keys while that holds of how many there are, and of the oldest one's time.
    fn forget_while(&mut self, is_over: impl Fn(usize, Duration) -> bool) {
        while let Some((at, key)) = self.oldest_first.front()
            && is_over(self.by_key.len(), *at)
        {
            self.by_key.remove(key);
            self.oldest_first.pop_front();
        }
    }

    fn fingerprint(&self, batch: &[Publication<'_>]) -> u64 {
        // What goes over the wire does not show the conflation key.
        let parts = batch
            .iter()
            .map(|one| (one.message.to_bytes(), one.message.conflation_key(), one.topics));
        self.hasher.hash_one(parts.collect::<Vec<_>>())
    }
}
