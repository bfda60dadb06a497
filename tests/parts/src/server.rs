//! One server process: started as an unprivileged user, gone whatever ends the tests.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who runs a server: several refuse root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) id: u32,
    pub(crate) group: u32,
}

/// A running server. Its end is waited for by whoever started it, so no zombie stays; a guard that
/// reads a pipe of ours ends it, and removes its folder, where the tests end without saying so.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    guard: Child,
    log: PathBuf,
}

impl User {
    /// Whoever we are, but for root: then PostgreSQL's own user, else nobody.
    pub(crate) fn unprivileged() -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd reads");
        let find = |name: &str| {
            let line = users.lines().find(|it| it.starts_with(&format!("{name}:")))?;
            let mut words = line.split(':').skip(2);
            Some(Self { id: words.next()?.parse().ok()?, group: words.next()?.parse().ok()? })
        };
        find("postgres").or_else(|| find("nobody"))
    }

    /// Runs a command as this user.
    pub(crate) fn of(command: &mut Command) -> &mut Command {
        if let Some(user) = Self::unprivileged() {
            command.uid(user.id).gid(user.group);
        }
        command
    }

    /// Gives a file or folder to this user.
    pub(crate) fn give(path: &Path) {
        if let Some(user) = Self::unprivileged() {
            chown(path, Some(user.id), Some(user.group))
                .unwrap_or_else(|e| panic!("{}: cannot be given away: {e}", path.display()));
        }
    }
}

impl Server {
    /// Starts a server; what it prints goes to `log`. `ready` is asked until it says yes.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        ready: impl Fn() -> bool,
    ) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        // Reads until the tests are gone, however they went, and takes the server with it.
        let guard = Command::new("sh")
            .args(["-c", "read -r _; kill -KILL -- -\"$1\"; sleep 1; rm -rf -- \"$2\"", "guard"])
            .arg(child.id().to_string())
            .arg(log.parent().expect("a log is in the server's folder"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("a guard starts");
        let mut server = Self { child, guard, log: log.to_owned() };
        let end = Instant::now() + Duration::from_secs(30);
        while !ready() {
            if let Ok(Some(status)) = server.child.try_wait() {
                panic!("{name} ended at its start, {status}:\n{}", server.tail());
            }
            assert!(Instant::now() < end, "{name} is not ready after 30 s:\n{}", server.tail());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its children, which a server of several processes has.
    fn children(&self) -> Vec<u32> {
        let pid = self.pid();
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|it| it.parse().ok())
            .collect()
    }

    /// Ends it as a power cut would, its children first seen and then gone.
    fn end(&mut self) {
        // The guard first: it would take the folder with it.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let mut all = self.children();
        all.push(self.pid());
        for pid in all.iter().rev() {
            let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw);
            // One that is gone already is what was wanted.
            let _ = pid.map(|it| rustix::process::kill_process(it, rustix::process::Signal::KILL));
        }
        let _ = self.child.wait();
        let end = Instant::now() + Duration::from_secs(10);
        while all.iter().any(|it| alive(*it)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a process runs; a zombie does not.
#[must_use]
pub fn alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|it| it.strip_prefix("State:"))
        .is_some_and(|it| !it.trim_start().starts_with(['Z', 'X']))
}

/// A port of the loopback interface that nobody listens on.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Whether somebody listens there.
pub(crate) fn listens(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}
