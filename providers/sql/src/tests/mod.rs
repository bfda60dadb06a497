//! What every engine relies on.

mod backups;
mod files;
mod histories;
mod lints;
mod lists;
mod makings;
mod refusals;
mod retentions;
mod splitting;
mod stages;

use crate::{Dialect, FileText, Migrations};

/// Reads files that are given as (name, text).
fn read(dialect: Dialect, files: &[(&str, &str)]) -> Result<Migrations, Vec<crate::Fault>> {
    let files: Vec<FileText> =
        files.iter().map(|(name, text)| FileText::new(*name, *text)).collect();
    Migrations::read(dialect, &files)
}

/// The faults of files, as people read them.
fn faults(dialect: Dialect, files: &[(&str, &str)]) -> Vec<String> {
    read(dialect, files).expect_err("no fault").iter().map(ToString::to_string).collect()
}
