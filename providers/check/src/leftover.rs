//! Finding what a command left running, by the token in its environment, and ending it.

use hive_contract::{Failure, FailureKind, Token};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use std::fs;
use std::time::Duration;

/// The variable that carries the token.
pub(crate) const TOKEN: &str = "HIVE_TOKEN";

/// Ends every process that carries the token, and waits until there is none. It looks twice: while a
/// program takes the place of another, its environment reads as empty for a moment.
///
/// # Errors
/// Processes cannot be listed, or one does not end.
pub(crate) async fn end(token: &Token) -> Result<(), Failure> {
    let mut seen_none = false;
    for _ in 0..500 {
        let running = carriers(token)?;
        if running.is_empty() && seen_none {
            return Ok(());
        }
        seen_none = running.is_empty();
        running.into_iter().for_each(|pid| kill(pid, token));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Failure::new(FailureKind::Unavailable, "the command of the interrupted check does not end"))
}

/// The processes whose environment holds the token. Those of other users cannot be read, and are
/// none of ours.
fn carriers(token: &Token) -> Result<Vec<Pid>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(FailureKind::Unavailable, format!("processes cannot be listed: {error}"))
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        found.extend(pid.filter(|pid| carries(*pid, token)));
    }
    Ok(found)
}

/// A zombie has no environment any more, so it does not count.
fn carries(pid: Pid, token: &Token) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
    let wanted = format!("{TOKEN}={token}");
    environment.is_ok_and(|it| it.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes()))
}

/// Read, not asked for: the group may be led from outside of what hive sees, and has no number then.
fn leads_a_group(pid: Pid) -> bool {
    let pid = pid.as_raw_nonzero().to_string();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_ascii_whitespace().nth(2) == Some(pid.as_str())
}

fn kill(pid: Pid, token: &Token) {
    // The handle is taken first and the token read again: from here on the number is nobody else's.
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if !carries(pid, token) {
        return;
    }
    // Children that cleared their environment are found through the group that the command leads.
    if leads_a_group(pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    match pidfd_send_signal(&handle, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        // Looked at again by the caller, who says so when it stays.
        Err(_) => {}
    }
}
