//! Which topics have the most subscribers.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use super::LocalProvider;
use crate::{limits, log::Topic};

/// Topics and patterns that are subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busiest {
    /// Each with its subscribers by that very name, most first, and those with as many by name.
    pub topics: Vec<(String, u32)>,
    /// Whether all were looked at. Otherwise there may be busier ones.
    pub is_complete: bool,
}

/// The topics with the most subscribers of those seen: the least of them is on top.
struct Most {
    heap: BinaryHeap<Reverse<(u32, Reverse<Box<str>>)>>,
    limit: usize,
    /// How many more may be looked at.
    budget: usize,
}

impl LocalProvider {
    /// The topics and patterns with the most subscribers, at most `limit`.
    ///
    /// It looks at [`TOPICS_LOOKED_AT_MAX`](limits::TOPICS_LOOKED_AT_MAX) of them and no more, and
    /// copies the names of those alone that are among the busiest so far.
    ///
    /// ```
    /// use fanfare::{LocalProvider, LogOptions, provider::SubscribeRequest};
    ///
    /// let provider = LocalProvider::new(LogOptions::default());
    /// let _lobby = provider.subscribe(&SubscribeRequest::to(&["lobby"]))?;
    /// assert_eq!(provider.busiest(10).topics, [("lobby".to_owned(), 1)]);
    /// # Ok::<(), fanfare::provider::SubscribeError>(())
    /// ```
    pub fn busiest(&self, limit: usize) -> Busiest {
        self.busiest_of(limit, limits::TOPICS_LOOKED_AT_MAX)
    }

    fn busiest_of(&self, limit: usize, budget: usize) -> Busiest {
        let mut most = Most { heap: BinaryHeap::new(), limit, budget };
        let looked = self.shared.topics.try_for_each(|topic| most.look_at(topic));
        let mut topics: Vec<_> = most
            .heap
            .into_iter()
            .map(|Reverse((subscribers, Reverse(name)))| (String::from(name), subscribers))
            .collect();
        topics.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        Busiest { topics, is_complete: looked.is_continue() }
    }
}

impl Most {
    /// None is a place on the way to a pattern: it costs as much to look at.
    fn look_at(&mut self, topic: Option<&Arc<Topic>>) -> ControlFlow<()> {
        if self.budget == 0 {
            return Break(());
        }
        self.budget -= 1;
        if let Some(topic) = topic {
            self.add(topic);
        }
        Continue(())
    }

    fn add(&mut self, topic: &Topic) {
        let subscribers = topic.subscribers();
        let least = self.heap.peek().map(|Reverse((least, _))| *least);
        let is_full = self.heap.len() >= self.limit;
        if subscribers == 0 || is_full && least.is_none_or(|least| subscribers <= least) {
            return;
        }
        if is_full {
            self.heap.pop();
        }
        self.heap.push(Reverse((subscribers, Reverse(topic.name().into()))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{log::LogOptions, provider::SubscribeRequest, sse::Message};

    #[test]
    fn the_busiest_come_first_and_no_more_than_are_asked_for() {
        let provider = LocalProvider::new(LogOptions::default());
        let subscribe =
            |topics: &[&str]| provider.subscribe(&SubscribeRequest::to(topics)).unwrap();
        provider.publish(&Message::new("x"), &["nobody's"]).unwrap();
        let _held: Vec<_> =
            [&["b", "a", "n/*"][..], &["a"], &["n/*"], &["a"]].map(subscribe).into();
        let names = |limit| provider.busiest(limit).topics;
        let all = [("a".to_owned(), 3), ("n/*".to_owned(), 2), ("b".to_owned(), 1)];
        assert_eq!(names(10), all);
        assert_eq!(names(2), all[..2]);
        assert_eq!(names(0), []);
        assert!(provider.busiest(2).is_complete);
    }

    #[test]
    fn it_looks_at_so_many_and_says_that_there_are_more() {
        let provider = LocalProvider::new(LogOptions::default());
        let request = SubscribeRequest::to(&["a", "b", "c/d/*"]);
        let _subscription = provider.subscribe(&request).unwrap();
        let some = provider.busiest_of(10, 2);
        assert_eq!((some.topics.len(), some.is_complete), (2, false));
        // The pattern is three places deep.
        assert!(!provider.busiest_of(10, 4).is_complete);
        assert!(provider.busiest_of(10, 16).is_complete);
    }
}
