//! The receiver against streams of known content: any split, every kind of fault, and its cost.

use std::time::Instant;

use super::super::audit::Faults;
use super::*;

const MESSAGES: u64 = 40;
const CLEAN: Faults =
    Faults { missing: 0, duplicated: 0, reordered: 0, late: 0, corrupted: 0, misrouted: 0 };

fn format() -> Format {
    Format::new(64, 99)
}

/// Nothing comes late: all comes at 60 ms, the first was meant for 0.
fn shared() -> Shared {
    Shared::new(format(), extract::Place::Whole, 60_000_000, vec![20])
}

fn stream(framing: Framing) -> Stream {
    let mut stream = Stream::new(0, 0, Kind::Whole);
    stream.connect(framing);
    stream
}

fn event(format: &Format, sequence: u64) -> Vec<u8> {
    let mut event = format!("id: 0badcafe-{sequence}\ndata: ").into_bytes();
    format.encode(Stamp { sequence, intended_ns: sequence * 1_000_000, lag_us: 30 }, &mut event);
    event.extend_from_slice(b"\n\n");
    event
}

fn chunk(body: &[u8]) -> Vec<u8> {
    [format!("{:X}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat()
}

/// One frame per message, as the engine writes them.
fn frames() -> Vec<Vec<u8>> {
    (0..MESSAGES).map(|sequence| chunk(&event(&format(), sequence))).collect()
}

fn receive(shared: &mut Shared, input: &[u8], piece: usize) -> Faults {
    receive_framed(shared, Framing::chunked(), input, piece)
}

fn receive_framed(shared: &mut Shared, framing: Framing, input: &[u8], piece: usize) -> Faults {
    let mut stream = stream(framing);
    for bytes in input.chunks(piece) {
        if stream.feed(bytes, 60_000_000, shared) != Flow::Open {
            break;
        }
    }
    stream.audit().close(MESSAGES)
}

/// Feeds every split of `frames` after an undisturbed stream, so that the frames are proven; then
/// once more with nothing proven. All must give the same.
fn verdict(frames: &[Vec<u8>]) -> Faults {
    let input = frames.concat();
    let expected = receive(&mut shared(), &input, usize::MAX);
    for piece in (1..200).chain([usize::MAX]) {
        let mut fresh = shared();
        assert_eq!(receive(&mut fresh, &input, piece), expected, "pieces of {piece}");
        let mut proven = shared();
        assert_eq!(receive(&mut proven, &self::frames().concat(), usize::MAX), CLEAN);
        let before = proven.tally.delivered;
        assert_eq!(receive(&mut proven, &input, piece), expected, "proven, pieces of {piece}");
        assert_eq!(proven.tally.delivered - before, fresh.tally.delivered, "pieces of {piece}");
        assert_eq!(proven.tally.latency.len(), proven.tally.delivered);
    }
    expected
}

#[test]
fn an_undisturbed_stream_is_clean() {
    assert_eq!(verdict(&frames()), CLEAN);
}

#[test]
fn a_second_subscriber_is_recognised_by_comparison() {
    let input = frames().concat();
    let mut shared = shared();
    assert_eq!(receive(&mut shared, &input, input.len()), CLEAN);
    assert_eq!(shared.tally.recognised, 0);
    assert_eq!(receive(&mut shared, &input, input.len()), CLEAN);
    // The first frame may begin with a byte order mark, so it is always parsed.
    assert_eq!(shared.tally.recognised, MESSAGES - 1);
    assert_eq!(shared.tally.delivered, 2 * MESSAGES);
}

#[test]
fn dropped_frames_are_missing() {
    let mut frames = frames();
    frames.remove(30);
    frames.drain(10..13);
    assert_eq!(verdict(&frames), Faults { missing: 4, ..CLEAN });
    frames.pop();
    assert_eq!(verdict(&frames), Faults { missing: 5, ..CLEAN });
    assert_eq!(verdict(&[]), Faults { missing: MESSAGES, ..CLEAN });
}

#[test]
fn repeated_frames_are_duplicated() {
    let mut frames = frames();
    frames.insert(6, frames[5].clone());
    frames.push(frames[0].clone());
    assert_eq!(verdict(&frames), Faults { duplicated: 2, ..CLEAN });
}

#[test]
fn swapped_frames_are_reordered() {
    let mut frames = frames();
    frames.swap(5, 6);
    frames.swap(20, 22);
    assert_eq!(verdict(&frames), Faults { reordered: 3, ..CLEAN });
}

#[test]
fn every_changed_byte_of_the_data_is_corruption() {
    let data_at = frames()[7].len() - 4 - 64;
    for at in 0..64 {
        let mut frames = frames();
        frames[7][data_at + at] ^= 1;
        let input = frames.concat();
        let mut shared = shared();
        receive(&mut shared, &self::frames().concat(), usize::MAX);
        let faults = receive(&mut shared, &input, input.len());
        assert_eq!(faults, Faults { corrupted: 1, ..CLEAN }, "byte {at}");
    }
}

#[test]
fn an_event_that_is_not_ours_is_told_apart() {
    let mut frames = frames();
    frames.insert(3, chunk(b"event: fanfare.gap\ndata: {}\n\n"));
    frames.insert(9, chunk(b": heartbeat\n\n"));
    assert_eq!(verdict(&frames), CLEAN);
    frames.insert(20, chunk(b"data: hello\n\n"));
    assert_eq!(verdict(&frames), Faults { missing: 0, corrupted: 1, ..CLEAN });
}

#[test]
fn two_faults_do_not_hide_each_other() {
    let mut frames = frames();
    frames[10][40] ^= 1;
    frames.remove(20);
    frames.insert(25, frames[25].clone());
    let expected = Faults { missing: 1, duplicated: 1, corrupted: 1, ..CLEAN };
    assert_eq!(verdict(&frames), expected);
}

#[test]
fn a_torn_chunk_breaks_the_stream() {
    let mut frames = frames();
    frames[10].pop();
    assert_eq!(verdict(&frames), Faults { missing: MESSAGES - 12, corrupted: 1, ..CLEAN });
}

#[test]
fn chunk_bounds_and_line_ends_do_not_matter() {
    let events: Vec<u8> = (0..MESSAGES).flat_map(|n| event(&format(), n)).collect();
    let crlf = String::from_utf8_lossy(&events).replace('\n', "\r\n").into_bytes();
    for body in [&events, &crlf] {
        for chunk_len in [1, 7, 50, 1_000, body.len()] {
            let input: Vec<u8> = body.chunks(chunk_len).flat_map(chunk).collect();
            let mut shared = shared();
            for piece in [1, 13, 500, input.len(), input.len()] {
                let faults = receive(&mut shared, &input, piece);
                assert_eq!(faults, CLEAN, "chunks of {chunk_len}, pieces of {piece}");
            }
        }
        let mut shared = shared();
        for piece in [1, 13, 500, body.len(), body.len()] {
            let faults = receive_framed(&mut shared, Framing::UntilClose, body, piece);
            assert_eq!(faults, CLEAN, "no chunks, pieces of {piece}");
        }
    }
}

/// Damage of every kind at random places: comparing with proven frames must find what parsing finds.
#[test]
fn comparing_finds_what_parsing_finds() {
    for seed in 1..3_000 {
        let mut random = Random(seed);
        let mut frames = frames();
        for _ in 0..random.below(4) {
            let at = random.below(frames.len() - 1);
            match random.below(6) {
                0 => drop(frames.remove(at)),
                1 => frames.insert(at, frames[at].clone()),
                2 => frames.swap(at, at + 1),
                3 => drop(frames[at].pop()),
                4 => frames.insert(at, chunk(b": heartbeat\r\r")),
                _ => {
                    let byte = random.below(frames[at].len());
                    frames[at][byte] = b"\n\r:0a\xff"[random.below(6)];
                }
            }
        }
        let input = frames.concat();
        let mut parsed = shared();
        let expected = receive(&mut parsed, &input, usize::MAX);
        let mut shared = shared();
        receive(&mut shared, &self::frames().concat(), usize::MAX);
        let before = shared.tally.delivered;
        let faults = receive(&mut shared, &input, 1 + random.below(300));
        assert_eq!(faults, expected, "seed {seed}");
        assert_eq!(shared.tally.delivered - before, parsed.tally.delivered, "seed {seed}");
        assert_eq!(shared.tally.foreign, parsed.tally.foreign, "seed {seed}");
    }
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

#[test]
fn latency_counts_from_the_intended_time() {
    let mut shared = shared();
    receive(&mut shared, &frames().concat(), usize::MAX);
    // Message n was meant for n ms and all came at 60 ms.
    let latency = &shared.tally.latency;
    assert!(latency.equivalent(latency.max(), 60_000));
    assert!(latency.equivalent(latency.min(), 21_000));
}

#[test]
fn what_comes_after_the_bound_is_late() {
    let mut shared = Shared::new(format(), extract::Place::Whole, 40_000_000, vec![1]);
    receive(&mut shared, &frames().concat(), usize::MAX);
    receive(&mut shared, &frames().concat(), usize::MAX);
    // Messages 0 to 19 were meant for a time more than 40 ms before.
    assert_eq!(shared.tally.late, 2 * 20);
}

#[test]
fn a_message_of_another_topic_is_misrouted() {
    let mut shared = Shared::new(format(), extract::Place::Whole, u64::MAX, vec![1, 1]);
    let mut stream = stream(Framing::chunked());
    for sequence in [0, 2, 3, 4] {
        stream.feed(&chunk(&event(&format(), sequence)), 1, &mut shared);
    }
    assert_eq!(stream.audit().close(3), Faults { misrouted: 1, ..CLEAN });
    assert_eq!(shared.tally.delivered, 3);
}

#[test]
fn one_who_comes_back_says_the_id_of_its_last_event() {
    let mut shared = shared();
    let (frames, mut first) = (frames(), stream(Framing::chunked()));
    assert_eq!(first.last_id(&shared), None);
    first.feed(&frames[..5].concat(), 1, &mut shared);
    assert_eq!(first.last_id(&shared).as_deref(), Some(&b"0badcafe-4"[..]));
    // The beginning of an event is no event: its id does not hold yet.
    first.feed(&frames[5][..frames[5].len() - 10], 1, &mut shared);
    assert_eq!(first.last_id(&shared).as_deref(), Some(&b"0badcafe-4"[..]));
    // Another, which has never parsed the last one.
    let mut second = stream(Framing::chunked());
    second.feed(&frames[..4].concat(), 1, &mut shared);
    assert_eq!(second.last_id(&shared).as_deref(), Some(&b"0badcafe-3"[..]));
    // It comes back, and goes on where it was.
    first.connect(Framing::chunked());
    assert_eq!(first.last_id(&shared).as_deref(), Some(&b"0badcafe-4"[..]));
    first.catch_up(0, 7_000_000, CaughtUp::Live);
    first.feed(&frames[5..7].concat(), 9_000_000, &mut shared);
    assert!(shared.tally.caught_up.is_empty(), "both were meant for the time it was away");
    first.feed(&frames[7..].concat(), 9_000_000, &mut shared);
    assert_eq!(shared.tally.caught_up.len(), 1);
    assert_eq!(first.audit().close(MESSAGES), CLEAN);
}

#[test]
fn one_who_passes_begins_with_what_comes_first() {
    let mut shared = shared();
    let mut passing = Stream::new(0, 0, Kind::Passing);
    passing.begin(None);
    passing.connect(Framing::chunked());
    passing.feed(&frames()[10..20].concat(), 1, &mut shared);
    assert_eq!(passing.audit().close(passing.audit().next()), CLEAN);
    assert_eq!((shared.tally.delivered, shared.tally.delivered_to_passing), (0, 10));
}

#[test]
fn one_who_reads_slowly_counts_apart() {
    let mut shared = shared();
    let mut slow = Stream::new(0, 0, Kind::Slow);
    slow.connect(Framing::chunked());
    slow.feed(&frames()[..3].concat(), 1, &mut shared);
    assert_eq!((shared.tally.delivered, shared.tally.delivered_to_slow), (0, 3));
    assert!(shared.tally.latency.is_empty());
}

#[test]
fn an_event_is_followed_to_each_of_its_audience() {
    let mut shared = Shared::new(format(), extract::Place::Whole, u64::MAX, vec![2]).following(8);
    receive(&mut shared, &frames().concat(), 100);
    assert!(shared.followed.take(0, false).is_empty());
    receive(&mut shared, &frames().concat(), 100);
    let sequences: Vec<u64> =
        shared.followed.take(0, false).iter().map(|shape| shape.sequence).collect();
    assert_eq!(sequences, [0, 8, 16, 24, 32]);
}

/// Prints what a delivery costs:
/// `cargo test --release -p fanfare-load -- --ignored cost --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn cost_of_a_delivery() {
    let format = Format::new(128, 99);
    let (messages, subscribers) = (100_000, 100);
    let events: Vec<Vec<u8>> = (0..messages).map(|sequence| event(&format, sequence)).collect();
    // Two events in a chunk are never kept as a proven frame.
    let one_by_one: Vec<u8> = events.iter().flat_map(|event| chunk(event)).collect();
    let in_pairs: Vec<u8> = events.chunks(2).flat_map(|pair| chunk(&pair.concat())).collect();
    for (name, input, read) in [
        ("compared, reads of 64 KiB", &one_by_one, 64 * 1024),
        ("compared, reads of 4 KiB", &one_by_one, 4 * 1024),
        ("parsed, reads of 64 KiB", &in_pairs, 64 * 1024),
    ] {
        let mut shared =
            Shared::new(format.clone(), extract::Place::Whole, u64::MAX, vec![subscribers]);
        let mut streams: Vec<Stream> =
            (0..subscribers).map(|_| stream(Framing::chunked())).collect();
        let start = Instant::now();
        for bytes in input.chunks(read) {
            for stream in &mut streams {
                stream.feed(bytes, 1, &mut shared);
            }
        }
        let elapsed = start.elapsed();
        assert!(streams.iter().all(|stream| stream.audit().close(messages).count() == 0));
        let each = elapsed.as_nanos() as f64 / shared.tally.delivered as f64;
        println!("{name}: {each:.1} ns per delivery of {} bytes", input.len() as u64 / messages);
    }
}
