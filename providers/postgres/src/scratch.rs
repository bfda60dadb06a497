//! A database beside the stack's, made for one step and dropped by it.

use crate::child::Running;
use crate::desk::outside;
use crate::names::drop_database;
use crate::quote;
use crate::session::Session;
use crate::trouble::refused;
use crate::url::Url;
use hive_backup::{Plain, failure_of};
use hive_contract::{Context, Failure, FailureKind};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;

/// How long a database may take to be made or copied.
const MAKING: Duration = Duration::from_secs(3_600);

/// A database that is dropped again.
pub(crate) struct Scratch {
    pub(crate) url: Url,
    /// A session outside of it.
    pub(crate) outside: Session,
}

impl Scratch {
    /// Makes an empty one, in place of one of the same name that an earlier try has left.
    ///
    /// # Errors
    /// The role may not, or the server is gone.
    pub(crate) async fn make(
        url: &Url,
        name: &str,
        application: &str,
        settings: &BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let scratch = Self { url: url.database(name), outside: outside(url, application).await? };
        drop_database(&scratch.outside, name).await?;
        create(&scratch.outside, name, &made_with(settings)).await?;
        Ok(scratch)
    }

    /// Copies a database, for which nobody may be connected to it.
    ///
    /// # Errors
    /// Somebody is: [`FailureKind::Taken`].
    pub(crate) async fn copy(url: &Url, name: &str, application: &str) -> Result<Self, Failure> {
        let scratch = Self { url: url.database(name), outside: outside(url, application).await? };
        drop_database(&scratch.outside, name).await?;
        let from = format!("TEMPLATE {}", quote::name(&url.spot.database));
        create(&scratch.outside, name, &from).await?;
        Ok(scratch)
    }

    /// Drops it, whoever is in it.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) async fn drop_it(self) -> Result<(), Failure> {
        drop_database(&self.outside, &self.url.spot.database).await
    }
}

async fn create(outside: &Session, name: &str, with: &str) -> Result<(), Failure> {
    let doing = format!("make `{name}`");
    let sql = format!("CREATE DATABASE {} {with}", quote::name(name));
    let made = outside.try_rows(&doing, &sql, MAKING).await?;
    made.map(drop).map_err(|error| {
        let failure = refused(outside.spot(), &doing, &error);
        match failure.kind {
            FailureKind::Forbidden => failure.diagnosis("give the role `CREATEDB`"),
            _ => failure,
        }
    })
}

/// The words behind `CREATE DATABASE` that make it as the dumped one was.
pub(crate) fn made_with(settings: &BTreeMap<String, String>) -> String {
    let mut words = "TEMPLATE template0".to_owned();
    for (setting, word) in
        [("encoding", "ENCODING"), ("collate", "LC_COLLATE"), ("ctype", "LC_CTYPE")]
    {
        if let Some(value) = settings.get(setting) {
            words.push_str(&format!(" {word} {}", quote::text(value)));
        }
    }
    if let (Some("i"), Some(locale)) =
        (settings.get("provider").map(String::as_str), settings.get("locale"))
    {
        words.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", quote::text(locale)));
    }
    words
}

/// Feeds a backup to `pg_restore`. A backup that is found to be damaged on the way is what failed,
/// whatever the child made of it.
///
/// # Errors
/// The backup's own failure, else the child's.
pub(crate) async fn fill(
    child: Running,
    mut input: ChildStdin,
    plain: Plain,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let (sender, mut pieces) = mpsc::channel::<io::Result<Vec<u8>>>(8);
    let reader = tokio::task::spawn_blocking(move || pass_on(plain, &sender));
    let mut damaged = None;
    let mut read_to_its_end = true;
    while let Some(piece) = pieces.recv().await {
        if context.cancelled() {
            let what = "asked to stop in the middle of a restore";
            damaged = Some(Failure::new(FailureKind::Cancelled, what));
            break;
        }
        match piece {
            // A child that reads no more says itself why.
            Ok(bytes) if read_to_its_end => {
                read_to_its_end = input.write_all(&bytes).await.is_ok();
            }
            Ok(_) => {}
            Err(error) => {
                damaged = Some(failure_of(&error).cloned().unwrap_or_else(|| {
                    let what = format!("the backup cannot be read: {error}");
                    Failure::new(FailureKind::Malformed, what)
                }));
                break;
            }
        }
    }
    drop(pieces);
    if let Some(failure) = damaged {
        // Killed before its input ends: half an archive must never look like a whole one.
        drop(child);
        drop(reader.await);
        return Err(failure);
    }
    let flushed = input.shutdown().await;
    drop(input);
    let ended = child.end().await;
    drop(reader.await);
    ended?;
    match (read_to_its_end, flushed) {
        (true, Ok(())) => Ok(()),
        _ => {
            Err(Failure::new(FailureKind::Malformed, "`pg_restore` did not read the whole backup"))
        }
    }
}

fn pass_on(mut plain: Plain, sender: &mpsc::Sender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let piece = match plain.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => Ok(buffer[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = piece.is_err();
        if sender.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}
