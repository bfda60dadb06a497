//! The arguments, as clap reads them. Doc comments here are the help texts.

use clap::{Args, Parser, Subcommand, ValueEnum};
use hive_contract::Address;
use std::path::PathBuf;

/// Plan and apply for services, databases, migrations, backups and alerts.
///
/// One ordered, reviewable plan; every point at which an apply can stop leaves the system known,
/// recoverable and, where asked, rolled back.
#[derive(Debug, Parser)]
#[command(
    name = "hive",
    version,
    max_term_width = 100,
    after_help = EXIT_CODES
)]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub everywhere: Everywhere,
    /// Which command.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, or nothing to do; 1 failed; 2 there are changes (plan --exit-code); 3 refused, \
nothing was changed; 4 somebody else holds the lease; 5 failed and rolled back; 130 interrupted";

/// What holds for every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Everywhere {
    /// The environment: an overlay file beside stack.toml [default: dev]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub environment: Option<String>,
    /// A second of its kind beside the environment: for a branch, with its own store part and ports
    #[arg(long, global = true, value_name = "NAME")]
    pub instance: Option<String>,
    /// Give a variable of the stack a value; may be repeated [env: HIVE_VAR_NAME]
    #[arg(long = "var", global = true, value_name = "NAME=VALUE", value_parser = variable)]
    pub vars: Vec<(String, String)>,
    /// No colour, as with NO_COLOR
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Say only what needs attention
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// Which command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a stack: write a stack.toml to begin with
    Init(OfFolder),
    /// Check a stack without any call: every environment, or the one named with -e
    Validate(Reading),
    /// Print the JSON Schema of stack.toml, for editors
    Schema,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of hive, or of one of its commands
    Man {
        /// Which command, as in `plan` or `snapshot diff`
        #[arg(value_name = "COMMAND", num_args = 0..=2)]
        command: Vec<String>,
    },
    /// Show what would happen, and why
    Plan(Plan),
    /// Show a plan that was saved
    Show(Show),
    /// Say why a resource is touched or not, and what it waits for
    Explain(Explain),
    /// Run a saved plan, or plan and run
    Apply(Apply),
    /// Show what is: each resource beside what is live
    Status(Reading),
    /// Show what moved since the newest snapshot
    Drift(Drift),
    /// Show what services print
    Logs(Logs),
    /// List applies, or report one
    History(History),
    /// Keep a remark with an apply, for the report
    Note(Note),
    /// Print outputs of resources, such as service.api.url
    Output(Output),
    /// Look at snapshots
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Apply, then apply again whenever a file changes, with the logs in the same terminal
    Dev(Dev),
    /// A rollout without a change
    Restart(OfAddresses),
    /// Look at who may write, or take it from them
    #[command(subcommand)]
    Lease(Lease),
    /// Send a test message to whoever hears of applies
    Notify(Notify),
    /// Make live again what a snapshot holds
    Restore(Restore),
    /// Make live again what the last whole snapshot holds that differs from the newest
    Rollback(Rollback),
    /// Bring everything back where nothing is left but the store and the backups
    Rebuild(Rebuild),
    /// Back up databases, folders and repositories, and bring them back
    #[command(subcommand)]
    Backup(Backup),
    /// Write, check and try migrations
    #[command(subcommand)]
    Migrate(Migrate),
    /// Settle an interrupted apply: go on with it, go back, or close it
    Recover(Recover),
    /// Hold an environment: no apply until unfreeze
    Freeze(Freeze),
    /// Let an environment go again
    Unfreeze(OfFolder),
    /// Take away everything that is recorded
    Destroy(Whole),
    /// Take into hive what is live already
    Adopt(Adopt),
    /// Let go of resources and leave them as they are
    Forget(OfAddresses),
    /// Give a resource another address
    Move(Move),
}

/// A command about a whole stack.
#[derive(Debug, Args)]
pub struct OfFolder {
    /// The stack's folder [default: the one you stand in]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: versioned and stable.
    Json,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    #[default]
    Text,
    /// A comment on a pull request, at most 65,536 bytes.
    Markdown,
    /// For programs: versioned and stable.
    Json,
    /// One page that loads nothing.
    Html,
}

