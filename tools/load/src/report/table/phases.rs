//! The parts of a run, as a small table of aligned columns.

use super::super::Phase;
use super::super::figures::{count, ms, number};

/// The lines of the table, its head first.
pub(super) fn aligned(phases: &[Phase]) -> String {
    let (head, rows) = columns(phases);
    let widths: Vec<usize> = (0..head.len())
        .map(|at| rows.iter().chain([&head]).map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let lines = [&head].into_iter().chain(&rows).map(|row| line(row, &widths));
    lines.collect::<Vec<_>>().join("\n")
}

/// Names to the left, figures to the right.
fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = format!("{:<width$}", row[0], width = widths[0]);
    for (cell, &width) in row.iter().zip(widths).skip(1) {
        line.push_str(&format!("  {cell:>width$}"));
    }
    line.trim_end().to_owned()
}

/// The heads of the columns, and the rows. The page shows the same.
pub(crate) fn columns(phases: &[Phase]) -> (Vec<String>, Vec<Vec<String>>) {
    let with_cost = phases.iter().any(|phase| phase.server_cpu_us_per_delivery.is_some());
    let with_objective = phases.iter().any(|phase| phase.holds.is_some() || phase.bottleneck);
    let mut head = vec![
        "phase",
        "from s",
        "to s",
        "msg/s",
        "delivered",
        "of",
        "/s",
        "p50 ms",
        "p99 ms",
        "max ms",
    ];
    head.extend(with_cost.then_some("us/delivery"));
    head.extend(with_objective.then_some("objective"));
    let rows = phases.iter().map(|phase| {
        let mut row = figures(phase);
        if with_cost {
            row.push(phase.server_cpu_us_per_delivery.map_or_else(String::new, number));
        }
        if with_objective {
            row.push(objective(phase).to_owned());
        }
        row
    });
    (head.into_iter().map(str::to_owned).collect(), rows.collect())
}

fn figures(phase: &Phase) -> Vec<String> {
    let latency = &phase.latency_ms;
    let time = |value| if latency.count == 0 { String::new() } else { ms(value) };
    vec![
        phase.name.clone(),
        number(phase.from_seconds),
        number(phase.to_seconds),
        number(phase.rate),
        count(phase.delivered),
        count(phase.expected),
        if phase.bottleneck { "-".to_owned() } else { number(phase.per_second.round()) },
        time(latency.p50),
        time(latency.p99),
        time(latency.max),
    ]
}

fn objective(phase: &Phase) -> &'static str {
    match phase.holds {
        _ if phase.bottleneck => "the tester was the bottleneck",
        Some(true) => "holds",
        Some(false) => "MISSED",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::*;

    #[test]
    fn columns_are_aligned_and_appear_when_needed() {
        let table = aligned(&samples::ladder().phases);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 7, "{table}");
        assert!(lines[0].ends_with("us/delivery  objective"), "{table}");
        let p99 = lines[0].find("p99 ms").expect("a column") + "p99 ms".len();
        for line in &lines {
            assert!(line.as_bytes()[p99] == b' ' && line.as_bytes()[p99 - 1] != b' ', "{table}");
        }
        assert!(lines[5].ends_with("MISSED") && lines[4].ends_with("holds"), "{table}");
        let mut plain = samples::ladder().phases;
        for phase in &mut plain {
            (phase.holds, phase.server_cpu_us_per_delivery) = (None, None);
        }
        assert!(aligned(&plain).lines().all(|line| !line.contains("objective")));
    }

    #[test]
    fn a_phase_of_a_busy_tester_claims_no_rate() {
        let phases = samples::bottlenecked().phases;
        let last = columns(&phases).1.pop().expect("phases");
        assert_eq!((&*last[6], &*last[last.len() - 1]), ("-", "the tester was the bottleneck"));
    }
}
