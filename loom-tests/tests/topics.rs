//! The topic table: forgetting a topic against subscribing and publishing to its name.
//!
//! The table that ships is a `DashMap`, which loom cannot run. What is modelled are the steps of
//! `TopicTable` and `Patterns`: counting in happens under the table's lock, forgetting under the append
//! lock and the table's, and a publisher holds the append lock from finding the topic on.
#![cfg(fanfare_loom)]

use loom::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A topic as far as it can be forgotten.
struct Topic {
    subscribers: AtomicUsize,
    frames: Mutex<usize>,
}

/// The place of one name, and the append lock.
struct Table {
    place: Mutex<Option<Arc<Topic>>>,
    append: Mutex<()>,
}

impl Topic {
    fn is_idle(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) == 0 && *self.frames.lock().unwrap() == 0
    }
}

impl Table {
    fn new() -> Arc<Self> {
        Arc::new(Self { place: Mutex::new(None), append: Mutex::new(()) })
    }

    fn with_topic<R>(&self, f: impl FnOnce(&Arc<Topic>) -> R) -> R {
        let mut place = self.place.lock().unwrap();
        f(place.get_or_insert_with(|| {
            Arc::new(Topic { subscribers: AtomicUsize::new(0), frames: Mutex::new(0) })
        }))
    }

    fn subscribe(&self) -> Arc<Topic> {
        self.with_topic(|topic| {
            topic.subscribers.fetch_add(1, Ordering::Relaxed);
            Arc::clone(topic)
        })
    }

    fn unsubscribe(&self, topic: &Arc<Topic>) {
        topic.subscribers.fetch_sub(1, Ordering::Relaxed);
        if topic.is_idle() {
            let _append = self.append.lock().unwrap();
            self.forget(topic);
        }
    }

    /// Only under the append lock.
    fn forget(&self, topic: &Arc<Topic>) {
        let mut place = self.place.lock().unwrap();
        if place.as_ref().is_some_and(|held| Arc::ptr_eq(held, topic) && held.is_idle()) {
            *place = None;
        }
    }

    fn publish(&self) -> Arc<Topic> {
        let _append = self.append.lock().unwrap();
        let topic = self.with_topic(Arc::clone);
        *topic.frames.lock().unwrap() += 1;
        topic
    }

    /// As a pattern is subscribed to: under the append lock, so that it begins between two frames.
    fn subscribe_pattern(&self) -> Arc<Topic> {
        let _append = self.append.lock().unwrap();
        self.subscribe()
    }

    /// As a pattern is left: its frames do not hold it.
    fn unsubscribe_pattern(&self, topic: &Arc<Topic>) {
        topic.subscribers.fetch_sub(1, Ordering::Relaxed);
        let mut place = self.place.lock().unwrap();
        let is_unused = |held: &Arc<Topic>| {
            Arc::ptr_eq(held, topic) && held.subscribers.load(Ordering::Relaxed) == 0
        };
        if place.as_ref().is_some_and(is_unused) {
            *place = None;
        }
    }
}

#[test]
fn publishers_find_the_topic_that_a_subscriber_is_on() {
    loom::model(|| {
        let table = Table::new();
        let earlier = table.subscribe();
        let other = Arc::clone(&table);
        let leaving = thread::spawn(move || other.unsubscribe(&earlier));
        let mine = table.subscribe();
        assert!(Arc::ptr_eq(&table.publish(), &mine), "its frames go elsewhere");
        leaving.join().unwrap();
        assert!(Arc::ptr_eq(&table.publish(), &mine), "its frames go elsewhere");
    });
}

#[test]
fn a_topic_with_a_frame_is_not_forgotten() {
    loom::model(|| {
        let table = Table::new();
        let earlier = table.subscribe();
        let other = Arc::clone(&table);
        let leaving = thread::spawn(move || other.unsubscribe(&earlier));
        let published = table.publish();
        leaving.join().unwrap();
        let held = table.place.lock().unwrap().clone().expect("it has a frame");
        assert!(Arc::ptr_eq(&held, &published));
    });
}

#[test]
fn publishers_find_the_pattern_that_a_subscriber_is_on() {
    loom::model(|| {
        let table = Table::new();
        let earlier = table.subscribe_pattern();
        let other = Arc::clone(&table);
        let leaving = thread::spawn(move || other.unsubscribe_pattern(&earlier));
        let mine = table.subscribe_pattern();
        leaving.join().unwrap();
        let held = table.place.lock().unwrap().clone().expect("it has a subscriber");
        assert!(Arc::ptr_eq(&held, &mine));
    });
}
