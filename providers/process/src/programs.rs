//! Copies of programs and scripts, by content, so that what ran before can be run again when its
//! file has another content or is gone.

use crate::layout::Layout;
use crate::private::{folder, names, unread, unwritten};
use crate::program::{digest, find};
use crate::spec::{Bound, Spec};
use hive_contract::{Failure, FailureKind, Fingerprint};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// How many copies are kept; the ones used last.
const KEPT: usize = 64;

/// Folders of programs that are installed: they are run in place and not copied, because they look
/// for what belongs to them beside themselves.
const INSTALLED: [&str; 8] =
    ["/bin/", "/sbin/", "/usr/", "/lib/", "/lib64/", "/opt/", "/nix/", "/snap/"];

/// What a command is really run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Runnable {
    /// The file to run.
    pub(crate) program: PathBuf,
    /// What it is called for itself.
    pub(crate) called: String,
    /// The arguments, kept scripts in place of those that have changed.
    pub(crate) arguments: Vec<String>,
    /// The files that are used where they are, as they were when they were read.
    stamps: Vec<(PathBuf, Stamp)>,
}

/// What tells that a file was not written meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let it = path.metadata()?;
        Ok(Self { inode: it.ino(), length: it.len(), changed: (it.ctime(), it.ctime_nsec()) })
    }
}

impl Runnable {
    /// Makes sure that what was started is what was looked at.
    ///
    /// # Errors
    /// A file was changed meanwhile.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        for (path, stamp) in &self.stamps {
            if Stamp::of(path).ok() != Some(*stamp) {
                return Err(Failure::new(
                    FailureKind::Moved,
                    format!("`{}` was changed while it was started", path.display()),
                ));
            }
        }
        Ok(())
    }
}

/// Finds the program and the scripts of a service with the content that the plan binds, keeping a
/// copy of each.
///
/// # Errors
/// One has another content, and there is no copy with the right one.
pub(crate) fn ready(
    layout: &Layout,
    spec: &Spec,
    path_var: Option<&OsStr>,
) -> Result<Runnable, Failure> {
    let directory = layout.stack.join(&spec.directory);
    let store = layout.programs();
    let mut stamps = Vec::new();
    let found = find(&spec.program.name, &directory, path_var);
    let program = located(&store, &spec.program, found, true, &mut stamps)?;
    let mut arguments: Vec<String> = spec.command.iter().skip(1).cloned().collect();
    for input in &spec.inputs {
        let place = directory.join(&input.name);
        let used = located(&store, input, Some(place.clone()), false, &mut stamps)?;
        if used != place {
            let used = used.to_string_lossy();
            arguments.iter_mut().filter(|it| **it == input.name).for_each(|it| {
                *it = used.clone().into_owned();
            });
        }
    }
    prune(&store)?;
    Ok(Runnable { program, called: spec.command[0].clone(), arguments, stamps })
}

/// The file to use: a program is run from its copy, so that its own file may be overwritten while
/// it runs; an installed program and a script, which may look beside themselves, where they are
/// while they have the right content.
fn located(
    store: &Path,
    bound: &Bound,
    found: Option<PathBuf>,
    runs: bool,
    stamps: &mut Vec<(PathBuf, Stamp)>,
) -> Result<PathBuf, Failure> {
    let name = Path::new(&bound.name).file_name().unwrap_or(OsStr::new("program"));
    let kept = store.join(bound.digest.as_str()).join(name);
    let mut other = None;
    if let Some(found) = found {
        let read = |error: io::Error| unread(&found, &error);
        match Stamp::of(&found) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(read(error)),
            Ok(stamp) => {
                let installed = runs && is_installed(&found);
                let in_place = installed || !runs || !is_binary(&found).map_err(read)?;
                let content = digest(&found).map_err(read)?;
                if content == bound.digest {
                    if !installed {
                        keep(&found, &kept, &bound.digest)?;
                    }
                    if in_place {
                        stamps.push((found.clone(), stamp));
                        return Ok(found);
                    }
                    return Ok(kept);
                }
                other = Some(content);
            }
        }
    }
    if kept.exists() {
        // So that pruning sees it as used.
        let touched = File::open(&kept).and_then(|it| it.set_modified(newest(store)));
        touched.map_err(|error| unwritten(&kept, &error))?;
        return Ok(kept);
    }
    let (name, wanted) = (&bound.name, bound.digest.short());
    let message = match other {
        Some(other) => format!(
            "`{name}` has another content ({}) than the plan's ({wanted}), \
             and no copy of that is kept",
            other.short()
        ),
        None => format!("`{name}` is not there, and no copy of it ({wanted}) is kept"),
    };
    Err(Failure::new(FailureKind::Invalid, message)
        .diagnosis("bring the file back as it was, or plan again with the one that is there"))
}

fn is_installed(path: &Path) -> bool {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let system = INSTALLED.iter().any(|folder| real.starts_with(folder));
    // `…/bin/java` with its `…/lib` beside it is an installation wherever it is.
    let bin = real.parent().filter(|parent| parent.ends_with("bin"));
    system || bin.and_then(Path::parent).is_some_and(|above| above.join("lib").is_dir())
}

/// Whether a file is machine code and not a script.
fn is_binary(path: &Path) -> io::Result<bool> {
    let mut magic = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"\x7fELF")
}

