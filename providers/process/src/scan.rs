//! One look at all processes: who they are, whose they are.
//!
//! A process is known by its pid, its start time and the machine's boot together, never by a pid
//! alone. What it belongs to stands in its environment; what has lost its environment is found
//! through its keeper, which stays the ancestor of all that a service starts.

use hive_contract::{Failure, FailureKind, Mark, StackMark, Token};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The parent of the kernel's threads.
const KERNEL: i32 = 2;

/// One process in one boot of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ident {
    /// Its number.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the boot.
    pub(crate) started: u64,
    /// Which boot.
    pub(crate) boot: String,
}

/// What stands in the environment of everything that hive starts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Whose it is.
    pub(crate) mark: Mark,
    /// Which replica.
    pub(crate) replica: u32,
    /// The step that started it.
    pub(crate) token: Token,
    /// The run folder it was started from.
    pub(crate) folder: String,
    /// Whether it is the keeper and not the service.
    pub(crate) keeper: bool,
    /// Its ports, by the name in the variable: `HTTP`.
    pub(crate) ports: BTreeMap<String, u16>,
}

/// Which start of which replica is meant.
pub(crate) struct Meant<'a> {
    pub(crate) token: &'a Token,
    pub(crate) replica: u32,
    /// Our run folder.
    pub(crate) folder: &'a Path,
}

impl Meant<'_> {
    /// A folder that was moved takes its processes along. One that was copied does not: they stay
    /// with the folder they were started from, as long as there is one.
    fn is(&self, carried: &Carried) -> bool {
        carried.token == *self.token
            && carried.replica == self.replica
            && carried.belongs(self.folder)
    }
}

impl Carried {
    /// Whether a process may belong to a run folder, by the one it was started from.
    pub(crate) fn belongs(&self, folder: &Path) -> bool {
        let theirs = Path::new(&self.folder);
        theirs == folder || !theirs.exists()
    }
}

/// One process that is not dead.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) started: u64,
    /// The kernel's short name of it.
    pub(crate) name: String,
    /// What its environment says; none where it is not hive's, cannot be read, or was overwritten
    /// by the process itself.
    pub(crate) carried: Option<Carried>,
}

/// All processes at about one moment.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) boot: String,
    pub(crate) processes: BTreeMap<i32, Seen>,
}

impl Scan {
    /// Looks.
    ///
    /// # Errors
    /// Something of `/proc` cannot be read: then nothing can be said about any process, and least
    /// of all that it has ended.
    pub(crate) fn read() -> Result<Self, Failure> {
        let boot = boot()?;
        let entries = fs::read_dir("/proc").map_err(|error| unseen(&error))?;
        let mut processes = BTreeMap::new();
        for entry in entries {
            let name = entry.map_err(|error| unseen(&error))?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            if let Some(stat) = Stat::read(pid)?.filter(|stat| !stat.dead) {
                // The kernel's own threads are half of all and have none.
                let environment = match stat.parent == KERNEL {
                    true => Vec::new(),
                    false => told(pid, "environ")?.unwrap_or_default(),
                };
                let seen = Seen {
                    pid,
                    parent: stat.parent,
                    started: stat.started,
                    name: stat.name,
                    carried: carried(&environment),
                };
                processes.insert(pid, seen);
            }
        }
        Ok(Self { boot, processes })
    }

    /// The processes of one start of one replica: those that carry its token, those below its
    /// keeper, and the recorded first one, whose number, start time and boot are proof enough where
    /// its environment cannot be read or was overwritten.
    pub(crate) fn members(&self, meant: &Meant<'_>, first: Option<&Ident>) -> Vec<Seen> {
        let of = |carried: &Carried| meant.is(carried);
        let member = |seen: &&Seen| match &seen.carried {
            Some(carried) => of(carried) && !carried.keeper,
            None => {
                self.keeper_above(seen).is_some_and(of)
                    || first.is_some_and(|first| self.is(seen, first))
            }
        };
        self.processes.values().filter(member).cloned().collect()
    }

    /// Whether any process carries a token.
    pub(crate) fn carries(&self, token: &Token) -> bool {
        let carried = self.processes.values().filter_map(|seen| seen.carried.as_ref());
        carried.into_iter().any(|it| it.token == *token)
    }

    /// The keeper of one start of one replica.
    pub(crate) fn keeper(&self, meant: &Meant<'_>) -> Option<&Seen> {
        let keeps = |carried: &Carried| carried.keeper && meant.is(carried);
        self.processes.values().find(|seen| seen.carried.as_ref().is_some_and(keeps))
    }

