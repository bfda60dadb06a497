//! Folders: packed, laid out again, compared.

use crate::lay;
use crate::pack::{self, Broken};
use crate::place::Of;
use crate::scratch::Scratch;
use crate::tally::Tally;
use crate::walk::Unread;
use hive_backup::{Contents, Plain, Proof, Sink, failure_of, now_ms};
use hive_contract::{Failure, FailureKind};
use hive_sql::manifest::{Manifest, Source, differences};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// Writes a folder into the sink.
///
/// # Errors
/// It is not there, or something in it cannot be read or does not hold still.
pub(crate) async fn dump(
    of: &Of,
    except: Option<PathBuf>,
    sink: Sink,
) -> Result<Contents, Failure> {
    let (root, shown) = (of.path.clone(), of.shown.clone());
    let snapshot_ms = now_ms();
    let packed = blocking(move || {
        let (packed, sink) =
            pack::pack(&root, except.as_deref(), sink).map_err(|broken| refused(&shown, broken))?;
        sink.end_blocking().map_err(|error| refused(&shown, Broken::Unwritten(error)))?;
        Ok(packed)
    })
    .await?;
    let mut contents = Contents {
        source: Source {
            engine: "folder".to_owned(),
            name: of.shown.clone(),
            system: hive_objects::machine_id(),
            ..Source::default()
        },
        snapshot_ms,
        tables: packed.tally.tables(),
        ..Contents::default()
    };
    if packed.odd > 0 {
        let note = format!("{} pipes or devices", packed.odd);
        contents.notes.insert("left out".to_owned(), note);
    }
    Ok(contents)
}

/// Lays a backup out in a scratch folder and counts what is there.
///
/// # Errors
/// The scratch folder cannot be used, or the backup cannot be read.
pub(crate) async fn prove(
    stack: &Path,
    token: &str,
    manifest: &Manifest,
    plain: Plain,
) -> Result<Proof, Failure> {
    let scratch = Scratch::new(stack, token)?;
    let begun = now_ms();
    let tables = manifest.tables.clone();
    let (mut plain, _waits) = Cut::new(plain);
    blocking(move || {
        let root = scratch.path().join("content");
        let (wrong, restore_ms) = match laid(&root, &mut plain)? {
            Laid::Refused(why) => (vec![why], now_ms() - begun),
            Laid::Out { .. } => {
                let took = now_ms() - begun;
                let tally = counted(&root)?;
                (differences(&tables, &tally.tables()), took)
            }
        };
        Ok(Proof {
            restore_ms: u64::try_from(restore_ms).unwrap_or_default(),
            wrong,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    })
    .await
}

/// What came of laying a backup out.
pub(crate) enum Laid {
    /// With how many entries that belonged to others and are ours now.
    Out { others: u64 },
    /// Its content is no folder, though it is byte for byte what was packed.
    Refused(String),
}

/// Lays a backup out below `root`, which must not be there.
///
/// # Errors
/// The backup cannot be read, or the folder cannot be written.
pub(crate) fn laid(root: &Path, plain: &mut dyn Read) -> Result<Laid, Failure> {
    match lay::lay(root, plain) {
        Ok(others) => Ok(Laid::Out { others }),
        Err(error) => match failure_of(&error) {
            Some(failure) => Err(failure.clone()),
            None if malformed(&error) => {
                // Read to its end, it says whether it is what was stored.
                if let Err(error) = io::copy(plain, &mut io::sink())
                    && let Some(failure) = failure_of(&error)
                {
                    return Err(failure.clone());
                }
                Ok(Laid::Refused(format!("it cannot be laid out: {error}")))
            }
            None => Err(hive_objects::failure("write", &root.display().to_string(), &error)),
        },
    }
}

fn malformed(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidData, InvalidInput, NotFound, Other, UnexpectedEof};
    matches!(
        error.kind(),
        AlreadyExists | InvalidData | InvalidInput | NotFound | Other | UnexpectedEof
    )
}

/// What is in a folder.
///
/// # Errors
/// It cannot be read.
pub(crate) fn counted(root: &Path) -> Result<Tally, Failure> {
    pack::tally(root).map_err(|Unread { path, error }| {
        hive_objects::failure("read", &root.join(path).display().to_string(), &error)
    })
}

fn refused(shown: &str, broken: Broken) -> Failure {
    match broken {
        Broken::Unread(Unread { path, error }) if path.as_os_str().is_empty() => {
            let missing = error.kind() == io::ErrorKind::NotFound;
            let failure = hive_objects::failure("read the folder", shown, &error);
            if missing {
                Failure { kind: FailureKind::Invalid, retryable: false, ..failure }
            } else {
                failure
            }
        }
        Broken::Unread(Unread { path, error }) => {
            hive_objects::failure("read", &format!("{shown}/{}", path.display()), &error)
        }
        Broken::Restless(path) => Failure::new(
            FailureKind::Unavailable,
            format!("`{shown}/{}` changes each time it is read", path.display()),
        )
        .retryable(),
        Broken::Unwritten(error) => {
            Failure::new(FailureKind::Unavailable, format!("packing `{shown}` ended: {error}"))
                .retryable()
        }
    }
}

/// Reads as long as somebody waits for it: file work goes on by itself where its future is dropped.
pub(crate) struct Cut<R> {
    reader: R,
    waited_for: Weak<()>,
}

impl<R> Cut<R> {
    /// The reader, and what has to be held by who waits.
    pub(crate) fn new(reader: R) -> (Self, Arc<()>) {
        let waits = Arc::new(());
        (Self { reader, waited_for: Arc::downgrade(&waits) }, waits)
    }
}

impl<R: Read> Read for Cut<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.waited_for.strong_count() == 0 {
            return Err(io::Error::other(Failure::new(
                FailureKind::Cancelled,
                "nobody waits for it any more",
            )));
        }
        self.reader.read(buffer)
    }
}

/// Runs file calls where they hold up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Failure::new(FailureKind::Unavailable, format!("the file work did not end: {error}")))
    })
}
