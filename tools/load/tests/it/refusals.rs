//! Runs that cannot be made, or that the server refuses, say why.

use crate::mock::{Mock, load, tester};

#[test]
fn a_server_that_refuses_subscribers_is_named_as_the_reason() {
    let mock = Mock { subscribe_status: "503 Service Unavailable", ..Mock::faultless() };
    let run = load(mock.serve(), &[]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(run.stderr.contains("503"), "{}", run.stderr);
}

#[test]
fn a_refused_publish_fails_the_run() {
    for mode in ["ndjson", "post"] {
        let mock = Mock { publish_status: "429 Too Many Requests", ..Mock::faultless() };
        let run = load(mock.serve(), &["--publish-mode", mode]);
        assert_eq!(run.status, Some(1), "{run:?}");
        let error = run.report["publish"]["error"].as_str().unwrap_or_default();
        assert!(error.contains("429"), "{error}");
    }
}

#[test]
fn nobody_listening_is_an_error() {
    for runtime in ["auto", "tokio"] {
        let flags = ["--target", "http://127.0.0.1:1", "--runtime", runtime];
        let output = tester(&flags);
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("refused"), "{stderr}");
    }
}

#[test]
fn a_limit_in_the_way_is_named() {
    let flags = ["--target", "http://127.0.0.1:1", "--subscribers", "1000000"];
    let stderr = String::from_utf8_lossy(&tester(&flags).stderr).into_owned();
    // Where a million files are allowed, connecting fails instead.
    assert!(stderr.contains("RLIMIT_NOFILE") || stderr.contains("refused"), "{stderr}");
}
