//! Outputs of other stacks, read from their stores.

use super::session::store;
use crate::stack::{self, ForeignRef, Unread};
use hive_contract::Value;
use hive_state::{Ledger, LedgerError};
use std::collections::BTreeMap;
use std::path::Path;

/// What other stacks say of themselves, and what could not be read of it.
#[derive(Debug, Default)]
pub struct Foreign {
    /// The values.
    pub values: BTreeMap<ForeignRef, Value>,
    /// Why one has no value here.
    pub unread: BTreeMap<ForeignRef, Unread>,
}

/// Why one output has no value.
#[derive(Debug)]
pub enum NoValue {
    /// Nobody has said it.
    Unknown(Unread),
    /// The other stack's store cannot be read.
    Store(LedgerError),
}

/// Reads these references, as the newest snapshots of their stacks say.
pub async fn read(folder: &Path, references: &[ForeignRef]) -> Foreign {
    let mut foreign = Foreign::default();
    for reference in references {
        let unread = match value(folder, reference).await {
            Ok(value) => {
                foreign.values.insert(reference.clone(), value);
                continue;
            }
            Err(NoValue::Unknown(unread)) => unread,
            Err(NoValue::Store(error)) => Unread { why: error.to_string(), help: None },
        };
        foreign.unread.insert(reference.clone(), unread);
    }
    foreign
}

/// The value of one reference now.
///
/// # Errors
/// The other stack has no such output, no snapshot, or its store cannot be read.
pub async fn value(folder: &Path, reference: &ForeignRef) -> Result<Value, NoValue> {
    let other = folder.join(&reference.stack);
    let outline = stack::outline(&other, &reference.environment);
    let at = outline.store.unwrap_or_else(|| stack::STORE.to_owned());
    let ledger = Ledger::of_any_stack(store(&other, &at), &reference.environment);
    let unknown = |why: String, help: Option<String>| NoValue::Unknown(Unread { why, help });
    let Some((_, snapshot)) = ledger.head().await.map_err(NoValue::Store)? else {
        return Err(NoValue::Unknown(never_applied(&other, &reference.environment)));
    };
    let Some(recorded) = snapshot.resources.get(&reference.address) else {
        let there: Vec<String> = snapshot.resources.keys().map(ToString::to_string).collect();
        let near = stack::nearest(&reference.address.to_string(), &there);
        let help = near.map(|it| format!("did you mean `{it}`?"));
        return Err(unknown(format!("its newest snapshot has no `{}`", reference.address), help));
    };
    let outputs = || recorded.parts.values().flat_map(|part| &part.outputs);
    let found = outputs().find(|(name, _)| **name == reference.output);
    found.map(|(_, value)| value.clone()).ok_or_else(|| {
        let there: Vec<&str> = outputs().map(|(name, _)| name.as_str()).collect();
        let near = stack::nearest(&reference.output, &there);
        let help = near.map(|it| format!("did you mean `{it}`?"));
        unknown(format!("`{}` has no output `{}`", reference.address, reference.output), help)
    })
}

/// What to do where another stack was never applied; its folder is named so that it is right
/// wherever a person stands.
fn never_applied(folder: &Path, environment: &str) -> Unread {
    let Ok(full) = folder.canonicalize() else {
        let why = format!("there is no folder `{}`", folder.display());
        return Unread { why, help: None };
    };
    let declared = environment.split('+').next().unwrap_or_default();
    let there = stack::environments(&full);
    if !there.iter().any(|it| it == declared) {
        let why = format!("it has no environment `{declared}`");
        let help = format!("name one with `environment = \"…\"`: it has {}", there.join(", "));
        return Unread { why, help: Some(help) };
    }
    let help = format!("apply that stack first: `hive apply {} -e {declared}`", full.display());
    Unread { why: "nothing was ever applied there".to_owned(), help: Some(help) }
}
