//! What every command is given: the screen, the outside, and where it stands.

use super::args::Everywhere;
use super::ended::Ended;
use super::environment::{self, Environment};
use super::target;
use crate::flow::{Session, SystemClock, Where};
use crate::render::Screen;
use hive_state::Clock;
use std::path::{Path, PathBuf};

/// The environment where nobody names one.
pub const ENVIRONMENT: &str = "dev";

/// What every command is given.
pub struct Desk {
    /// Where everything is printed.
    pub screen: Screen,
    /// What the outside says.
    pub outside: Environment,
    /// What holds for every command.
    pub everywhere: Everywhere,
}

impl Desk {
    /// The folder that a command is about.
    ///
    /// # Errors
    /// It is not there.
    pub fn folder(&self, given: Option<&Path>) -> Result<PathBuf, Ended> {
        target::folder(&self.outside.folder, given)
    }

    /// Where a command stands.
    pub fn at(&self, folder: PathBuf, parallel: Option<u32>) -> Where {
        let environment = self.everywhere.environment.clone();
        Where {
            folder,
            environment: environment.unwrap_or_else(|| ENVIRONMENT.to_owned()),
            instance: self.everywhere.instance.clone(),
            vars: self.everywhere.vars.iter().cloned().collect(),
            env_vars: self.outside.variables.clone(),
            path: self.outside.path.clone(),
            who: self.outside.who.clone(),
            variable: environment::variable(),
            parallel,
        }
    }

    /// Opens the stack and its store.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub async fn open(&self, folder: PathBuf, parallel: Option<u32>) -> Result<Session, Ended> {
        Ok(Session::open(self.at(folder, parallel)).await?)
    }

    /// Opens the store alone: for what must work with any TOML or none.
    ///
    /// # Errors
    /// There is neither a stack nor a store.
    pub async fn open_store(
        &self,
        folder: PathBuf,
        parallel: Option<u32>,
    ) -> Result<Session, Ended> {
        Ok(Session::open_store(self.at(folder, parallel)).await?)
    }

    /// Now, in milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> u64 {
        SystemClock.wall_ms()
    }
}

impl Desk {
    /// Says something that is neither result nor error.
    pub fn note(&self, text: &str) {
        if !self.everywhere.quiet {
            let style = self.screen.message_style();
            self.screen.message(&crate::render::line::note(text, style));
        }
    }
}