/// A command that reads.
#[derive(Debug, Args)]
pub struct Reading {
    /// The stack's folder [default: the one you stand in]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// `hive drift`.
#[derive(Debug, Args)]
pub struct Drift {
    /// What is read.
    #[command(flatten)]
    pub reading: Reading,
    /// Exit 2 where something moved
    #[arg(long)]
    pub exit_code: bool,
}

/// What holds for every command that may change something.
#[derive(Clone, Debug, Args)]
pub struct Changing {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// How many steps run at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub parallel: Option<u32>,
    /// How progress and result are printed; json is one document a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// Write the plan to this file and stop
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Save the plan in the store and stop
    #[arg(long)]
    pub save: bool,
}

/// Which resources, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct Choosing {
    /// Only these resources and what they need; may be repeated
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pub only: Vec<Address>,
    /// Make these anew; may be repeated
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pub replace: Vec<Address>,
    /// Take over what carries another store's mark: after a store was lost
    #[arg(long)]
    pub take_over: bool,
}

/// Whether changes are tried beforehand.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Trying {
    /// Try migrations on a copy first, also where the environment is protected
    #[arg(long, conflicts_with = "no_rehearse")]
    pub rehearse: bool,
    /// Try nothing, and show nothing of what was tried before
    #[arg(long)]
    pub no_rehearse: bool,
}

/// `hive plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The stack's folder [default: the one you stand in]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Write the plan to this file, for `hive apply FILE`
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Save the plan in the store, for `hive apply DIGEST`
    #[arg(long)]
    pub save: bool,
    /// How the plan is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: PlanFormat,
    /// Exit 2 where there are changes
    #[arg(long)]
    pub exit_code: bool,
    /// Plan to take away everything that is recorded
    #[arg(long, conflicts_with_all = ["only", "replace", "take_over", "rehearse"])]
    pub destroy: bool,
    /// Whether changes are tried beforehand.
    #[command(flatten)]
    pub trying: Trying,
    /// How many steps run at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub parallel: Option<u32>,
    /// Which resources.
    #[command(flatten)]
    pub choosing: Choosing,
}

/// `hive show`.
#[derive(Debug, Args)]
pub struct Show {
    /// A plan file, or the first digits of a saved plan's digest
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// The stack's folder, where the plan is saved in its store
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// How the plan is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: PlanFormat,
}

/// `hive explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Which resource
    #[arg(value_name = "ADDRESS")]
    pub address: Address,
    /// The stack's folder [default: the one you stand in]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// `hive apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// A plan file, the first digits of a saved plan's digest, or a stack's folder to plan and run
    /// [default: the folder you stand in]
    #[arg(value_name = "PLAN|FOLDER")]
    pub target: Option<String>,
    /// The stack's folder, where a plan is given and you stand somewhere else
    #[arg(long, value_name = "FOLDER")]
    pub stack: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// How many steps run at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub parallel: Option<u32>,
    /// How progress and result are printed; json is one document a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// Whether changes are tried beforehand.
    #[command(flatten)]
    pub trying: Trying,
    /// Which resources.
    #[command(flatten)]
    pub choosing: Choosing,
}

/// `hive logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Which services, all where none is named; and the stack's folder
    #[arg(value_name = "ADDRESS|FOLDER")]
    pub words: Vec<String>,
    /// Go on as more is printed
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines of each to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub lines: usize,
}

