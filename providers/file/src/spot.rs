//! Where one config lies: its identity, its file and its sidecar.

use crate::Base;
use hive_contract::{Failure, FailureKind, Fingerprint};
use hive_objects::{Claims, failure};
use std::path::{Component, Path, PathBuf};

/// The place of one config.
///
/// Its identity is `dev/config.api`, or `dev/config.api:etc/api.toml` where the stack says where
/// the file goes: an observation has the identity and nothing else to go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The environment, with its instance.
    pub(crate) environment: String,
    /// The config's name.
    pub(crate) name: String,
    /// The declared path, relative to the stack's folder.
    pub(crate) path: Option<String>,
}

impl Spot {
    /// The spot of an identity.
    ///
    /// # Errors
    /// It is not an identity that `lower` gives.
    pub(crate) fn parse(identity: &str) -> Result<Self, Failure> {
        let malformed = || {
            Failure::new(FailureKind::Malformed, format!("`{identity}` is not a config's identity"))
        };
        let (environment, rest) = identity.split_once("/config.").ok_or_else(malformed)?;
        let (name, path) = match rest.split_once(':') {
            Some((name, path)) => (name, Some(clean(path).map_err(|_| malformed())?)),
            None => (rest, None),
        };
        hive_contract::address::check_name(name).map_err(|_| malformed())?;
        if !is_one_name(environment) {
            return Err(malformed());
        }
        Ok(Self { environment: environment.to_owned(), name: name.to_owned(), path })
    }

    /// What the live system knows it by.
    pub(crate) fn identity(&self) -> String {
        let Self { environment, name, path } = self;
        match path {
            None => format!("{environment}/config.{name}"),
            Some(path) => format!("{environment}/config.{name}:{path}"),
        }
    }

    /// The file, relative to the stack's folder: the output `path`.
    pub(crate) fn relative(&self, base: &Base) -> String {
        match &self.path {
            Some(path) => path.clone(),
            None => format!("{}/{}/config/{}", base.run, self.environment, self.name),
        }
    }

    /// The file.
    ///
    /// # Errors
    /// The declared path leads out of the stack's folder, through a symbolic link.
    pub(crate) fn file(&self, base: &Base) -> Result<PathBuf, Failure> {
        let file = base.folder.join(self.relative(base));
        if self.path.is_some() {
            stays_inside(base, &file, &self.relative(base))?;
        }
        Ok(file)
    }

    /// The file that says whose it is. That of a declared path is found by the path alone, so that
    /// another environment that claims the same path sees whose it is.
    pub(crate) fn sidecar(&self, base: &Base) -> PathBuf {
        match &self.path {
            None => base.marks(&self.environment).join(format!("{}.json", self.name)),
            Some(path) => {
                let hash = Fingerprint::of_bytes(path.as_bytes());
                base.claimed_paths().join(format!("{}.json", &hash.as_str()[..32]))
            }
        }
    }
}

impl Base {
    /// The folder of an environment's files that lie where hive likes.
    pub(crate) fn configs(&self, environment: &str) -> PathBuf {
        self.folder.join(&self.run).join(environment).join("config")
    }

    /// The folder of their sidecars.
    pub(crate) fn marks(&self, environment: &str) -> PathBuf {
        self.configs(environment).join(".marks")
    }

    /// What steps prepare.
    pub(crate) fn claims(&self, environment: &str) -> Claims {
        Claims::new(self.configs(environment).join(".steps"))
    }

    /// The folder of the sidecars of declared paths, of all environments: no environment begins
    /// with `_`.
    pub(crate) fn claimed_paths(&self) -> PathBuf {
        self.folder.join(&self.run).join("_paths")
    }
}

/// A path below the stack's folder in its one spelling.
///
/// # Errors
/// Why it is not one, as the end of a sentence.
pub(crate) fn clean(text: &str) -> Result<String, &'static str> {
    if text.chars().any(char::is_control) {
        return Err("has a control character");
    }
    if text.ends_with('/') {
        return Err("names a folder");
    }
    let mut kept = Vec::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => kept.extend(part.to_str()),
            Component::CurDir => {}
            Component::ParentDir => return Err("leads out of the stack's folder with `..`"),
            _ => return Err("is absolute, and must be below the stack's folder"),
        }
    }
    if kept.is_empty() { Err("is empty") } else { Ok(kept.join("/")) }
}

fn is_one_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\0'])
}

/// A link inside the folder may point anywhere: the nearest existing folder above the file must be
/// inside the stack's.
fn stays_inside(base: &Base, file: &Path, named: &str) -> Result<(), Failure> {
    let real = |path: &Path| std::fs::canonicalize(path);
    let inside = real(&base.folder).map_err(|error| failure("read", ".", &error))?;
    let mut above = file.parent();
    while let Some(folder) = above {
        match real(folder) {
            Ok(it) if it.starts_with(&inside) => return Ok(()),
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => above = folder.parent(),
            Err(error) => return Err(failure("read", named, &error)),
        }
    }
    Err(Failure::new(FailureKind::Forbidden, format!("`{named}` leads out of the stack's folder")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_says_where_the_file_is() {
        for identity in ["dev/config.api", "dev+one/config.api:etc/api.toml"] {
            assert_eq!(Spot::parse(identity).expect("parses").identity(), identity);
        }
        for wrong in ["dev", "dev/service.api", "../config.a", "a/b/config.c", "dev/config.a:../b"]
        {
            assert!(Spot::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_has_one_spelling() {
        assert_eq!(clean("./etc//api.toml"), Ok("etc/api.toml".to_owned()));
        for wrong in ["", ".", "/etc/x", "a/../b", "a/", "a\nb"] {
            assert!(clean(wrong).is_err(), "{wrong:?}");
        }
    }
}
