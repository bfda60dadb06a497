//! What is asked of backups: one is made, proven, unpacked.

use super::ask::Want;
use super::backups::Backups;
use super::error::FlowError;
use super::session::Session;
use super::way_back::{int, unpack};
use crate::plan::Command;
use hive_contract::{Address, Fields, Value};
use hive_state::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

impl Session {
    /// A run of all recorded backups, or of these; `due`: only where the schedule says so.
    ///
    /// # Errors
    /// One of these is not recorded, there is none at all, or the store cannot be read.
    pub async fn backup_run(
        &self,
        only: &BTreeSet<Address>,
        due: bool,
        verify: bool,
        smaller: bool,
    ) -> Result<Want, FlowError> {
        let all = self.some_backups(only).await?;
        let pins = Self::pins(&all);
        let reason = if due { "due by its schedule" } else { "asked for" };
        let now_ms = int(self.clock.wall_ms());
        let run = |it: &Backups| {
            let fields = [
                ("verb", Value::text("run")),
                ("kind", Value::text("run")),
                ("reason", Value::text(reason)),
                ("due", Value::Bool(due)),
                ("verify", Value::Bool(verify)),
                ("smaller", Value::Bool(smaller)),
                ("now_ms", now_ms.clone()),
                ("pins", Value::List(pins.get(&it.address).cloned().unwrap_or_default())),
            ];
            (it.address.clone(), table(fields))
        };
        Ok(Want::Do(Command::Backup, all.iter().map(run).collect()))
    }

    /// A proof of the newest backup of all recorded ones, or of these; or of one by its id.
    ///
    /// # Errors
    /// One of these is not recorded, there is none, or the store cannot be read.
    pub async fn backup_verify(
        &self,
        only: &BTreeSet<Address>,
        id: Option<&str>,
    ) -> Result<Want, FlowError> {
        let all = self.some_backups(only).await?;
        let now_ms = int(self.clock.wall_ms());
        let mut asked = BTreeMap::new();
        for of in &all {
            let kept = match of.find_any(id) {
                Ok(kept) => kept,
                // What was never made cannot be proven; where it is named, that is an error.
                Err(_) if only.is_empty() && of.list.is_empty() && of.unreadable.is_none() => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let fields = [
                ("verb", Value::text("verify")),
                ("id", Value::text(&kept.id)),
                ("now_ms", now_ms.clone()),
            ];
            asked.insert(of.address.clone(), table(fields));
        }
        match asked.is_empty() {
            true => Err(FlowError::Usage(
                "there is no backup to verify yet: `hive backup run` makes one".to_owned(),
            )),
            false => Ok(Want::Do(Command::Verify, asked)),
        }
    }

    /// The files of a backup, unpacked into a folder.
    pub fn backup_unpack(&self, address: &Address, id: &str, to: &Path) -> Want {
        let run = unpack(id, &to.display().to_string(), self.clock.wall_ms());
        let command = Command::RestoreBackup { backup: address.clone(), id: id.to_owned() };
        Want::Do(command, BTreeMap::from([(address.clone(), run)]))
    }

    /// The recorded backups, or these; at least one.
    async fn some_backups(&self, only: &BTreeSet<Address>) -> Result<Vec<Backups>, FlowError> {
        let all = self.backups(only).await?;
        match all.is_empty() {
            true => Err(FlowError::Usage(
                "no backup is recorded here: declare one as `[backup.main]`, and `hive apply`"
                    .to_owned(),
            )),
            false => Ok(all),
        }
    }
}

fn table<const N: usize>(fields: [(&str, Value); N]) -> Fields {
    fields.map(|(key, value)| (key.to_owned(), value)).into()
}
