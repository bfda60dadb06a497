//! One file per command: arguments in, request out. Only this room and `main.rs` know about
//! arguments, exit codes and the environment.

pub mod args;
pub mod commands;
pub mod confirm;
pub mod desk;
pub mod ended;
pub mod environment;
pub mod exit;
pub mod following;
#[cfg(test)]
mod reference;
pub mod running;
pub mod target;
pub mod trouble;
pub mod watch;

use args::{Arguments, Command, Format, PlanFormat};
use clap::Parser;
use commands as run;
use desk::Desk;
use ended::Ended;
use exit::Exit;
use std::ffi::OsString;

use crate::flow::FlowError;
use crate::render::error::Trouble;
use crate::render::screen::Wishes;
use crate::render::{Screen, error, problem};

/// The whole program: its arguments in, its exit code out.
pub fn main(arguments: Vec<OsString>) -> u8 {
    if arguments.get(1).is_some_and(|it| it == hive_process::keeper::ARGUMENT) {
        return hive_process::keeper::main(arguments.get(2..).unwrap_or_default());
    }
    let outside = environment::read();
    let wishes = Wishes {
        no_colour: outside.no_colour,
        dumb: outside.dumb,
        columns: outside.columns,
        quiet: false,
        json: false,
    };
    let parsed = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            return unparsed(&error, asks_for_json(&arguments), &Screen::of_program(wishes)).code();
        }
    };
    let json = wants_json(&parsed.command);
    let wishes = Wishes {
        no_colour: wishes.no_colour || parsed.everywhere.no_color,
        quiet: parsed.everywhere.quiet,
        json,
        ..wishes
    };
    let screen = Screen::of_program(wishes);
    let desk = Desk::new(screen, outside, parsed.everywhere);
    let exit = match begin(&desk, parsed.command) {
        Ok(exit) => exit,
        Err(ended) => {
            say(&desk, &ended, json);
            ended.exit()
        }
    };
    match desk.screen.failure() {
        Some(why) => {
            let ended = Ended::usage(format!("the result cannot be printed: {why}"));
            say(&desk, &ended, false);
            exit.max(Exit::Failed).code()
        }
        None => exit.code(),
    }
}

/// Help, the version, or arguments that make no sense: clap's own exit code 2 means something else
/// here.
fn unparsed(wrong: &clap::Error, json: bool, screen: &Screen) -> Exit {
    let text = |colour: bool| match colour {
        true => wrong.render().ansi().to_string(),
        false => wrong.render().to_string(),
    };
    if wrong.use_stderr() {
        if json {
            let whole = text(false);
            let said: Vec<&str> =
                whole.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let said = said.join(" ");
            let trouble = Trouble::new(said.strip_prefix("error: ").unwrap_or(&said));
            screen.result(&error::json(&trouble, Exit::Failed.code()));
        }
        screen.message(&text(screen.message_style().colour));
        Exit::Failed
    } else {
        screen.result(&text(screen.result_style().colour));
        Exit::Done
    }
}

/// Whether arguments that make no sense ask for a result for programs all the same.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let options: Vec<&OsString> = arguments.iter().take_while(|it| *it != "--").collect();
    options.iter().any(|it| *it == "--format=json")
        || options.windows(2).any(|it| it[0] == "--format" && it[1] == "json")
}

/// Prints why a command has no result.
pub fn say(desk: &Desk, ended: &Ended, json: bool) {
    let style = desk.screen.message_style();
    if let Ended::Flow(FlowError::Stack(problems)) = ended {
        if json {
            desk.screen.result(&problem::json(problems));
        }
        return desk.screen.message(&problem::text(problems, style));
    }
    let trouble = ended.trouble(desk.now_ms()).at(&desk.site());
    if json {
        desk.screen.result(&error::json(&trouble, ended.exit().code()));
    }
    desk.screen.message(&error::text(&trouble, style));
}

/// What needs no runtime is done without one.
fn begin(desk: &Desk, command: Command) -> Result<Exit, Ended> {
    match command {
        Command::Init(args) => run::init::run(desk, args),
        Command::Schema => Ok(run::schema::run(desk)),
        Command::Completions { shell } => Ok(run::completions::run(desk, shell)),
        Command::Man { command } => run::man::run(desk, &command),
        other => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .map_err(|error| Ended::usage(format!("hive cannot start: {error}")))?;
            let came = runtime.block_on(go(desk, other));
            // What still runs in the background has no result that anybody waits for.
            runtime.shutdown_background();
            came
        }
    }
}

