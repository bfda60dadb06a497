//! What this platform keeps in files about what it has started. References, never secrets.

use crate::scan::Ident;
use hive_contract::value::Fields;
use hive_contract::{Mark, Token};
use serde::{Deserialize, Serialize};

/// The newest format of these files.
pub(crate) const FORMAT: u32 = 1;

/// `service.json`: one service, written before and after each operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// Whose it is; none once hive has let go of it.
    pub(crate) mark: Option<Mark>,
    /// The step that last changed it.
    pub(crate) token: Token,
    /// Whether that step came to its end.
    pub(crate) settled: bool,
    /// Whether it is stopped until it is started again.
    #[serde(default)]
    pub(crate) suspended: bool,
    /// What it is to be.
    pub(crate) fields: Fields,
    /// Marks it had before it was taken over or moved: its processes still carry them.
    #[serde(default)]
    pub(crate) formerly: Vec<Mark>,
}

/// `run.json`: one start of one replica, written before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// Whose it was then.
    pub(crate) mark: Mark,
    /// The step.
    pub(crate) token: Token,
    /// Which replica.
    pub(crate) replica: u32,
    /// The fields that it is made of.
    pub(crate) launched: Fields,
    /// How long the replica's log was then, in bytes.
    pub(crate) log_from: u64,
}

/// `started.json`: written by the keeper when the service runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    /// The service's first process.
    pub(crate) process: Ident,
    /// The keeper.
    pub(crate) keeper: Ident,
}

/// `exit.json`: written by the keeper when the service's first process has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exit {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be started at all.
    Unstarted(String),
}

impl Exit {
    /// In words that follow "it".
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Status(code) => format!("ended with status {code}"),
            Self::Signal(signal) => format!("was killed by signal {signal}"),
            Self::Unstarted(why) => format!("could not be started: {why}"),
        }
    }

    /// Whether it ended as a program does that leaves the work to others it started.
    pub(crate) fn is_good(&self) -> bool {
        *self == Self::Status(0)
    }
}

/// The files' names.
pub(crate) const SERVICE: &str = "service.json";
/// See [`Launch`].
pub(crate) const RUN: &str = "run.json";
/// See [`Started`].
pub(crate) const STARTED: &str = "started.json";
/// See [`Exit`].
pub(crate) const EXIT: &str = "exit.json";
/// The folder of declared files.
pub(crate) const FILES: &str = "files";
