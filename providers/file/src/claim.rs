//! What makes a late effect harmless: every rename of a step goes through a folder that only the
//! holder of its token could make, and that recovery can take away for ever.

use crate::Base;
use crate::read::failure;
use hive_contract::{Failure, FailureKind, Token};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The folder `.steps/<token>` of one step. What the step prepares lies in it, and its effect is a
/// rename out of it or into it: without the folder there is no effect.
pub(crate) struct Claim {
    folder: PathBuf,
}

impl Claim {
    fn of(base: &Base, environment: &str, token: &Token) -> Self {
        Self { folder: base.claims(environment).join(token.as_str()) }
    }

    /// Where something in a step's folder would be.
    pub(crate) fn path_of(base: &Base, environment: &str, token: &Token, name: &str) -> PathBuf {
        Self::of(base, environment, token).path(name)
    }

    /// Makes the folder, or finds the one that an earlier try with the same token made.
    ///
    /// # Errors
    /// The token is void, or the folder cannot be made.
    pub(crate) fn make(base: &Base, environment: &str, token: &Token) -> Result<Self, Failure> {
        let claim = Self::of(base, environment, token);
        let made = match fs::create_dir(&claim.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                base.make_folders(environment).and_then(|()| fs::create_dir(&claim.folder))
            }
            made => made,
        };
        match made {
            Ok(()) => Ok(claim),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => claim.found(),
            Err(error) => Err(failure("make", &claim.shown(), &error)),
        }
    }

    fn found(self) -> Result<Self, Failure> {
        if self.folder.is_dir() {
            return Ok(self);
        }
        Err(Failure::new(
            FailureKind::Expired,
            "this step was given up by a recovery: its token may have no effect any more",
        ))
    }

    /// Prepares a file. Synced where a power cut must not leave it half written.
    ///
    /// # Errors
    /// It cannot be written in full.
    pub(crate) fn prepare(
        &self,
        name: &str,
        bytes: &[u8],
        mode: u32,
        synced: bool,
    ) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(bytes)?;
        // Not through `mode` above: the umask takes away from that.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        if synced {
            file.sync_all()?;
        }
        Ok(path)
    }

    /// The path of something in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Takes the folder away, with what is left in it.
    pub(crate) fn drop_folder(self) {
        if fs::remove_dir(&self.folder).is_err() {
            // Nothing depends on it being gone.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// Makes a token unusable: puts a file where its folder would be. Whoever wakes up late with
    /// the token finds no folder, and none of its renames can work. Says whether it did so: not
    /// where the folder, once out of everybody's reach, shows that the effect is `half_done`.
    ///
    /// # Errors
    /// The tombstone cannot be written.
    pub(crate) fn void(
        base: &Base,
        environment: &str,
        token: &Token,
        half_done: impl Fn(&Path) -> bool,
    ) -> Result<bool, Failure> {
        let claim = Self::of(base, environment, token);
        let buried = claim.bury(base, environment, half_done);
        buried.map_err(|error| failure("write", &claim.shown(), &error))
    }

    fn bury(
        &self,
        base: &Base,
        environment: &str,
        half_done: impl Fn(&Path) -> bool,
    ) -> io::Result<bool> {
        loop {
            match fs::OpenOptions::new().write(true).create_new(true).open(&self.folder) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    base.make_folders(environment)?
                }
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                Err(_) if !self.folder.is_dir() => return Ok(true),
                Err(_) => {
                    let away = self.folder.with_extension("void");
                    match fs::rename(&self.folder, &away) {
                        Ok(()) if half_done(&away) => {
                            fs::rename(&away, &self.folder)?;
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

    fn shown(&self) -> String {
        self.folder.display().to_string()
    }
}

impl Base {
    /// Makes the folders of an environment, and the note that git leaves alone what hive runs.
    fn make_folders(&self, environment: &str) -> io::Result<()> {
        let run = self.folder.join(&self.run);
        fs::create_dir_all(&run)?;
        match fs::OpenOptions::new().write(true).create_new(true).open(run.join(".gitignore")) {
            Ok(mut note) => note.write_all(b"*\n")?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        fs::create_dir_all(self.claims(environment))?;
        fs::create_dir_all(self.marks(environment))
    }
}
