//! Running a command once.

use crate::gate::{cancelled, text};
use crate::hide::Hidden;
use crate::leftover::{self, TOKEN};
use crate::{Base, invalid};
use hive_contract::{
    Context, Event, Failure, FailureKind, Fields, Fingerprint, Outcome, Perform, Value,
};
use hive_probe::{Ran, Run};
use secrecy::ExposeSecret;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many of the last lines a failure shows.
const LAST_LINES: usize = 20;

/// What the probe keeps of the output, in bytes: an output as long as this was cut.
const KEPT: usize = 64 * 1024;

pub(crate) async fn run(
    base: &Base,
    request: &Perform,
    context: &Context<'_>,
    timeout: Duration,
    hidden: &Hidden,
) -> Result<Outcome, Failure> {
    let payload = &request.operation.payload;
    let directory = payload.get("directory").and_then(Value::as_text).unwrap_or(".");
    let directory = base.folder.join(directory);
    let words = arguments(payload, context)?;
    let (name, rest) = words.split_first().ok_or_else(|| invalid("the command is empty"))?;
    let path = base.environment.get(OsStr::new("PATH")).map(OsString::as_os_str);
    let program = find(name, &directory, path).ok_or_else(|| {
        Failure::new(FailureKind::Unhealthy, format!("there is no program `{name}`"))
    })?;
    as_planned(payload, &program, &directory)?;

    let run = Run {
        program,
        called: Some(name.into()),
        arguments: rest.iter().map(Into::into).collect(),
        environment: environment(base, request, context)?,
        directory,
    };
    let ran = tokio::select! {
        ran = hive_probe::command(&run, timeout) => ran,
        // Leaving drops the command, which kills its group.
        () = cancelled(context) => {
            leftover::end(&request.token).await?;
            return Err(Failure::new(FailureKind::Cancelled, format!("`{name}` was cut")));
        }
    };
    // A look has no effect: what it started ends with it.
    if let Err(failure) = leftover::end(&request.token).await {
        context.event(Event::warning(format!("`{name}` left something running: {failure}")));
    }
    judge(name, ran, hidden)
}

fn judge(name: &str, ran: Ran, hidden: &Hidden) -> Result<Outcome, Failure> {
    let kept = match ran.output.len() >= KEPT {
        true => hidden.hide_cut(&ran.output),
        false => hidden.hide(&ran.output),
    };
    let Err(why) = ran.ended else { return Ok(Outcome { live: None, kept }) };
    let message = format!("`{name}` {}", hidden.hide(&why));
    let mut failure = Failure::new(FailureKind::Unhealthy, message);
    let lines: Vec<&str> = kept.lines().collect();
    let last = lines.len().saturating_sub(LAST_LINES);
    failure.diagnosis = lines[last..].iter().map(|line| (*line).to_owned()).collect();
    Err(failure)
}

/// The file that the command's first word means: with a `/` it counts from the directory, a plain
/// name is looked up in PATH. The loader that bound the program's digest finds it the same way.
fn find(name: &str, directory: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(directory.join(name)).filter(is_program);
    }
    std::env::split_paths(path?).map(|entry| directory.join(entry).join(name)).find(is_program)
}

/// Whether the program and the files among its arguments are those that the plan was made with.
fn as_planned(payload: &Fields, program: &Path, directory: &Path) -> Result<(), Failure> {
    let planned = payload.get("program").and_then(Value::as_map);
    if let Some(digest) = planned.and_then(|it| it.get("digest")).and_then(Value::as_text) {
        same(program, digest)?;
    }
    let inputs = payload.get("inputs").and_then(Value::as_map);
    for (argument, digest) in inputs.into_iter().flatten() {
        same(&directory.join(argument), digest.as_text().unwrap_or_default())?;
    }
    Ok(())
}

fn same(file: &Path, planned: &str) -> Result<(), Failure> {
    let shown = file.display();
    let found = File::open(file).and_then(Fingerprint::of_reader).map_err(|error| {
        Failure::new(FailureKind::Moved, format!("`{shown}` cannot be read: {error}"))
    })?;
    if found.as_str() == planned {
        return Ok(());
    }
    Err(Failure::new(FailureKind::Moved, format!("`{shown}` is not the file that was planned")))
}

/// What is declared, and what the command may know of the apply.
fn environment(
    base: &Base,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Vec<(OsString, OsString)>, Failure> {
    let mut environment = base.environment.clone();
    let declared = request.operation.payload.get("environment").and_then(Value::as_map);
    for (name, value) in declared.into_iter().flatten() {
        environment.insert(name.into(), text(value, context)?.expose_secret().into());
    }
    for (fact, value) in &request.facts {
        environment.insert(variable(fact).into(), value.into());
    }
    let owner = &request.mark.owner;
    let told = [
        ("HIVE_STACK", owner.stack.clone()),
        ("HIVE_ENVIRONMENT", owner.environment.clone()),
        ("HIVE_ADDRESS", request.target.address.to_string()),
        (TOKEN, request.token.to_string()),
    ];
    environment.extend(told.map(|(name, value)| (name.into(), value.into())));
    Ok(environment.into_iter().collect())
}

/// `apply` is told as HIVE_APPLY, `image` as HIVE_IMAGE.
fn variable(fact: &str) -> String {
    let fact = fact.trim_start_matches("HIVE_");
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("HIVE_{}", fact.chars().map(word).collect::<String>())
}

fn arguments(payload: &Fields, context: &Context<'_>) -> Result<Vec<String>, Failure> {
    let words = payload.get("command").and_then(Value::as_list);
    let words = words.ok_or_else(|| invalid("the operation has nothing to look at"))?;
    if words.iter().any(Value::has_secret) {
        return Err(invalid("a secret may not stand among a command's arguments"));
    }
    words.iter().map(|it| text(it, context).map(|it| it.expose_secret().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_become_variables() {
        assert_eq!(variable("apply"), "HIVE_APPLY");
        assert_eq!(variable("HIVE_IMAGE"), "HIVE_IMAGE");
        assert_eq!(variable("image of api"), "HIVE_IMAGE_OF_API");
    }
}