/// `hive history`.
#[derive(Debug, Args)]
pub struct History {
    /// A snapshot's number or the first digits of an apply's id, for the report of one apply; and
    /// the stack's folder
    #[arg(value_name = "N|FOLDER", num_args = 0..=2)]
    pub words: Vec<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// `hive note`.
#[derive(Debug, Args)]
pub struct Note {
    /// A snapshot's number or the first digits of an apply's id
    #[arg(value_name = "N")]
    pub apply: String,
    /// What to keep
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// The stack's folder [default: the one you stand in]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// `hive output`.
#[derive(Debug, Args)]
pub struct Output {
    /// Which output, as in service.api.url, to print its value alone; and the stack's folder
    #[arg(value_name = "NAME|FOLDER", num_args = 0..=2)]
    pub words: Vec<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// `hive snapshot`.
#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// List snapshots
    List(Reading),
    /// Show what a snapshot holds
    Show {
        /// Its number
        #[arg(value_name = "N")]
        number: u64,
        /// What is read.
        #[command(flatten)]
        reading: Reading,
    },
    /// Show what differs between two snapshots
    Diff {
        /// The one number
        #[arg(value_name = "N")]
        from: u64,
        /// The other
        #[arg(value_name = "M")]
        to: u64,
        /// What is read.
        #[command(flatten)]
        reading: Reading,
    },
}

/// `hive dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// The stack's folder [default: the one you stand in]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// How many steps run at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub parallel: Option<u32>,
}

/// A command about single resources.
#[derive(Debug, Args)]
pub struct OfAddresses {
    /// Which resources; and the stack's folder
    #[arg(value_name = "ADDRESS|FOLDER", required = true)]
    pub words: Vec<String>,
    /// How it changes them.
    #[command(flatten)]
    pub changing: Changing,
}

/// A command about everything.
#[derive(Debug, Args)]
pub struct Whole {
    /// The stack's folder [default: the one you stand in]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// How it changes it.
    #[command(flatten)]
    pub changing: Changing,
}

/// `hive lease`.
#[derive(Debug, Subcommand)]
pub enum Lease {
    /// Show who may write
    Show(Reading),
    /// Take the lease from its holder, who may write no more
    Break {
        /// The stack's folder [default: the one you stand in]
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// `hive notify`.
#[derive(Debug, Args)]
pub struct Notify {
    /// Which, all where none is named; and the stack's folder
    #[arg(value_name = "ADDRESS|FOLDER", num_args = 0..=2)]
    pub words: Vec<String>,
    /// Send a test message
    #[arg(long, required = true)]
    pub test: bool,
}

/// How far it goes back.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct GoingBack {
    /// Also what was written: databases come back from backups, and what was written since is lost
    #[arg(long, conflicts_with = "down")]
    pub with_data: bool,
    /// Also the schema: migrations are taken back by their down scripts, where they have them
    #[arg(long)]
    pub down: bool,
    /// Services alone, also where a migration took away what they need
    #[arg(long, conflicts_with_all = ["with_data", "down"])]
    pub services_only: bool,
    /// Leave the environment as open as it was
    #[arg(long)]
    pub no_freeze: bool,
}

/// `hive restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The snapshot's number
    #[arg(value_name = "N")]
    pub number: u64,
    /// How far it goes back.
    #[command(flatten)]
    pub back: GoingBack,
    /// What it is about.
    #[command(flatten)]
    pub whole: Whole,
}

/// `hive rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// How far it goes back.
    #[command(flatten)]
    pub back: GoingBack,
    /// What it is about.
    #[command(flatten)]
    pub whole: Whole,
}

/// `hive rebuild`.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// An exercise beside what runs: the newest backup of each is brought back into a scratch place,
    /// compared and measured, and nothing else is touched
    #[arg(long)]
    pub drill: bool,
    /// What it is about.
    #[command(flatten)]
    pub whole: Whole,
}

