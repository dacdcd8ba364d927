//! What it costs to read a stream back, beside crates that clients use: `cargo bench --bench parse`.
//!
//! `eventsource-stream` is what most Rust clients are built on, `sse-codec` the codec over `AsyncRead`, and
//! `sse-stream` what the Rust SDK of the Model Context Protocol reads with. The crates that are called
//! clients (`eventsource`, `sse-client`) open their connections themselves and cannot be given bytes.

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
use sse_stream::SseStream;

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

fn sse_stream(stream: &[u8]) -> Sum {
    let mut events = pin!(SseStream::from_bytes_stream(Ready(stream.chunks(CHUNK_BYTES))));
    let mut context = Context::from_waker(Waker::noop());
    let mut sum = (0, 0);
    while let Poll::Ready(Some(event)) = events.as_mut().poll_next(&mut context) {
        let event = black_box(event.expect("the stream is well formed"));
        sum = (sum.0 + 1, sum.1 + event.data.map_or(0, |data| data.len()));
    }
    sum
}

fn sse_codec(stream: &[u8]) -> Sum {
    let mut events = pin!(sse_codec::decode_stream(stream));
    let mut context = Context::from_waker(Waker::noop());
    let mut sum = (0, 0);
    while let Poll::Ready(Some(event)) = events.as_mut().poll_next(&mut context) {
        let event = black_box(event.expect("the stream is well formed"));
        let sse_codec::Event::Message { data, .. } = event else { continue };
        sum = (sum.0 + 1, sum.1 + data.len());
    }
    sum
}

type Reader = fn(&[u8]) -> Sum;

/// What reads a stream, by name.
const READERS: [(&str, Reader); 5] = [
    ("borrowed", borrowed),
    ("owned", owned),
    ("eventsource-stream", eventsource_stream),
    ("sse-codec", sse_codec),
    ("sse-stream", sse_stream),
];

fn parse(criterion: &mut Criterion) {
    let streams = [
        ("128 B", stream_of(&"x".repeat(128))),
        ("1 KiB", stream_of(&"x".repeat(1024))),
        ("8 lines of 16 B", stream_of(&"0123456789abcdef\n".repeat(8))),
        ("128 B of Greek", stream_of(&"λ".repeat(64))),
    ];
    for (name, stream) in &streams {
        let sum = borrowed(stream);
        assert!(sum.0 > 0 && READERS.iter().all(|(_, read)| read(stream) == sum), "{name}");
        let mut group = criterion.benchmark_group(format!("parse {name}"));
        group.throughput(Throughput::Bytes(stream.len() as u64));
        for (reader, read) in READERS {
            group.bench_function(reader, |bencher| bencher.iter(|| read(stream)));
        }
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);
