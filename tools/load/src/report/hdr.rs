//! Histograms of latency, one per slice of time, as an HdrHistogram interval log: the format other tools
//! read, and logs of several testers can be merged.

use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

/// Values are recorded in microseconds; the log tells its maxima in milliseconds.
const US_PER_MS: f64 = 1_000.0;

/// Writes a log of slices: from and to in seconds since `began`, and what was recorded between.
///
/// # Errors
/// Names the file, and why it cannot be written.
pub(crate) fn write_histograms(
    path: &Path,
    began: SystemTime,
    slices: &[(f64, f64, Histogram<u64>)],
) -> Result<(), String> {
    let mut bytes = Vec::new();
    encode(&mut bytes, began, slices)
        .and_then(|()| std::fs::write(path, bytes).map_err(|error| error.to_string()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn encode(
    bytes: &mut Vec<u8>,
    began: SystemTime,
    slices: &[(f64, f64, Histogram<u64>)],
) -> Result<(), String> {
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(
            "fanfare-load: latency in microseconds, from the intended time of each publish",
        )
        .with_start_time(began)
        .with_base_time(began)
        .with_max_value_divisor(US_PER_MS)
        .begin_log_with(bytes, &mut serializer)
        .map_err(|error| error.to_string())?;
    for (from, to, latency) in slices {
        let (from, length) = (Duration::from_secs_f64(*from), Duration::from_secs_f64(to - from));
        log.write_histogram(latency, from, length, None).map_err(|error| format!("{error:?}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::histogram;

    #[test]
    fn a_log_can_be_read_and_merged() {
        let slice = |us| {
            let mut latency = histogram::empty();
            latency.saturating_record(us);
            latency
        };
        let mut bytes = Vec::new();
        let slices = [(0.0, 1.0, slice(1_000)), (1.0, 2.0, slice(9_000))];
        encode(&mut bytes, SystemTime::UNIX_EPOCH, &slices).expect("it is written");
        let mut merged = histogram::empty();
        for entry in IntervalLogIterator::new(&bytes) {
            if let LogEntry::Interval(interval) = entry.expect("a line as it should be") {
                use base64::Engine as _;
                let text = interval.encoded_histogram();
                let bytes = base64::engine::general_purpose::STANDARD.decode(text);
                let read = Deserializer::new()
                    .deserialize::<u64, _>(&mut &bytes.expect("base64")[..])
                    .expect("a histogram");
                merged += &read;
            }
        }
        assert_eq!(merged.len(), 2);
        assert!(merged.equivalent(merged.max(), 9_000));
    }
}
