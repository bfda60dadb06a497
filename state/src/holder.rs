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

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn of(pid: u32) -> Holder {
        let pid = i32::try_from(pid).expect("a pid");
        let started = process(pid).map_or(0, |it| it.started);
        Holder { pid, started, ..Holder::here("me") }
    }

    #[test]
    fn this_process_lives() {
        let here = Holder::here("me");
        assert!(!here.is_gone(&here));
        assert!(here.started > 0 && !here.namespace.is_empty() && !here.boot.is_empty());
    }

    #[test]
    fn a_process_is_gone_when_it_is_a_zombie_and_when_nothing_is_left_of_it() {
        let here = Holder::here("me");
        let mut child = Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("cat is everywhere");
        let holder = of(child.id());
        assert!(!holder.is_gone(&here), "it waits for input");
        drop(child.stdin.take());
        while process(holder.pid).is_some_and(|it| it.state != 'Z') {
            std::thread::yield_now();
        }
        assert!(holder.is_gone(&here), "a zombie writes nothing");
        child.wait().expect("is reaped");
        assert!(holder.is_gone(&here), "it is reaped");
    }

    #[test]
    fn a_number_that_was_given_again_is_another_process() {
        let here = Holder::here("me");
        let other = Holder { started: here.started - 1, ..here.clone() };
        assert!(other.is_gone(&here));
        let unknown = Holder { started: 0, ..here.clone() };
        assert!(!unknown.is_gone(&here), "not provably");
    }

    #[test]
    fn after_another_boot_of_the_same_machine_everything_is_gone() {
        let here = Holder { machine: "m".to_owned(), ..Holder::here("me") };
        let before = Holder { boot: "before".to_owned(), ..here.clone() };
        assert!(before.is_gone(&here));
        let copy = Holder { host: "another".to_owned(), ..before.clone() };
        assert!(!copy.is_gone(&here), "a machine made from the same image");
        let nameless = Holder { machine: String::new(), ..before };
        assert!(!nameless.is_gone(&here));
    }

    #[test]
    fn what_cannot_be_looked_into_is_not_gone() {
        let here = Holder::here("me");
        let dead = Holder { started: here.started - 1, ..here.clone() };
        let container = Holder { namespace: "pid:[1]".to_owned(), ..dead.clone() };
        assert!(!container.is_gone(&here));
        let machine = Holder { machine: "x".into(), boot: "y".into(), ..dead.clone() };
        assert!(!machine.is_gone(&here));
        let unknown = Holder { machine: String::new(), boot: String::new(), ..dead };
        assert!(!unknown.is_gone(&here));
    }

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let parsed = parse_stat(stat).expect("parses");
        assert_eq!((parsed.state, parsed.started), ('S', 4242));
        assert!(parse_stat("7 (a").is_none());
        assert!(parse_stat("7 (a) S 1").is_none());
    }
}
