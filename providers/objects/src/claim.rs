//! What makes a late effect harmless: every rename of a step goes through a folder that only the
//! holder of its token could make, and that a recovery can take away for ever.

use crate::{exists, failure, make_parent};
use hive_contract::{Failure, FailureKind, Token};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The claims of all steps on the objects of one folder.
pub struct Claims {
    folder: PathBuf,
}

/// The folder of one step: what it prepares lies in it.
pub struct Claim {
    folder: PathBuf,
}

impl Claims {
    /// Claims that lie in `folder`, on the same file system as the objects.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Makes a step's folder, or finds the one that an earlier try with the same token made.
    ///
    /// # Errors
    /// The token is void, or the folder cannot be made.
    pub fn make(&self, token: &Token) -> Result<Claim, Failure> {
        let claim = Claim { folder: self.folder_of(token) };
        let made = match fs::create_dir(&claim.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder).and_then(|()| fs::create_dir(&claim.folder))
            }
            made => made,
        };
        match made {
            Ok(()) => Ok(claim),
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(failure("make", &claim.folder.display().to_string(), &error))
            }
            Err(_) if claim.folder.is_dir() => Ok(claim),
            Err(_) => Err(Failure::new(
                FailureKind::Expired,
                "this step was given up by a recovery: its token may have no effect any more",
            )),
        }
    }

    /// Whether something lies in a step's folder.
    pub fn holds(&self, token: &Token, name: &str) -> bool {
        exists(&self.folder_of(token).join(name))
    }

    /// Makes a token unusable: puts a file where its folder would be. Whoever wakes up late with
    /// the token finds no folder, and none of its renames can work. Says whether it did so: not
    /// where the folder, once out of everybody's reach, shows that the effect is `half_done`; it is
    /// given a question that says what lies there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn void(
        &self,
        token: &Token,
        half_done: impl Fn(&dyn Fn(&str) -> bool) -> bool,
    ) -> Result<bool, Failure> {
        let folder = self.folder_of(token);
        let buried = self.bury(&folder, half_done);
        buried.map_err(|error| failure("seal", &folder.display().to_string(), &error))
    }

    fn bury(
        &self,
        folder: &Path,
        half_done: impl Fn(&dyn Fn(&str) -> bool) -> bool,
    ) -> io::Result<bool> {
        loop {
            match fs::OpenOptions::new().write(true).create_new(true).open(folder) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    fs::create_dir_all(&self.folder)?;
                }
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                Err(_) if !folder.is_dir() => return Ok(true),
                Err(_) => {
                    let away = folder.with_extension("void");
                    match fs::rename(folder, &away) {
                        Ok(()) if half_done(&|name| exists(&away.join(name))) => {
                            fs::rename(&away, folder)?;
                            return Ok(false);
                        }
                        Ok(()) => fs::remove_dir_all(&away)?,
                        // Its holder took it away in between.
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        // An earlier recovery died right here.
                        Err(_) if away.is_dir() => fs::remove_dir_all(&away)?,
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}

impl Claims {
    fn folder_of(&self, token: &Token) -> PathBuf {
        self.folder.join(token.as_str())
    }
}

impl Claim {
    /// Prepares a file. Synced where a power cut must not leave it half written.
    ///
    /// # Errors
    /// It cannot be written in full.
    pub fn prepare(&self, name: &str, bytes: &[u8], mode: u32, synced: bool) -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path(name))?;
        file.write_all(bytes)?;
        // Not through `mode` above: the umask takes away from that.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        if synced { file.sync_all() } else { Ok(()) }
    }

    /// Puts a prepared file in its place, over whatever is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn install(&self, name: &str, to: &Path) -> io::Result<()> {
        crate::rename(&self.path(name), to)
    }

    /// Puts a prepared file in its place where nothing is.
    ///
    /// # Errors
    /// `AlreadyExists`, or what else the system says.
    pub fn install_new(&self, name: &str, to: &Path) -> io::Result<()> {
        let from = self.path(name);
        let exclusive = || rustix::fs::renameat_with(CWD, &from, CWD, to, RenameFlags::NOREPLACE);
        let mut installed = exclusive();
        if installed == Err(Errno::NOENT) {
            make_parent(to)?;
            installed = exclusive();
        }
        match installed {
            // A file system without that flag: a hard link fails as well where something is.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::hard_link(&from, to)?;
                fs::remove_file(&from)
            }
            other => Ok(other?),
        }
    }

    /// Takes a file out of its place, into the step's folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn take(&self, from: &Path, name: &str) -> io::Result<()> {
        fs::rename(from, self.path(name))
    }

    /// Takes the folder away, with what is left in it. Nothing depends on it being gone.
    pub fn end(self) {
        if fs::remove_dir(&self.folder).is_err() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token::from_text(text)
    }

    fn void(claims: &Claims, text: &str) -> bool {
        claims.make(&token(text)).is_err_and(|it| it.kind == FailureKind::Expired)
    }

    fn desk() -> (tempfile::TempDir, Claims, PathBuf) {
        let folder = tempfile::tempdir().expect("folder");
        let claims = Claims::new(folder.path().join(".steps"));
        let object = folder.path().join("deep/object");
        (folder, claims, object)
    }

    #[test]
    fn what_is_prepared_is_seen_whole_and_only_where_nothing_was() {
        let (_folder, claims, object) = desk();
        let claim = claims.make(&token("t1")).expect("claims");
        claim.prepare("new", b"one", 0o640, true).expect("writes");
        claim.install_new("new", &object).expect("installs");
        assert_eq!(fs::read(&object).expect("reads"), b"one");
        assert_eq!(object.metadata().expect("file").permissions().mode() & 0o777, 0o640);
        claim.prepare("new", b"two", 0o640, false).expect("writes");
        let refused = claim.install_new("new", &object).expect_err("is there");
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        claim.install("new", &object).expect("installs over it");
        assert_eq!(fs::read(&object).expect("reads"), b"two");
        claim.take(&object, "old").expect("takes");
        assert!(!object.exists() && claims.holds(&token("t1"), "old"));
        claim.end();
        assert!(!claims.holds(&token("t1"), "old"));
    }

    #[test]
    fn a_void_token_has_no_effect_any_more() {
        let (_folder, claims, object) = desk();
        let late = claims.make(&token("t1")).expect("claims");
        late.prepare("new", b"late", 0o600, false).expect("writes");
        assert!(claims.void(&token("t1"), |_| false).expect("seals"));
        assert!(late.install_new("new", &object).is_err() && late.install("new", &object).is_err());
        assert!(late.prepare("new", b"", 0o600, false).is_err());
        assert!(void(&claims, "t1"));
        late.end();
        assert!(void(&claims, "t1"), "its end does not open it again");
        assert!(claims.void(&token("t1"), |_| false).expect("seals twice"));
        assert!(claims.void(&token("t2"), |_| false).expect("seals what never began"));
        assert!(void(&claims, "t2"));
    }

    #[test]
    fn a_file_taken_by_a_void_token_is_not_taken() {
        let (_folder, claims, object) = desk();
        make_parent(&object).expect("folder");
        fs::write(&object, "kept").expect("writes");
        let late = claims.make(&token("t1")).expect("claims");
        assert!(claims.void(&token("t1"), |_| false).expect("seals"));
        assert!(late.take(&object, "old").is_err() && object.exists());
    }

    #[test]
    fn what_is_half_done_is_not_sealed() {
        let (_folder, claims, object) = desk();
        let claim = claims.make(&token("t1")).expect("claims");
        claim.prepare("first", b"1", 0o600, false).expect("writes");
        claim.prepare("second", b"2", 0o600, false).expect("writes");
        claim.install("first", &object).expect("installs");
        let half = |holds: &dyn Fn(&str) -> bool| holds("second") && !holds("first");
        assert!(!claims.void(&token("t1"), half).expect("looks"));
        claims
            .make(&token("t1"))
            .expect("the same token goes on")
            .install("second", &object)
            .expect("ends");
    }
}
