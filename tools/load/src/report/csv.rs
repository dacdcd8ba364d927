//! The report's tables for other programs: one file, one table, units in the names of the columns.
//!
//! What is not known is an empty field.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use csv::Writer;

use super::{Phase, Point, Report};

const SERIES: [&str; 12] = [
    "at_s",
    "connected",
    "published_per_s",
    "delivered_per_s",
    "bytes_per_s",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "tester_cpu_cores",
    "tester_lag_ms",
    "server_cpu_cores",
    "server_pss_bytes",
];

const PHASES: [&str; 15] = [
    "phase",
    "from_s",
    "to_s",
    "rate_per_s",
    "expected",
    "delivered",
    "delivered_per_s",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "p99_9_ms",
    "max_ms",
    "server_cpu_us_per_delivery",
    "holds",
    "tester_was_bottleneck",
];

/// Writes the series to `path`, and phases beside it, if there are any: of `run.csv` to
/// `run.phases.csv`.
///
/// # Errors
/// Names the file that cannot be written, and why.
pub(super) fn write(report: &Report, path: &Path) -> Result<(), String> {
    table(path, &SERIES, report.series.iter().map(point))?;
    if report.phases.is_empty() {
        return Ok(());
    }
    table(&beside(path), &PHASES, report.phases.iter().map(phase))
}

fn beside(path: &Path) -> PathBuf {
    let extension = path.extension().map(|extension| extension.to_string_lossy());
    path.with_extension(format!("phases.{}", extension.as_deref().unwrap_or("csv")))
}

fn table<const N: usize>(
    path: &Path,
    head: &[&str; N],
    mut rows: impl Iterator<Item = [String; N]>,
) -> Result<(), String> {
    let fault = |error: csv::Error| format!("{}: {error}", path.display());
    let mut writer = Writer::from_path(path).map_err(fault)?;
    writer.write_record(head).map_err(fault)?;
    rows.try_for_each(|row| writer.write_record(&row)).map_err(fault)?;
    writer.flush().map_err(|error| format!("{}: {error}", path.display()))
}

fn point(point: &Point) -> [String; 12] {
    [
        point.at_seconds.to_string(),
        point.connected.to_string(),
        point.published_per_second.to_string(),
        point.delivered_per_second.to_string(),
        point.bytes_per_second.to_string(),
        point.p50_ms.to_string(),
        point.p99_ms.to_string(),
        point.max_ms.to_string(),
        point.tester_cpu_cores.to_string(),
        point.tester_lag_ms.to_string(),
        if_known(point.server_cpu_cores),
        if_known(point.server_pss_bytes),
    ]
}

fn phase(phase: &Phase) -> [String; 15] {
    let latency = &phase.latency_ms;
    let time = |ms: f64| if_known((latency.count > 0).then_some(ms));
    [
        phase.name.clone(),
        phase.from_seconds.to_string(),
        phase.to_seconds.to_string(),
        phase.rate.to_string(),
        phase.expected.to_string(),
        phase.delivered.to_string(),
        phase.per_second.to_string(),
        time(latency.p50),
        time(latency.p90),
        time(latency.p99),
        time(latency.p99_9),
        time(latency.max),
        if_known(phase.server_cpu_us_per_delivery),
        if_known(phase.holds),
        phase.bottleneck.to_string(),
    ]
}

fn if_known(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    /// What `write` makes of a report: the series and the phases, as another program reads them.
    fn written(report: &Report, name: &str) -> [Option<Vec<csv::StringRecord>>; 2] {
        let name = format!("fanfare-load-{name}-{}.csv", std::process::id());
        let path = std::env::temp_dir().join(name);
        write(report, &path).expect("the temporary folder is there");
        [path.clone(), beside(&path)].map(|path| {
            let read = csv::Reader::from_path(&path).ok()?.into_records().map(Result::unwrap);
            let rows = read.collect();
            std::fs::remove_file(&path).expect("it was read");
            Some(rows)
        })
    }

    #[test]
    fn each_slice_is_a_line() {
        let report = samples::soak();
        let [Some(rows), None] = written(&report, "soak") else { panic!("one table") };
        assert_eq!(rows.len(), report.series.len());
        let (row, point) = (&rows[7], &report.series[7]);
        assert_eq!(row.get(0), Some("480"));
        assert_eq!(row[6].parse(), Ok(point.p99_ms));
        assert_eq!(row[11].parse().ok(), point.server_pss_bytes);
    }

    #[test]
    fn phases_are_a_table_of_their_own_and_names_may_be_anything() {
        let mut report = samples::bottlenecked();
        report.phases[0].name = "one, \"two\"\nthree".to_owned();
        report.phases[1].server_cpu_us_per_delivery = None;
        let [Some(_), Some(rows)] = written(&report, "ladder") else { panic!("two tables") };
        assert_eq!(rows.len(), 6);
        assert_eq!(&rows[0][0], "one, \"two\"\nthree");
        assert_eq!((&rows[1][12], &rows[1][13], &rows[1][14]), ("", "true", "false"));
        assert_eq!((&rows[5][13], &rows[5][14]), ("", "true"));
    }

    #[test]
    fn the_file_beside_keeps_its_ending() {
        assert_eq!(beside(Path::new("a/run.csv")), Path::new("a/run.phases.csv"));
        assert_eq!(beside(Path::new("a.b/run")), Path::new("a.b/run.phases.csv"));
    }
}
