//! What is declared, wherever it comes from: the TOML, a snapshot, the record.

use super::ask::{Ask, Back, Want};
use super::error::FlowError;
use super::session::Session;
use crate::plan::{self, Command};
use crate::registry::Providers;
use crate::stack::Stack;
use hive_contract::{Address, Declared, Fields, Value};
use hive_state::Snapshot;
use std::collections::BTreeMap;

/// What is declared, and whose plan is made of it.
pub(super) struct Source {
    pub(super) command: Command,
    pub(super) declared: BTreeMap<Address, Declared>,
    pub(super) guards: Fields,
    pub(super) variables: BTreeMap<String, Value>,
    pub(super) files: Vec<plan::BoundFile>,
}

impl Session {
    pub(super) async fn source(
        &self,
        ask: &Ask,
        recorded: Option<&Snapshot>,
    ) -> Result<(Source, Providers), FlowError> {
        match &ask.want {
            Want::Snapshot(number) => {
                let snapshot = self.snapshot(*number).await?;
                if !snapshot.whole {
                    return Err(self.partial(*number).await?);
                }
                let with_data = ask.back == Back::Data;
                let command = Command::Restore { snapshot: *number, with_data };
                self.going_back(command, snapshot, recorded, ask.back).await
            }
            Want::Before => {
                let snapshot = self.before().await?;
                let with_data = ask.back == Back::Data;
                let command = Command::Rollback { snapshot: snapshot.number, with_data };
                self.going_back(command, snapshot, recorded, ask.back).await
            }
            Want::Rebuild => {
                let snapshot = self.newest_whole().await?;
                let command = Command::Rebuild { snapshot: snapshot.number };
                self.of_snapshot(command, snapshot, recorded).await
            }
            Want::Do(command, _) => self.of_record(command.clone(), recorded).await,
            Want::Data { backup, id, .. } => {
                let command = Command::RestoreBackup { backup: backup.clone(), id: id.clone() };
                self.of_record(command, recorded).await
            }
            Want::Nothing => {
                let providers = self.providers(recorded).await?;
                let nothing = Source {
                    command: Command::Destroy,
                    declared: BTreeMap::new(),
                    // Nothing is left that they could guard; those recorded still guard this plan.
                    guards: Fields::new(),
                    variables: recorded.map(|it| it.variables.clone()).unwrap_or_default(),
                    files: Vec::new(),
                };
                Ok((nothing, providers))
            }
            Want::Declared => self.of_stack(Command::Apply, recorded).await,
            Want::Adopt(_) => self.of_stack(Command::Adopt, recorded).await,
            Want::Move(..) => self.of_stack(Command::Move, recorded).await,
            Want::Forget(_) => self.of_record(Command::Forget, recorded).await,
            Want::Restart(_) => self.of_record(Command::Restart, recorded).await,
        }
    }

    async fn of_stack(
        &self,
        command: Command,
        recorded: Option<&Snapshot>,
    ) -> Result<(Source, Providers), FlowError> {
        let stack = self.toml()?;
        let source = Source {
            command,
            declared: stack.declared.clone(),
            guards: stack.guards.clone(),
            variables: stack.variables.clone(),
            files: stack.files.clone(),
        };
        Ok((source, self.providers(recorded).await?))
    }

    /// What is recorded, asked to stay as it is: for commands about single resources.
    async fn of_record(
        &self,
        command: Command,
        recorded: Option<&Snapshot>,
    ) -> Result<(Source, Providers), FlowError> {
        let recorded = recorded.ok_or_else(|| {
            FlowError::Usage(format!("there is nothing to {command}: nothing was ever applied"))
        })?;
        self.of_snapshot(command, recorded.clone(), Some(recorded)).await
    }

    /// What a snapshot holds; with `--down`, its migrations take back what it does not have.
    async fn going_back(
        &self,
        command: Command,
        snapshot: Snapshot,
        recorded: Option<&Snapshot>,
        back: Back,
    ) -> Result<(Source, Providers), FlowError> {
        let (mut source, providers) = self.of_snapshot(command, snapshot, recorded).await?;
        if back == Back::Schema {
            let lists = source.declared.values_mut().filter(|it| it.address.kind() == "migrations");
            for list in lists {
                list.fields.insert("undo".to_owned(), Value::text("down"));
            }
        }
        Ok((source, providers))
    }

