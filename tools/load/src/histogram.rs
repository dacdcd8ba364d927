//! Distributions of times: recorded in microseconds, told in milliseconds.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Times are kept up to ten minutes, to three digits (200 KB).
const MAX_US: u64 = 600_000_000;

/// An empty histogram of microseconds.
pub(crate) fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_US, 3).expect("the bounds are valid")
}

/// A distribution in figures. All are 0 when nothing was recorded.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) p99_99: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
}

impl Percentiles {
    /// The figures of a histogram of microseconds, in milliseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            min: ms(histogram.min()),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: ms(histogram.max()),
            mean: histogram.mean() / 1e3,
        }
    }
}

/// A histogram as text: HdrHistogram's own format (V2), in base64.
pub(crate) mod encoded {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Deserializer as Reader, Serializer as _, V2Serializer};
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a histogram.
    pub(crate) fn serialize<S: Serializer>(
        histogram: &Histogram<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes).map_err(S::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    /// Reads one back.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Histogram<u64>, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)?;
        Reader::new().deserialize(&mut &bytes[..]).map_err(D::Error::custom)
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_told_as_milliseconds() {
        let mut histogram = empty();
        for us in 1..=1_000 {
            histogram.record(us).expect("within the bounds");
        }
        let told = Percentiles::of(&histogram);
        assert_eq!((told.count, told.min, told.max), (1_000, 0.001, 1.0));
        assert!((told.p50 - 0.5).abs() < 0.001 && (told.p99 - 0.99).abs() < 0.001, "{told:?}");
        assert_eq!(Percentiles::of(&empty()), Percentiles::default());
    }

    #[test]
    fn a_histogram_comes_back_from_its_text() {
        #[derive(Deserialize, Serialize)]
        struct Sent(#[serde(with = "encoded")] Histogram<u64>);
        let mut histogram = empty();
        for us in [1, 77, 5_000_000, MAX_US] {
            histogram.record_n(us, us % 9 + 1).expect("within the bounds");
        }
        let text = serde_json::to_string(&Sent(histogram.clone())).expect("it is text");
        let Sent(back) = serde_json::from_str(&text).expect("as it was written");
        assert_eq!(back, histogram);
    }
}
