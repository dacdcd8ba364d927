//! The server that the tester starts itself.

use std::path::Path;

use serde_json::Value;

use crate::mock::tester;

#[test]
fn a_server_is_started_loaded_and_ended() {
    // `cargo test --workspace` builds it there; `cargo test -p fanfare-load` need not.
    let server = Path::new(env!("CARGO_BIN_EXE_fanfare-load")).with_file_name("fanfare");
    if !server.is_file() {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "skipped in CI: no {}", server.display());
        eprintln!("skipped: no {}; cargo test --workspace builds it", server.display());
        return;
    }
    let server = server.to_string_lossy();
    for mode in ["ndjson", "post"] {
        let load = ["--subscribers", "100", "--rate", "500", "--duration", "1s", "--json", "-"];
        let output = tester(&[&["--server", &server, "--publish-mode", mode][..], &load].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}{}", String::from_utf8_lossy(&output.stdout));
        let report: Value = serde_json::from_slice(&output.stdout).expect("a JSON document");
        assert_eq!(report["delivery"]["delivered"], 50_000);
        assert!(report["server"]["pss_bytes_peak"].as_u64() > Some(0));
        let target = report["setting"]["target"].as_str().unwrap_or_default();
        let address = target.trim_start_matches("http://");
        assert!(std::net::TcpStream::connect(address).is_err(), "{address} still answers");
    }
}
