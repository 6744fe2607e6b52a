//! PostgreSQL: a private instance on the loopback, with a password, in a temporary folder.
//!
//! Stands by itself, since the tests of `cardinal-store` include this file. One instance serves all tests of a process,
//! each with a database of its own; a test that stops its database takes an instance for itself. A shell stands beside the
//! server and holds a pipe to us: however this process ends, the pipe closes, and the server and its folder go.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The password of the only user, `postgres`.
pub const PASSWORD: &str = "tests-own-secret";
/// How long the server may take to start or to end.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Runs the server until standard input ends, then makes sure that nothing is left of it.
const KEEPER: &str = "\"$1/postgres\" -D \"$2/data\" <&- >>\"$2/log\" 2>&1 & server=$!
read -r line
kill -QUIT $server 2>&-
wait $server
[ -e \"$2/stay\" ] || rm -rf \"$2\"";

/// A server of one's own.
#[derive(Debug)]
pub struct Postgres {
    folder: Option<TempDir>,
    address: SocketAddr,
    keeper: Option<Child>,
}

/// A database of a test.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its address, with user and password.
    pub url: String,
}

/// A new, empty database on the instance that the tests of this process share. Panics where there is no PostgreSQL.
pub fn database() -> Database {
    shared().database()
}

/// What the shared instance logged so far.
pub fn shared_log() -> String {
    fs::read_to_string(shared().folder().join("log")).expect("it logs")
}

fn shared() -> &'static Postgres {
    // Never dropped: it ends with this process.
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}

impl Postgres {
    /// A new instance, running. Panics where there is no PostgreSQL.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("cardinal-postgres-").tempdir().expect("a temporary folder");
        let mut server = Self { folder: Some(folder), address: free_port(), keeper: None };
        let path = server.folder().to_owned();
        let is_root = fs::metadata(&path).expect("the folder is there").uid() == 0;
        if is_root {
            // PostgreSQL refuses to be root.
            ok(Command::new("chown").arg("postgres").arg(&path), "chown");
        }
        let password = path.join("password");
        fs::write(&password, PASSWORD).expect("a file can be written");
        let mut initdb = as_owner(&path, &program("initdb"));
        initdb.args(["-N", "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale", "C.UTF-8"]);
        initdb.arg("--pwfile").arg(&password).arg("-D").arg(path.join("data"));
        ok(&mut initdb, "initdb");
        // Nothing here outlives the machine, so nothing waits for the disk.
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nfsync = off\n\
             max_connections = 300\nshared_buffers = 64MB\nautovacuum_naptime = 5s\n",
            server.address.port()
        );
        let config = path.join("data/postgresql.conf");
        let text = fs::read_to_string(&config).expect("initdb made it");
        fs::write(&config, text + &settings).expect("a file can be written");
        server.resume();
        server
    }

    fn folder(&self) -> &Path {
        self.folder.as_ref().expect("until it is dropped").path()
    }

    /// Starts it again after [`stop`](Self::stop), at the same port.
    pub fn resume(&mut self) {
        let _ = fs::remove_file(self.folder().join("stay"));
        let mut keeper = as_owner(self.folder(), Path::new("/bin/sh"));
        keeper.args(["-c", KEEPER, "keeper"]).arg(programs()).arg(self.folder());
        let child = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.keeper = Some(child.expect("a shell can be started"));
        let end = Instant::now() + LIMIT;
        while !self.psql("postgres", "SELECT 1").status.success() {
            let log = || fs::read_to_string(self.folder().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "PostgreSQL does not come up:\n{}", log());
            thread::sleep(LOOK);
        }
    }

    /// Ends it as a power cut would; what was committed stays.
    pub fn stop(&mut self) {
        fs::write(self.folder().join("stay"), "").expect("a file can be written");
        self.end();
        assert!(TcpStream::connect(self.address).is_err(), "it has ended");
    }

    fn end(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }

    /// A new, empty database.
    pub fn database(&self) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let made = self.psql("postgres", &format!("CREATE DATABASE {name}"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Database { url: format!("postgres://postgres:{PASSWORD}@{}/{name}", self.address) }
    }

    fn psql(&self, database: &str, statement: &str) -> Output {
        let url = format!("postgres://postgres:{PASSWORD}@{}/{database}", self.address);
        Command::new(program("psql"))
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", statement])
            .arg(url)
            .output()
            .expect("psql can be started")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
        // What the keeper leaves of it goes here.
        drop(self.folder.take());
    }
}

impl Database {
    /// Runs a statement as an administrator would, and gives what it answers. Panics where it fails.
    pub fn run(&self, statement: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", statement]).arg(&self.url);
        ok(&mut psql, statement)
    }
}

/// A command as the user that the folder belongs to.
fn as_owner(folder: &Path, program: &Path) -> Command {
    let owner = fs::metadata(folder).expect("the folder is there");
    let mut command = Command::new(program);
    command.current_dir(folder);
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

fn ok(command: &mut Command, what: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn program(name: &str) -> PathBuf {
    programs().join(name)
}

/// The folder with the programs of the newest version: Debian keeps them off the search path.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.into_iter().rev().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    all.into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("psql").is_file())
        .unwrap_or_else(|| panic!("there is no PostgreSQL here: run `cargo xtask setup` first"))
}

/// A port of the loopback from below the range that the kernel hands out: while the server is stopped nobody gets it.
fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 4_000).unwrap_or_default();
    for _ in 0..4_000 {
        let next = (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 15_000 + next));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port of the loopback is free");
}
