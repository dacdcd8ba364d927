//! A real proxy as a process, with the recipe that we ship: only its addresses and paths are changed.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    Connection, Publisher, Subscriber, eventually, free_address, query_of_topics,
};

/// Which one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
    Haproxy,
}

/// A running proxy, ended when dropped.
pub(crate) struct Proxy {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
    tls: SocketAddr,
}

/// The two servers of a recipe: the second is for those that have one.
pub(crate) type Upstreams = [SocketAddr; 2];

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
        }
    }

    /// Where it is, if it is here: not every user has `/usr/sbin` on the path.
    fn program(self) -> Option<PathBuf> {
        let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
        folders.iter().map(|folder| Path::new(folder).join(self.name())).find(|path| path.exists())
    }

    /// What this machine lacks to run it.
    pub(crate) fn missing(self) -> Option<String> {
        let names = [(self.name(), self.program().is_some()), ("openssl", has_openssl())];
        let (name, _) = names.into_iter().find(|(_, here)| !here)?;
        Some(format!("{name} is not installed (tests/proxies/setup.sh installs it)"))
    }

    fn recipe(self) -> String {
        let path = match self {
            Self::Nginx => "packaging/nginx/nginx.conf",
            Self::Caddy => "packaging/caddy/Caddyfile",
            Self::Haproxy => "packaging/haproxy/haproxy.cfg",
        };
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is ours")
    }

    /// What differs in a test: each must be in the recipe, or this tests something else.
    fn changes(self, [http, tls]: [SocketAddr; 2], folder: &Path) -> Vec<(&'static str, String)> {
        let folder = folder.display();
        match self {
            Self::Nginx => vec![
                ("listen 80;", format!("listen {http};")),
                ("listen 443 ", format!("listen {tls} ")),
                ("/run/nginx.pid", format!("{folder}/nginx.pid")),
                ("http {\n", format!("http {{\n{}", own_folders(&folder.to_string()))),
            ],
            Self::Caddy => vec![
                ("http://localhost:80", format!("http://:{}", http.port())),
                ("https://localhost:443", format!("https://localhost:{}", tls.port())),
                ("admin off", "admin off\n\tdefault_bind 127.0.0.1".to_owned()),
            ],
            Self::Haproxy => vec![
                ("bind :80", format!("bind {http}")),
                ("bind :443", format!("bind {tls}")),
                // It refuses to start where it could not have the descriptors.
                ("maxconn 60000", "maxconn 4000".to_owned()),
            ],
        }
    }

    fn command(self, config: &Path, folder: &Path) -> Command {
        let mut command = Command::new(self.program().expect("it was looked for"));
        match self {
            Self::Nginx => {
                command.args(["-e", "stderr", "-g", "daemon off;", "-c"]).arg(config);
            }
            Self::Caddy => {
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
                let homes = ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"];
                command.envs(homes.map(|name| (name, folder)));
            }
            Self::Haproxy => {
                command.args(["-db", "-f"]).arg(config);
            }
        }
        command
    }
}

/// nginx keeps bodies in files of its own, in folders that only root may make.
fn own_folders(folder: &str) -> String {
    let names = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    names.map(|name| format!("    {name}_temp_path {folder}/{name};\n")).concat()
}

impl Proxy {
    /// Starts the recipe in front of these servers.
    pub(crate) fn start(kind: Kind, upstreams: Upstreams) -> Self {
        let (addresses, folder) = (free_addresses(), new_folder());
        make_certificate(&folder);
        let mut config = kind.recipe();
        let mut changes = kind.changes(addresses, &folder);
        changes.push(("/etc/ssl/fanfare/", format!("{}/", folder.display())));
        changes.push(("127.0.0.1:8080", upstreams[0].to_string()));
        if kind == Kind::Nginx {
            changes.push(("127.0.0.1:8081", upstreams[1].to_string()));
        }
        for (ours, tests) in changes {
            assert!(config.contains(ours), "the recipe for {kind:?} has no {ours:?}");
            config = config.replace(ours, &tests);
        }
        Self::run(kind, &config, addresses, folder)
    }

    /// Starts nginx with a configuration in which `location` is all there is.
    pub(crate) fn nginx_with(location: &str) -> Self {
        let (addresses, folder) = (free_addresses(), new_folder());
        let config = format!(
            "worker_processes 1; pid {path}/nginx.pid; events {{}}\n\
             http {{ access_log off;\n{folders}\
             server {{ listen {}; listen {}; location / {{ {location} }} }} }}\n",
            addresses[0],
            addresses[1],
            path = folder.display(),
            folders = own_folders(&folder.display().to_string()),
        );
        Self::run(Kind::Nginx, &config, addresses, folder)
    }

    fn run(kind: Kind, config: &str, addresses: [SocketAddr; 2], folder: PathBuf) -> Self {
        let path = folder.join("config");
        fs::write(&path, config).expect("the folder is ours");
        let log = fs::File::create(folder.join("log")).expect("the folder is ours");
        let mut command = kind.command(&path, &folder);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command.spawn().expect("it was looked for");
        let [address, tls] = addresses;
        let mut proxy = Self { child, folder, address, tls };
        eventually(&format!("{kind:?} listens"), || {
            let ended = proxy.child.try_wait().expect("it is ours");
            assert!(ended.is_none(), "{kind:?} did not start:\n{}", proxy.log());
            addresses.iter().all(|address| TcpStream::connect(address).is_ok()).then_some(())
        });
        proxy
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Subscribes through it, after an event if there is an id.
    pub(crate) fn subscribe(&self, topic: &str, last_event_id: Option<&str>) -> Subscriber {
        let query = query_of_topics(&[topic]);
        let id = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!("GET /events{query} HTTP/1.1\r\nHost: localhost\r\n{id}\r\n");
        Subscriber::request(self.connect(), &request)
    }

    /// Publishes through it.
    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::over(self.connect())
    }

    /// A URL through it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A URL through it, over TLS.
    pub(crate) fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls.port())
    }

    /// The certificate that it shows.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("fullchain.pem")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // In order, so that its own children go with it. An error means that it is gone.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            // Shown by the test harness beneath the failure.
            eprintln!("--- the proxy's log ---\n{}", self.log());
        }
        // What cannot be removed goes with the target folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_addresses() -> [SocketAddr; 2] {
    [(); 2].map(|()| free_address().parse().expect("an address"))
}

/// A folder of its own below cargo's.
fn new_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("proxy-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("cargo's folder is ours");
    folder
}

fn has_openssl() -> bool {
    let mut version = Command::new("openssl");
    version.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// A certificate for localhost that nobody has signed, and the file that HAProxy wants.
fn make_certificate(folder: &Path) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -addext basicConstraints=critical,CA:FALSE -keyout privkey.pem -out fullchain.pem";
    let mut openssl = Command::new("openssl");
    openssl.args(arguments.split_whitespace()).current_dir(folder);
    let output = openssl.output().expect("openssl was looked for");
    assert!(output.status.success(), "{output:?}");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("openssl wrote it");
    let both = read("fullchain.pem") + &read("privkey.pem");
    fs::write(folder.join("haproxy.pem"), both).expect("the folder is ours");
}
