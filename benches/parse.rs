//! What it costs to read a stream back, beside a crate that clients use: `cargo bench --bench parse`.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eventsource_stream::Eventsource;
use fanfare::sse::{Item, Parser};
use futures_core::Stream;

const STREAM_BYTES: usize = 4 * 1024 * 1024;
const CHUNK_BYTES: usize = 16 * 1024;

/// Events, and bytes of their data: every reader must find as many.
type Sum = (usize, usize);

fn stream_of(data: &str) -> Vec<u8> {
    let mut stream = Vec::new();
    while stream.len() < STREAM_BYTES {
        let number = stream.len();
        stream.extend(format!("id: 6f1d02aa-{number}\n").bytes());
        data.lines().for_each(|line| stream.extend(format!("data: {line}\n").bytes()));
        stream.push(b'\n');
    }
    stream
}

fn borrowed(stream: &[u8]) -> Sum {
    let (mut parser, mut sum) = (Parser::new(), (0, 0));
    for mut chunk in stream.chunks(CHUNK_BYTES) {
        while let Some(Item::Event(event)) = parser.next(&mut chunk).expect("within the bounds") {
            sum = (sum.0 + 1, sum.1 + black_box(event).data.len());
        }
    }
    sum
}

fn owned(stream: &[u8]) -> Sum {
    let (mut parser, mut sum) = (Parser::new(), (0, 0));
    for mut chunk in stream.chunks(CHUNK_BYTES) {
        while let Some(Item::Event(event)) = parser.next(&mut chunk).expect("within the bounds") {
            sum = (sum.0 + 1, sum.1 + black_box(event.to_event()).data().len());
        }
    }
    sum
}

/// Chunks that are all there.
struct Ready<'s>(std::slice::Chunks<'s, u8>);

impl<'s> Stream for Ready<'s> {
    type Item = Result<&'s [u8], Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

fn eventsource_stream(stream: &[u8]) -> Sum {
    let mut events = pin!(Ready(stream.chunks(CHUNK_BYTES)).eventsource());
    let mut context = Context::from_waker(Waker::noop());
    let mut sum = (0, 0);
    while let Poll::Ready(Some(event)) = events.as_mut().poll_next(&mut context) {
        let event = black_box(event.expect("the stream is well formed"));
        sum = (sum.0 + 1, sum.1 + event.data.len());
    }
    sum
}

fn parse(criterion: &mut Criterion) {
    let streams = [
        ("128 B", stream_of(&"x".repeat(128))),
        ("1 KiB", stream_of(&"x".repeat(1024))),
        ("8 lines of 16 B", stream_of(&"0123456789abcdef\n".repeat(8))),
        ("128 B of Greek", stream_of(&"λ".repeat(64))),
    ];
    for (name, stream) in &streams {
        let sum = borrowed(stream);
        assert!(sum.0 > 0 && sum == owned(stream) && sum == eventsource_stream(stream), "{name}");
        let mut group = criterion.benchmark_group(format!("parse {name}"));
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function("borrowed", |bencher| bencher.iter(|| borrowed(stream)));
        group.bench_function("owned", |bencher| bencher.iter(|| owned(stream)));
        group.bench_function("eventsource-stream", |bencher| {
            bencher.iter(|| eventsource_stream(stream));
        });
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);
