//! A stream laid out as a folder again.

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink,
};
use std::path::{Component, Path, PathBuf};

/// Lays a stream out below `root`, which must not be there yet. Nothing is written outside of it,
/// whatever the stream says: links come last, so that none is followed.
///
/// Owners are set where we may, which is as root. Says how many entries belong to others in the
/// stream than here.
///
/// # Errors
/// The stream is damaged, or the folder cannot be written.
pub(crate) fn lay(root: &Path, stream: &mut dyn Read) -> io::Result<u64> {
    DirBuilder::new().mode(0o700).create(root)?;
    let mut archive = tar::Archive::new(&mut *stream);
    let mut late = Late::default();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = inside(&entry.path()?)?;
        let as_it_was = AsItWas {
            owner: owner_of(entry.header())?,
            mode: entry.header().mode()? & 0o7777,
            time: time_of(&mut entry)?,
        };
        let whole = root.join(&path);
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                if !path.as_os_str().is_empty() {
                    DirBuilder::new().mode(0o700).create(&whole)?;
                }
                late.folders.push((whole, as_it_was));
            }
            tar::EntryType::Symlink => late.links.push((whole, target(&entry)?, as_it_was)),
            tar::EntryType::Link => {
                let first = inside(&target(&entry)?)?;
                fs::hard_link(root.join(first), &whole)?;
            }
            tar::EntryType::Regular => late.others += file(&whole, &as_it_was, &mut entry)?,
            other => return Err(malformed(format!("an entry of the sort {other:?}"))),
        }
    }
    // What follows the last entry belongs to the stream, whose end says whether it was whole.
    io::copy(stream, &mut io::sink())?;
    late.lay()
}

/// What an entry is beside its content.
struct AsItWas {
    owner: (u32, u32),
    mode: u32,
    time: Timespec,
}

impl AsItWas {
    /// Of a file or a folder. The owner comes first: a new one takes bits of the mode away.
    fn set(&self, path: &Path) -> io::Result<u64> {
        let others = set_owner(path, self.owner)?;
        fs::set_permissions(path, Permissions::from_mode(self.mode))?;
        set_time(path, self.time)?;
        Ok(others)
    }
}

/// What is done when everything is there: a link would lead out, a folder may forbid what is left
/// to do in it, and its time changes with it.
#[derive(Default)]
struct Late {
    links: Vec<(PathBuf, PathBuf, AsItWas)>,
    folders: Vec<(PathBuf, AsItWas)>,
    /// How many belong to others in the stream than here.
    others: u64,
}

impl Late {
    fn lay(mut self) -> io::Result<u64> {
        for (path, to, link) in self.links {
            symlink(to, &path)?;
            self.others += set_owner(&path, link.owner)?;
            set_time(&path, link.time)?;
        }
        // What is inside of a folder comes behind it.
        for (path, folder) in self.folders.into_iter().rev() {
            self.others += folder.set(&path)?;
        }
        Ok(self.others)
    }
}

fn file(path: &Path, as_it_was: &AsItWas, content: &mut dyn Read) -> io::Result<u64> {
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match create() {
        // A file that changed while it was packed stands there more than once; the last one counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()?
        }
        made => made?,
    };
    io::copy(content, &mut file)?;
    file.flush()?;
    drop(file);
    as_it_was.set(path)
}

/// Gives an entry its owner, where we are root, and looks whether it has it: 1 where it is another's.
fn set_owner(path: &Path, (user, group): (u32, u32)) -> io::Result<u64> {
    if geteuid().is_root() {
        match lchown(path, Some(user), Some(group)) {
            // A root that may not, as in a container or on a share.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::InvalidInput
                ) => {}
            other => other?,
        }
    }
    let meta = path.symlink_metadata()?;
    Ok(u64::from((meta.uid(), meta.gid()) != (user, group)))
}

fn owner_of(header: &tar::Header) -> io::Result<(u32, u32)> {
    let number =
        |it: u64| u32::try_from(it).map_err(|_| malformed(format!("an owner that is none: {it}")));
    Ok((number(header.uid()?)?, number(header.gid()?)?))
}

/// A path that stays below the folder.
fn inside(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(malformed(format!("a path that leads out: {}", path.display())));
            }
        }
    }
    Ok(clean)
}

fn target<R: Read>(entry: &tar::Entry<'_, R>) -> io::Result<PathBuf> {
    let target = entry.link_name()?.ok_or_else(|| malformed("a link to nothing".to_owned()))?;
    Ok(target.into_owned())
}

fn time_of<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Timespec> {
    let seconds = i64::try_from(entry.header().mtime()?).unwrap_or(0);
    let whole = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let Some(extensions) = entry.pax_extensions()? else { return Ok(whole) };
    for extension in extensions {
        let extension = extension?;
        if extension.key_bytes() != b"mtime" {
            continue;
        }
        let precise = extension.value().ok().and_then(|text| text.split_once('.')).and_then(
            |(seconds, fraction)| {
                Some(Timespec {
                    tv_sec: seconds.parse().ok()?,
                    tv_nsec: fraction.get(..9)?.parse().ok()?,
                })
            },
        );
        return precise.ok_or_else(|| malformed("a time that is none".to_owned()));
    }
    Ok(whole)
}

fn set_time(path: &Path, time: Timespec) -> io::Result<()> {
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn malformed(why: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// Takes a folder away with all that is in it, also where it forbids that.
///
/// # Errors
/// Something in it cannot be taken away.
pub(crate) fn clear(root: &Path) -> io::Result<()> {
    for _ in 0..5 {
        match fs::remove_dir_all(root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => open_folders(root)?,
            // Somebody who was cut off has just written his last file.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            done => return done,
        }
    }
    fs::remove_dir_all(root)
}

/// Takes away whatever in a folder has a name that begins so.
///
/// # Errors
/// It cannot be taken away.
pub(crate) fn clear_all(folder: &Path, prefix: &OsStr) -> io::Result<()> {
    for path in all(folder, prefix)? {
        clear(&path)?;
    }
    Ok(())
}

/// Whatever in a folder has a name that begins so.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn all(folder: &Path, prefix: &OsStr) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn open_folders(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}
