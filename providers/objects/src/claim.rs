//! What makes a late effect harmless: every rename of a step goes through a folder that only the
//! holder of its token could make, and that a recovery can take away for ever.

use crate::{exists, failure, make_parent};
use hive_contract::{Failure, FailureKind, Token};
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
    /// where the renames have begun and not ended, so that the same token can complete them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn void(&self, token: &Token, renames: Renames<'_>) -> Result<bool, Failure> {
        let folder = self.folder_of(token);
        let buried = self.bury(&folder, renames);
        buried.map_err(|error| failure("seal", &folder.display().to_string(), &error))
    }

    fn bury(&self, folder: &Path, renames: Renames<'_>) -> io::Result<bool> {
        let away = folder.with_extension("void");
        loop {
            if away.is_dir() && !exists(folder) {
                // An earlier recovery died right here.
                fs::rename(&away, folder)?;
            }
            match fs::OpenOptions::new().write(true).create_new(true).open(folder) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    fs::create_dir_all(&self.folder)?;
                }
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                Err(_) if !folder.is_dir() => return Ok(true),
                Err(_) => match fs::rename(folder, &away) {
                    Ok(()) if renames.take_back(&away)? => remove(&away)?,
                    Ok(()) => {
                        fs::rename(&away, folder)?;
                        return Ok(false);
                    }
                    // Its holder took it away in between.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(_) if away.is_dir() => remove(&away)?,
                    Err(error) => return Err(error),
                },
            }
        }
    }
}

/// Takes a folder away. Its late holder may still be writing into it, and will not for long.
fn remove(folder: &Path) -> io::Result<()> {
    loop {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            done => return done,
        }
    }
}

/// What a step renames, by the names in its folder.
#[derive(Clone, Copy, Debug)]
pub enum Renames<'a> {
    /// Out of it, in this order; all are prepared in this order before the first goes.
    Out(&'a [&'a str]),
    /// Into it.
    Into(&'a str),
}

impl Renames<'_> {
    /// Whether some of it has been done, and not all, by what lies in the folder.
    pub fn half_done(&self, lies_there: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Out([first, rest @ ..]) => {
                !lies_there(first) && rest.iter().any(|name| lies_there(name))
            }
            Self::Out([]) => false,
            Self::Into(name) => lies_there(name),
        }
    }

    /// Makes all of it impossible; false where it has begun.
    ///
    /// A rename that had found the folder before it was moved away may still happen in it. So what
    /// would go out is not looked for but taken, and what would come in finds no folder to come to:
    /// of each two that race for it, one is told that it is gone.
    fn take_back(self, away: &Path) -> io::Result<bool> {
        let gone = |done: io::Result<()>| match done {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        match self {
            Self::Out([]) => Ok(true),
            Self::Out([first, rest @ ..]) => {
                let taken = gone(fs::remove_file(away.join(first)))?;
                Ok(taken || !rest.iter().any(|name| exists(&away.join(name))))
            }
            Self::Into(name) => match fs::remove_dir(away) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                    Ok(!exists(&away.join(name)))
                }
                Err(error) => Err(error),
            },
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
        match crate::rename_new(&from, to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_parent(to)?;
                crate::rename_new(&from, to)
            }
            done => done,
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
        assert!(claims.void(&token("t1"), Renames::Out(&["new"])).expect("seals"));
        assert!(late.install_new("new", &object).is_err() && late.install("new", &object).is_err());
        assert!(late.prepare("new", b"", 0o600, false).is_err());
        assert!(void(&claims, "t1"));
        late.end();
        assert!(void(&claims, "t1"), "its end does not open it again");
        assert!(claims.void(&token("t1"), Renames::Out(&["new"])).expect("seals twice"));
        assert!(claims.void(&token("t2"), Renames::Out(&["new"])).expect("seals what never began"));
        assert!(void(&claims, "t2"));
    }

    #[test]
    fn a_file_taken_by_a_void_token_is_not_taken() {
        let (_folder, claims, object) = desk();
        make_parent(&object).expect("folder");
        fs::write(&object, "kept").expect("writes");
        let late = claims.make(&token("t1")).expect("claims");
        assert!(claims.void(&token("t1"), Renames::Into("old")).expect("seals"));
        assert!(late.take(&object, "old").is_err() && object.exists());
    }

    #[test]
    fn what_is_half_done_is_not_sealed() {
        let (_folder, claims, object) = desk();
        let claim = claims.make(&token("t1")).expect("claims");
        claim.prepare("first", b"1", 0o600, false).expect("writes");
        claim.prepare("second", b"2", 0o600, false).expect("writes");
        claim.install("first", &object).expect("installs");
        let both = Renames::Out(&["first", "second"]);
        assert!(!claims.void(&token("t1"), both).expect("looks"));
        claims
            .make(&token("t1"))
            .expect("the same token goes on")
            .install("second", &object)
            .expect("ends");
    }

    #[test]
    fn a_recovery_that_died_half_way_is_gone_on_with() {
        let (folder, claims, object) = desk();
        let claim = claims.make(&token("t1")).expect("claims");
        claim.prepare("first", b"1", 0o600, false).expect("writes");
        claim.prepare("second", b"2", 0o600, false).expect("writes");
        claim.install("first", &object).expect("installs");
        let steps = folder.path().join(".steps");
        fs::rename(steps.join("t1"), steps.join("t1.void")).expect("moves");
        let both = Renames::Out(&["first", "second"]);
        assert!(!claims.void(&token("t1"), both).expect("looks"));
        assert!(both.half_done(&|name| claims.holds(&token("t1"), name)));
    }

    #[test]
    fn of_a_late_rename_and_a_seal_one_knows_of_the_other() {
        for round in 0..200 {
            let (_folder, claims, object) = desk();
            let claim = claims.make(&token("t1")).expect("claims");
            claim.prepare("first", b"1", 0o600, false).expect("writes");
            claim.prepare("second", b"2", 0o600, false).expect("writes");
            make_parent(&object).expect("folder");
            let sealed = std::thread::scope(|scope| {
                let late = scope.spawn(|| claim.install_new("first", &object).is_ok());
                let both = Renames::Out(&["first", "second"]);
                let sealed = claims.void(&token("t1"), both).expect("looks");
                (sealed, late.join().expect("ends"))
            });
            assert_eq!(sealed.0, !sealed.1, "round {round}: sealed, and done: {sealed:?}");
        }
    }
}
