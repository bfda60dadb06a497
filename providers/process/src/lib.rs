#![doc = include_str!("../README.md")]

mod claims;
mod diagnosis;
mod ending;
mod health;
pub mod keeper;
mod layout;
mod listeners;
pub mod logs;
mod lower;
mod observe;
mod outputs;
mod perform;
mod private;
pub mod program;
mod programs;
mod record;
mod resolve;
mod roll;
mod scan;
mod settings;
mod spec;
mod start;
mod steps;
mod view;

use crate::claims::Claims;
pub use crate::health::Settling;
use crate::layout::Layout;
use crate::logs::Rotation;
use crate::scan::Scan;
use crate::view::View;
use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::value::Fields;
use hive_contract::{
    Ask, Change, Context, Declared, Failure, Invalid, LowerScope, Lowered, Observation, Operation,
    Outcome, Perform, Place, Provider, Rehearsal, Resolution, Secrets, Task,
};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The form in which this provider writes fields today.
const FORM: u32 = 1;

/// Services as detached processes on this machine, below one stack's folder.
pub struct Process {
    pub(crate) layout: Layout,
    place: Place,
    /// The range that ports are chosen from.
    pub(crate) ports: (u16, u16),
    /// Where programs are looked up.
    pub(crate) path: Option<OsString>,
    /// What every service's environment begins with.
    pub(crate) base: Vec<(String, String)>,
    /// The program that keeps services.
    pub(crate) keeper: PathBuf,
    /// When logs are turned over.
    pub(crate) rotation: Rotation,
    /// When a replica is believed.
    pub(crate) settling: Settling,
}

impl Process {
    /// Connects to this machine for the stack in `folder`, with the settings of
    /// `[platform.process]`.
    ///
    /// # Errors
    /// A setting is wrong, or there is no such folder.
    pub fn connect(folder: &Path, settings: &Fields) -> Result<Self, Failure> {
        settings::connect(folder, settings)
    }

    /// The same, kept by another program than the running one: for tests, whose program is not
    /// hive.
    #[must_use]
    pub fn kept_by(mut self, program: &Path) -> Self {
        self.keeper = program.to_owned();
        self
    }

    /// The same with logs turned over at another length.
    #[must_use]
    pub fn turning_logs(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// The same with replicas believed sooner or later.
    #[must_use]
    pub fn settling(mut self, settling: Settling) -> Self {
        self.settling = settling;
        self
    }

    pub(crate) fn claims(&self) -> Claims {
        Claims::new(self.layout.claims())
    }

    pub(crate) fn view(&self, identity: &str) -> Result<View, Failure> {
        View::load(&self.layout, identity, &Scan::read()?)
    }
}

impl Provider for Process {
    fn name(&self) -> &'static str {
        settings::NAME
    }

    fn place(&self) -> Place {
        self.place.clone()
    }

    fn form(&self) -> u32 {
        FORM
    }

    fn upgrade(&self, form: u32, fields: Fields) -> Upgraded {
        match form {
            FORM => Ok(fields),
            form if form > FORM => Err(UpgradeError::Newer { form, known: FORM }),
            form => Err(UpgradeError::Malformed { form, field: "fields of that form".to_owned() }),
        }
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        lower::lower(declared, scope)
    }

    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        _secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        Box::pin(async move { observe::observe(self, ask) })
    }

    fn steps(&self, change: &Change, _rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        steps::steps(change)
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        Box::pin(perform::perform(self, request, context))
    }

    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        Box::pin(async move { resolve::resolve(self, request, context) })
    }

    fn stop(&self, change: &Change) -> Vec<Operation> {
        steps::suspend(change)
    }

    fn start(&self, change: &Change) -> Vec<Operation> {
        steps::resume(change)
    }
}
