//! How the place of backups is reached, as fields with references and then with values.

use crate::lock;
use crate::repository::Repository;
use hive_contract::secret::SecretError;
use hive_contract::{Failure, FailureKind, Fields, Secrets, Value};
use hive_objects::{Location, Objects, S3Keys, S3Settings};
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use std::time::Duration;

/// A destination as it is declared: the keys `destination`, `s3` and `encrypt` of a backup. Secrets
/// are references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    destination: String,
    s3: Fields,
    encrypt: Fields,
}

impl Settings {
    /// Reads them from declared fields, access or a payload; other keys are not looked at.
    ///
    /// # Errors
    /// There is no `destination`.
    pub fn read(fields: &Fields) -> Result<Self, Failure> {
        let map = |key| fields.get(key).and_then(Value::as_map).cloned().unwrap_or_default();
        let destination = fields.get("destination").and_then(Value::as_text);
        Ok(Self {
            destination: destination
                .ok_or_else(|| {
                    Failure::new(FailureKind::Malformed, "the backup has no `destination`")
                })?
                .to_owned(),
            s3: map("s3"),
            encrypt: map("encrypt"),
        })
    }

    /// Where it is, as a person wrote it.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// For whom backups are encrypted.
    pub fn recipients(&self) -> Vec<String> {
        let list = self.encrypt.get("recipients").and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(Value::as_text).map(str::to_owned).collect()
    }

    /// Connects to it. A folder is relative to `root`, the stack's folder. Nothing is written.
    ///
    /// # Errors
    /// A secret without a value, or no client can be made of it.
    pub async fn connect(&self, root: &Path, secrets: &Secrets) -> Result<Repository, Failure> {
        let location = Location::parse(&self.destination, root)
            .map_err(|why| Failure::new(FailureKind::Invalid, why))?;
        let objects = Objects::open(&location, &self.s3(secrets)?).await?;
        let recipients = self.recipients();
        for one in &recipients {
            let refused = |why| Failure::new(FailureKind::Invalid, why);
            lock::recipient(one).map_err(refused)?;
        }
        let identity = match self.encrypt.get("identity") {
            None => None,
            // It is needed for reading alone: who has no value for it may still write.
            Some(value) => match secrets.text(value) {
                Ok(text) => Some(text),
                Err(SecretError::Unset(_)) => None,
                Err(error) => return Err(unset("encrypt.identity", &error)),
            },
        };
        Ok(Repository::new(objects, recipients, identity))
    }

    fn s3(&self, secrets: &Secrets) -> Result<S3Settings, Failure> {
        let text = |key: &str| -> Result<Option<SecretString>, Failure> {
            let Some(value) = self.s3.get(key) else { return Ok(None) };
            secrets.text(value).map(Some).map_err(|error| unset(&format!("s3.{key}"), &error))
        };
        let plain = |key| Ok(text(key)?.map(|it| it.expose_secret().to_owned()));
        let keys = match (text("access_key")?, text("secret_key")?) {
            (Some(access), Some(secret)) => Some(S3Keys { access, secret }),
            (None, None) => None,
            _ => {
                let message = "`s3.access_key` and `s3.secret_key` belong together";
                return Err(Failure::new(FailureKind::Invalid, message));
            }
        };
        let patience = self.s3.get("patience").and_then(Value::as_int);
        let patience = patience.and_then(|it| u64::try_from(it).ok()).map(Duration::from_millis);
        Ok(S3Settings {
            endpoint: plain("endpoint")?,
            region: plain("region")?,
            path_style: self.s3.get("path_style").and_then(Value::as_bool).unwrap_or(false),
            keys,
            patience: patience.unwrap_or(S3Settings::default().patience),
        })
    }
}

fn unset(field: &str, error: &SecretError) -> Failure {
    Failure::new(FailureKind::Invalid, format!("`{field}` cannot be used: {error}"))
}
