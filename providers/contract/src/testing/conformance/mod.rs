//! The suite that every provider passes. A provider gives it [`Fixtures`] and nothing else.
//!
//! ```ignore
//! #[tokio::test(start_paused = true)]
//! async fn conforms() {
//!     let not_offered = conformance::run(&Mine::new()).await.unwrap();
//!     assert_eq!(not_offered, ["unavailable"]);
//! }
//! ```

mod gates;
mod kills;
mod life;
mod owners;
mod pure;
mod suite;
mod troubles;

use crate::declared::Declared;
use crate::lowered::Sort;
use crate::mark::StackMark;
use crate::provider::{Provider, Task};
use crate::value::Fields;
use std::sync::Arc;
use suite::Suite;

/// The value of every secret in the suite. A fixture may look for it in files and process tables.
pub const CANARY: &str = "hive-canary-5f1c0a7e";

/// What the suite is given: one system, empty at first, and one resource in a few versions.
pub trait Fixtures: Send + Sync {
    /// A provider connected anew, always to the same system: what a restarted hive would have.
    fn provider(&self) -> Arc<dyn Provider>;

    /// Whose resource it is.
    fn owner(&self) -> StackMark;

    /// The resource. Version 2 differs from 1 in fields that a live object can change. Of a gate,
    /// version 1 holds and version 2 does not. Its fields hold no output of another resource.
    fn declared(&self, version: u32) -> Declared;

    /// Whether a live object of it has a field that can change. Where not, version 2 is version 1,
    /// and what the suite asks of an update it asks of a delete.
    fn changes(&self) -> bool {
        true
    }

    /// The same resource with another value in a field that no live object can change.
    fn replaced(&self) -> Option<Declared> {
        None
    }

    /// The same resource with a secret in it. The suite hands [`CANARY`] over for each.
    fn with_secret(&self) -> Option<Declared> {
        None
    }

    /// Fields of every older form that was released: its number, the fields, the same today.
    fn forms(&self) -> Vec<(u32, Fields, Fields)> {
        Vec::new()
    }

    /// Makes the system misbehave until [`Self::calm`]; none where the fixture cannot.
    fn trouble(&self, _trouble: Trouble) -> Option<Task<'_, ()>> {
        None
    }

    /// The system behaves again.
    fn calm(&self) -> Task<'_, ()> {
        Box::pin(async {})
    }

    /// Takes away what outlives a delete, such as the data of a database: every check begins on an
    /// empty system.
    fn wipe(&self) -> Task<'_, ()> {
        Box::pin(async {})
    }

    /// What is there, told without the provider: equal texts mean that nothing changed between.
    /// Where there is none, the suite asks the provider.
    fn witness(&self) -> Option<Task<'_, String>> {
        None
    }

    /// How many polls of `perform` the suite cuts it off after, one after the other.
    fn polls(&self) -> u32 {
        24
    }
}

/// How a system misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It refuses us.
    Forbidden,
    /// It cannot be reached, or asks to slow down.
    Unavailable,
    /// What it says makes no sense.
    Malformed,
    /// An effect takes longer than half a second.
    Slow,
    /// What is made now does not work.
    Unhealthy,
    /// Somebody else changes a declared field of the live object, once, at once.
    Meddled,
    /// Somebody else takes the live object away, once, at once.
    Gone,
}

/// What a check came to.
enum Verdict {
    Holds,
    /// The fixtures or the provider have nothing for it.
    NotOffered,
}

type Checked = Result<Verdict, String>;

