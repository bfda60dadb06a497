//! `hive validate`: a stack checked without any call.

use crate::cli::args::{Format, Reading};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::flow::{FlowError, Session};
use crate::render::clean::clean;
use crate::render::{problem, words};
use crate::stack::{self, Problem};
use std::path::Path;

/// Checks every environment that a stack has, or the one that is named.
///
/// # Errors
/// Everything that is wrong with it, of all environments, each once.
pub async fn run(desk: &Desk, args: Reading) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let environments = match &desk.everywhere.environment {
        Some(one) => vec![one.clone()],
        None => stack::environments(&folder),
    };
    let mut problems: Vec<Problem> = Vec::new();
    let mut name = String::new();
    for environment in &environments {
        match check(desk, &folder, environment).await {
            Ok(stack) => name = stack,
            Err(Ended::Flow(FlowError::Stack(found))) => {
                let new = found.into_iter().filter(|it| !problems.contains(it));
                let new: Vec<Problem> = new.collect();
                problems.extend(new);
            }
            Err(other) => return Err(other),
        }
    }
    if !problems.is_empty() && args.format == Format::Text {
        return Err(Ended::Flow(FlowError::Stack(problems)));
    }
    if args.format == Format::Json {
        desk.screen.result(&problem::json(&problems));
        return Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed });
    }
    let environments = words::list(&environments);
    desk.screen.result(&format!("the stack {} is right, in {environments}\n", clean(&name)));
    Ok(Exit::Done)
}

async fn check(desk: &Desk, folder: &Path, environment: &str) -> Result<String, Ended> {
    let mut at = desk.at(folder.to_owned(), None);
    at.environment = environment.to_owned();
    let session = Session::open_alone(at)?;
    session.validate().await?;
    Ok(session.stack)
}
