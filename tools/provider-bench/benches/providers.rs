//! The time that the providers take which Fanfare ships.

use criterion::{Criterion, criterion_group, criterion_main};
use fanfare::{
    LocalProvider, LogOptions,
    provider::{BroadcastProvider, SerialProvider},
};
use fanfare_provider_bench::suite;

fn providers(criterion: &mut Criterion) {
    suite(criterion, "local", || LocalProvider::new(LogOptions::default()));
    suite(criterion, "broadcast", || BroadcastProvider::new(1024));
    suite(criterion, "serial", || SerialProvider::new(1024));
}

criterion_group!(benches, providers);
criterion_main!(benches);