async fn go(desk: &Desk, command: Command) -> Result<Exit, Ended> {
    match command {
        Command::Validate(args) => run::validate::run(desk, args).await,
        Command::Plan(args) => run::plan::run(desk, args).await,
        Command::Show(args) => run::show::run(desk, args).await,
        Command::Explain(args) => run::explain::run(desk, args).await,
        Command::Apply(args) => run::apply::run(desk, args).await,
        Command::Status(args) => run::status::run(desk, args).await,
        Command::Drift(args) => run::drift::run(desk, args).await,
        Command::Logs(args) => run::logs::run(desk, args).await,
        Command::History(args) => run::history::run(desk, args).await,
        Command::Note(args) => run::note::run(desk, args).await,
        Command::Output(args) => run::output::run(desk, args).await,
        Command::Snapshot(args) => run::snapshot::run(desk, args).await,
        Command::Dev(args) => run::dev::run(desk, args).await,
        Command::Restart(args) => run::restart::run(desk, args).await,
        Command::Lease(args) => run::lease::run(desk, args).await,
        Command::Notify(args) => run::notify::run(desk, args).await,
        Command::Restore(args) => run::restore::run(desk, args).await,
        Command::Rollback(args) => run::rollback::run(desk, args).await,
        Command::Rebuild(args) => run::rebuild::run(desk, args).await,
        Command::Backup(args) => run::backup::run(desk, args).await,
        Command::Migrate(args) => run::migrate::run(desk, args).await,
        Command::Recover(args) => run::recover::run(desk, args).await,
        Command::Freeze(args) => run::freeze::freeze(desk, args).await,
        Command::Unfreeze(args) => run::freeze::unfreeze(desk, args).await,
        Command::Destroy(args) => run::destroy::run(desk, args).await,
        Command::Adopt(args) => run::adopt::run(desk, args).await,
        Command::Forget(args) => run::forget::run(desk, args).await,
        Command::Move(args) => run::moving::run(desk, args).await,
        Command::Init(args) => run::init::run(desk, args),
        Command::Schema => Ok(run::schema::run(desk)),
        Command::Completions { shell } => Ok(run::completions::run(desk, shell)),
        Command::Man { command } => run::man::run(desk, &command),
    }
}

/// Whether the result is for a program.
fn wants_json(command: &Command) -> bool {
    let json = |format: Format| format == Format::Json;
    match command {
        Command::Plan(it) => it.format == PlanFormat::Json,
        Command::Show(it) => it.format == PlanFormat::Json,
        Command::Validate(it) | Command::Status(it) => json(it.format),
        Command::Drift(it) => json(it.reading.format),
        Command::Explain(it) => json(it.format),
        Command::Apply(it) => json(it.format),
        Command::History(it) => json(it.format),
        Command::Output(it) => json(it.format),
        Command::Snapshot(
            args::Snapshot::List(it)
            | args::Snapshot::Show { reading: it, .. }
            | args::Snapshot::Diff { reading: it, .. },
        )
        | Command::Lease(args::Lease::Show(it)) => json(it.format),
        Command::Recover(it) => json(it.format),
        Command::Restart(it) | Command::Forget(it) => json(it.changing.format),
        Command::Destroy(it) => json(it.changing.format),
        Command::Restore(args::Restore { whole, .. })
        | Command::Rollback(args::Rollback { whole, .. })
        | Command::Move(args::Move { whole, .. }) => json(whole.changing.format),
        Command::Adopt(it) => json(it.changing.format),
        Command::Rebuild(it) => json(it.whole.changing.format),
        Command::Backup(it) => match it {
            args::Backup::List { format, .. } => json(*format),
            args::Backup::Run { changing, .. }
            | args::Backup::Verify { changing, .. }
            | args::Backup::Restore { changing, .. } => json(changing.format),
        },
        Command::Migrate(it) => match it {
            args::Migrate::New { .. } => false,
            args::Migrate::Lint(it) | args::Migrate::Rehearse(it) | args::Migrate::Status(it) => {
                json(it.format)
            }
        },
        _ => false,
    }
}
