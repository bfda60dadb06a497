//! Where everything of this platform is, below the stack's folder.

use hive_contract::{Failure, FailureKind};
use std::path::{Path, PathBuf};

/// The folder for everything that runs, unless `[platform.process] directory` says another.
pub(crate) const DIRECTORY: &str = ".hive-run";

/// The paths below one run folder. No environment is named like the two folders that are
/// shared between them: no name begins with `_`.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The stack's folder: commands run here, relative paths count from here.
    pub(crate) stack: PathBuf,
    /// The run folder.
    pub(crate) run: PathBuf,
}

impl Layout {
    /// The layout for a stack's folder.
    pub(crate) fn new(stack: &Path, directory: &str) -> Self {
        Self { stack: stack.to_owned(), run: stack.join(directory) }
    }

    /// The claims of steps and of starts.
    pub(crate) fn claims(&self) -> PathBuf {
        self.run.join("_claims")
    }

    /// The kept copies of programs and scripts.
    pub(crate) fn programs(&self) -> PathBuf {
        self.run.join("_programs")
    }

    /// Everything of one service.
    ///
    /// # Errors
    /// The identity is not `environment/kind.name`.
    pub(crate) fn service(&self, identity: &str) -> Result<PathBuf, Failure> {
        let (environment, address) = split(identity)?;
        Ok(self.run.join(environment).join(address))
    }
}

/// The two halves of an identity, `dev/service.api`.
///
/// # Errors
/// It is something else, such as a path that leads out of the run folder.
pub(crate) fn split(identity: &str) -> Result<(&str, &str), Failure> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with(['.', '_']);
    identity
        .split_once('/')
        .filter(|(environment, address)| {
            plain(environment) && plain(address) && !address.contains('/')
        })
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Malformed,
                format!("`{identity}` is not the identity of a service: `environment/kind.name`"),
            )
        })
}

/// What one environment's service is known by.
pub(crate) fn identity(environment: &str, address: &str) -> String {
    format!("{environment}/{address}")
}

/// The folder of one replica's log inside a service's folder.
pub(crate) fn log_folder(service: &Path, replica: u32) -> PathBuf {
    service.join(replica.to_string()).join("log")
}

/// Where a declared file of a service stands below its files' folder: absolute paths are mapped
/// into it.
pub(crate) fn file_below(files: &Path, declared: &str) -> PathBuf {
    files.join(declared.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_stays_below_the_run_folder() {
        let layout = Layout::new(Path::new("/stack"), DIRECTORY);
        let service = layout.service("dev+x/service.api").expect("an identity");
        assert_eq!(service, Path::new("/stack/.hive-run/dev+x/service.api"));
        for bad in ["", "dev", "dev/", "/service.api", "../service.api", "dev/..", "a/b/c", "_x/y"]
        {
            assert!(layout.service(bad).is_err(), "{bad}");
        }
    }
}
