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
            assert!(series.starts_with("fanfare_"), "our metrics carry our name: {line:?}");
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line:?}");
        }
        assert!(!samples.is_empty(), "there are metrics");
        Self(samples)
    }

    /// The sum of all series of that name, whatever their labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let of_name = |series: &str| series.split('{').next() == Some(name);
        let mut values = self.0.iter().filter(|(series, _)| of_name(series)).peekable();
        assert!(values.peek().is_some(), "no {name} in {:#?}", self.0);
        values.map(|(_, value)| value).sum()
    }

    /// The series of that name with that label.
    pub(crate) fn labelled(&self, name: &str, label: &str, value: &str) -> f64 {
        let pair = format!("{label}=\"{value}\"");
        let wanted =
            |series: &str| series.split('{').next() == Some(name) && series.contains(&pair);
        self.0.iter().filter(|(series, _)| wanted(series)).map(|(_, value)| value).sum()
    }
}
