//! Trying files on a copy: up, down, up again, each with what it leaves and how long it takes.

use super::compare::compared;
use super::effect::{one, run};
use super::list_of;
use super::stepwise::stands_alone;
use crate::copy::copy;
use crate::database::steps::of;
use crate::held::Held;
use crate::open::{For, LOOK, open, open_file};
use crate::rows::{Contents, contents};
use crate::site::Site;
use crate::trouble::trouble;
use crate::work::Lent;
use hive_contract::{Action, Change, Event, Failure, FailureKind, Rehearsal};
use hive_sql::facts::changes;
use hive_sql::list::{Tried, TriedFile};
use hive_sql::{Down, Migration, Script, words};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// Whether a change has files to try.
pub(crate) fn can_rehearse(change: &Change) -> bool {
    let runs = matches!(change.action, Action::Create | Action::Update | Action::Adopt);
    let files = compared(change).and_then(Result::ok).filter(|_| runs);
    files.is_some_and(|it| it.pending().next().is_some())
}

/// Tries the files of one change on a copy that is taken away again.
///
/// # Errors
/// A file fails, with its line; or the database cannot be copied.
pub(crate) fn rehearse(folder: &Path, change: &Change, lent: &Lent) -> Result<Rehearsal, Failure> {
    let nothing = || Failure::new(FailureKind::Invalid, "nothing of this change can be tried");
    let of = of(change).ok_or_else(nothing)?;
    let site = Site::of_access(folder, &of)?;
    let compared = compared(change).and_then(Result::ok).ok_or_else(nothing)?;
    let files: Vec<&Migration> = compared.pending().collect();
    let list = list_of(&change.identity);
    let tried = |copy| Rehearsing { site: &site, held: Held::alone(copy), list, lent }.all(&files);
    let begun = Instant::now();
    let Some(source) = open(&site, For::Reading, LOOK)? else {
        let memory =
            Connection::open_in_memory().map_err(|error| trouble(&site, "rehearse", &error))?;
        let off = memory.pragma_update(None, "foreign_keys", false);
        off.map_err(|error| trouble(&site, "rehearse", &error))?;
        return Ok(rehearsal(&tried(memory)?, Duration::ZERO, 0));
    };
    let scratch = site.scratch("rehearsal")?;
    copy(&site, &source, &scratch.path, lent)?;
    drop(source);
    let copied = begun.elapsed();
    let size = std::fs::metadata(&scratch.path).map_or(0, |it| it.len());
    let copy = open_file(&scratch.path, For::Writing, LOOK)
        .and_then(|it| it.pragma_update(None, "synchronous", "OFF").map(|()| it))
        .map_err(|error| trouble(&site, "rehearse on a copy of", &error))?;
    Ok(rehearsal(&tried(copy)?, copied, size))
}

/// What a reviewer reads of it.
fn rehearsal(tried: &Tried, copied: Duration, size: u64) -> Rehearsal {
    let took: u64 = tried.files.values().map(|it| it.took_ms).sum();
    let longest = tried.files.iter().max_by_key(|(_, it)| it.took_ms);
    let unproven: Vec<String> = tried
        .files
        .iter()
        .filter_map(|(name, it)| Some(format!("{name}: {}", it.unproven.as_ref()?)))
        .collect();
    let mut facts = BTreeMap::from([
        ("took".to_owned(), words::span(took)),
        ("copied".to_owned(), format!("{} in {}", words::size(size), words::span(ms(copied)))),
    ]);
    if let Some((name, it)) = longest {
        facts.insert("longest lock".to_owned(), format!("{} ({name})", words::span(it.took_ms)));
    }
    let proven = tried.files.len() - unproven.len();
    facts.insert("down files proven".to_owned(), format!("{proven} of {}", tried.files.len()));
    if !unproven.is_empty() {
        facts.insert("not proven".to_owned(), unproven.join("; "));
    }
    Rehearsal { facts, fields: tried.fields() }
}

struct Rehearsing<'a> {
    site: &'a Site,
    held: Held,
    list: &'a str,
    lent: &'a Lent,
}

