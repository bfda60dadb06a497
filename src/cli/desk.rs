//! What every command is given: the screen, the outside, and where it stands.

use super::args::Everywhere;
use super::ended::Ended;
use super::environment::{self, Environment};
use super::target;
use crate::flow::{Session, SystemClock, Where};
use crate::render::{Screen, Site};
use hive_state::Clock;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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
    /// Where the command stands, once it has found its stack.
    site: Mutex<Site>,
}

impl Desk {
    /// A desk before anything is known of a stack.
    pub fn new(screen: Screen, outside: Environment, everywhere: Everywhere) -> Self {
        Self { screen, outside, everywhere, site: Mutex::default() }
    }

    /// Where the command stands, for the command lines that it prints.
    pub fn site(&self) -> Site {
        self.site.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers where the command stands.
    pub fn stands(&self, at: &Where) {
        let environment = Some(at.environment.as_str()).filter(|it| *it != ENVIRONMENT);
        let site = Site::of(&self.outside.folder, &at.folder, environment, at.instance.as_deref());
        *self.site.lock().unwrap_or_else(PoisonError::into_inner) = site;
    }

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
        let at = Where {
            folder,
            environment: environment.unwrap_or_else(|| ENVIRONMENT.to_owned()),
            instance: self.everywhere.instance.clone(),
            vars: self.everywhere.vars.iter().cloned().collect(),
            env_vars: self.outside.variables.clone(),
            path: self.outside.path.clone(),
            who: self.outside.who.clone(),
            variable: environment::variable(),
            parallel,
        };
        self.stands(&at);
        at
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
            let text = self.site().complete(text);
            self.screen.message(&crate::render::line::note(&text, style));
        }
    }
}
