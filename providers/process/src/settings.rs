//! `[platform.process]`, and what this machine lends.

use crate::Process;
use crate::health::Settling;
use crate::keeper;
use crate::layout::{DIRECTORY, Layout};
use crate::logs::Rotation;
use crate::private::unread;
use hive_contract::value::Fields;
use hive_contract::{Failure, FailureKind, Place, Value};
use std::fs;
use std::path::Path;

/// The provider's name.
pub(crate) const NAME: &str = "process";
/// The range that ports are chosen from, unless `ports` says another.
const PORTS: (u16, u16) = (20_000, 29_999);
/// What of hive's own environment every service has.
const LENT: [&str; 4] = ["HOME", "LANG", "PATH", "TMPDIR"];

/// See [`Process::connect`].
#[expect(
    clippy::disallowed_methods,
    reason = "a provider's connect reads PATH and what else the machine lends every program"
)]
pub(crate) fn connect(folder: &Path, settings: &Fields) -> Result<Process, Failure> {
    let stack = folder.canonicalize().map_err(|error| unread(folder, &error))?;
    let directory = directory(settings)?;
    let lent = LENT.iter().filter_map(|name| {
        // What is not text cannot be told to a keeper.
        Some(((*name).to_owned(), std::env::var_os(name)?.into_string().ok()?))
    });
    if let Some(key) = settings.keys().find(|key| !["directory", "ports"].contains(&key.as_str())) {
        return Err(wrong(key, "there is no such setting"));
    }
    Ok(Process {
        layout: Layout::new(&stack, directory),
        place: Place {
            provider: NAME.to_owned(),
            // Which ports are chosen is no part of where services are.
            settings: Fields::from([("directory".to_owned(), Value::from(directory))]),
            system: system(),
        },
        ports: ports(settings)?,
        path: std::env::var_os("PATH"),
        base: lent.collect(),
        keeper: keeper::program(),
        rotation: Rotation::default(),
        settling: Settling::default(),
    })
}

fn directory(settings: &Fields) -> Result<&str, Failure> {
    let directory = match settings.get("directory") {
        None => DIRECTORY,
        Some(value) => value.as_text().ok_or_else(|| wrong("directory", "it must be text"))?,
    };
    let strange = |part: &str| matches!(part, "" | "." | "..");
    if directory.split('/').any(strange) {
        return Err(wrong("directory", "it must be a folder below the stack's own"));
    }
    Ok(directory)
}

fn ports(settings: &Fields) -> Result<(u16, u16), Failure> {
    let Some(value) = settings.get("ports") else { return Ok(PORTS) };
    let range = || {
        let (from, to) = value.as_text()?.split_once('-')?;
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
    };
    range()
        .filter(|(from, to)| (1..=*to).contains(from))
        .ok_or_else(|| wrong("ports", "it must be a range such as \"20000-29999\""))
}

fn wrong(key: &str, why: &str) -> Failure {
    Failure::new(FailureKind::Invalid, format!("`{key}` of the process platform: {why}"))
}

/// The machine's own id, else its name.
fn system() -> String {
    let read = |path: &str| {
        let text = fs::read_to_string(path).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    read("/etc/machine-id")
        .or_else(|| read("/proc/sys/kernel/hostname"))
        .unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> Result<Process, Failure> {
        let folder = tempfile::tempdir().expect("folder");
        connect(folder.path(), &Fields::from([(key.to_owned(), Value::from(value))]))
    }

    #[test]
    fn a_place_is_the_same_however_its_default_is_written() {
        let folder = tempfile::tempdir().expect("folder");
        let plain = connect(folder.path(), &Fields::new()).expect("connects");
        let said = with("directory", DIRECTORY).expect("connects");
        let ports = with("ports", "1000-2000").expect("connects");
        assert_eq!(plain.place, said.place);
        assert_eq!(plain.place, ports.place);
        assert_eq!((plain.ports, ports.ports), (PORTS, (1000, 2000)));
        assert_ne!(with("directory", "run/here").expect("connects").place, plain.place);
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (key, value) in [
            ("directory", "/tmp"),
            ("directory", "../out"),
            ("ports", "2000-1000"),
            ("ports", "many"),
            ("port", "1-2"),
        ] {
            let failure = with(key, value).err().expect("is wrong");
            assert_eq!(failure.kind, FailureKind::Invalid, "{failure}");
            assert!(failure.message.starts_with(&format!("`{key}` ")), "{failure}");
        }
    }
}