/// Runs every check, each on an empty system.
///
/// The names of the checks that were not offered are given back, so that a test can say exactly
/// which they are and notices when one is gone.
///
/// # Errors
/// Each check that does not hold, with its name and what was seen.
pub async fn run(fixtures: &dyn Fixtures) -> Result<Vec<&'static str>, Vec<String>> {
    let suite = Suite::new(fixtures);
    let mut report = Report::default();
    match suite.lower(&fixtures.declared(1)).map(|lowered| lowered.sort) {
        Err(why) => report.wrong.push(format!("lower: {why}")),
        Ok(Sort::Object) => objects(&suite, &mut report).await,
        Ok(Sort::Gate) => gates(&suite, &mut report).await,
        Ok(Sort::Notice) => {
            report.take("pure", pure::holds(&suite));
            report.take("no step", gates::notice_has_no_step(&suite));
        }
    }
    report.take("upgrade", pure::upgrades(&suite));
    report.take("no secret shown", suite.no_canary());
    if report.wrong.is_empty() { Ok(report.not_offered) } else { Err(report.wrong) }
}

#[derive(Default)]
struct Report {
    not_offered: Vec<&'static str>,
    wrong: Vec<String>,
}

impl Report {
    fn take(&mut self, name: &'static str, checked: Checked) {
        match checked {
            Ok(Verdict::Holds) => {}
            Ok(Verdict::NotOffered) => self.not_offered.push(name),
            Err(why) => self.wrong.push(format!("{name}: {why}")),
        }
    }
}

/// Runs one check on an empty system, and says where a check before it left something.
macro_rules! check {
    ($suite:expr, $report:expr, $name:literal, $check:expr) => {
        match $suite.clear().await {
            Ok(()) => $report.take($name, $check.await),
            Err(why) => $report.take($name, Err(format!("cannot begin: {why}"))),
        }
    };
}

async fn objects(suite: &Suite<'_>, report: &mut Report) {
    report.take("pure", pure::holds(suite));
    check!(suite, report, "create", life::create(suite));
    check!(suite, report, "update", life::update(suite));
    check!(suite, report, "update undone", life::update_undone(suite));
    check!(suite, report, "delete", life::delete(suite));
    check!(suite, report, "delete undone", life::delete_undone(suite));
    check!(suite, report, "replace", life::replace(suite));
    check!(suite, report, "run", life::run_again(suite));
    check!(suite, report, "stop and start", life::stop_and_start(suite));
    check!(suite, report, "forget and adopt", owners::forget_and_adopt(suite));
    check!(suite, report, "adopt another", owners::adopt_another(suite));
    check!(suite, report, "second owner", owners::second_owner(suite));
    check!(suite, report, "marked", owners::marked(suite));
    check!(suite, report, "same token twice", kills::same_token_twice(suite));
    check!(suite, report, "sealed", kills::sealed(suite));
    check!(suite, report, "killed create", kills::killed_create(suite));
    check!(suite, report, "killed update", kills::killed_update(suite));
    check!(suite, report, "killed delete", kills::killed_delete(suite));
    check!(suite, report, "guarded create", kills::guarded_create(suite));
    check!(suite, report, "guarded update", kills::guarded_update(suite));
    check!(suite, report, "guarded delete", kills::guarded_delete(suite));
    check!(suite, report, "cancelled", troubles::cancelled(suite));
    check!(suite, report, "stale", troubles::stale(suite));
    check!(suite, report, "secret", troubles::secret(suite));
    check!(suite, report, "forbidden", troubles::forbidden(suite));
    check!(suite, report, "unavailable", troubles::unavailable(suite));
    check!(suite, report, "malformed", troubles::malformed(suite));
    check!(suite, report, "slow", troubles::slow(suite));
    check!(suite, report, "unhealthy", troubles::unhealthy(suite));
    check!(suite, report, "meddled", troubles::meddled(suite));
    check!(suite, report, "gone", troubles::gone(suite));
    if let Err(why) = suite.clear().await {
        report.take("clear", Err(why));
    }
}

async fn gates(suite: &Suite<'_>, report: &mut Report) {
    report.take("pure", pure::holds(suite));
    report.take("holds", gates::holds(suite).await);
    report.take("does not hold", gates::does_not_hold(suite).await);
    report.take("cut short", gates::cut_short(suite).await);
    report.take("resolve", gates::resolves(suite).await);
    report.take("secret", gates::secret(suite).await);
}

#[cfg(test)]
mod tests;
