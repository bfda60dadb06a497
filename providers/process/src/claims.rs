//! Who may act on a token: files that only one can create.
//!
//! A step claims its token before its first effect, and a keeper claims a start right before it
//! starts the service. Whoever wants to say that nothing was started, and that it lasts, creates
//! the same file as *void* first: a late starter then finds it and does nothing.

use crate::private::{create, names, read_json, unwritten};
use crate::scan::Ident;
use hive_contract::{Failure, FailureKind, Token};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// With more claims than this, the older half is removed: no apply lasts that long.
const MOST: usize = 4096;

/// What a token's file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Claim {
    /// A step began its effects.
    Begun,
    /// It will never have any.
    Void,
    /// This keeper starts, or has started, a replica.
    Keeper(Ident),
}

/// The claims of one run folder.
pub(crate) struct Claims {
    folder: PathBuf,
}

impl Claims {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file of a step.
    fn step(&self, token: &Token) -> PathBuf {
        self.folder.join(token.as_str())
    }

    /// The file of one start. A start is tried again under the next number only when the keeper of
    /// the last one is dead or void.
    pub(crate) fn start(&self, token: &Token, replica: u32, number: u32) -> PathBuf {
        self.folder.join(format!("{token}.{replica}.{number}"))
    }

    /// Claims a step's token, and gives what holds it: begun, now or before, or void.
    ///
    /// # Errors
    /// The file can be neither written nor read.
    pub(crate) fn begin(&self, token: &Token) -> Result<Claim, Failure> {
        self.prune()?;
        claim(&self.step(token), &Claim::Begun)
    }

    /// Makes a step's token unusable, unless it is in use.
    ///
    /// # Errors
    /// The file can be neither written nor read.
    pub(crate) fn void(&self, token: &Token) -> Result<Claim, Failure> {
        claim(&self.step(token), &Claim::Void)
    }

    /// What holds a step's token; none where nothing does.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn held(&self, token: &Token) -> Result<Option<Claim>, Failure> {
        read(&self.step(token))
    }

    fn prune(&self) -> Result<(), Failure> {
        let names = names(&self.folder)?;
        if names.len() <= MOST {
            return Ok(());
        }
        let age = |path: &Path| path.metadata().and_then(|it| it.modified()).ok();
        let mut by_age: Vec<(Option<SystemTime>, PathBuf)> = names
            .iter()
            .map(|name| self.folder.join(name))
            .map(|path| (age(&path), path))
            .collect();
        by_age.sort();
        for (_, path) in by_age.iter().take(MOST / 2) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unwritten(path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Creates a claim, or gives the one that is there.
///
/// # Errors
/// The file can be neither written nor read.
pub(crate) fn claim(path: &Path, claim: &Claim) -> Result<Claim, Failure> {
    let bytes = serde_json::to_vec(claim).map_err(|error| unwritten(path, &error.into()))?;
    if create(path, &bytes).map_err(|error| unwritten(path, &error))? {
        return Ok(claim.clone());
    }
    // Nobody takes a claim away while its step is open.
    Ok(read(path)?.unwrap_or(Claim::Void))
}

/// What stands in a claim. It is there as a whole or not at all, unless the machine has failed:
/// then somebody had claimed it, and what that started has ended with the machine.
fn read(path: &Path) -> Result<Option<Claim>, Failure> {
    match read_json(path) {
        Err(failure) if failure.kind == FailureKind::Malformed => Ok(Some(Claim::Begun)),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_claim_holds() {
        let folder = tempfile::tempdir().expect("folder");
        let claims = Claims::new(folder.path().to_owned());
        let (a, b) = (Token::from_text("a"), Token::from_text("b"));
        assert_eq!(claims.held(&a), Ok(None));
        assert_eq!(claims.begin(&a), Ok(Claim::Begun));
        assert_eq!(claims.begin(&a), Ok(Claim::Begun));
        assert_eq!(claims.void(&a), Ok(Claim::Begun));
        assert_eq!(claims.void(&b), Ok(Claim::Void));
        assert_eq!(claims.begin(&b), Ok(Claim::Void));
        assert_eq!(claims.held(&b), Ok(Some(Claim::Void)));
    }

    #[test]
    fn old_claims_go() {
        let folder = tempfile::tempdir().expect("folder");
        for number in 0..=MOST {
            fs::write(folder.path().join(format!("old{number}")), "").expect("writes");
        }
        let claims = Claims::new(folder.path().to_owned());
        assert_eq!(claims.begin(&Token::from_text("new")), Ok(Claim::Begun));
        let left = names(folder.path()).expect("reads");
        assert_eq!(left.len(), MOST / 2 + 2);
        assert!(left.contains(&"new".to_owned()));
    }
}
