//! Reading many alerts at once: one file each.

use crate::Base;
use crate::header::Header;
use crate::read::{live, read_file, read_spot};
use crate::spot::Spot;
use hive_contract::{Ask, Failure, Live, Observation, StackMark};
use hive_objects::failure;
use std::io::ErrorKind;

pub(crate) fn observe(base: &Base, ask: &Ask) -> Result<Observation, Failure> {
    let mut observation = Observation::default();
    for one in &ask.parts {
        let seen = Spot::parse(&one.identity).and_then(|spot| read_spot(base, &spot));
        observation.found.insert(one.target.clone(), seen);
    }
    if let Some(mark) = &ask.marked {
        observation.marked = marked(base, mark)?;
    }
    Ok(observation)
}

/// Everything that carries a stack's mark, whatever its store. A file that cannot be read or was
/// copied from another place is none of them.
fn marked(base: &Base, mark: &StackMark) -> Result<Vec<Live>, Failure> {
    let entries = match std::fs::read_dir(&base.rules) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failure("read", &base.named, &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failure("read", &base.named, &error))?.path();
        if path.extension().is_none_or(|extension| extension != "yml") {
            continue;
        }
        let shown = path.display().to_string();
        let Ok(Some(text)) = read_file(&path, &shown) else { continue };
        let Ok((Some(header), body)) = Header::split(&text, &shown) else { continue };
        let owner = &header.mark.owner;
        let spot = Spot::parse(&header.identity).ok().filter(|spot| spot.file(base) == path);
        let ours = (&owner.stack, &owner.environment) == (&mark.stack, &mark.environment);
        if let (Some(spot), true) = (spot, ours) {
            found.push(live(&spot, Some(header), body));
        }
    }
    found.sort_by(|a, b| a.identity.cmp(&b.identity));
    Ok(found)
}
