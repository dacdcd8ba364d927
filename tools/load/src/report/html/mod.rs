//! The report as one page that needs nothing else: style and plots are in it, scripts are not.
//!
//! What a page shows comes from outside in part (addresses, errors, the command line): maud escapes
//! all of it, and the page forbids itself scripts and whatever would be fetched.

mod axis;
mod plot;
mod plots;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::plot::{Line, Plot};
use super::figures::{count, ms, number, seconds};
use super::{Report, ScenarioResult, Verdict, table};
use crate::histogram::Percentiles;

const STYLE: &str = include_str!("page.css");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page.
///
/// # Errors
/// When a plot cannot be drawn.
pub(super) fn page(report: &Report) -> Result<String, String> {
    let title = report.heading();
    let plots = plots::of(report).iter().map(figure).collect::<Result<Vec<_>, _>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "fanfare-load, " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { h1 { (title) } (began(report)) }
                main {
                    (summary(report))
                    @if !plots.is_empty() {
                        section { h2 { "Plots" } div.plots { @for plot in &plots { (plot) } } }
                    }
                    (phases(report))
                    (distributions(report))
                    (all_rows(report))
                    (setting(report))
                }
            }
        }
    };
    Ok(page.into_string())
}

fn began(report: &Report) -> Markup {
    let machine = &report.machine;
    html! {
        p.sub {
            "fanfare-load " (machine.tester_version) ", " (machine.began) ", against "
            (report.setting.target)
        }
    }
}

/// What one wants to know first: verdict, doubts, and the figures that matter.
fn summary(report: &Report) -> Markup {
    let class = match report.verdict {
        Verdict::Passed => "good",
        Verdict::Failed => "bad",
        Verdict::Unaudited => "doubt",
    };
    html! {
        section {
            p.banner.(class) { strong { (report.verdict) } }
            @if report.tester.bottleneck {
                p.banner.doubt {
                    strong { "The tester was the bottleneck: " }
                    "no figure here says what the server can do; "
                    (report.tester.bottleneck_why.join("; "))
                }
            }
            @for note in report.notes() { p.banner.doubt { (note) } }
            @if let Some(result) = &report.result { p.result { (table::result(result, report)) } }
            dl.tiles { @for (name, value) in tiles(report) { div { dt { (name) } dd { (value) } } } }
        }
    }
}

/// The figures that matter, as far as they are known and can be claimed.
fn tiles(report: &Report) -> Vec<(&'static str, String)> {
    let mut tiles = match &report.result {
        // Over all steps of a ladder, latency and rate are those of no load at all.
        Some(ScenarioResult::Ladder { knee_rate, .. }) => knee_tiles(report, *knee_rate),
        _ => load_tiles(report),
    };
    if report.verdict != Verdict::Unaudited {
        let faults: u64 = report.audit.counted().iter().map(|(_, faults)| faults).sum();
        tiles.push(("faults", count(faults + report.audit.cut)));
    }
    if let Some(server) = &report.server {
        if server.cpu_us_per_delivery > 0.0 {
            tiles.push(("CPU per delivery", format!("{} µs", number(server.cpu_us_per_delivery))));
        }
        let held = number(server.pss_bytes_per_subscriber.round());
        tiles.push(("memory per subscriber", format!("{held} B")));
    }
    tiles
}

fn load_tiles(report: &Report) -> Vec<(&'static str, String)> {
    let latency = &report.latency_ms;
    let mut tiles = Vec::new();
    if latency.count > 0 {
        tiles.push(("p50", format!("{} ms", ms(latency.p50))));
        tiles.push(("p99", format!("{} ms", ms(latency.p99))));
        tiles.push(("max", format!("{} ms", ms(latency.max))));
    }
    if report.delivery.expected > 0 {
        tiles.push(("delivered", count(report.delivery.delivered)));
        if !report.tester.bottleneck {
            tiles.push(("deliveries/s", number(report.delivery.per_second.round())));
        }
    }
    tiles
}

fn knee_tiles(report: &Report, knee: Option<f64>) -> Vec<(&'static str, String)> {
    let knee = knee.filter(|_| !report.tester.bottleneck);
    let step = report.phases.iter().find(|phase| Some(phase.rate) == knee);
    let Some((knee, step)) = knee.zip(step) else { return Vec::new() };
    vec![
        ("knee, msg/s", number(knee)),
        ("deliveries/s there", number(step.per_second.round())),
        ("p99 there", format!("{} ms", ms(step.latency_ms.p99))),
    ]
}

fn figure(plot: &Plot) -> Result<Markup, String> {
    let svg = plot.svg()?;
    let svg = svg.replacen("<svg ", "<svg aria-hidden=\"true\" ", 1);
    Ok(html! {
        figure {
            figcaption {
                h3 { (plot.title) }
                @if !plot.caption.is_empty() { p { (plot.caption) } }
                p.legend {
                    @for line in &plot.lines { (legend(line)) }
                    @if plot.y.is_log() { "logarithmic scale" }
                }
            }
            div role="img" aria-label=(plot.title) { (PreEscaped(svg)) }
        }
    })
}

