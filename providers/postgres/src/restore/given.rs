//! What a backup refers to outside of itself, on its way back: roles in front, and what is said of
//! the database behind it.

use super::state::Beside;
use crate::desk::Desk;
use crate::roles::Roles;
use crate::scratch::Scratch;
use crate::session::{ASKING, Session};
use crate::surroundings;
use crate::trouble::{is_lost, refused};
use hive_contract::{Event, Failure};
use hive_sql::manifest::Manifest;

/// Refuses where the roles of a backup are not all there and cannot be made, or cannot be given
/// what is theirs; the database itself too, where it is `given` its owner.
///
/// # Errors
/// They cannot, or the server cannot be asked.
pub(super) async fn may_have_roles(
    desk: &Desk<'_>,
    outside: &Session,
    manifest: &Manifest,
    given: bool,
) -> Result<(), Failure> {
    let Some(wanted) = &manifest.surroundings else { return Ok(()) };
    let roles = Roles::look(outside, wanted).await?;
    match roles.refusal(&desk.url.spot.to_string(), given) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// What a person should know of the roles that this restore has made.
///
/// # Errors
/// The server cannot be asked.
pub(super) async fn told(beside: &Beside, manifest: &Manifest) -> Result<String, Failure> {
    let Some(wanted) = &manifest.surroundings else { return Ok(String::new()) };
    let roles = Roles::look(&beside.outside, wanted).await?;
    Ok(roles.told(&beside.key, beside.is_alone()).join("\n"))
}

/// Makes the roles that are missing, all in one commit.
///
/// # Errors
/// The role may not, or the server is gone.
pub(super) async fn make_roles(beside: &Beside, manifest: &Manifest) -> Result<(), Failure> {
    let Some(wanted) = &manifest.surroundings else { return Ok(()) };
    let roles = Roles::look(&beside.outside, wanted).await?;
    let lines = roles.making(&beside.key, beside.is_alone());
    together(&beside.outside, "make the roles of the backup", &lines).await
}

/// All of it in one commit, or nothing.
async fn together(outside: &Session, doing: &str, lines: &[String]) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    let ran = outside.run(doing, &format!("BEGIN; {} COMMIT", lines.join(" "))).await;
    if ran.is_err() {
        // Where the session is gone, so is what it began.
        let _ = outside.run(doing, "ROLLBACK").await;
    }
    ran
}

/// Gives what is about to be restored to its owner: what that one may in it, such as making tables,
/// others are not granted. Where a database is put aside, that one says whose it is.
///
/// # Errors
/// The role may not.
pub(super) async fn owner(
    beside: &Beside,
    scratch: &Scratch,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let before = match beside.before() {
        Some(old) => surroundings::of(&beside.outside, &old.name).await?,
        None => manifest.surroundings.clone(),
    };
    let Some(before) = before else { return Ok(()) };
    let owner = surroundings::owner_sql(&scratch.url.spot.database, &before.owner);
    scratch.outside.run("give the database to its owner", &owner).await
}

/// A manifest that says nothing of roles leaves it to the server to say which is missing.
pub(super) fn with_advice(failure: Failure, manifest: &Manifest) -> Failure {
    let missing = failure.message.contains("role \"") && failure.message.contains("does not exist");
    match missing && manifest.surroundings.is_none() {
        true => failure.diagnosis(format!(
            "{} was made by an older hive and does not say which roles it needs: make them with \
             CREATE ROLE; nothing of this restore stays",
            manifest.id
        )),
        false => failure,
    }
}

/// Gives the rest: grants and limit in one commit, then each setting, of which those are said that
/// this role may not set. Where a database is put aside, the swap takes it over from that one.
///
/// # Errors
/// The role may not grant, or the server is gone.
pub(super) async fn rest(
    desk: &Desk<'_>,
    beside: &Beside,
    scratch: &Scratch,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let given = manifest.surroundings.as_ref().filter(|_| beside.is_alone());
    let Some(given) = given else { return Ok(()) };
    let name = &scratch.url.spot.database;
    let grants = surroundings::grants_sql(name, given);
    together(&scratch.outside, "give the database its grants", &grants).await?;
    for setting in &given.settings {
        let set = surroundings::setting_sql(name, setting);
        let why = match &set {
            None => "an encrypted backup does not say what an application sets".to_owned(),
            Some(sql) => match scratch.outside.try_rows("set it", sql, ASKING).await? {
                Ok(_) => continue,
                Err(error) if is_lost(&error) => {
                    return Err(refused(scratch.outside.spot(), "set it", &error));
                }
                Err(error) => {
                    error.as_db_error().map_or(error.to_string(), |it| it.message().to_owned())
                }
            },
        };
        let of = setting.role.as_ref().map_or(String::new(), |it| format!(" of role `{it}`"));
        let words = format!(
            "the setting `{}`{of} in database `{}` was not set: {why}",
            setting.name, desk.url.spot.database
        );
        desk.context.event(Event::warning(words));
    }
    Ok(())
}
