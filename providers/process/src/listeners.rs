//! Who listens on which TCP port.

use crate::scan::{Scan, Seen};
use hive_contract::{Failure, FailureKind};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

/// One listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) port: u16,
    pub(crate) inode: u64,
    pub(crate) user: u32,
}

/// Every listening TCP socket of this network.
///
/// # Errors
/// The kernel's list cannot be read.
pub(crate) fn read() -> Result<Vec<Listener>, Failure> {
    let mut all = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(path) {
            Ok(text) => all.extend(text.lines().skip(1).filter_map(parse)),
            // A machine without the newer protocol.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.ends_with('6') => {}
            Err(error) => {
                return Err(Failure::new(
                    FailureKind::Unavailable,
                    format!("the ports cannot be seen: `{path}`: {error}"),
                ));
            }
        }
    }
    Ok(all)
}

fn parse(line: &str) -> Option<Listener> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (_, port) = fields.get(1)?.rsplit_once(':')?;
    Some(Listener {
        port: u16::from_str_radix(port, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
        user: fields.get(7)?.parse().ok()?,
    })
}

/// The sockets that a process holds; none where that cannot be read.
fn sockets(pid: i32) -> Option<BTreeSet<u64>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let inode = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    Some(entries.filter_map(|entry| inode(entry.ok()?)).collect())
}

/// Every port that somebody listens on, with who, as far as the system tells.
pub(crate) fn holders(listeners: &[Listener], scan: &Scan) -> BTreeMap<u16, String> {
    let mut by_inode: BTreeMap<u64, String> = BTreeMap::new();
    let wanted: BTreeSet<u64> = listeners.iter().map(|it| it.inode).collect();
    for seen in scan.processes.values() {
        for inode in sockets(seen.pid).unwrap_or_default().intersection(&wanted) {
            by_inode.entry(*inode).or_insert_with(|| seen.words());
        }
    }
    let words = |it: &Listener| {
        by_inode.get(&it.inode).cloned().unwrap_or_else(|| format!("user {}", it.user))
    };
    listeners.iter().map(|it| (it.port, words(it))).collect()
}

/// Who listens on a port that is none of `ours`, in words; none where it is free or ours.
///
/// # Errors
/// The ports cannot be seen.
pub(crate) fn foreign(port: u16, ours: &[Seen], scan: &Scan) -> Result<Option<String>, Failure> {
    let listeners: Vec<Listener> = read()?.into_iter().filter(|it| it.port == port).collect();
    if listeners.is_empty() {
        return Ok(None);
    }
    let mut held = BTreeSet::new();
    // A process of ours that hides what it holds may be the one.
    let mut hidden = false;
    for member in ours {
        match sockets(member.pid) {
            Some(sockets) => held.extend(sockets),
            None => hidden = true,
        }
    }
    let others: Vec<Listener> =
        listeners.into_iter().filter(|it| !held.contains(&it.inode)).collect();
    let named = holders(&others, scan);
    let unnamed = |words: &String| words.starts_with("user ");
    Ok(named.into_values().find(|words| !(hidden && unnamed(words))))
}

/// Whether somebody listens on a port.
///
/// # Errors
/// The ports cannot be seen.
pub(crate) fn listened(port: u16) -> Result<bool, Failure> {
    Ok(read()?.iter().any(|it| it.port == port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_is_found_with_its_holder() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = socket.local_addr().expect("address").port();
        let scan = Scan::read().expect("reads");
        let pid = std::process::id();
        let named = holders(&read().expect("reads"), &scan);
        assert!(named[&port].contains(&format!("(pid {pid})")), "{}", named[&port]);
        let me = scan.processes[&i32::try_from(pid).expect("small")].clone();
        assert_eq!(foreign(port, &[me], &scan), Ok(None));
        assert_eq!(foreign(port, &[], &scan), Ok(Some(named[&port].clone())));
        drop(socket);
        assert_eq!(listened(port), Ok(false));
        assert_eq!(foreign(port, &[], &scan), Ok(None));
    }

    #[test]
    fn only_listening_sockets_count() {
        let line = "0: 0100007F:4E21 00000000:0000 0A 0:0 00:0 0 1000 0 4711 1 0 100 0 0 10 0";
        let found = Listener { port: 20001, inode: 4711, user: 1000 };
        assert_eq!(parse(line), Some(found));
        assert_eq!(parse(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(parse("nonsense"), None);
    }
}
