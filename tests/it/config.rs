//! Settings: where they come from, what is said of wrong ones, and what changes while a server runs.

use std::fs;
use std::path::PathBuf;
use std::process::{self, Command, Output};

use crate::harness::{Driver, Options, Server, Subscriber, binary, eventually};

both_drivers!(
    limits_hold_at_their_edge,
    the_strongest_of_four_sources_holds,
    a_hang_up_changes_what_can_change_and_drops_nobody,
    a_broken_file_changes_nothing,
    a_hang_up_reads_the_tokens_again,
    a_server_does_not_start_with_a_setting_that_cannot_be,
);

/// A settings file, removed when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, driver: Driver, text: &str) -> Self {
        let name = format!("fanfare-{name}-{}-{}.toml", driver.name(), process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("the folder can be written to");
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a plain path")
    }

    fn options(&self, driver: Driver) -> Options {
        Options::new(driver).variable("FANFARE_CONFIG", self.path())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // It may not have been made.
        let _ = fs::remove_file(&self.0);
    }
}

/// How many topics one subscription may have, as the server's faults say.
fn topics_max(server: &Server) -> String {
    let topics = "topic=a&".repeat(100);
    let fault = server.get(&format!("/events?{topics}")).expect_fault(400);
    let (_, max) = fault.rsplit_once("more than ").unwrap_or_else(|| panic!("{fault}"));
    max.to_owned()
}

fn the_strongest_of_four_sources_holds(driver: Driver) {
    let file = File::new("sources", driver, "topics-per-subscription = 5\n");
    assert_eq!(topics_max(&Server::start(driver)), "32", "the default");
    assert_eq!(topics_max(&file.options(driver).start()), "5", "the file");
    let variable = || file.options(driver).variable("FANFARE_TOPICS_PER_SUBSCRIPTION", "6");
    assert_eq!(topics_max(&variable().start()), "6", "the variable");
    let flag = variable().argument("--topics-per-subscription=7");
    assert_eq!(topics_max(&flag.start()), "7", "the flag");
}

fn limits_hold_at_their_edge(driver: Driver) {
    let options = Options::new(driver).argument("--body-bytes=10").argument("--head-deadline=1s");
    let server = options.argument("--topics-per-subscription=2").start();
    let publish = |body: &[u8]| server.post("/publish", "text/plain", body).status;
    assert_eq!((publish(b"0123456789"), publish(b"0123456789x")), (202, 413));
    let lines = |body: &[u8]| server.post("/publish", "application/x-ndjson", body).status;
    assert_eq!((lines(b"{\"data\":\"\"}"), lines(b"        \n")), (413, 202));
    let mut subscriber = Subscriber::open(&server, &["a", "b"]);
    assert_eq!(server.get("/events?topic=a&topic=b&topic=c").status, 400);
    let mut silent = server.connect();
    silent.send(b"GET /events HTTP/1.1\r\n");
    assert!(silent.rest().is_empty(), "it is closed");
    let ended = server.metrics();
    assert_eq!(ended.labelled("fanfare_connections_ended_total", "reason", "head_deadline"), 1.0);
    server.publish(&["a"], "fine");
    assert_eq!(subscriber.next().data(), "fine");
}

fn a_hang_up_changes_what_can_change_and_drops_nobody(driver: Driver) {
    const SUBSCRIBERS: u64 = 50;
    let file = File::new("hang-up", driver, "heartbeat = \"1h\"\ntopics-per-subscription = 5\n");
    let server = file.options(driver).start();
    let mut subscribers: Vec<_> =
        (0..SUBSCRIBERS).map(|_| Subscriber::open(&server, &["t"])).collect();
    server.publish(&["t"], "before");

    file.write(
        "heartbeat = \"1s\"\ntopics-per-subscription = 6\nlog = \"warn,fanfare=debug\"\n\
         unsent-bytes = \"8KiB\"\n",
    );
    server.hang_up();
    let line = server.await_log_with("settings read again");
    for change in ["heartbeat = \\\"1s\\\"", "topics-per-subscription = 6", "fanfare=debug"] {
        assert!(line.contains(change), "{change} is not in {line}");
    }
    let (_, restart) = line.split_once("needs_restart").expect("what needs a restart");
    assert!(restart.contains("unsent-bytes"), "{line}");

    assert_eq!(topics_max(&server), "6");
    eventually("a heartbeat for those who were there before", || {
        (server.metrics().sum("fanfare_heartbeats_total") >= SUBSCRIBERS as f64).then_some(())
    });
    server.await_log_with("DEBUG");
    server.publish(&["t"], "after");
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next().data(), "before");
        assert_eq!(subscriber.next().data(), "after");
    }
    assert_eq!(server.subscribers("t"), SUBSCRIBERS, "nobody was dropped");
}

