//! What it costs to publish with no subscribers: `cargo bench --bench publish`.
//!
//! Of several threads, the time is that of one message among all that they publish together.

use std::{
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fanfare::{
    LocalProvider, LogOptions, Message,
    provider::{Publication, Replay, SubscribeRequest},
};

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    let message = Message::new("x".repeat(128));
    group.throughput(Throughput::Elements(1));
    let provider = LocalProvider::new(LogOptions::default());
    group.bench_function("one message", |bencher| {
        bencher.iter(|| provider.publish(&message, &["topic"]));
    });
    for threads in [2, 4] {
        group.bench_function(format!("one message, {threads} threads"), |bencher| {
            bencher.iter_custom(|messages| by_threads(&provider, &message, threads, messages));
        });
    }
    let aged = Replay::everything().younger_than(Duration::from_secs(60));
    let aged = LocalProvider::builder().replay(aged).build();
    group.bench_function("one message, with an age", |bencher| {
        bencher.iter(|| aged.publish(&message, &["topic"]));
    });
    let _others: Vec<_> =
        (0..1000).map(|n| subscribe(&provider, &format!("other/{n}/*"))).collect();
    group.bench_function("one message, 1,000 patterns that do not match", |bencher| {
        bencher.iter(|| provider.publish(&message, &["topic"]));
    });
    let batch = [Publication { message: &message, topics: &["topic"] }; 100];
    group.throughput(Throughput::Elements(100));
    group.bench_function("a batch of 100", |bencher| {
        bencher.iter(|| provider.publish_batch(&batch));
    });
}

fn by_threads(provider: &LocalProvider, message: &Message, threads: u64, all: u64) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for nth in 0..threads {
            let mine = all / threads + u64::from(nth < all % threads);
            scope.spawn(move || {
                for _ in 0..mine {
                    provider.publish(message, &["topic"]).expect("the provider is open");
                }
            });
        }
    });
    start.elapsed()
}

fn subscribe(provider: &LocalProvider, topic: &str) -> fanfare::provider::LocalSubscription {
    provider.subscribe(&SubscribeRequest::to(&[topic])).expect("the topic is valid")
}

criterion_group!(benches, publish);
criterion_main!(benches);