    /// Whether a process is the one meant.
    pub(crate) fn is(&self, seen: &Seen, meant: &Ident) -> bool {
        seen.pid == meant.pid && seen.started == meant.started && self.boot == meant.boot
    }

    /// What the nearest keeper above a process carries. A process below that carries a mark of its
    /// own ends the search: a service may itself run hive.
    fn keeper_above(&self, seen: &Seen) -> Option<&Carried> {
        let mut parent = seen.parent;
        for _ in 0..self.processes.len() {
            let above = self.processes.get(&parent)?;
            match &above.carried {
                Some(carried) if carried.keeper => return Some(carried),
                _ => parent = above.parent,
            }
        }
        None
    }
}

impl Seen {
    /// How it is named in messages.
    pub(crate) fn words(&self) -> String {
        match &self.carried {
            Some(Carried { mark, replica, keeper: false, .. }) => format!(
                "replica {replica} of {} in {} (pid {}, {})",
                mark.address, mark.owner.environment, self.pid, self.name
            ),
            _ => format!("{} (pid {})", self.name, self.pid),
        }
    }

    /// Sends a signal to exactly this process: the handle is opened first, then it is checked that
    /// the number still means the same process. False when it is gone.
    ///
    /// # Errors
    /// We may not.
    pub(crate) fn signal(&self, signal: Signal) -> Result<bool, Failure> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(false) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => return Ok(false),
            Err(error) => return Err(self.unsent(error)),
        };
        if Stat::read(self.pid)?.is_none_or(|stat| stat.dead || stat.started != self.started) {
            return Ok(false);
        }
        match pidfd_send_signal(&handle, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(self.unsent(error)),
        }
    }

    fn unsent(&self, error: Errno) -> Failure {
        let kind = match error {
            Errno::PERM | Errno::ACCESS => FailureKind::Forbidden,
            _ => FailureKind::Unavailable,
        };
        Failure::new(kind, format!("cannot stop {}: {error}", self.words()))
    }
}

/// The machine's boot.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn boot() -> Result<String, Failure> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.map(|text| text.trim().to_owned()).map_err(|error| unseen(&error))
}

/// This process or another one, by number, as it is now; none when it is gone.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn ident(pid: i32, boot: &str) -> Result<Option<Ident>, Failure> {
    let stat = Stat::read(pid)?;
    Ok(stat.map(|stat| Ident { pid, started: stat.started, boot: boot.to_owned() }))
}

/// Whether the process meant lives, without looking at all others.
///
/// # Errors
/// `/proc` cannot be read. Never taken for "it has ended".
pub(crate) fn lives(meant: &Ident) -> Result<bool, Failure> {
    if boot()? != meant.boot {
        return Ok(false);
    }
    let stat = Stat::read(meant.pid)?;
    Ok(stat.is_some_and(|it| !it.dead && it.started == meant.started))
}

/// The environment of a process; none where it cannot be read.
pub(crate) fn environment(pid: i32) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok().filter(|it| !it.is_empty())?;
    Some(pairs(&bytes).map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

/// The arguments of a process.
pub(crate) fn arguments(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.split_terminator('\0').map(str::to_owned).collect()
}

fn unseen(error: &io::Error) -> Failure {
    Failure::new(FailureKind::Unavailable, format!("the processes cannot be seen: {error}"))
}

/// One file about a process; none where the process has ended, or is another user's that may not
/// be looked at.
fn told(pid: i32, file: &str) -> Result<Option<Vec<u8>>, Failure> {
    told_or_gone(fs::read(format!("/proc/{pid}/{file}")))
}

fn told_or_gone(read: io::Result<Vec<u8>>) -> Result<Option<Vec<u8>>, Failure> {
    let gone = [Errno::NOENT, Errno::SRCH, Errno::ACCESS, Errno::PERM];
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if Errno::from_io_error(&error).is_some_and(|it| gone.contains(&it)) => Ok(None),
        Err(error) => Err(unseen(&error)),
    }
}

struct Stat {
    name: String,
    dead: bool,
    parent: i32,
    started: u64,
}

