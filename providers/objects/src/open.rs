//! Reading a file as it is: no link, no pipe, no folder in its place.

use crate::failure;
use hive_contract::{Failure, FailureKind};
use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// An open file.
pub struct Opened {
    file: OwnedFd,
    /// Its permissions.
    pub mode: u32,
    /// Its length in bytes when it was opened.
    pub length: u64,
}

/// Opens a file by its name in an open folder, or by its path with `rustix::fs::CWD`. None where
/// nothing is there.
///
/// # Errors
/// It cannot be opened, or is not a file.
pub fn open(folder: impl AsFd, name: &Path, shown: &str) -> Result<Option<Opened>, Failure> {
    // A pipe must not make the reader wait, a link must not lead it elsewhere.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(not_a_file(shown, "a symbolic link")),
        Err(errno) => return Err(failure("read", shown, &errno.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|errno| failure("read", shown, &errno.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(not_a_file(shown, "a folder")),
        _ => return Err(not_a_file(shown, "neither a file nor a folder")),
    }
    let length = stat.st_size.unsigned_abs();
    Ok(Some(Opened { file, mode: stat.st_mode & 0o7777, length }))
}

fn not_a_file(shown: &str, what: &str) -> Failure {
    Failure::new(FailureKind::Malformed, format!("`{shown}` is {what}, not a file"))
}

impl Opened {
    /// Its bytes from where it stands, up to one more than `limit`, so that one that is too long is
    /// told from one that is not. A file of the length that it had is read with one call.
    ///
    /// # Errors
    /// What the system says.
    pub fn bytes(&self, limit: u64) -> io::Result<Vec<u8>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX - 1) + 1;
        let length = usize::try_from(self.length).unwrap_or(usize::MAX - 1);
        let mut bytes = Vec::with_capacity(limit.min(length + 1));
        loop {
            let read = rustix::io::retry_on_intr(|| {
                rustix::io::read(&self.file, spare_capacity(&mut bytes))
            })?;
            if bytes.len() >= limit {
                bytes.truncate(limit);
                return Ok(bytes);
            }
            // Less than there was room for: that was the end.
            if read == 0 || bytes.len() < bytes.capacity() {
                return Ok(bytes);
            }
            bytes.reserve(bytes.len().max(4096));
        }
    }

    /// The file itself, for reading on.
    pub fn into_file(self) -> File {
        File::from(self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;
    use std::fs;

    #[test]
    fn a_file_is_read_whole_and_up_to_its_limit() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("file");
        assert!(open(CWD, &path, "file").expect("looks").is_none());
        for length in [0, 1, 4095, 4096, 200_000] {
            fs::write(&path, vec![7; length]).expect("writes");
            let read = |limit| {
                let opened = open(CWD, &path, "file").expect("opens").expect("is there");
                assert_eq!(opened.length, length as u64);
                opened.bytes(limit).expect("reads").len()
            };
            assert_eq!(read(1 << 20), length);
            assert_eq!(read(100), length.min(101));
        }
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        let folder = tempfile::tempdir().expect("folder");
        let failed = |path: &Path| open(CWD, path, "x").err().expect("is no file").message;
        assert!(failed(folder.path()).contains("a folder"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).expect("links");
        assert!(failed(&link).contains("a symbolic link"));
        assert!(failed(Path::new("/dev/null")).contains("neither"));
    }
}
