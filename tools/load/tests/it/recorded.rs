//! What is made of runs that have been recorded.

use std::fs;
use std::path::{Path, PathBuf};

use crate::mock::tester;

/// The document of a run of this name.
pub(crate) fn recorded(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    folder.join(format!("{name}.json")).to_string_lossy().into_owned()
}

/// A file that is gone when the test ends.
pub(crate) struct Made(PathBuf);

impl Made {
    /// One of this name, which no other test run has.
    pub(crate) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("fanfare-load-it-{}-{name}", std::process::id())))
    }

    pub(crate) fn path(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_else(|error| panic!("{}: {error}", self.path()))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_recorded_run_is_shown_in_every_form() {
    let [json, csv, phases, html] =
        ["run.json", "run.csv", "run.phases.csv", "run.html"].map(Made::new);
    let run = recorded("ladder");
    let flags =
        ["report", &run, "--json", &json.path(), "--csv", &csv.path(), "--html", &html.path()];
    let output = tester(&flags);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(table.contains("the objective held up to 8,000 msg/s"), "{table}");
    let again = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(again(&json.text()), again(&fs::read_to_string(&run).expect("recorded")));
    assert!(csv.text().starts_with("at_s,connected,") && csv.text().lines().count() == 31);
    assert!(phases.text().lines().last().is_some_and(|line| line.starts_with("step 6,25,30,")));
    assert!(html.text().contains("<svg ") && html.text().ends_with("</html>"));
}

#[test]
fn quiet_prints_nothing_and_standard_output_takes_the_document() {
    let run = recorded("steady");
    let output = tester(&["report", &run, "--quiet"]);
    assert!(output.status.success() && output.stdout.is_empty());
    let output = tester(&["report", &run, "--json", "-"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("only JSON");
    assert_eq!(document["scenario"], "steady");
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let run = recorded("steady");
    for (flags, named) in [
        (&["report", "/nowhere/run.json"][..], "/nowhere/run.json: No such file"),
        (&["report", &run, "--html", "/nowhere/run.html"], "/nowhere/run.html: No such file"),
        (&["report", &run, "--csv", "/nowhere/run.csv"], "/nowhere/run.csv: No such file"),
        (&["report", env!("CARGO_MANIFEST_PATH")], "Cargo.toml: no report of fanfare-load"),
    ] {
        let output = tester(flags);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(named), "{flags:?}: {stderr}");
    }
}

#[test]
fn a_comparison_says_by_its_status_what_came_of_it() {
    let [steady, failed, ladder] = ["steady", "failed", "ladder"].map(recorded);
    let compared = |flags: &[&str]| {
        let output = tester(&[&["compare"], flags].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    for (flags, status, words) in [
        (&[&*steady, &*steady][..], 0, "no difference beyond noise"),
        (&[&steady, &failed], 1, "REGRESSION: faults"),
        (&[&steady, &ladder], 2, "subscribers: 1000"),
        (&[&steady, &ladder, "--force"], 0, "settings differ: subscribers: 1000"),
        (&[&steady, "/nowhere/run.json"], 2, "/nowhere/run.json: No such file"),
        (&[&steady], 2, "<B.json>"),
        (&["--baseline", &steady], 2, "--candidate"),
    ] {
        let (found, said) = compared(flags);
        assert!(found == Some(status) && said.contains(words), "{flags:?}: {found:?}: {said}");
    }
    let several = format!("{steady},{steady},{steady}");
    let flags = ["--baseline", &several, "--candidate", &failed, &failed, "--json", "-"];
    let (status, document) = compared(&flags);
    assert_eq!(status, Some(1));
    let document: serde_json::Value = serde_json::from_str(&document).expect("only JSON");
    assert_eq!(document["regression"], true);
    assert_eq!(document["baseline"].as_array().map(Vec::len), Some(3));
    let rows = document["rows"].as_array().expect("rows");
    let p99 = rows.iter().find(|row| row["name"] == "p99").expect("a row of p99");
    assert_eq!((&p99["outcome"], &p99["unit"]), (&"noise".into(), &"ms".into()));
    assert!(
        p99["bounds"]["low"].as_f64() < Some(1.0) && p99["bounds"]["high"].as_f64() > Some(1.0)
    );
}
