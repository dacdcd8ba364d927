//! What a delivery costs, beside the floor: the same bytes to the same sockets with nothing around.
//!
//! `cargo bench --bench fan_out [-- --subscribers 1000 --rounds 200 --repeats 7]`
//!
//! Each contender has the same number of loopback connections, which a thread on another CPU drains,
//! and sends the same frames round by round: every subscriber gets the round's bytes before the next
//! round begins, after a pause of 5 ms. Counted is the CPU time of the sending thread. Contenders take turns; a row is the
//! median over the repeats, with the spread, and its ratio to the plain `send(2)` loop.

mod drain;
mod engine;
mod floor;
mod tokio_uring;

use std::time::Duration;

use clap::Parser;
use fanfare::engine::DriverChoice;

#[derive(Parser)]
struct Arguments {
    /// Connections of each contender.
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Rounds in a repeat.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// Repeats, of which the median counts.
    #[arg(long, default_value_t = 7)]
    repeats: usize,
    /// Bytes of data in an event.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Something that delivers rounds and says what CPU time its sending thread took.
trait Contender {
    fn name(&self) -> &'static str;

    /// Delivers `events` events to each subscriber, `rounds` times.
    fn run(&mut self, rounds: usize, events: usize) -> Duration;
}

/// A core rests between passes and its CPU goes cold, so everybody's does after each round.
fn rest() {
    std::thread::sleep(PAUSE);
}

/// Longer than a core rests.
const PAUSE: Duration = Duration::from_millis(5);

/// Events that a subscriber is behind when it is sent to: one, a few, and a busy topic's worth.
const EVENTS_PER_ROUND: [usize; 3] = [1, 10, 100];

fn main() {
    let arguments = Arguments::parse();
    let (subscribers, size) = (arguments.subscribers, arguments.size);
    let mut contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(floor::SendLoop::new(subscribers, size)),
        Box::new(floor::Ring::new(subscribers, size)),
        Box::new(engine::Engine::new(subscribers, size, DriverChoice::Epoll)),
        Box::new(engine::Engine::new(subscribers, size, DriverChoice::Uring)),
        Box::new(tokio_uring::Joined::new(subscribers, size)),
        Box::new(tokio_uring::Tasks::new(subscribers, size)),
    ];
    println!("{subscribers} subscribers, {size} B of data, one core sends and another receives");
    println!(
        "events/send  contender            ns/delivery (min..max)      ratio  deliveries/s of a core"
    );
    for events in EVENTS_PER_ROUND {
        let rounds = (arguments.rounds / events).max(10);
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
        for _ in 0..arguments.repeats {
            for (contender, times) in contenders.iter_mut().zip(&mut times) {
                let time = contender.run(rounds, events);
                times.push(time.as_nanos() as f64 / (rounds * events * subscribers) as f64);
            }
        }
        report(events, &contenders, &mut times);
    }
}

fn report(events: usize, contenders: &[Box<dyn Contender>], times: &mut [Vec<f64>]) {
    for times in times.iter_mut() {
        times.sort_by(f64::total_cmp);
    }
    let median = |times: &[f64]| times[times.len() / 2];
    let floor = median(&times[0]);
    for (contender, times) in contenders.iter().zip(times.iter()) {
        let (low, middle, high) = (times[0], median(times), times[times.len() - 1]);
        println!(
            "{events:11}  {:19} {middle:8.0} ({low:.0}..{high:.0}) {:>14.2} {:>16.2} M",
            contender.name(),
            middle / floor,
            1e3 / middle,
        );
    }
}
