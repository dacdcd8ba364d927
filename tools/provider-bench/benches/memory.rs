//! The memory that a subscriber costs with the providers which Fanfare ships, and a topic with
//! `LocalProvider`, as asked of the allocator.

use std::alloc::System;

use fanfare::{
    LocalProvider, LogOptions, Provider,
    provider::{BroadcastProvider, SerialProvider},
};
use fanfare_provider_bench::Memory;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

// In a program of its own, so that the counting slows down no measurement of time.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    // First: a provider that is over may still be letting go of what it had.
    println!("bytes per topic, of {TOPICS} with a name of 12 B and one subscriber each");
    println!("local      {:>12}", bytes_per_topic(&LocalProvider::new(LogOptions::default())));
    println!("bytes per subscriber: subscribed, waiting, waiting after 100 events of 128 B");
    row("local", &LocalProvider::new(LogOptions::default()));
    row("broadcast", &BroadcastProvider::new(1024));
    row("serial", &SerialProvider::new(1024));
}

const TOPICS: usize = 1_000_000;

/// What a provider keeps for a topic that somebody is on; the subscriber's own side is not in it.
fn bytes_per_topic(provider: &LocalProvider) -> usize {
    let mut joined = Vec::with_capacity(TOPICS);
    let before = in_use();
    for number in 0..TOPICS {
        let names = [format!("user/{number:07}")];
        joined.extend(provider.join(&names).expect("no name is a pattern"));
    }
    let bytes = in_use() - before;
    assert_eq!(provider.topics(), TOPICS);
    bytes / TOPICS
}

fn row(name: &str, provider: &impl Provider) {
    println!("{name:<10} {}", Memory::measure(provider, in_use));
}

fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    // Reallocations are in both.
    stats.bytes_allocated - stats.bytes_deallocated
}
