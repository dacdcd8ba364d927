//! Subscriptions as tasks of one single-threaded runtime, and rounds that end when all have been woken
//! and have had the last message.

use std::{cell::Cell, rc::Rc};

use fanfare::provider::Subscription;
use tokio::{
    runtime::Runtime,
    sync::Notify,
    task::{LocalSet, yield_now},
};

use crate::LAST_END;

/// The tasks.
pub(crate) struct Tasks {
    runtime: Runtime,
    tasks: LocalSet,
    round: Rc<Round>,
}

/// Who has yet to have the last message of this round.
struct Round {
    tasks: usize,
    waiting: Cell<usize>,
    over: Notify,
}

impl Tasks {
    pub(crate) fn new(subscriptions: impl Iterator<Item = Subscription>) -> Self {
        let subscriptions: Vec<_> = subscriptions.collect();
        let tasks = subscriptions.len();
        let round = Rc::new(Round { tasks, waiting: Cell::new(tasks), over: Notify::new() });
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let this =
            Self { runtime: runtime.expect("it can be built"), tasks: LocalSet::new(), round };
        for subscription in subscriptions {
            this.tasks.spawn_local(read(subscription, Rc::clone(&this.round)));
        }
        this.settle();
        this
    }

    /// Polls others as well, to which nothing comes.
    pub(crate) fn also_poll(&self, subscriptions: Vec<Subscription>) {
        for mut subscription in subscriptions {
            self.tasks.spawn_local(async move {
                panic!("nothing was due, and {:?} came", subscription.next().await);
            });
        }
        self.settle();
    }

    /// Publishes, and returns when every task has had the last message.
    pub(crate) fn round(&self, publish: impl FnOnce()) {
        let Self { runtime, tasks, round } = self;
        tasks.block_on(runtime, async {
            publish();
            round.over.notified().await;
        });
        round.waiting.set(round.tasks);
    }

    /// Lets every task run until it waits.
    fn settle(&self) {
        self.tasks.block_on(&self.runtime, async {
            for _ in 0..self.round.tasks.max(10_000) {
                yield_now().await;
            }
        });
    }
}

async fn read(mut subscription: Subscription, round: Rc<Round>) {
    while let Some(item) = subscription.next().await {
        if item.expect("it is not overtaken").ends_with(LAST_END) {
            round.waiting.set(round.waiting.get() - 1);
            if round.waiting.get() == 0 {
                round.over.notify_one();
            }
        }
    }
    panic!("the subscription ended");
}
