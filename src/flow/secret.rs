//! Values behind references, and their keyed hashes.

use super::place::ReadVariable;
use crate::apply::SecretReader;
use argon2::{Algorithm, Argon2, Params, Version};
use hive_contract::fingerprint::hex;
use hive_contract::secret::SecretPlace;
use hive_contract::{SecretRef, Task};
use hive_state::Ledger;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use zeroize::Zeroizing;

/// Reads secrets from hive's environment and from files beside the stack.
pub struct Reader {
    folder: PathBuf,
    variable: ReadVariable,
    ledger: Ledger,
    /// Prints by the value's own unkeyed position in this run: Argon2id is slow by intent, so each
    /// value is hashed once.
    known: Mutex<BTreeMap<SecretRef, (SecretString, String)>>,
}

impl Reader {
    /// A reader for one stack and its store.
    pub fn new(folder: PathBuf, variable: ReadVariable, ledger: Ledger) -> Self {
        Self { folder, variable, ledger, known: Mutex::new(BTreeMap::new()) }
    }

    /// The keyed hash of each secret's value now; none where it has none here, or where the store
    /// has no key yet. Makes no key: a plan writes nothing.
    ///
    /// # Errors
    /// The store's key is there and cannot be read.
    pub async fn prints(
        &self,
        references: impl IntoIterator<Item = SecretRef>,
    ) -> Result<BTreeMap<String, Option<String>>, String> {
        let key = self.ledger.secret_key().await.map_err(|error| error.to_string())?;
        let mut prints = BTreeMap::new();
        for reference in references {
            let value = self.value(&reference).ok();
            let print = match (&key, value) {
                (Some(key), Some(value)) => Some(self.remembered(&reference, &value, key)?),
                // A value without a key has nothing that it could be compared with: it is new.
                (None, Some(_)) => Some(String::new()),
                (_, None) => None,
            };
            prints.insert(reference.to_string(), print);
        }
        Ok(prints)
    }

    fn remembered(
        &self,
        reference: &SecretRef,
        value: &SecretString,
        key: &[u8; 32],
    ) -> Result<String, String> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((last, print)) = known.get(reference)
            && last.expose_secret() == value.expose_secret()
        {
            return Ok(print.clone());
        }
        let made = print(value, key)?;
        known.insert(reference.clone(), (value.clone(), made.clone()));
        Ok(made)
    }

    fn value(&self, reference: &SecretRef) -> Result<SecretString, String> {
        match &reference.source {
            SecretPlace::Env(name) => (self.variable)(name)
                .ok_or_else(|| format!("the environment variable `{name}` is not set")),
            SecretPlace::File(path) => self.file(path),
            SecretPlace::Secret(name) => {
                Err(format!("`{name}` names a source that is not in this version"))
            }
        }
    }

    fn file(&self, path: &str) -> Result<SecretString, String> {
        let bytes = std::fs::read(self.folder.join(path)).map(Zeroizing::new);
        let bytes =
            bytes.map_err(|error| format!("cannot read the secret file `{path}`: {error}"))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| format!("the secret file `{path}` is not UTF-8 text"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Ok(SecretString::from(text))
    }
}

impl SecretReader for Reader {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> Task<'a, Result<SecretString, String>> {
        Box::pin(async move { self.value(reference) })
    }

    fn print<'a>(&'a self, value: &'a SecretString) -> Task<'a, Result<String, String>> {
        Box::pin(async move {
            let key = self.ledger.make_secret_key().await.map_err(|error| error.to_string())?;
            print(value, &key)
        })
    }
}

/// Argon2id with the store's key as salt: slow to guess, the same for the same value in one store.
fn print(value: &SecretString, key: &[u8; 32]) -> Result<String, String> {
    let params = Params::new(8 * 1024, 2, 1, Some(32)).map_err(|error| error.to_string())?;
    let mut hash = Zeroizing::new([0u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(value.expose_secret().as_bytes(), key, hash.as_mut())
        .map_err(|error| error.to_string())?;
    Ok(hex(hash.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_depends_on_value_and_key_and_shows_neither() {
        let value = SecretString::from("canary");
        let first = print(&value, &[1; 32]).expect("prints");
        assert_eq!(first, print(&value, &[1; 32]).expect("prints"));
        assert_ne!(first, print(&value, &[2; 32]).expect("prints"));
        assert_ne!(first, print(&SecretString::from("other"), &[1; 32]).expect("prints"));
        assert!(!first.contains("canary"));
    }
}