    async fn of_snapshot(
        &self,
        command: Command,
        snapshot: Snapshot,
        recorded: Option<&Snapshot>,
    ) -> Result<(Source, Providers), FlowError> {
        let settings = Providers::settings_of(&snapshot.places);
        let mut places = recorded.map(|it| it.places.clone()).unwrap_or_default();
        places.extend(snapshot.places.clone());
        let providers = self.connect(&settings, &places).await?;
        let declared =
            snapshot.resources.into_iter().map(|(address, it)| (address, it.declared)).collect();
        let source = Source {
            command,
            declared,
            guards: snapshot.guards,
            variables: snapshot.variables,
            files: Vec::new(),
        };
        Ok((source, providers))
    }

    /// The newest snapshot that an apply left which came to its end.
    async fn newest_whole(&self) -> Result<Snapshot, FlowError> {
        for number in self.ledger.snapshots().await?.into_iter().rev() {
            let snapshot = self.snapshot(number).await?;
            if snapshot.whole {
                return Ok(snapshot);
            }
        }
        Err(FlowError::Usage("there is nothing to rebuild: nothing was ever applied".to_owned()))
    }

    /// What the TOML says.
    ///
    /// # Errors
    /// The session was opened for the store alone.
    pub fn toml(&self) -> Result<&Stack, FlowError> {
        self.declared.as_ref().ok_or_else(|| FlowError::NoStack(self.at.folder.clone()))
    }

    /// The snapshot of a number.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub async fn snapshot(&self, number: u64) -> Result<Snapshot, FlowError> {
        match self.ledger.snapshot(number).await? {
            Some(snapshot) => Ok(snapshot),
            None => {
                let there = self.ledger.snapshots().await?;
                let hint = match (there.first(), there.last()) {
                    (Some(first), Some(last)) => Some(format!("there are {first} to {last}")),
                    _ => Some("nothing was ever applied here".to_owned()),
                };
                Err(FlowError::NoSnapshot { number, hint })
            }
        }
    }

    /// Why a partial snapshot is not restored: it is what a failure left, and nobody wanted it.
    async fn partial(&self, number: u64) -> Result<FlowError, FlowError> {
        let numbers = self.ledger.snapshots().await?;
        let mut near = Vec::new();
        let (before, after): (Vec<u64>, Vec<u64>) = numbers.iter().partition(|it| **it < number);
        let sides: [Vec<u64>; 2] = [before.into_iter().rev().collect(), after];
        for side in sides {
            for candidate in side {
                if self.snapshot(candidate).await?.whole {
                    near.push(candidate.to_string());
                    break;
                }
            }
        }
        let near = match near.is_empty() {
            true => "there is no whole one".to_owned(),
            false => format!("the nearest whole ones: {}", near.join(", ")),
        };
        Ok(FlowError::Usage(format!(
            "snapshot {number} is partial: it is what an apply left that did not come to its end; \
             {near}"
        )))
    }

    /// The whole snapshot that `rollback` means: the newest one where head is partial, else the
    /// newest that declares something else than head. An apply that was rolled back and a restart
    /// leave a snapshot of their own that declares the same: going back to that goes nowhere.
    async fn before(&self) -> Result<Snapshot, FlowError> {
        let none = |why: &str| FlowError::Usage(format!("there is nothing to roll back to: {why}"));
        let Some((head, newest)) = self.ledger.head().await? else {
            return Err(none("nothing was ever applied here"));
        };
        let mut skipped = false;
        for number in self.ledger.snapshots().await?.into_iter().rev() {
            if number >= head.number {
                continue;
            }
            let snapshot = self.snapshot(number).await?;
            if snapshot.whole && (!newest.whole || !declare_the_same(&snapshot, &newest)) {
                return Ok(snapshot);
            }
            skipped |= snapshot.whole;
        }
        Err(none(&match skipped {
            true => format!("every whole snapshot before {} declares the same", head.number),
            false => format!("there is no whole snapshot before {}", head.number),
        }))
    }
}

/// Whether two snapshots hold the same resources, declared in the same way.
pub(super) fn declare_the_same(one: &Snapshot, other: &Snapshot) -> bool {
    let declared = |it: &Snapshot| -> BTreeMap<Address, Declared> {
        let each = it.resources.iter();
        each.map(|(address, held)| (address.clone(), held.declared.clone())).collect()
    };
    declared(one) == declared(other)
}
