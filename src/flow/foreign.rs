//! Outputs of other stacks, read from their stores.

use super::error::FlowError;
use super::session::store;
use crate::stack::{self, ForeignRef};
use hive_contract::Value;
use hive_state::Ledger;
use std::collections::BTreeMap;
use std::path::Path;

/// The values of these references, as the newest snapshots of their stacks say.
///
/// # Errors
/// Another stack has no such output, no snapshot, or its store cannot be read.
pub async fn values(
    folder: &Path,
    references: &[ForeignRef],
) -> Result<BTreeMap<ForeignRef, Value>, FlowError> {
    let mut values = BTreeMap::new();
    for reference in references {
        let value = value(folder, reference).await?;
        values.insert(reference.clone(), value);
    }
    Ok(values)
}

/// The value of one reference now.
///
/// # Errors
/// See [`values`].
pub async fn value(folder: &Path, reference: &ForeignRef) -> Result<Value, FlowError> {
    let missing = |why: String| FlowError::Foreign { reference: reference.clone(), why };
    let other = folder.join(&reference.stack);
    let outline = stack::outline(&other, &reference.environment);
    let at = outline.store.unwrap_or_else(|| stack::STORE.to_owned());
    let ledger = Ledger::of_any_stack(store(&other, &at), &reference.environment);
    let (_, snapshot) = ledger.head().await?.ok_or_else(|| {
        missing(format!("the stack `{}` was never applied there", reference.stack))
    })?;
    let recorded = snapshot
        .resources
        .get(&reference.address)
        .ok_or_else(|| missing(format!("its newest snapshot has no `{}`", reference.address)))?;
    recorded
        .parts
        .values()
        .find_map(|part| part.outputs.get(&reference.output))
        .cloned()
        .ok_or_else(|| {
            missing(format!("`{}` has no output `{}`", reference.address, reference.output))
        })
}