/// Copies a file under its digest, unless it is kept already.
fn keep(from: &Path, kept: &Path, wanted: &Fingerprint) -> Result<(), Failure> {
    if kept.exists() {
        return Ok(());
    }
    let parent = kept.parent().unwrap_or(kept);
    let write = |error: io::Error| unwritten(kept, &error);
    folder(parent).map_err(write)?;
    // Two steps of one apply may copy the same program at once.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = parent.join(format!(".copy.{}.{number}", std::process::id()));
    let copied = (|| {
        let mut into = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o700)
            .open(&temporary)?;
        io::copy(&mut File::open(from)?, &mut into)?;
        into.sync_all()
    })();
    let same = copied.and_then(|()| digest(&temporary)).map(|it| it == *wanted);
    match same.map_err(write) {
        Ok(true) => fs::rename(&temporary, kept).map_err(write),
        result => {
            let _ = fs::remove_file(&temporary);
            result?;
            Err(Failure::new(
                FailureKind::Moved,
                format!("`{}` was changed while it was copied", from.display()),
            ))
        }
    }
}

/// The time of the copy that was made or used last: a clock is not needed to order them.
fn newest(store: &Path) -> SystemTime {
    copies(store).into_iter().map(|(used, _)| used).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn copies(store: &Path) -> Vec<(SystemTime, PathBuf)> {
    let folders = names(store).unwrap_or_default();
    let files = folders.iter().flat_map(|digest| {
        let folder = store.join(digest);
        let files = names(&folder).unwrap_or_default();
        files.into_iter().map(move |name| folder.join(name)).collect::<Vec<_>>()
    });
    files.filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path))).collect()
}

/// Removes the copies that were not used for longest. A process that runs from one is not hurt.
fn prune(store: &Path) -> Result<(), Failure> {
    let mut copies = copies(store);
    if copies.len() <= KEPT {
        return Ok(());
    }
    copies.sort();
    let over = copies.len() - KEPT;
    for (_, path) in copies.iter().take(over) {
        fs::remove_file(path).map_err(|error| unwritten(path, &error))?;
        // Fails where another copy with the same content has another name.
        let _ = fs::remove_dir(path.parent().unwrap_or(store));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn put(path: &Path, content: &[u8]) -> Bound {
        fs::write(path, content).expect("writes");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
        let name = format!("./{}", path.file_name().expect("name").to_string_lossy());
        Bound { name, digest: Fingerprint::of_bytes(content) }
    }

    fn used(folder: &Path, bound: &Bound, runs: bool) -> Result<PathBuf, Failure> {
        let found = Some(folder.join(&bound.name)).filter(|path| path.exists());
        located(&folder.join("store"), bound, found, runs, &mut Vec::new())
    }

    #[test]
    fn machine_code_runs_from_its_copy_and_survives_its_file() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("server");
        let first = put(&path, b"\x7fELF one");
        let kept = used(folder.path(), &first, true).expect("is there");
        assert!(kept.starts_with(folder.path().join("store")), "{}", kept.display());
        let second = put(&path, b"\x7fELF two");
        assert_ne!(used(folder.path(), &second, true).expect("is there"), kept);
        assert_eq!(used(folder.path(), &first, true), Ok(kept.clone()));
        fs::remove_file(&path).expect("removes");
        assert_eq!(used(folder.path(), &first, true), Ok(kept.clone()));
        assert_eq!(fs::read(&kept).expect("reads"), b"\x7fELF one");
    }

    #[test]
    fn a_script_runs_where_it_is_until_it_changes() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("run.sh");
        let first = put(&path, b"#!/bin/sh\n");
        assert_eq!(used(folder.path(), &first, true), Ok(folder.path().join("./run.sh")));
        put(&path, b"#!/bin/bash\n");
        let kept = used(folder.path(), &first, false).expect("is kept");
        assert_eq!(fs::read(kept).expect("reads"), b"#!/bin/sh\n");
    }

    #[test]
    fn what_is_nowhere_is_said_with_both_contents() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("run.sh");
        let mut bound = put(&path, b"#!/bin/sh\n");
        let found = bound.digest.short().to_owned();
        bound.digest = Fingerprint::of_bytes(b"other");
        let failure = used(folder.path(), &bound, true).expect_err("is nowhere");
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(failure.message.contains(&found), "{failure}");
        assert!(failure.message.contains(bound.digest.short()), "{failure}");
        fs::remove_file(&path).expect("removes");
        let failure = used(folder.path(), &bound, true).expect_err("is nowhere");
        assert!(failure.message.starts_with("`./run.sh` is not there"), "{failure}");
    }

    #[test]
    fn a_file_that_changes_while_it_is_started_is_noticed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("run.sh");
        put(&path, b"#!/bin/sh\n");
        let stamp = Stamp::of(&path).expect("stamps");
        let runnable = Runnable {
            program: path.clone(),
            called: "run.sh".to_owned(),
            arguments: Vec::new(),
            stamps: vec![(path.clone(), stamp)],
        };
        assert_eq!(runnable.check(), Ok(()));
        put(&folder.path().join("other"), b"#!/bin/sh\n");
        fs::rename(folder.path().join("other"), &path).expect("replaces");
        assert_eq!(runnable.check().expect_err("noticed").kind, FailureKind::Moved);
    }
}
