//! Where a database lies, and what lies beside it.

use hive_contract::{Address, Failure, FailureKind, Fields, Value};
use hive_objects::{Claims, failure};
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How the names of files of one verb begin.
const SCRATCH: &str = "scratch-";

/// One database file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// The file, absolute.
    pub(crate) path: PathBuf,
    /// As the stack names it.
    pub(crate) shown: String,
    /// Whether hive may make it where it is absent.
    pub(crate) create: bool,
}

impl Site {
    /// The file that a database's declared fields name.
    ///
    /// # Errors
    /// They name none, in words for the field `path`.
    pub(crate) fn read(folder: &Path, fields: &Fields) -> Result<Self, String> {
        let shown = match fields.get("path") {
            Some(Value::Text(text)) => text.clone(),
            Some(_) => return Err("the path is not text".to_owned()),
            None => return Err("a SQLite database needs a `path`".to_owned()),
        };
        if shown.is_empty() || shown.ends_with('/') {
            return Err(format!("`{shown}` names no file"));
        }
        if shown.chars().any(char::is_control) {
            return Err(format!("`{}` has a control character", shown.escape_debug()));
        }
        if shown == ":memory:" || shown.starts_with("file:") {
            return Err(format!("`{shown}` is no file that stays"));
        }
        let create = fields.get("create").and_then(Value::as_bool).unwrap_or(false);
        Ok(Self { path: folder.join(&shown), shown, create })
    }

    /// The file of an operation's or an observation's access.
    ///
    /// # Errors
    /// It holds none.
    pub(crate) fn of_access(folder: &Path, access: &Fields) -> Result<Self, Failure> {
        let of = access.get("of").and_then(Value::as_map).unwrap_or(access);
        Self::read(folder, of).map_err(|why| Failure::new(FailureKind::Invalid, why))
    }

    /// What it says of itself.
    pub(crate) fn outputs(&self) -> BTreeMap<String, Value> {
        let path = self.path.display().to_string();
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        BTreeMap::from([
            ("url".to_owned(), Value::Text(format!("sqlite:{path}"))),
            ("path".to_owned(), Value::Text(path)),
            ("name".to_owned(), Value::Text(name)),
        ])
    }

    /// The folder for what hive prepares, on the same file system as the database.
    pub(crate) fn desk(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.hive"))
    }

    /// What makes late effects on an absent file harmless.
    pub(crate) fn claims(&self) -> Claims {
        Claims::new(self.desk().join("steps"))
    }

    /// Makes the folder for what hive prepares, and the database's own where it is missing.
    pub(crate) fn make_desk(&self) -> Result<PathBuf, Failure> {
        let desk = self.desk();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&desk);
        made.map_err(|error| failure("write beside", &self.shown, &error))?;
        Ok(desk)
    }

    /// Takes the folder away where nothing lies in it any more. Nothing depends on it.
    pub(crate) fn clear_desk(&self) {
        let desk = self.desk();
        self.sweep();
        let _ = fs::remove_dir(desk.join("steps"));
        let _ = fs::remove_dir(desk);
    }

    /// A new private file beside the database that is taken away when it is dropped.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn scratch(&self, what: &str) -> Result<Scratch, Failure> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let unusable = |error: io::Error| failure("write beside", &self.shown, &error);
        let desk = self.make_desk()?;
        self.sweep();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = desk.join(format!("{SCRATCH}{what}-{}-{number}", std::process::id()));
            let held = match make_private(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(unusable)?,
            };
            // Whoever sweeps between the two takes it for one that nobody holds.
            if hold(&held) && path.exists() {
                return Ok(Scratch { site: self.clone(), path, _held: held });
            }
        }
    }

    /// Takes away the files of verbs that were killed: nobody holds them any more.
    fn sweep(&self) {
        let own = format!("-{}-", std::process::id());
        for entry in fs::read_dir(self.desk()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // One of this process is dropped by whoever made it; what SQLite keeps beside one has no
            // number at its end.
            let ends = name.rsplit('-').next().unwrap_or_default();
            let another = name.starts_with(SCRATCH)
                && ends.bytes().all(|it| it.is_ascii_digit())
                && !name.contains(&own);
            if another && File::open(entry.path()).is_ok_and(|it| hold(&it)) {
                let _ = remove(&entry.path());
            }
        }
    }

    /// A private file beside the database that stays, named after a step's token: what one step
    /// prepares for another.
    pub(crate) fn beside(&self, token: &str) -> PathBuf {
        self.desk().join(format!("beside-{token}"))
    }
}

/// Makes an empty file that only its owner can read.
pub(crate) fn make_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Holds a file until it is closed, which the end of its process does too; not where another does.
fn hold(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// The files that SQLite keeps beside a database.
pub(crate) fn siblings(path: &Path) -> impl Iterator<Item = PathBuf> {
    let name = path.as_os_str().to_owned();
    ["-journal", "-wal", "-shm"].into_iter().map(move |suffix| {
        let mut sibling = name.clone();
        sibling.push(suffix);
        PathBuf::from(sibling)
    })
}

/// Takes a database away, with what SQLite keeps beside it.
///
/// # Errors
/// What the system says of the database itself.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    for sibling in siblings(path) {
        let _ = fs::remove_file(sibling);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// A file of one verb, gone when it is dropped.
pub(crate) struct Scratch {
    site: Site,
    _held: File,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove(&self.path);
        self.site.clear_desk();
    }
}

/// The environment and the address of an identity that `lower` gives.
///
/// # Errors
/// It is none.
pub(crate) fn address_of(identity: &str, kind: &str) -> Result<Address, Failure> {
    let malformed = || {
        let what = format!("`{identity}` is not the identity of a {kind}");
        Failure::new(FailureKind::Malformed, what)
    };
    let (_, address) = identity.rsplit_once('/').ok_or_else(malformed)?;
    address.parse::<Address>().ok().filter(|it| it.kind() == kind).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_killed_verbs_are_taken_away_and_held_ones_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let fields = Fields::from([("path".to_owned(), Value::text("shop.db"))]);
        let site = Site::read(folder.path(), &fields).expect("a site");
        let desk = site.make_desk().expect("made");
        let killed = desk.join("scratch-dump-0-7");
        fs::write(&killed, "left").expect("writes");
        fs::write(desk.join("scratch-dump-0-7-journal"), "left").expect("writes");
        let held = desk.join("scratch-proof-0-8");
        let holder = make_private(&held).expect("made");
        assert!(hold(&holder));
        fs::write(desk.join("scratch-proof-0-8-journal"), "used").expect("writes");

        let scratch = site.scratch("dump").expect("made");
        assert!(scratch.path.exists() && !killed.exists());
        assert!(held.exists() && desk.join("scratch-proof-0-8-journal").exists());
        assert!(!desk.join("scratch-dump-0-7-journal").exists());
        drop(scratch);
        assert!(desk.exists(), "somebody uses it");

        drop(holder);
        remove(&held).expect("removes");
        site.clear_desk();
        assert!(!desk.exists());
    }
}