/// `hive backup`.
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Back up now: all that are recorded, or the ones named
    Run {
        /// Which backups, as in backup.main; and the stack's folder
        #[arg(value_name = "ADDRESS|FOLDER")]
        words: Vec<String>,
        /// Only those whose schedule says that it is time, for a timer that runs often
        #[arg(long)]
        due: bool,
        /// Do not restore into a scratch place to prove it, also where the policy says so
        #[arg(long)]
        no_verify: bool,
        /// Let them count also where they are far smaller than those before, because rows were
        /// removed on purpose
        #[arg(long)]
        accept_smaller: bool,
        /// How it changes them.
        #[command(flatten)]
        changing: Changing,
    },
    /// List what each destination holds, and what retention does about it
    List {
        /// Which backups, as in backup.main; and the stack's folder
        #[arg(value_name = "ADDRESS|FOLDER")]
        words: Vec<String>,
        /// Exit 1 where an objective is missed, a backup is damaged or a destination unreadable
        #[arg(long)]
        check: bool,
        /// How the result is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Restore a backup into a scratch place, compare and measure
    Verify {
        /// Which backup, as in backup.main, all where none is named; the id of one of it, the newest
        /// where none is named; and the stack's folder
        #[arg(value_name = "ADDRESS|ID|FOLDER", num_args = 0..=3)]
        words: Vec<String>,
        /// How it changes them.
        #[command(flatten)]
        changing: Changing,
    },
    /// Bring back what a backup holds: a database in its place, files into a folder
    Restore {
        /// Which backup, as in backup.main; the id of one of it, the newest where none is named; and
        /// the stack's folder
        #[arg(value_name = "ADDRESS|ID|FOLDER", required = true, num_args = 1..=3)]
        words: Vec<String>,
        /// Where files are unpacked: a folder that is empty or not there
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
        /// How it changes them.
        #[command(flatten)]
        changing: Changing,
    },
}

/// `hive migrate`.
#[derive(Debug, Subcommand)]
pub enum Migrate {
    /// Write the next pair of files, up and down
    New {
        /// What it does, as in add_status
        #[arg(value_name = "NAME")]
        name: String,
        /// Which migrations, where the stack has more than one; and the stack's folder
        #[arg(value_name = "ADDRESS|FOLDER", num_args = 0..=2)]
        words: Vec<String>,
    },
    /// Check migrations without running them: what locks, rewrites, loses or cannot work
    Lint(OfMigrations),
    /// Try what is pending on a copy: up, down and up again, measured
    Rehearse(OfMigrations),
    /// Show what is applied, pending, and drifted
    Status(OfMigrations),
}

/// A command that reads migrations.
#[derive(Debug, Args)]
pub struct OfMigrations {
    /// Which migrations, as in migrations.main, all where none is named; and the stack's folder
    #[arg(value_name = "ADDRESS|FOLDER", num_args = 0..=2)]
    pub words: Vec<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// `hive recover`.
#[derive(Debug, Args)]
pub struct Recover {
    /// The stack's folder [default: the one you stand in]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Go back as far as hive may
    #[arg(long, conflicts_with = "close")]
    pub back: bool,
    /// Find out what is there, record it, and stop
    #[arg(long)]
    pub close: bool,
    /// Wait for a holder that may be gone: its lease must stay unchanged for its whole duration
    #[arg(long)]
    pub wait: bool,
    /// How progress and result are printed; json is one document a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// `hive freeze`.
#[derive(Debug, Args)]
pub struct Freeze {
    /// Why, for whoever is held up by it
    #[arg(value_name = "WHY")]
    pub why: String,
    /// The stack's folder [default: the one you stand in]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// `hive adopt`.
#[derive(Debug, Args)]
pub struct Adopt {
    /// Which resources, all that are declared where none is named; and the stack's folder
    #[arg(value_name = "ADDRESS|FOLDER")]
    pub words: Vec<String>,
    /// Also what carries another store's mark, where this store holds something already
    #[arg(long)]
    pub take_over: bool,
    /// How it changes them.
    #[command(flatten)]
    pub changing: Changing,
}

/// `hive move`.
#[derive(Debug, Args)]
pub struct Move {
    /// The address that it is recorded under
    #[arg(value_name = "FROM")]
    pub from: Address,
    /// The address that the stack declares it under now
    #[arg(value_name = "TO")]
    pub to: Address,
    /// What it is about.
    #[command(flatten)]
    pub whole: Whole,
}

impl Choosing {
    /// Whether anything was chosen.
    pub fn is_any(&self) -> bool {
        !self.only.is_empty() || !self.replace.is_empty() || self.take_over
    }
}
