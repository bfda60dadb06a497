//! A place of backups as a live object.

use crate::listing::Listing;
use crate::repository::{Marker, Repository};
use crate::seen::Seen;
use crate::settings::Settings;
use hive_contract::{
    AskOne, Failure, FailureKind, Fields, Live, Observed, Secrets, StackMark, Status, Target, Value,
};
use hive_sql::words;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Looks at places of backups, each by its access.
pub(crate) async fn observe(
    root: &Path,
    parts: &[&AskOne],
    secrets: &Secrets,
) -> BTreeMap<Target, Result<Observed, Failure>> {
    let mut found = BTreeMap::new();
    for part in parts {
        found.insert(part.target.clone(), observe_one(root, part, secrets).await);
    }
    found
}

async fn observe_one(root: &Path, part: &AskOne, secrets: &Secrets) -> Result<Observed, Failure> {
    if part.access.is_empty() {
        let message = format!("it is not known how {} is reached", part.target);
        return Err(Failure::new(FailureKind::Malformed, message));
    }
    let settings = Settings::read(&part.access)?;
    let repository = settings.connect(root, secrets).await?;
    let Some(marker) = repository.marker().await? else { return Ok(Observed::Absent) };
    if is_another(part, &marker) {
        return Ok(Observed::Absent);
    }
    let live = full(&repository, &settings, &part.identity, marker).await?;
    Ok(Observed::Present(live))
}

/// Whether the marker is that of another thing of the same owner and address: what is asked for is
/// not here. Somebody else's is seen, so that a plan can name whose it is.
fn is_another(part: &AskOne, marker: &Marker) -> bool {
    let Some(mark) = &marker.mark else { return false };
    let environment = part.identity.split_once('/').map(|(environment, _)| environment);
    mark.address == part.target.address
        && environment == Some(mark.owner.environment.as_str())
        && part.identity != format!("{}/{}", mark.owner.environment, mark.address)
}

/// The place with all backups in it.
pub(crate) async fn full(
    repository: &Repository,
    settings: &Settings,
    identity: &str,
    marker: Marker,
) -> Result<Live, Failure> {
    let listing = repository.list(marker.mark.as_ref()).await?;
    let mut live = bare(settings, identity, marker);
    add(&mut live, &listing);
    Ok(live)
}

/// The place by its marker alone: what a step is conditioned on.
pub(crate) fn bare(settings: &Settings, identity: &str, marker: Marker) -> Live {
    Live {
        identity: identity.to_owned(),
        fields: Fields::from([
            ("of".to_owned(), Value::Text(marker.of)),
            ("destination".to_owned(), Value::text(settings.destination())),
            ("encrypted".to_owned(), Value::Bool(marker.encrypted)),
        ]),
        outputs: BTreeMap::new(),
        mark: marker.mark,
        token: Some(marker.token),
        moved_by: BTreeMap::new(),
        ended: BTreeMap::new(),
        status: Status::default(),
    }
}

fn add(live: &mut Live, listing: &Listing) {
    let backups: Vec<Seen> = listing.backups.iter().map(Seen::of).collect();
    let newest = listing.newest_good();
    let id = newest.map_or("", |it| it.id.as_str());
    live.outputs.insert("id".to_owned(), Value::text(id));
    let at_ms = newest.map_or(0, |it| it.manifest.snapshot_ms);
    live.outputs.insert("at_ms".to_owned(), Value::Int(at_ms));
    live.fields
        .insert("backups".to_owned(), Value::List(backups.iter().map(Seen::value).collect()));
    if !listing.damaged.is_empty() {
        let row = |(id, why): (&crate::BackupId, &String)| {
            Value::Map(Fields::from([
                ("id".to_owned(), Value::text(id.as_str())),
                ("why".to_owned(), Value::text(why)),
            ]))
        };
        let rows = listing.damaged.iter().map(row).collect();
        live.fields.insert("damaged".to_owned(), Value::List(rows));
    }
    live.status = status(listing, &backups);
}

fn status(listing: &Listing, backups: &[Seen]) -> Status {
    let mut details: BTreeSet<String> =
        listing.damaged.iter().map(|(id, why)| format!("{id}: {why}")).collect();
    let wrong = backups.iter().filter(|it| !it.wrong.is_empty());
    details.extend(wrong.map(|it| format!("{}: {}", it.id, it.wrong)));
    let good = backups.iter().filter(|it| it.ok).count();
    let verified = backups.iter().filter(|it| it.ok && it.verified_ms.is_some()).count();
    let mut summary = match backups.iter().rev().find(|it| it.ok) {
        None => "no backup".to_owned(),
        Some(newest) => format!(
            "{}, {verified} verified, newest {} of {}",
            words::count(good as u64, "backup"),
            newest.id,
            words::size(u64::try_from(newest.bytes).unwrap_or_default())
        ),
    };
    let bad = backups.len() - good + listing.damaged.len();
    if bad > 0 {
        summary.push_str(&format!(", {bad} that do not count"));
    }
    // The newest of all is the one that a person would reach for.
    let ready = backups.last().is_none_or(|it| it.ok) && listing.damaged.is_empty();
    Status { ready, summary, details }
}

/// Those of the places found that carry the mark asked for, whatever their store.
pub fn marked(
    found: &BTreeMap<Target, Result<Observed, Failure>>,
    asked: Option<&StackMark>,
) -> Vec<Live> {
    let Some(asked) = asked else { return Vec::new() };
    let ours = |live: &&Live| {
        live.mark.as_ref().is_some_and(|mark| {
            (&mark.owner.stack, &mark.owner.environment) == (&asked.stack, &asked.environment)
        })
    };
    let lives = found.values().filter_map(|it| it.as_ref().ok()?.live());
    lives.filter(ours).cloned().collect()
}
