//! What it costs to publish with no subscribers: `cargo bench --bench publish`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fanfare::{LocalProvider, LogOptions, Message, provider::Publication};

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    let message = Message::new("x".repeat(128));
    group.throughput(Throughput::Elements(1));
    let provider = LocalProvider::new(LogOptions::default());
    group.bench_function("one message", |bencher| {
        bencher.iter(|| provider.publish(&message, &["topic"]));
    });
    let batch = [Publication { message: &message, topics: &["topic"] }; 100];
    group.throughput(Throughput::Elements(100));
    group.bench_function("a batch of 100", |bencher| {
        bencher.iter(|| provider.publish_batch(&batch));
    });
}

criterion_group!(benches, publish);
criterion_main!(benches);
