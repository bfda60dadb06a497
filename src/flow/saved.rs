//! Plans as files, and plans saved in the store.

use super::error::FlowError;
use super::session::Session;
use crate::plan::{self, Plan, PlanFileError};
use hive_contract::Fingerprint;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads a plan file.
///
/// # Errors
/// It cannot be read, or cannot be trusted.
pub fn read_plan(path: &Path) -> Result<Plan, FlowError> {
    let bytes = std::fs::read(path).map_err(|error| io("read", path, &error))?;
    trusted(&path.display().to_string(), &bytes)
}

/// Writes a plan file, private, all of it or nothing.
///
/// # Errors
/// It cannot be written; what was there is there.
pub fn write_plan(path: &Path, plan: &Plan) -> Result<(), FlowError> {
    let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&plan::file::write(plan))?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    written.map_err(|error| {
        // Best effort: the failure that matters is already in hand.
        let _ = std::fs::remove_file(&beside);
        io("write", path, &error)
    })
}

fn io(act: &'static str, path: &Path, error: &std::io::Error) -> FlowError {
    FlowError::Io { act, path: path.to_owned(), why: error.to_string() }
}

fn trusted(name: &str, bytes: &[u8]) -> Result<Plan, FlowError> {
    plan::file::read(bytes)
        .map_err(|why: PlanFileError| FlowError::PlanFile { name: name.to_owned(), why })
}

impl Session {
    /// Saves a plan in the store and gives its digest.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn save_plan(&self, plan: &Plan) -> Result<Fingerprint, FlowError> {
        let digest = plan.digest();
        self.ledger.save_plan(&digest, &plan::file::write(plan)).await?;
        Ok(digest)
    }

    /// The saved plan whose digest begins so; spaces are left out, as people copy digests in
    /// groups.
    ///
    /// # Errors
    /// There is none, or more than one, or it cannot be trusted.
    pub async fn saved_plan(&self, digest: &str) -> Result<Plan, FlowError> {
        let wanted: String = digest.chars().filter(|c| !c.is_whitespace()).collect();
        let all = self.ledger.plans().await?;
        let found: Vec<_> = all.iter().filter(|it| it.as_str().starts_with(&wanted)).collect();
        match found.as_slice() {
            [one] => {
                let bytes = self.ledger.plan(one).await?;
                let bytes = bytes.ok_or_else(|| no_plan(digest))?;
                trusted(digest, &bytes)
            }
            [] => Err(no_plan(digest)),
            more => Err(FlowError::Usage(format!(
                "{} saved plans begin with `{digest}`: give more digits",
                more.len()
            ))),
        }
    }
}

fn no_plan(digest: &str) -> FlowError {
    FlowError::Usage(format!("there is no plan file and no saved plan `{digest}`"))
}
