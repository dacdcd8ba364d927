//! The programs that measure, and the documents that they leave.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

/// A program of this workspace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    /// A mode of the `crowd` benchmark, with its options.
    Crowd(&'static str),
    /// The load tester, with its options beside the CPUs.
    Load(&'static str),
    /// A benchmark that writes its rows as `crowd` does.
    Bench { bench: &'static str, arguments: &'static str },
    /// A function of a criterion benchmark.
    Criterion { bench: &'static str, id: &'static str },
}

impl Program {
    /// Runs it and reads what it has found: one document, or one for each of so many runs.
    ///
    /// # Errors
    /// In words: it could not be run, it failed, or it left no document.
    pub(crate) fn run(self, repeats: usize) -> Result<Vec<Value>, String> {
        match self {
            Self::Crowd(arguments) => Ok(vec![bench("crowd", arguments)?]),
            Self::Bench { bench: name, arguments } => Ok(vec![bench(name, arguments)?]),
            Self::Load(arguments) => (0..repeats).map(|_| load(arguments)).collect(),
            Self::Criterion { bench, id } => Ok(vec![criterion(bench, id)?]),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crowd(arguments) => write!(f, "cargo bench --bench crowd -- {arguments}"),
            Self::Load(arguments) => write!(f, "fanfare-load --server-cpu 0 --cpu 1 {arguments}"),
            Self::Bench { bench, arguments } => {
                write!(f, "cargo bench --bench {bench} -- {arguments}")
            }
            Self::Criterion { bench, id } => write!(f, "cargo bench --bench {bench} -- '{id}'"),
        }
    }
}

fn bench(name: &str, arguments: &str) -> Result<Value, String> {
    let document = Document::new()?;
    let mut command = cargo(&["bench", "--quiet", "--bench", name, "--"]);
    command.args(arguments.split_whitespace()).arg("--json").arg(&document.0);
    run(&mut command)?;
    document.read()
}

fn load(arguments: &str) -> Result<Value, String> {
    let document = Document::new()?;
    // The tester starts the server that is beside it.
    run(&mut cargo(&["build", "--quiet", "--release", "--bin", "fanfare"]))?;
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "fanfare-load", "--"]);
    command.args(["--server-cpu", "0", "--cpu", "1"]).args(arguments.split_whitespace());
    run(command.arg("--json").arg(&document.0))?;
    document.read()
}

/// What criterion has found of a function, as a number per second.
fn criterion(bench: &str, id: &str) -> Result<Value, String> {
    let pattern = format!("^{id}$");
    run(&mut cargo(&["bench", "--quiet", "--bench", bench, "--", &pattern]))?;
    let path = target_directory().join("criterion").join(id).join("new/estimates.json");
    let estimates = read(&path)?;
    let nanoseconds = estimates.pointer("/median/point_estimate").and_then(Value::as_f64);
    let nanoseconds = nanoseconds.ok_or_else(|| format!("no median in {}", path.display()))?;
    Ok(json!({ "per_second": 1e9 / nanoseconds }))
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace());
    command
}

/// What it prints is for whoever watches: the table alone goes to standard output.
fn run(command: &mut Command) -> Result<(), String> {
    command.stdout(std::io::stderr());
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tools/perf is in it")
}

fn target_directory() -> PathBuf {
    let directory = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace().join(directory)
}

/// A file that a program writes its document to.
struct Document(PathBuf);

impl Document {
    fn new() -> Result<Self, String> {
        let path = env::temp_dir().join(format!("fanfare-perf-{}.json", std::process::id()));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", path.display()))
            }
            _ => Ok(Self(path)),
        }
    }

    fn read(&self) -> Result<Value, String> {
        read(&self.0)
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        // It is a leftover at worst.
        let _ = fs::remove_file(&self.0);
    }
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}
