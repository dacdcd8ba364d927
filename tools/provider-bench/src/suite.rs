//! What is measured, in time.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use fanfare::{
    Provider,
    provider::{SubscribeRequest, Subscription},
};

use crate::{LAST_END, message, tasks::Tasks};

/// Messages that are replayed.
const REPLAYED: usize = 1_000;

/// Messages of a burst: a subscriber may be so far behind in every provider.
const BURST: usize = 100;

/// Measures providers that `make` makes, under `name`:
///
/// - `publish`: one message that nobody has subscribed to.
/// - `fan-out`: one message to so many subscribers of its topic, up to the last one's having it. Each
///   subscription is a task of one single-threaded tokio runtime, which also publishes.
/// - `burst`: the same for 100 messages at once, to 1,000 subscribers.
/// - `one of many`: one message to a topic with one subscriber, while 1,000 others each wait for a topic
///   of their own.
/// - `replay`: subscribing after the first of 1,001 messages and reading the others; not for a provider
///   that gives no ids.
/// - `churn`: subscribing and dropping that, while 1,000 others are subscribed.
///
/// Messages have 128 B of data. It takes about half a minute.
///
/// # Panics
/// If the provider fails where it should not, or loses something.
pub fn suite<P: Provider>(criterion: &mut Criterion, name: &str, make: impl Fn() -> P) {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.sample_size(20);
    publish(&mut group, &make());
    for subscribers in [1, 10, 1_000, 100_000] {
        // An iteration may take a tenth of a second: then as few as criterion allows.
        if subscribers > 1_000 {
            group.sample_size(10).sampling_mode(SamplingMode::Flat);
        }
        fan_out(&mut group, &make(), subscribers);
    }
    group.sample_size(20).sampling_mode(SamplingMode::Auto);
    burst(&mut group, &make());
    one_of_many(&mut group, &make());
    replay(&mut group, &make());
    churn(&mut group, &make());
    group.finish();
}

type Group<'c> = criterion::BenchmarkGroup<'c, criterion::measurement::WallTime>;

fn publish(group: &mut Group<'_>, provider: &impl Provider) {
    let message = message(true);
    group.throughput(Throughput::Elements(1));
    group.bench_function("publish", |bencher| {
        bencher.iter(|| provider.publish(&message, &["topic"]).expect("it is published"));
    });
}

fn fan_out(group: &mut Group<'_>, provider: &impl Provider, subscribers: usize) {
    let tasks = Tasks::new((0..subscribers).map(|_| subscribe(provider, "topic")));
    group.throughput(Throughput::Elements(subscribers as u64));
    group.bench_function(BenchmarkId::new("fan-out", subscribers), |bencher| {
        bencher.iter_custom(|rounds| time_rounds(&tasks, provider, rounds, 1));
    });
}

fn burst(group: &mut Group<'_>, provider: &impl Provider) {
    const SUBSCRIBERS: usize = 1_000;
    let tasks = Tasks::new((0..SUBSCRIBERS).map(|_| subscribe(provider, "topic")));
    group.throughput(Throughput::Elements((SUBSCRIBERS * BURST) as u64));
    group.bench_function(BenchmarkId::new("burst", BURST), |bencher| {
        bencher.iter_custom(|rounds| time_rounds(&tasks, provider, rounds, BURST));
    });
}

fn one_of_many(group: &mut Group<'_>, provider: &impl Provider) {
    const OTHERS: usize = 1_000;
    let tasks = Tasks::new([subscribe(provider, "topic")].into_iter());
    let others: Vec<_> = (0..OTHERS).map(|n| subscribe(provider, &format!("other {n}"))).collect();
    tasks.also_poll(others);
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("one of many", OTHERS), |bencher| {
        bencher.iter_custom(|rounds| time_rounds(&tasks, provider, rounds, 1));
    });
}

/// So many rounds of publishing `burst` messages until every task has had the last one.
fn time_rounds(tasks: &Tasks, provider: &impl Provider, rounds: u64, burst: usize) -> Duration {
    let (one_more, last) = (message(false), message(true));
    let start = Instant::now();
    for _ in 0..rounds {
        tasks.round(|| {
            for _ in 1..burst {
                provider.publish(&one_more, &["topic"]).expect("it is published");
            }
            provider.publish(&last, &["topic"]).expect("it is published");
        });
    }
    start.elapsed()
}

fn replay(group: &mut Group<'_>, provider: &impl Provider) {
    let first = provider.publish(&message(false), &["topic"]).expect("it is published");
    let Some(first) = first.id() else { return };
    for n in 1..=REPLAYED {
        provider.publish(&message(n == REPLAYED), &["topic"]).expect("it is published");
    }
    let request = SubscribeRequest::to(&["topic"]).after(first.as_str());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it can be built");
    group.throughput(Throughput::Elements(REPLAYED as u64));
    group.bench_function(BenchmarkId::new("replay", REPLAYED), |bencher| {
        bencher.iter(|| {
            let mut subscription = provider.subscribe(&request).expect("it is subscribed");
            runtime.block_on(async {
                while let Some(item) = subscription.next().await {
                    if item.expect("it is not overtaken").ends_with(LAST_END) {
                        return;
                    }
                }
                panic!("the subscription ended");
            });
        });
    });
}

fn churn(group: &mut Group<'_>, provider: &impl Provider) {
    let _others: Vec<_> = (0..1_000).map(|_| subscribe(provider, "topic")).collect();
    group.throughput(Throughput::Elements(1));
    group.bench_function("churn", |bencher| bencher.iter(|| subscribe(provider, "topic")));
}

fn subscribe(provider: &impl Provider, topic: &str) -> Subscription {
    provider.subscribe(&SubscribeRequest::to(&[topic])).expect("it is subscribed")
}
