//! Where objects are, as a person writes it.

use crate::s3::STALLED;
use hive_contract::{Failure, FailureKind};
use secrecy::SecretString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A place for objects: a folder, or a prefix in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// `s3://bucket/prefix`.
    Bucket {
        /// The bucket's name.
        name: String,
        /// What all keys begin with, without slashes at its ends; empty for the whole bucket.
        prefix: String,
    },
}

/// How a bucket is reached. Everything is optional: without it the platform's own settings hold.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// The server, `https://host:port`, where it is not AWS.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Whether the bucket stands in the path and not in the host's name.
    pub path_style: bool,
    /// The keys; without them the platform's own credential chain.
    pub keys: Option<S3Keys>,
    /// For how long nothing may move on a connection before a try is given up.
    pub patience: Duration,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self { endpoint: None, region: None, path_style: false, keys: None, patience: STALLED }
    }
}

/// An access key and its secret, in memory only.
#[derive(Clone, Debug)]
pub struct S3Keys {
    /// The access key.
    pub access: SecretString,
    /// Its secret.
    pub secret: SecretString,
}

impl Location {
    /// Reads `s3://bucket/prefix` or a folder, which is relative to `root`.
    ///
    /// # Errors
    /// What is wrong with the text, as a fragment.
    pub fn parse(text: &str, root: &Path) -> Result<Self, String> {
        let Some(bucket) = text.strip_prefix("s3://") else {
            if text.is_empty() || text.contains('\0') {
                return Err("a destination is a folder or `s3://bucket/prefix`".to_owned());
            }
            if let Some((scheme, _)) = text.split_once("://") {
                return Err(format!(
                    "hive keeps objects in a folder or at `s3://bucket/prefix`, not at `{scheme}://`"
                ));
            }
            return Ok(Self::Folder(root.join(text)));
        };
        let (name, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
        let prefix = prefix.trim_matches('/');
        check_bucket(name)?;
        if !prefix.is_empty() {
            check_key(prefix).map_err(|failure| failure.message)?;
        }
        Ok(Self::Bucket { name: name.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Bucket { name, prefix } if prefix.is_empty() => write!(f, "s3://{name}"),
            Self::Bucket { name, prefix } => write!(f, "s3://{name}/{prefix}"),
        }
    }
}

fn check_bucket(name: &str) -> Result<(), String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = (3..=63).contains(&name.len())
        && name.chars().all(|c| letter(c) || c == '-' || c == '.')
        && name.starts_with(letter)
        && name.ends_with(letter);
    if good {
        return Ok(());
    }
    Err(format!("`{name}` is no bucket's name: 3 to 63 lower-case letters, digits, `-` and `.`"))
}

/// Checks a key: parts between slashes of letters, digits and `-_.`, none of which begins with a
/// dot. Such a key means the same in a folder and in a bucket.
///
/// # Errors
/// It is not one.
pub fn check_key(key: &str) -> Result<(), Failure> {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= 200
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if key.len() <= 900 && key.split('/').all(part) {
        return Ok(());
    }
    Err(Failure::new(FailureKind::Invalid, format!("`{key}` is no key of an object")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_folder_or_a_prefix_in_a_bucket() {
        let parse = |text| Location::parse(text, Path::new("/stack"));
        assert_eq!(parse("backups"), Ok(Location::Folder("/stack/backups".into())));
        assert_eq!(parse("/far/away"), Ok(Location::Folder("/far/away".into())));
        let bucket = parse("s3://shop-backups/prod/main/").expect("is one");
        assert_eq!(bucket.to_string(), "s3://shop-backups/prod/main");
        assert_eq!(parse("s3://shop-backups").expect("is one").to_string(), "s3://shop-backups");
        for bad in ["", "gs://x/y", "s3://", "s3://Shop/x", "s3://shop/a/../b", "s3://shop/a//b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_cannot_leave_its_place() {
        for bad in ["", "/a", "a/", "../a", "a/..", ".a", "a/.b", "a b", "a\\b", "ä"] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
        check_key("20261124T030000Z-ab12cd34/data.zst.age").expect("is one");
    }
}
