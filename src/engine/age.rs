//! The age of connections: a stream that is too old ends in order, so that its client comes anew.
//!
//! A proxy may keep a connection open, and acknowledge everything, for a client that is long gone. No
//! connection has a timer for this: a round looks at each now and then.

use std::time::{Duration, Instant};

use super::{
    connection::{Connection, EndReason},
    core::Core,
    driver::{Driver, Socket},
};

impl<D: Driver> Core<D> {
    /// Ends those that are too old, of the slots whose turn it is. Only between two passes.
    pub(super) fn end_aged(&mut self, now: Instant) {
        let Some(age_max) = self.context.age_max else { return };
        if self.connections.len() == 0 {
            return self.ages.pause();
        }
        if self.is_owed() {
            return;
        }
        let Some(slots) = self.ages.take_due(self.connections.slots(), now) else { return };
        let seconds = self.seconds(now);
        let is_aged = |(socket, connection): (Socket, &Connection)| {
            let Connection::Live { since, .. } = connection else { return None };
            let age = Duration::from_secs(seconds.saturating_sub(*since).into());
            (age >= age_max_of(socket, age_max)).then_some(socket)
        };
        let aged: Vec<Socket> = self.connections.range(slots).filter_map(is_aged).collect();
        for socket in aged {
            self.end_in_order(socket, EndReason::Expired);
        }
    }
}

/// Up to a tenth less or more, so that those who came together do not go together.
fn age_max_of(socket: Socket, age_max: Duration) -> Duration {
    let spread = socket.slot.wrapping_add(socket.generation).wrapping_mul(0x9e37_79b1) >> 16;
    age_max.mul_f64(0.9 + 0.2 * f64::from(spread) / f64::from(1 << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_over_a_fifth() {
        let hour = Duration::from_secs(3600);
        let ages = (0..10_000).map(|slot| age_max_of(Socket { slot, generation: 1 }, hour));
        let mut tenths = [0; 10];
        for age in ages {
            let share = (age.as_secs_f64() / hour.as_secs_f64() - 0.9) / 0.2;
            tenths[(share * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|tenth| (900..1100).contains(tenth)), "{tenths:?}");
    }
}
