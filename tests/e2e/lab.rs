//! The built binary over a stack of its own, and a witness that shares no code with hive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One stack in a folder of its own; everything that it started is killed at the end.
pub struct Lab {
    folder: tempfile::TempDir,
    /// The stack's name, of which there is one on this machine.
    pub name: String,
}

/// What one command came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; 128 + N after signal N.
    pub code: i32,
    /// What it printed to stdout.
    pub out: String,
    /// What it printed to stderr.
    pub err: String,
}

/// One live process that carries a mark of this stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: u32,
    pub address: String,
    pub replica: String,
    pub environment: String,
    pub version: String,
    pub token: String,
}

static LABS: AtomicU64 = AtomicU64::new(0);

impl Lab {
    /// A stack folder with this `stack.toml`, in which `{name}` is the stack's name and `{log}`
    /// the services' start log.
    pub fn new(toml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("lab-{}-{number}", std::process::id());
        let lab = Self { folder, name };
        lab.stack(toml);
        lab
    }

    /// Replaces `stack.toml`.
    pub fn stack(&self, toml: &str) {
        let log = self.path("starts.log").display().to_string();
        let text = toml.replace("{name}", &self.name).replace("{log}", &log);
        self.write("stack.toml", &text);
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("a folder");
        }
        fs::write(path, text).expect("a file");
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// hive in this folder, with nothing of our own environment but what it needs.
    pub fn command(&self, arguments: &[&str]) -> Command {
        command(self.folder.path(), arguments)
    }

    pub fn hive(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("hive starts"))
    }

    /// The same, and it must end with this code.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.hive(arguments);
        assert_eq!(ran.code, code, "hive {arguments:?}\n{ran}");
        ran
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("hive starts")
    }

    /// The live witness processes of this stack, read from `/proc`.
    pub fn processes(&self) -> Vec<Process> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("/proc lists").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(pid) = name.parse::<u32>() else { continue };
            if let Some(process) = self.process(pid) {
                found.push(process);
            }
        }
        found.sort_by(|a, b| (&a.address, &a.replica, a.pid).cmp(&(&b.address, &b.replica, b.pid)));
        found
    }

    fn process(&self, pid: u32) -> Option<Process> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let status = fs::read_to_string(folder.join("stat")).ok()?;
        let after = status.rsplit_once(')')?.1.trim_start();
        if after.starts_with('Z') || after.starts_with('X') {
            return None;
        }
        let command = fs::read_to_string(folder.join("comm")).ok()?;
        if command.trim() != "witness" {
            return None;
        }
        let environment = fs::read(folder.join("environ")).ok()?;
        let variables: BTreeMap<String, String> = environment
            .split(|byte| *byte == 0)
            .filter_map(|it| {
                let text = String::from_utf8_lossy(it).into_owned();
                text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()))
            })
            .collect();
        let word = |key: &str| variables.get(key).cloned().unwrap_or_default();
        (word("HIVE_STACK") == self.name).then(|| Process {
            pid,
            address: word("HIVE_ADDRESS"),
            replica: word("HIVE_REPLICA"),
            environment: word("HIVE_ENVIRONMENT"),
            version: word("VERSION"),
            token: word("HIVE_TOKEN"),
        })
    }

    /// The world without what differs by chance: each live replica with its version, and each file
    /// that hive wrote for a config or an alert.
    pub fn world(&self) -> BTreeMap<String, String> {
        let mut world = BTreeMap::new();
        let mut twice: BTreeMap<String, u32> = BTreeMap::new();
        for process in self.processes() {
            let key = format!("{} {} {}", process.environment, process.address, process.replica);
            let count = twice.entry(key.clone()).or_default();
            *count += 1;
            world.insert(format!("process {key} #{count}"), process.version);
        }
        for below in [".hive-run/dev/config", ".hive-run/rules"] {
            for entry in fs::read_dir(self.path(below)).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.path().is_file() && !name.starts_with('.') {
                    let text = fs::read_to_string(entry.path()).unwrap_or_default();
                    let text: String = text
                        .lines()
                        .filter(|it| !it.starts_with("# hive:"))
                        .collect::<Vec<_>>()
                        .join("\n");
                    world.insert(format!("file {below}/{name}"), text);
                }
            }
        }
        world
    }

    /// The pids that the services themselves said they started with.
    pub fn started(&self) -> BTreeSet<u32> {
        self.read("starts.log")
            .lines()
            .filter_map(|line| line.strip_prefix("start "))
            .filter_map(|rest| rest.split(' ').next()?.parse().ok())
            .collect()
    }

    /// How many starts there were.
    pub fn starts(&self) -> usize {
        self.read("starts.log").lines().filter(|it| it.starts_with("start ")).count()
    }

    /// Every live process said so in the start log, and nobody lives who did not.
    #[track_caller]
    pub fn check_starts(&self) {
        let started = self.started();
        for process in self.processes() {
            assert!(started.contains(&process.pid), "{process:?} is in no start log");
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Keepers end with their service. New ones may start until hive is gone: look again.
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > end {
                return;
            }
            for process in left {
                kill(process.pid, "KILL");
            }
        }
    }
}

impl Ran {
    pub fn of(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Self {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Everything that was printed.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Whether it stopped in the middle of a way back.
    pub fn says_halted(&self) -> bool {
        self.out.contains("and halted")
    }

    #[track_caller]
    pub fn says(&self, words: &str) -> &Self {
        // A terminal's width may break a line anywhere between two words.
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let holds = flat(&self.all()).contains(&flat(words));
        assert!(holds, "it does not say `{words}`:\n{self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n-- stdout\n{}\n-- stderr\n{}", self.code, self.out, self.err)
    }
}

/// hive in a folder, with a clean environment; the example programs are on its PATH.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hive"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", examples().display()))
        .env("HOME", folder)
        .env("USER", "tester")
        .stdin(Stdio::null());
    command
}

/// Where cargo puts the examples of this build.
pub fn examples() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_hive"));
    binary.parent().expect("a target folder").join("examples")
}

pub fn kill(pid: u32, signal: &str) {
    // A process that is gone already is what was wanted.
    let _ = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Waits until something holds, looking again and again; says what, when it never does.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "it never came to be that {what}");
        pause(10);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test waits for another process by looking again")]
pub fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Waits for a child and collects what it printed.
pub fn ended(mut child: Child) -> Ran {
    let mut out = Vec::new();
    let mut err = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut out).expect("reads");
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_end(&mut err).expect("reads");
    }
    let status = child.wait().expect("ends");
    Ran::of(Output { status, stdout: out, stderr: err })
}
