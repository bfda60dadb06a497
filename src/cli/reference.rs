//! `docs/commands.md`, made of what clap knows, so that it never lies.

use super::args::Arguments;
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write as _;

const HEAD: &str = "# Commands

`hive COMMAND [FOLDER] -e ENVIRONMENT`: the folder is a stack's, by default the one you stand in; the
environment is `dev` unless said. This page is made of the program's own help by a test
(`UPDATE_GOLDENS=1 cargo test --lib reference`). Exit codes: [exit-codes.md](exit-codes.md); the
documents of `--format json`: [json.md](json.md).

stdout is the result, stderr is progress and messages. Colour only on a terminal, and never with
`NO_COLOR`, `--no-color` or `TERM=dumb`. `HIVE_VAR_MY_NAME` gives the variable `my-name` a
value where `--var` does not.
";

/// The page.
fn page() -> String {
    let mut root = Arguments::command().term_width(100);
    root.build();
    let mut page = HEAD.to_owned();
    page.push_str("\n## Options of every command\n\n");
    let everywhere: Vec<&Arg> = root.get_arguments().filter(|it| it.is_global_set()).collect();
    everywhere.iter().for_each(|it| option(it, &mut page));
    for command in root.get_subcommands().filter(|it| it.get_name() != "help") {
        section(command, "hive", &mut page);
    }
    page
}

fn section(command: &Command, above: &str, page: &mut String) {
    let name = format!("{above} {}", command.get_name());
    let nested: Vec<&Command> =
        command.get_subcommands().filter(|it| it.get_name() != "help").collect();
    if nested.is_empty() {
        let needed = command.get_arguments().filter(|it| it.is_required_set());
        let needed = needed.filter_map(|it| Some(format!("--{}", it.get_long()?)));
        let positionals: Vec<String> =
            needed.chain(command.get_positionals().map(positional)).collect();
        let _ = writeln!(page, "\n## `{}`\n", [vec![name.clone()], positionals].concat().join(" "));
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "{about}.\n");
        let own = command.get_arguments().filter(|it| !it.is_global_set());
        own.filter(|it| it.get_id() != "help" && it.get_id() != "version")
            .for_each(|it| option(it, page));
    }
    nested.into_iter().for_each(|it| section(it, &name, page));
}

fn positional(arg: &Arg) -> String {
    let name = value_name(arg);
    let many = arg.get_num_args().is_some_and(|it| it.max_values() > 2);
    let name = if many { format!("{name}…") } else { name };
    if arg.is_required_set() { name } else { format!("[{name}]") }
}

fn value_name(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names.first().map(ToString::to_string).unwrap_or_else(|| arg.get_id().to_string())
}

fn option(arg: &Arg, page: &mut String) {
    let mut name = String::new();
    if let Some(short) = arg.get_short() {
        let _ = write!(name, "-{short}, ");
    }
    match arg.get_long() {
        Some(long) => {
            let _ = write!(name, "--{long}");
            if arg.get_action().takes_values() {
                let _ = write!(name, " {}", value_name(arg));
            }
        }
        None => name.push_str(&value_name(arg)),
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "- `{name}`: {help}");
    let choices: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|it| !it.is_hide_set())
        .map(|it| format!("`{}`", it.get_name()))
        .collect();
    if arg.get_action().takes_values() && !choices.is_empty() {
        let _ = write!(page, "; one of {}", choices.join(", "));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|it| it.to_string_lossy().into_owned()).collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(page, "; by default `{}`", defaults.join(" "));
    }
    page.push('\n');
}

#[test]
fn the_reference_says_what_the_program_knows() {
    crate::render::samples::golden("../../docs/commands.md", &page());
}

#[test]
fn the_arguments_make_sense() {
    Arguments::command().debug_assert();
}

#[test]
fn what_this_version_does_not_have_is_unknown() {
    use clap::Parser;
    for unknown in ["approve", "promote", "ci", "store"].map(|it| vec![it]) {
        assert!(Arguments::try_parse_from([vec!["hive"], unknown].concat()).is_err());
    }
}
