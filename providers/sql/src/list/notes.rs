//! What a reviewer should know of a file.

use super::Making;
use crate::lint::{Finding, lint};
use crate::{Down, Migration, Stage};

impl Making<'_> {
    /// The stage with what speaks for it, how it runs, what a rehearsal found, what the lint says.
    pub(super) fn notes(&self, migration: &Migration) -> Vec<String> {
        let mut notes = vec![migration.stage.to_string()];
        notes.extend(stage_why(migration));
        if migration.stage == Stage::Contract && self.on_nothing() {
            notes.push("nothing is there that it could take".to_owned());
        }
        if !migration.up.transactional {
            notes.push("without a transaction, statement by statement".to_owned());
        }
        match self.tried.file(&migration.name) {
            Some(tried) => {
                notes.push(tried.words());
                notes.extend(migration.down.script().and_then(|_| tried.down_words()));
            }
            None => notes.push("not rehearsed".to_owned()),
        }
        if let Down::Irreversible(reason) = &migration.down {
            notes.push(format!("irreversible: {reason}"));
        }
        let found = lint(self.material().migrations.dialect(), migration, self.sizes);
        // What nobody runs needs no look.
        let runs = |it: &&Finding| self.material().down || it.file == migration.up.file;
        notes.extend(found.iter().filter(runs).map(finding));
        notes
    }
}

/// Why it is a contract. That an expand takes nothing away goes without saying, unless somebody had
/// to say it, or hive cannot read all of it.
fn stage_why(migration: &Migration) -> impl Iterator<Item = String> {
    let says = |why: &&String| migration.stage == Stage::Contract || **why != crate::stage::ADDS;
    migration.stage_why.iter().filter(says).cloned()
}

fn finding(it: &Finding) -> String {
    let accepted = it.accepted.as_ref().map(|reason| format!(", accepted: {reason}"));
    let accepted = accepted.unwrap_or_default();
    format!("{}:{}: {} ({}{accepted})", it.file, it.line, it.message, it.rule)
}