fn a_broken_file_changes_nothing(driver: Driver) {
    let file = File::new("broken", driver, "topics-per-subscription = 5\n");
    let server = file.options(driver).start();
    let mut subscriber = Subscriber::open(&server, &["t"]);
    for (text, why) in [
        ("topics-per-subscription = 6\nheartbeat = \"soon\"\n", ":2: invalid value 'soon'"),
        ("topics-per-subscription = 6\nunknown-setting = 1\n", ":2: unknown setting"),
        (
            "topics-per-subscription = 257\n",
            ":1: `topics-per-subscription` of 257 is not in 1..=256",
        ),
        ("topics-per-subscription = 6\n\nlag\n", ":3: "),
    ] {
        file.write(text);
        server.hang_up();
        let line = server.await_log_with(why);
        assert!(line.contains("nothing has changed"), "{line}");
        assert_eq!(topics_max(&server), "5");
    }
    fs::remove_file(&file.0).expect("it is there");
    server.hang_up();
    server.await_log_with("cannot be read");
    assert_eq!(topics_max(&server), "5");
    server.publish(&["t"], "still here");
    assert_eq!(subscriber.next().data(), "still here");
}

fn a_hang_up_reads_the_tokens_again(driver: Driver) {
    let text = |token| format!("[{{\"token\": \"{token}\", \"publish\": [\"t\"]}}]");
    let (old, new) = ("old-token-of-32-bytes-and-some-more", "new-token-of-32-bytes-and-some-more");
    let tokens = File::new("tokens", driver, &text(old));
    let server = Options::new(driver).variable("FANFARE_TOKEN_FILE", tokens.path()).start();
    let publish = |token| {
        let mut connection = server.connect();
        let head = "POST /publish?topic=t HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n";
        let request = format!("{head}Authorization: Bearer {token}\r\n\r\nx");
        connection.send(request.as_bytes());
        connection.response().status
    };
    assert_eq!((publish(old), publish(new)), (202, 401));
    tokens.write(&text(new));
    server.hang_up();
    server.await_log_with("settings read again");
    assert_eq!((publish(old), publish(new)), (401, 202));
}

fn a_server_does_not_start_with_a_setting_that_cannot_be(driver: Driver) {
    let file = File::new("no-start", driver, "cores = 1\nlag-bytes = \"65MiB\"\n");
    let said = file.options(driver).command().output().expect("the binary starts");
    assert_eq!(said.status.code(), Some(1));
    let expected =
        format!("{}:2: `lag-bytes` of 65MiB is more than `history-bytes` of 64MiB\n", file.path());
    assert_eq!(String::from_utf8_lossy(&said.stderr), expected);
}

fn config(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("config").args(arguments).output().expect("the binary starts")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_file_is_checked_without_a_server() {
    let file = File::new("check", Driver::Epoll, "lag = \"skip\"\n");
    assert_eq!(
        stdout(&config(&["check", "--config", file.path()])),
        format!("{}: ok\n", file.path())
    );
    file.write("lag = \"skipp\"\nheart-beat = 3\nhistory-bytes = \"1MB\"\n");
    let output = config(&["check", "--config", file.path()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).replace(file.path(), "file");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "file:1: invalid value 'skipp' for `lag` [possible values: disconnect, skip, conflate]",
            "file:2: unknown setting `heart-beat`; did you mean `heartbeat`?",
            "file:3: invalid value '1MB' for `history-bytes`: expected a number of bytes, such as \
             1000, 512KiB, 64MiB or 2GiB",
        ]
    );
}

#[test]
fn what_is_in_effect_is_shown_with_its_source() {
    let file =
        File::new("show", Driver::Epoll, "# mine\nheartbeat = 4\nlag = \"skip\"\ncores = 3\n");
    let mut command = Command::new(binary());
    command.args(["config", "show", "--lag", "conflate", "--config", file.path()]);
    let shown = stdout(&command.env("FANFARE_CORES", "2").output().expect("the binary starts"));
    let source = |setting: &str| {
        let line = shown.lines().find(|line| line.starts_with(setting));
        let (setting, source) = line.and_then(|line| line.split_once(" # ")).expect("a setting");
        (setting.trim_end().to_owned(), source.replace(file.path(), "file"))
    };
    for (setting, effective, from) in [
        ("lag ", "lag = \"conflate\"", "--lag"),
        ("cores", "cores = 2", "FANFARE_CORES"),
        ("heartbeat", "heartbeat = 4", "file:2"),
        ("drain-deadline", "drain-deadline = \"5s\"", "default"),
    ] {
        assert_eq!(source(setting), (effective.to_owned(), from.to_owned()));
    }
}

#[test]
fn the_example_is_a_file_of_the_defaults() {
    let example = stdout(&config(&["example"]));
    let given = example.lines().filter_map(|line| line.strip_prefix('#'));
    // A comment has a space there, and what has no default no value.
    let given =
        given.filter(|line| !line.starts_with(' ') && !line.is_empty() && !line.ends_with('='));
    let given: Vec<_> = given.collect();
    assert!(given.len() > 15, "{example}");
    let file = File::new("example", Driver::Epoll, &given.join("\n"));
    let shown = stdout(&config(&["show", "--config", file.path()]));
    for line in &given {
        assert!(shown.lines().any(|shown| shown.starts_with(line)), "{line} is not in {shown}");
    }
}