impl Rehearsing<'_> {
    fn all(mut self, files: &[&Migration]) -> Result<Tried, Failure> {
        self.held.connection.progress_handler(2_000, Some(self.lent.watch()));
        let before = self.contents(&BTreeSet::new())?;
        let mut touched = BTreeSet::new();
        let mut tried = Tried { empty: before.is_empty(), ..Tried::default() };
        let unread = |error| trouble(self.site, "read a copy of", &error);
        // A list that hive let go of, or whose first apply was taken back, has left its history, and
        // is taken up where it was.
        let there = self.held.history(self.list).map_err(unread)?;
        let there = |file: &&Migration| there.iter().any(|row| row.is_of(file));
        let files: Vec<&Migration> = files.iter().copied().filter(|it| !there(it)).collect();
        for (at, migration) in files.iter().enumerate() {
            if let Some(stopped) = self.lent.stopped() {
                return Err(stopped);
            }
            let event = Event::info(format!("rehearses {}", migration.name));
            self.lent.say(event.progress(at as u64, files.len() as u64));
            let file = self.file(migration, &mut touched)?;
            tried.files.insert(migration.name.clone(), file);
        }
        // What no file named is as it was: a trigger or a cascade would show here.
        let after = self.contents(&touched)?;
        for (table, content) in &after {
            if before.get(table).is_some_and(|it| it != content) {
                let what = format!("the rows of `{table}` change, and no file names it");
                return Err(Failure::new(FailureKind::Unhealthy, what));
            }
        }
        Ok(tried)
    }

    fn contents(&self, without: &BTreeSet<String>) -> Result<Contents, Failure> {
        contents(&self.held.connection, without)
            .map_err(|error| trouble(self.site, "read a copy of", &error))
    }

    /// Up, down, up of one file.
    fn file(
        &mut self,
        migration: &Migration,
        touched: &mut BTreeSet<String>,
    ) -> Result<TriedFile, Failure> {
        let f0 = self.schema()?;
        let (took, named) = self.script(&migration.up)?;
        touched.extend(named);
        let f1 = self.schema()?;
        let mut file = TriedFile {
            took_ms: ms(took),
            schema_before: Some(f0.fingerprint()),
            schema_after: Some(f1.fingerprint()),
            ..TriedFile::default()
        };
        let down = match &migration.down {
            Down::Script(script) => script,
            Down::Irreversible(reason) => {
                file.unproven = Some(format!("irreversible: {reason}"));
                return Ok(file);
            }
        };
        // What fails below is undone, so that the files behind it can be tried all the same.
        self.sql("SAVEPOINT hive_proof")?;
        match self.down_and_up(migration, down, touched, &f0, &f1) {
            Ok(took) => {
                file.down_ms = Some(ms(took));
                self.sql("RELEASE hive_proof")?;
            }
            Err(why) => {
                file.unproven = Some(why);
                self.sql("ROLLBACK TO hive_proof")?;
                self.sql("RELEASE hive_proof")?;
                self.held.forget();
            }
        }
        Ok(file)
    }

    fn down_and_up(
        &mut self,
        migration: &Migration,
        down: &Script,
        touched: &mut BTreeSet<String>,
        f0: &crate::schema::Schema,
        f1: &crate::schema::Schema,
    ) -> Result<Duration, String> {
        let alone = |script: &Script| script.statements.iter().any(stands_alone);
        if alone(down) || alone(&migration.up) {
            return Err("it does not run in a transaction, so hive does not try it".to_owned());
        }
        let (took, named) = self.script(down).map_err(|failure| failure.message)?;
        touched.extend(named);
        let same = |found: &crate::schema::Schema, wanted: &crate::schema::Schema, who: &str| {
            if found.fingerprint() == wanted.fingerprint() {
                return Ok(());
            }
            let differs = changes(&wanted.facts(), &found.facts());
            match differs.first_key_value() {
                None => Ok(()),
                Some((object, words)) => Err(format!("{who} leaves {object}: {words}")),
            }
        };
        let f2 = self.schema().map_err(|failure| failure.message)?;
        same(&f2, f0, &format!("`{}`", down.file))?;
        let (_, named) = self.script(&migration.up).map_err(|failure| failure.message)?;
        touched.extend(named);
        let f3 = self.schema().map_err(|failure| failure.message)?;
        same(&f3, f1, &format!("`{}` behind it", migration.up.file))?;
        Ok(took)
    }

    fn script(&mut self, script: &Script) -> Result<(Duration, BTreeSet<String>), Failure> {
        let begun = Instant::now();
        if script.statements.iter().any(stands_alone) {
            for statement in &script.statements {
                one(&self.held.connection, statement).map_err(|error| {
                    super::effect::failed(self.site, script, statement, &error, None)
                })?;
            }
            return Ok((begun.elapsed(), BTreeSet::new()));
        }
        let touched = run(self.site, &self.held.connection, script)?;
        Ok((begun.elapsed(), touched))
    }

    fn schema(&mut self) -> Result<crate::schema::Schema, Failure> {
        let schema = self.held.schema();
        schema.cloned().map_err(|error| trouble(self.site, "read a copy of", &error))
    }

    fn sql(&self, sql: &str) -> Result<(), Failure> {
        let done = self.held.connection.execute_batch(sql);
        done.map_err(|error| trouble(self.site, "rehearse on a copy of", &error))
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
