//! Who holds a lease, and whether that process is provably gone.

use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};
use serde::{Deserialize, Serialize};

/// One process that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The person, `user@host`.
    pub who: String,
    /// The host's name.
    pub host: String,
    /// The machine's id, `/etc/machine-id`; empty where it has none.
    pub machine: String,
    /// The id of the machine's boot; empty where it is not known.
    pub boot: String,
    /// In which namespace its pid counts; empty where it is not known.
    pub namespace: String,
    /// The process.
    pub pid: i32,
    /// When the process started, in clock ticks since boot; 0 where it is not known.
    pub started: u64,
}

impl Holder {
    /// This process.
    pub fn here(who: &str) -> Self {
        let pid = getpid().as_raw_nonzero().get();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok();
        Self {
            who: who.to_owned(),
            host,
            machine: first_line("/etc/machine-id"),
            boot: first_line("/proc/sys/kernel/random/boot_id"),
            namespace: namespace.map_or_else(String::new, |it| it.display().to_string()),
            pid,
            started: process(pid).map_or(0, |it| it.started),
        }
    }

    /// Whether this process is gone for certain, as seen by another on `here`.
    pub(crate) fn is_gone(&self, here: &Self) -> bool {
        if self.machine.is_empty() && self.boot.is_empty() || self.host != here.host {
            return false;
        }
        if self.boot != here.boot {
            // The same machine has been started again. Copies of one machine share its id, so the
            // name has to fit as well.
            let known = !self.boot.is_empty() && !here.boot.is_empty();
            return known && !self.machine.is_empty() && self.machine == here.machine;
        }
        if self.boot.is_empty() || self.namespace.is_empty() || self.namespace != here.namespace {
            return false;
        }
        let Some(pid) = Pid::from_raw(self.pid) else { return false };
        if test_kill_process(pid) == Err(Errno::SRCH) {
            return true;
        }
        process(self.pid).is_some_and(|it| {
            it.state == 'Z' || it.state == 'X' || self.started != 0 && it.started != self.started
        })
    }
}

struct Process {
    state: char,
    started: u64,
}

/// What the system says of a process; none where it says nothing.
fn process(pid: i32) -> Option<Process> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in `stat` may hold anything, also `)` and spaces: what counts begins after the last.
fn parse_stat(stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // State is field 3, the start is field 22.
    let started = fields.nth(18)?.parse().ok()?;
    Some(Process { state, started })
}

fn first_line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
