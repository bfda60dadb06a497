//! What a command is about: a folder, addresses, a plan.

use super::ended::Ended;
use hive_contract::{Address, Fingerprint};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What `apply` and `show` are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A stack's folder.
    Folder(PathBuf),
    /// A plan file.
    File(PathBuf),
    /// The first digits of a saved plan's digest.
    Digest(String),
}

/// A folder, a plan file or a digest, by what is there.
///
/// # Errors
/// It is none of them.
pub fn target(here: &Path, text: &str) -> Result<Target, Ended> {
    let path = here.join(text);
    if path.is_dir() {
        return Ok(Target::Folder(path));
    }
    if path.exists() {
        return Ok(Target::File(path));
    }
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    match is_digest(&digits) {
        true => Ok(Target::Digest(digits)),
        false => Err(Ended::usage(format!("there is no folder and no plan file `{text}`"))),
    }
}

fn is_digest(text: &str) -> bool {
    let padded = format!("{text:0<64}");
    text.len() >= 4 && Fingerprint::parse(&padded).is_some()
}

/// The folder that a command is about.
///
/// # Errors
/// It is not there.
pub fn folder(here: &Path, given: Option<&Path>) -> Result<PathBuf, Ended> {
    let Some(given) = given else { return Ok(here.to_owned()) };
    let path = here.join(given);
    match path.is_dir() {
        true => Ok(path),
        false if path.exists() => Err(Ended::usage(format!(
            "`{0}` is a file, and the folder of a stack is wanted here: `hive show {0}` shows a \
             plan, and `hive apply {0}` applies it",
            given.display()
        ))),
        false => Err(Ended::usage(format!("there is no folder `{}`", given.display()))),
    }
}

/// Addresses, and at most one folder, in any order.
///
/// # Errors
/// A word is neither.
pub fn addresses(here: &Path, words: &[String]) -> Result<(BTreeSet<Address>, PathBuf), Ended> {
    let one = "an address, as in `service.api`,";
    let (addresses, folder) = split(here, words, one, |word| word.parse().ok())?;
    Ok((addresses.into_iter().collect(), folder))
}

/// Words of a sort that `read` knows and `one` names, and at most one folder, in any order.
///
/// # Errors
/// A word is neither.
pub fn split<T>(
    here: &Path,
    words: &[String],
    one: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<(Vec<T>, PathBuf), Ended> {
    let mut found = Vec::new();
    let mut folder = None;
    for word in words {
        let path = here.join(word);
        match read(word) {
            Some(it) if !path.is_dir() => found.push(it),
            _ if path.is_dir() && folder.is_none() => folder = Some(path),
            _ if path.is_dir() => return Err(Ended::usage("name one folder and not two")),
            _ => {
                return Err(Ended::usage(format!("`{word}` is neither {one} nor a folder")));
            }
        }
    }
    Ok((found, folder.unwrap_or_else(|| here.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_says_what_is_meant() {
        let here = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(here.path().join("stack")).expect("makes it");
        std::fs::write(here.path().join("plan.json"), "{}").expect("writes it");
        let of = |text: &str| target(here.path(), text).ok();
        assert_eq!(of("stack"), Some(Target::Folder(here.path().join("stack"))));
        assert_eq!(of("plan.json"), Some(Target::File(here.path().join("plan.json"))));
        assert_eq!(of("7c1f 09ab"), Some(Target::Digest("7c1f09ab".to_owned())));
        assert_eq!(of("7c1"), None);
        assert_eq!(of("nothing"), None);
    }

    #[test]
    fn addresses_and_a_folder_in_any_order() {
        let here = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(here.path().join("stack")).expect("makes it");
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
            addresses(here.path(), &words)
        };
        let (found, folder) = of(&["stack", "service.api"]).expect("both");
        assert_eq!(folder, here.path().join("stack"));
        assert_eq!(found.into_iter().map(|it| it.to_string()).collect::<Vec<_>>(), ["service.api"]);
        assert!(of(&["stack", "stack"]).is_err());
        assert!(of(&["nothing"]).is_err());
    }
}