impl Stat {
    fn read(pid: i32) -> Result<Option<Self>, Failure> {
        let Some(bytes) = told(pid, "stat")? else { return Ok(None) };
        // A name may be any bytes.
        let stat = Self::parse(&String::from_utf8_lossy(&bytes));
        stat.map(Some).ok_or_else(|| {
            let message = format!("`/proc/{pid}/stat` is not what the kernel writes");
            Failure::new(FailureKind::Malformed, message)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (front, back) = text.rsplit_once(')')?;
        let (_, name) = front.split_once('(')?;
        let fields: Vec<&str> = back.split_ascii_whitespace().collect();
        let state = fields.first()?.chars().next()?;
        let threads: u32 = fields.get(17)?.parse().ok()?;
        Some(Self {
            name: name.to_owned(),
            // A zombie is dead, unless only its first thread has ended.
            dead: matches!(state, 'X' | 'x') || (state == 'Z' && threads <= 1),
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    bytes.split(|byte| *byte == 0).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        Some((&pair[..at], &pair[at + 1..]))
    })
}

fn carried(bytes: &[u8]) -> Option<Carried> {
    let hive: BTreeMap<&str, &str> = pairs(bytes)
        .filter(|(name, _)| name.starts_with(b"HIVE_"))
        .filter_map(|(name, value)| {
            Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
        })
        .collect();
    let text = |name: &str| hive.get(name).map(|value| (*value).to_owned());
    let ports = hive.iter().filter_map(|(name, value)| {
        Some((name.strip_prefix("HIVE_PORT_")?.to_owned(), value.parse().ok()?))
    });
    Some(Carried {
        mark: Mark {
            owner: StackMark {
                store: text("HIVE_STORE")?,
                stack: text("HIVE_STACK")?,
                environment: text("HIVE_ENVIRONMENT")?,
            },
            address: hive.get("HIVE_ADDRESS")?.parse().ok()?,
        },
        replica: hive.get("HIVE_REPLICA")?.parse().ok()?,
        token: Token::from_text(hive.get("HIVE_TOKEN")?),
        folder: text("HIVE_FOLDER")?,
        keeper: hive.contains_key("HIVE_KEEPER"),
        ports: ports.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line = "12 (a) b (c)) S 7 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 991 1 1";
        let stat = Stat::parse(line).expect("parses");
        assert_eq!((stat.name.as_str(), stat.parent, stat.started), ("a) b (c)", 7, 991));
        assert!(!stat.dead);
        let zombie = |threads| {
            let line = format!("1 (x) Z 7 1 1 0 -1 4 1 0 0 0 0 0 0 0 20 0 {threads} 0 991 1");
            Stat::parse(&line).expect("parses").dead
        };
        assert!(zombie(1));
        assert!(!zombie(2));
    }

    #[test]
    fn the_environment_says_whose_it_is() {
        let bytes = b"A=1\0HIVE_STORE=s\0HIVE_STACK=k\0HIVE_ENVIRONMENT=dev\0\
            HIVE_ADDRESS=service.api\0HIVE_REPLICA=2\0HIVE_TOKEN=t\0HIVE_FOLDER=/f\0\
            HIVE_PORT_HTTP=20001\0";
        let found = carried(bytes).expect("carries");
        assert_eq!(found.mark.to_string(), "service.api of stack k, dev, store s");
        assert_eq!((found.replica, found.keeper), (2, false));
        assert_eq!(found.ports, BTreeMap::from([("HTTP".to_owned(), 20001)]));
        assert_eq!(carried(b"HIVE_TOKEN=t\0"), None);
    }

    #[test]
    fn this_process_is_seen_and_a_reused_number_is_not_it() {
        let scan = Scan::read().expect("reads");
        let me = i32::try_from(std::process::id()).expect("small");
        let me = ident(me, &scan.boot).expect("reads").expect("me");
        assert!(lives(&me).expect("reads") && scan.processes.contains_key(&me.pid));
        let earlier = Ident { started: me.started - 1, ..me.clone() };
        assert_eq!(lives(&earlier), Ok(false));
        let boot = Ident { boot: "another".to_owned(), ..me };
        assert_eq!(lives(&boot), Ok(false));
    }

    #[test]
    fn only_what_is_gone_has_ended() {
        let read = |errno: Errno| told_or_gone(Err(errno.into()));
        for gone in [Errno::NOENT, Errno::SRCH] {
            assert_eq!(read(gone), Ok(None));
        }
        for unreadable in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO] {
            let failure = read(unreadable).expect_err("an error");
            assert_eq!(failure.kind, FailureKind::Unavailable);
        }
    }

    #[test]
    fn a_recorded_process_that_overwrote_its_environment_is_known_without_its_keeper() {
        let seen = Seen { pid: 7, parent: 1, started: 9, name: "x".to_owned(), carried: None };
        let boot = "b".to_owned();
        let processes = BTreeMap::from([(7, seen)]);
        let scan = Scan { boot: boot.clone(), processes };
        let token = Token::from_text("t");
        let meant = Meant { token: &token, replica: 0, folder: Path::new("/f") };
        let first = Ident { pid: 7, started: 9, boot };
        assert_eq!(scan.members(&meant, Some(&first)).len(), 1);
        let reused = Ident { started: 8, ..first };
        assert!(scan.members(&meant, Some(&reused)).is_empty());
    }
}
