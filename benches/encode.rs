//! What it costs to encode a message: `cargo bench --bench encode`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fanfare::{EventType, Message};

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let id = "6f1d02aa-1234567";
    for size in [128, 1024, 64 * 1024] {
        let message = Message::new("x".repeat(size)).event(EventType::new("tick").expect("valid"));
        let mut out = vec![0; message.encoded_len(Some(id))];
        group.throughput(Throughput::Bytes(out.len() as u64));
        group.bench_function(format!("{size} B"), |bencher| {
            bencher
                .iter(|| black_box(&message).encode_into(Some(black_box(id)), black_box(&mut out)));
        });
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
