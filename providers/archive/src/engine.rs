//! What the common verbs ask of an engine.

use crate::place::{Of, Sort};
use crate::{clone, folder, repository};
use hive_backup::{Contents, Engine, Job, Plain, Proof, Settings, Sink};
use hive_contract::{Failure, Task};
use hive_sql::manifest::Manifest;
use std::path::{Path, PathBuf};

/// Folders and repositories of one stack.
pub(crate) struct Archives<'a> {
    pub(crate) stack: &'a Path,
}

impl Archives<'_> {
    /// The folder that the backups themselves go to, where it is one.
    fn destination(&self, job: &Job<'_>) -> Option<PathBuf> {
        let settings = Settings::read(&job.request.operation.payload).ok()?;
        let destination = settings.destination();
        (!destination.contains("://")).then(|| self.stack.join(destination))
    }
}

impl Engine for Archives<'_> {
    fn dump<'a>(&'a self, job: Job<'a>, sink: Sink) -> Task<'a, Result<Contents, Failure>> {
        Box::pin(async move {
            let of = Of::read(self.stack, job.of)?;
            match of.sort {
                Sort::Folder => folder::dump(&of, self.destination(&job), sink).await,
                Sort::Repository => repository::dump(&of, sink).await,
            }
        })
    }

    fn prove<'a>(
        &'a self,
        job: Job<'a>,
        manifest: &'a Manifest,
        plain: Plain,
    ) -> Task<'a, Result<Proof, Failure>> {
        Box::pin(async move {
            let of = Of::read(self.stack, job.of)?;
            let token = job.request.token.as_str();
            match of.sort {
                Sort::Folder => folder::prove(self.stack, token, manifest, plain).await,
                Sort::Repository => clone::prove(self.stack, token, manifest, plain).await,
            }
        })
    }
}
