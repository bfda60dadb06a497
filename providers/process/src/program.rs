//! Programs as files: where a command's program is, and what is in it.

use hive_contract::Fingerprint;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The file that a command's first word means: a path with a `/` in it counts from `directory`,
/// a plain name is looked up in the folders of `path_var`, written as in `PATH`. Only files that
/// may be executed count.
pub fn find(name: &str, directory: &Path, path_var: Option<&OsStr>) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        return Some(directory.join(name)).filter(|path| is_program(path));
    }
    // An empty entry of PATH is where one stands, as for a shell.
    std::env::split_paths(path_var?)
        .map(|entry| directory.join(entry).join(name))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// The fingerprint of a file's content.
///
/// # Errors
/// It cannot be read.
pub fn digest(path: &Path) -> io::Result<Fingerprint> {
    Fingerprint::of_reader(File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn put(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().expect("has a parent")).expect("folder");
        fs::write(path, "#!/bin/sh\n").expect("writes");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
    }

    #[test]
    fn a_path_counts_from_the_folder_and_a_name_from_path() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |path: &str| folder.path().join(path);
        put(&at("bin/server"), 0o755);
        put(&at("other/server"), 0o755);
        put(&at("plain/server"), 0o644);
        let path = std::env::join_paths([at("plain"), at("other"), at("bin")]).expect("PATH");
        let found = |name: &str, path: Option<&OsStr>| find(name, folder.path(), path);
        assert_eq!(found("./bin/server", None), Some(at("./bin/server")));
        assert_eq!(found("server", Some(&path)), Some(at("other/server")));
        assert_eq!(found("server", Some(OsStr::new("bin"))), Some(at("bin/server")));
        assert_eq!(found("server", None), None);
        assert_eq!(found("./plain/server", None), None);
        assert_eq!(found("./bin", None), None);
        assert_eq!(found("", Some(&path)), None);
    }

    #[test]
    fn a_digest_is_the_content_and_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("file");
        fs::write(&path, vec![7; 200_000]).expect("writes");
        assert_eq!(digest(&path).expect("reads"), Fingerprint::of_bytes(&vec![7; 200_000]));
        assert!(digest(&folder.path().join("none")).is_err());
    }
}
