//! The names change hands.

use super::ALONE;
use super::close::{again_while_used, send_away};
use super::state::{Beside, Found};
use crate::desk::{Desk, outside};
use crate::names;
use crate::quote;
use crate::session::Session;
use crate::surroundings;
use hive_contract::{Failure, FailureKind, Outcome, Remains, Value};

/// Gives what was restored the name that everybody knows, in one commit with what was granted and
/// set on what had that name.
pub(super) async fn swap(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    let key = beside.key.clone();
    let done = beside.new.is_none() && beside.live.as_ref().is_some_and(|it| it.is_restored(&key));
    if !done {
        let Some(new) = &beside.new else {
            let what = format!("there is nothing restored that could become {}", desk.url.spot);
            return Err(Failure::new(FailureKind::Moved, what));
        };
        if !new.is_restored(&key) {
            let what = format!("`{}` is not whole", new.name);
            return Err(Failure::new(FailureKind::Moved, what));
        }
        beside.is_free(desk).await?;
        beside.check(desk).await?;
        let carried = carried(&beside.outside, beside.before(), &new.name).await?;
        desk.context.guard.may_write()?;
        let name = &desk.url.spot.database;
        let old = names::old(name, &key);
        let mut lines = vec![carried];
        let mut used = vec![new.name.as_str()];
        if let Some(vacant) = &beside.live {
            used.push(&vacant.name);
            lines.push(renamed(name, &old));
        }
        lines.extend(beside.before().map(|it| it.replaced_sql(&old, &key)));
        lines.push(renamed(&new.name, name));
        for name in &used {
            send_away(&beside.outside, name).await?;
        }
        let rename = format!("BEGIN; {} COMMIT", lines.join(" "));
        again_while_used(desk, &beside.outside, &used, &rename).await?;
    }
    let beside = Beside::look(desk, beside.outside).await?;
    let mut outcome = beside.outcome(desk).await?;
    if let Some(old) = &beside.old {
        outcome.kept = format!("what was there before is kept as database `{}`", old.name);
    }
    Ok(outcome)
}

fn renamed(from: &str, to: &str) -> String {
    format!("ALTER DATABASE {} RENAME TO {};", quote::name(from), quote::name(to))
}

/// What is said of a database from outside of it, and what no dump of it holds: its owner, its
/// grants, its settings, its limit.
async fn carried(outside: &Session, old: Option<&Found>, new: &str) -> Result<String, Failure> {
    let Some(old) = old else { return Ok(String::new()) };
    let (Some(given), Some(made)) =
        (surroundings::of(outside, &old.name).await?, surroundings::of(outside, new).await?)
    else {
        let what = format!("`{}` or `{new}` is not there any more", old.name);
        return Err(Failure::new(FailureKind::Moved, what));
    };
    let mut lines = Vec::new();
    if given.owner != made.owner {
        lines.push(surroundings::owner_sql(new, &given.owner));
    }
    lines.extend(surroundings::grants_sql(new, &given));
    lines.extend(given.settings.iter().filter_map(|it| surroundings::setting_sql(new, it)));
    Ok(lines.join(" "))
}

/// Takes the name off what was restored, so that the old one can have it again.
pub(super) async fn put_back(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    let key = beside.key.clone();
    if let Some(live) = beside.live.as_ref().filter(|it| it.is_restored(&key)) {
        // One that an earlier try has closed cannot be looked into, and was looked into then.
        if live.open {
            beside.check(desk).await?;
        }
        desk.context.guard.may_write()?;
        let (name, new) = (quote::name(&live.name), quote::name(&names::new(&live.name, &key)));
        let shut = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false");
        beside.outside.run("close what was restored", &shut).await?;
        send_away(&beside.outside, &live.name).await?;
        let mut lines = vec![
            renamed(&live.name, &names::new(&live.name, &key)),
            format!("ALTER DATABASE {new} WITH ALLOW_CONNECTIONS true;"),
        ];
        let mut used = vec![live.name.as_str()];
        if let Some(old) = &beside.old {
            lines.push(old.unreplaced_sql(&old.name));
            // The empty one that had the name: nothing else gives it back.
            if desk.request.operation.payload.get(ALONE).and_then(Value::as_bool) == Some(true) {
                used.push(&old.name);
                lines.push(renamed(&old.name, &live.name));
                send_away(&beside.outside, &old.name).await?;
            }
        }
        let rename = format!("BEGIN; {} COMMIT", lines.join(" "));
        if let Err(failure) = again_while_used(desk, &beside.outside, &used, &rename).await {
            let open = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true");
            return Err(match beside.outside.run("open it again", &open).await {
                Ok(()) => failure,
                Err(shut) => failure.diagnosis(shut.message).remains(Remains::Unsure),
            });
        }
    } else if beside.new.is_none() {
        let what = format!("{} is not what this restore has put there", desk.url.spot);
        return Err(Failure::new(FailureKind::Moved, what));
    }
    let beside = Beside::look(desk, beside.outside).await?;
    beside.outcome(desk).await
}
