//! The six verbs.

use crate::address::Target;
use crate::change::Change;
use crate::declared::Declared;
use crate::event::Event;
use crate::fingerprint::Fingerprint;
use crate::live::{Ask, Live, Observation};
use crate::lowered::{Invalid, Lowered};
use crate::mark::{Mark, StackMark, Token};
use crate::operation::{Expects, Operation, WayBack};
use crate::outcome::{Failure, FailureKind, Outcome, Resolution, Upgraded};
use crate::path::FieldPath;
use crate::place::Place;
use crate::secret::{SecretRef, Secrets};
use crate::value::{Fields, Value};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

/// A future that any runtime can run.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One system that hive can act on, connected to one place for one apply.
///
/// # Flow
/// `lower` → `observe` → (`rehearse`) → `steps`, and after approval `perform`; after a crash
/// `resolve`, then perhaps `perform` again with the same token.
///
/// # Guarantees asked of a provider
/// - The same token twice is one effect.
/// - `perform` checks the expected content against the live object right before it writes, writes
///   conditioned on the live version where the system can, and asks [`Context::guard`] before
///   every write.
/// - Success means that the thing itself says so.
/// - No secret in any returned value, event or error.
/// - It does not print, retry silently, or read environment variables.
pub trait Provider: Send + Sync {
    /// The name it has in places and records, such as `process`.
    fn name(&self) -> &'static str;

    /// Where it acts.
    fn place(&self) -> Place;

    /// The number of the form in which it writes fields today, counted from 1.
    fn form(&self) -> u32;

    /// Pure. Fields of an older form in today's form. Only for forms other than today's.
    ///
    /// # Errors
    /// The form is newer, or the fields are not what it had.
    fn upgrade(&self, form: u32, fields: Fields) -> Upgraded;

    /// Pure. One declared resource in this provider's terms. All validation is here.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>>;

    /// Reads many parts at once. Errors are per part, so that one broken object does not blind the
    /// rest.
    ///
    /// # Errors
    /// The system as a whole cannot be read.
    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>>;

    /// Pure. Whether trying this change beforehand tells something: see [`Self::rehearse`].
    fn can_rehearse(&self, _change: &Change) -> bool {
        false
    }

    /// Harmless. What would really come of these changes; nothing where the system cannot tell.
    fn rehearse<'a>(
        &'a self,
        changes: &'a [Change],
        _context: &'a Context<'a>,
    ) -> Task<'a, Vec<Result<Rehearsal, Failure>>> {
        Box::pin(async move { changes.iter().map(|_| Ok(Rehearsal::default())).collect() })
    }

    /// Pure. What speaks against a change once the live object is known: an applied migration that
    /// was edited. Nothing is planned then.
    fn objections(&self, _change: &Change) -> Vec<Invalid> {
        Vec::new()
    }

    /// Pure. What the fields of `desired` come to on what is live, where that is ahead of it and stays
    /// so: the newer migrations that a restore without data leaves. `recorded` is what a record
    /// declares of it, where that counts; none where a snapshot comes back. Nothing where live is
    /// to be as declared.
    fn ahead(
        &self,
        _desired: &Lowered,
        _recorded: Option<&Declared>,
        _live: &Live,
    ) -> Option<Fields> {
        None
    }

    /// Pure. What a reviewer should know of a changed declaration that no operation tells.
    fn remarks(
        &self,
        _desired: &Declared,
        _recorded: Option<&Declared>,
        _live: Option<&Live>,
    ) -> Vec<String> {
        Vec::new()
    }

    /// Pure. The ways back from a change as a whole, for the reviewer's table.
    fn ways_back(&self, _change: &Change, _rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
        Vec::new()
    }

    /// Pure. The operations of one change, in order; each is one effect that matters.
    fn steps(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation>;

    /// One effect, or one look of a gate.
    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>>;

    /// What became of a step whose end nobody saw.
    ///
    /// # Errors
    /// The system cannot be read now. Never an excuse to guess.
    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>>;

    /// Pure. Nothing runs, nothing scales it up. Only for what runs.
    fn stop(&self, _change: &Change) -> Vec<Operation> {
        Vec::new()
    }

    /// Pure. The desired fields again, after [`Self::stop`]; the recorded ones where nothing else is
    /// desired.
    fn start(&self, _change: &Change) -> Vec<Operation> {
        Vec::new()
    }
}

