//! Many services in one look: one pass over the processes, whatever their number.

use crate::Process;
use crate::layout::identity;
use crate::listeners;
use crate::scan::Scan;
use crate::view::{View, identities};
use hive_contract::{Ask, Facts, Failure, Live, Observation, Observed, StackMark};
use std::collections::{BTreeMap, BTreeSet};

/// Answers one question.
///
/// # Errors
/// The processes or the ports of this machine cannot be seen at all.
pub(crate) fn observe(process: &Process, ask: &Ask) -> Result<Observation, Failure> {
    let scan = Scan::read()?;
    let found = ask.parts.iter().map(|part| {
        let view = View::load(&process.layout, &part.identity, &scan);
        let observed = view.map(|view| view.live().map_or(Observed::Absent, Observed::Present));
        (part.target.clone(), observed)
    });
    Ok(Observation {
        found: found.collect(),
        marked: match &ask.marked {
            Some(owner) => marked(process, owner, ask, &scan)?,
            None => Vec::new(),
        },
        facts: if ask.facts { facts(process, &scan)? } else { Facts::default() },
    })
}

fn facts(process: &Process, scan: &Scan) -> Result<Facts, Failure> {
    let taken_ports = listeners::holders(&listeners::read()?, scan);
    Ok(Facts { ports: Some(process.ports), taken_ports })
}

/// Everything of a stack in an environment, whatever its store: what has a folder here, and what
/// runs on this machine and says so itself.
fn marked(
    process: &Process,
    owner: &StackMark,
    ask: &Ask,
    scan: &Scan,
) -> Result<Vec<Live>, Failure> {
    let ours =
        |mark: &StackMark| mark.stack == owner.stack && mark.environment == owner.environment;
    let mut names: BTreeSet<String> =
        identities(&process.layout, &owner.environment)?.into_iter().collect();
    let folder = process.layout.run.to_string_lossy();
    let carried = scan.processes.values().filter_map(|seen| seen.carried.as_ref());
    let carried = carried.filter(|it| it.folder == folder && ours(&it.mark.owner));
    names.extend(
        carried.map(|it| identity(&it.mark.owner.environment, &it.mark.address.to_string())),
    );
    let mut found = BTreeMap::new();
    for name in names {
        let live = match View::load(&process.layout, &name, scan) {
            Ok(view) => view.live(),
            // Said once already, at its address.
            Err(_) if ask.parts.iter().any(|part| part.identity == name) => None,
            Err(failure) => return Err(failure),
        };
        if let Some(live) = live
            && live.mark.as_ref().is_some_and(|mark| ours(&mark.owner))
        {
            found.insert(name, live);
        }
    }
    Ok(found.into_values().collect())
}
