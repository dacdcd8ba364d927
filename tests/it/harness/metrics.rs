//! What `/metrics` says, read as strictly as a scraper reads it.

use std::collections::BTreeMap;

/// Every sample by its name and labels, as printed.
#[derive(Debug)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Parses the text format of Prometheus.
    pub(crate) fn parse(text: &str) -> Self {
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (series, value) =
                line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line:?}"));
            let prefixes = ["fanfare_", "process_"];
            assert!(prefixes.iter().any(|name| series.starts_with(name)), "whose is {line:?}");
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line:?}");
        }
        assert!(!samples.is_empty(), "there are metrics");
        Self(samples)
    }

    /// The sum of all series of that name, whatever their labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.sum_where(name, |_| true)
    }

    /// The sum of all series of that name with that label.
    pub(crate) fn labelled(&self, name: &str, label: &str, value: &str) -> f64 {
        let pair = format!("{label}=\"{value}\"");
        self.sum_where(name, |series| series.contains(&pair))
    }

    fn sum_where(&self, name: &str, wanted: impl Fn(&str) -> bool) -> f64 {
        let wanted = |series: &str| series.split('{').next() == Some(name) && wanted(series);
        let mut values = self.0.iter().filter(|(series, _)| wanted(series)).peekable();
        assert!(values.peek().is_some(), "no such {name} in {:#?}", self.0);
        values.map(|(_, value)| value).sum()
    }
}