/// What `lower` may know beside the resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowerScope {
    /// Whose resource it is.
    pub owner: StackMark,
}

/// What a rehearsal found: facts by name, shown in the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Such as `took`, `longest lock`, `refused by`.
    pub facts: BTreeMap<String, String>,
    /// Fields as the system fills them.
    #[serde(default)]
    pub fields: Fields,
}

/// One step, ready to be performed or looked up. Plain data, without a secret's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Perform {
    /// Which part.
    pub target: Target,
    /// What the live system knows it by.
    pub identity: String,
    /// The mark that what it makes must carry.
    pub mark: Mark,
    /// The operation, with placeholders filled.
    pub operation: Operation,
    /// The content that must be live before it; none where nothing may be there.
    pub expected: Option<Fingerprint>,
    /// The fields that the fingerprint is over.
    pub managed: Vec<FieldPath>,
    /// The id its effect carries.
    pub token: Token,
    /// What a check's command may know of the apply.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

impl Perform {
    /// Compares what is live with what the step expects.
    ///
    /// # Errors
    /// [`FailureKind::Moved`], naming both fingerprints.
    pub fn check_expected(&self, live: Option<&Fields>) -> Result<(), Failure> {
        let found = live.map(|fields| Fingerprint::of_managed(fields, &self.managed));
        let holds = match self.operation.expects {
            Expects::Anything => true,
            Expects::Absent => found.is_none(),
            Expects::Content => found.is_some() && found == self.expected,
        };
        if holds {
            return Ok(());
        }
        Err(Failure::moved(&self.target.to_string(), self.expected.as_ref(), found.as_ref()))
    }
}

/// What a verb that touches the world is lent.
pub struct Context<'a> {
    /// The values of the step's secrets.
    pub secrets: &'a Secrets,
    /// Asked before every write.
    pub guard: &'a dyn Guard,
    /// Where events go.
    pub events: &'a (dyn Fn(Event) + Send + Sync),
    /// Set when hive is asked to stop waiting: gates end at once, effects under way go on to a
    /// point where they can be taken back.
    pub cancel: &'a AtomicBool,
}

impl Context<'_> {
    /// Says that something happened.
    pub fn event(&self, event: Event) {
        (self.events)(event);
    }

    /// Whether to stop waiting.
    pub fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

/// Says whether hive may still write: no, when its lease was last renewed too long ago.
pub trait Guard: Send + Sync {
    /// Asks right before a write.
    ///
    /// # Errors
    /// [`FailureKind::Expired`].
    fn may_write(&self) -> Result<(), Failure>;
}

/// A guard that always says yes, for reads and tests.
pub struct Unguarded;

impl Guard for Unguarded {
    fn may_write(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A guard that always says no.
pub struct NeverWrite;

impl Guard for NeverWrite {
    fn may_write(&self) -> Result<(), Failure> {
        Err(Failure::new(FailureKind::Expired, "this apply no longer holds the lease"))
    }
}

/// Runs one verb with its token in this same hive inside a platform's own network.
pub trait Runner: Send + Sync {
    /// Runs it there and brings back events and the result as JSON.
    fn run<'a>(&'a self, job: &'a Job) -> Task<'a, Result<Value, Failure>>;
}

/// One verb to be run elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Which provider, at which place.
    pub place: Place,
    /// `observe`, `rehearse`, `perform` or `resolve`.
    pub verb: String,
    /// The verb's input as JSON text.
    pub input: String,
    /// Which token, for `perform` and `resolve`.
    pub token: Option<Token>,
}

/// Reads values that live in a provider's system.
pub trait SecretSource: Send + Sync {
    /// The version of a value, where the source has versions.
    fn version<'a>(&'a self, reference: &'a SecretRef)
    -> Task<'a, Result<Option<String>, Failure>>;

    /// The value.
    fn read<'a>(&'a self, reference: &'a SecretRef) -> Task<'a, Result<SecretString, Failure>>;
}
