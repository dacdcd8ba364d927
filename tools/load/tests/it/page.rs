//! The page of a report, in a real browser.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::mock::tester;
use crate::recorded::{Made, recorded};

#[test]
fn a_browser_shows_the_page_and_fetches_nothing() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser");
    if let Some(missing) = missing(&scripts) {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "skipped in CI: no {}", missing.display());
        eprintln!("skipped: no {} (tests/browser/setup.sh installs it)", missing.display());
        return;
    }
    let pages = ["ladder", "soak", "storm", "failed"].map(|name| {
        let page = Made::new(&format!("{name}.html"));
        let output = tester(&["report", &recorded(name), "--quiet", "--html", &page.path()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        page
    });
    let urls = pages.each_ref().map(|page| format!("file://{}", page.path()));
    let output = Command::new("node").arg(scripts.join("report.mjs")).args(urls).output();
    let output = output.expect("node was found before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// What the script needs and this machine lacks.
fn missing(scripts: &Path) -> Option<PathBuf> {
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        return Some("node".into());
    }
    let needed = ["/usr/bin/chromium".into(), scripts.join("node_modules/playwright-core")];
    needed.into_iter().find(|path: &PathBuf| !path.exists())
}