fn legend(line: &Line) -> Markup {
    html! { span { i style={ "background:var(" (line.ink.property()) ")" } {} (line.name) } }
}

fn phases(report: &Report) -> Markup {
    let (head, rows) = table::phase_columns(&report.phases);
    html! {
        @if !rows.is_empty() { section { h2 { "Phases" } (grid(&head, &rows)) } }
    }
}

/// Every distribution that was measured, side by side.
fn distributions(report: &Report) -> Markup {
    let head = ["ms", "count", "min", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"];
    let rows: Vec<_> = report
        .distributions()
        .into_iter()
        .filter(|(_, times)| times.count > 0)
        .map(|(name, times)| distribution(name, &times))
        .collect();
    html! {
        @if !rows.is_empty() {
            section { h2 { "Distributions" } (grid(&head.map(str::to_owned), &rows)) }
        }
    }
}

fn distribution(name: &str, times: &Percentiles) -> Vec<String> {
    let Percentiles { min, p50, p90, p99, p99_9, p99_99, max, mean, .. } = *times;
    let mut row = vec![name.to_owned(), count(times.count)];
    row.extend([min, p50, p90, p99, p99_9, p99_99, max, mean].map(ms));
    row
}

/// Names to the left, figures to the right; wide ones scroll on their own.
fn grid(head: &[String], rows: &[Vec<String>]) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { @for cell in head { th scope="col" { (cell) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the table for people says.
fn all_rows(report: &Report) -> Markup {
    let rows = report.rows();
    // They are above, with more room.
    let shown = rows.iter().filter(|(name, _)| !matches!(&**name, "phases" | "note" | "verdict"));
    html! {
        section {
            h2 { "In words" }
            dl.rows { @for (name, value) in shown { dt { (name) } dd { (value) } } }
        }
    }
}

/// All that one needs to make the run again.
fn setting(report: &Report) -> Markup {
    let setting = &report.setting;
    let rows = [
        ("command", setting.command.clone()),
        ("scenario", report.scenario.clone()),
        ("subscribers", count(setting.subscribers.into())),
        ("topics", count(setting.topics.into())),
        ("messages per second", number(setting.rate)),
        ("bytes of data each", count(setting.size_bytes as u64)),
        ("duration", seconds(setting.duration_seconds)),
        ("published by", setting.publish_mode.clone()),
        ("machine", report.machine.to_string()),
    ];
    html! {
        section {
            h2 { "Setting" }
            dl.rows { @for (name, value) in &rows { dt { (name) } dd { (value) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_page_needs_nothing_else_and_runs_nothing() {
        for report in samples::all() {
            let page = page(&report).expect("drawn");
            for foreign in ["<script", "<link", "<img", "@import", "url(", " src=", " href="] {
                assert!(!page.contains(foreign), "{foreign} in {}", report.scenario);
            }
            assert!(
                page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'")
            );
        }
    }

    #[test]
    fn words_from_outside_stay_words() {
        let mut report = samples::failed();
        let markup = "<img src=x onerror=\"alert(1)\">";
        report.setting.target = markup.to_owned();
        report.setting.command = markup.to_owned();
        report.scenario = markup.to_owned();
        report.notes.push(markup.to_owned());
        report.connect.first_failure = Some(markup.to_owned());
        report.tester.bottleneck = true;
        report.tester.bottleneck_why = vec![markup.to_owned()];
        report.phases = samples::ladder().phases;
        report.phases[0].name = markup.to_owned();
        let page = page(&report).expect("drawn");
        assert!(
            !page.contains("<img") && !page.contains("<script"),
            "markup of the report's words"
        );
        assert!(page.matches("&lt;img src=x").count() >= 7);
        assert!(page.contains("alert(&quot;&amp;&quot;)"));
    }

    #[test]
    fn a_page_shows_all_that_the_table_does() {
        for report in samples::all() {
            let page = page(&report).expect("drawn");
            let text = page.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
            let text = text.replace("&amp;", "&");
            for (name, value) in report.rows().into_iter().filter(|(name, _)| name != "phases") {
                assert!(text.contains(&value), "{name} of {}", report.scenario);
            }
        }
    }

    #[test]
    fn a_tester_that_was_the_bottleneck_has_no_tile_of_a_rate() {
        let names = |report| tiles(&report).into_iter().map(|tile| tile.0).collect::<Vec<_>>();
        let ladder = names(samples::ladder());
        assert_eq!(ladder[..3], ["knee, msg/s", "deliveries/s there", "p99 there"]);
        let mut busy = samples::ladder();
        busy.tester.bottleneck = true;
        assert_eq!(names(busy)[0], "faults");
        assert!(names(samples::steady()).contains(&"deliveries/s"));
        let mut busy = samples::steady();
        busy.tester.bottleneck = true;
        assert!(!names(busy).contains(&"deliveries/s"));
    }
}
