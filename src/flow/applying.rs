//! From a plan to a changed world: apply, recover, and telling whoever wants to hear.

use super::error::FlowError;
use super::session::Session;
use crate::apply::{self, Interrupt, Progress, Report, Settle};
use crate::plan::Plan;
use crate::registry::Providers;
use hive_contract::fingerprint::hex;

/// What says progress to a person.
pub type Says<'a> = &'a (dyn Fn(Progress) + Send + Sync);

impl Session {
    /// Runs a plan with the providers that it was made with.
    ///
    /// # Errors
    /// It was refused before the first effect, or could not be followed to its end.
    pub async fn apply(
        &self,
        plan: &Plan,
        providers: &Providers,
        command: &str,
        says: Says<'_>,
        interrupt: &Interrupt,
    ) -> Result<Report, FlowError> {
        let lent = self.lend(providers, says, interrupt);
        let report = apply::apply(lent, plan, command, &new_apply_id()).await?;
        self.tell(&report, says).await;
        Ok(report)
    }

    /// Runs a plan that was saved, with the providers that it names.
    ///
    /// # Errors
    /// It is another stack's, or see [`Session::apply`].
    pub async fn apply_saved(
        &self,
        plan: &Plan,
        command: &str,
        says: Says<'_>,
        interrupt: &Interrupt,
    ) -> Result<Report, FlowError> {
        self.check_own(plan).await?;
        let recorded = self.ledger.head().await?.map(|(_, snapshot)| snapshot);
        let providers = self.providers_of(plan, recorded.as_ref()).await?;
        self.apply(plan, &providers, command, says, interrupt).await
    }

    /// Settles an interrupted apply; nothing where none is open.
    ///
    /// # Errors
    /// See [`apply::recover`].
    pub async fn recover(
        &self,
        settle: Settle,
        says: Says<'_>,
        interrupt: &Interrupt,
    ) -> Result<Option<Report>, FlowError> {
        let Some(plan) = self.open_plan().await? else { return Ok(None) };
        let recorded = self.ledger.head().await?.map(|(_, snapshot)| snapshot);
        let providers = self.providers_of(&plan, recorded.as_ref()).await?;
        let lent = self.lend(&providers, says, interrupt);
        let report = apply::recover(lent, settle).await?;
        if let Some(report) = &report {
            self.tell(report, says).await;
        }
        Ok(report)
    }

    /// The plan of the apply that is open, where one is.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open_plan(&self) -> Result<Option<Plan>, FlowError> {
        Ok(apply::open_plan(&self.ledger).await?)
    }

    /// Refuses a plan of another stack, environment or store.
    ///
    /// # Errors
    /// It is another one's, or the store cannot be read.
    pub async fn check_own(&self, plan: &Plan) -> Result<(), FlowError> {
        let ours = (&self.stack, self.at.full_environment());
        if (&plan.stack, &plan.environment) != (ours.0, &ours.1) {
            return Err(FlowError::OtherPlan(format!(
                "the plan is of the stack `{}` in {}, and here is `{}` in {}",
                plan.stack, plan.environment, ours.0, ours.1
            )));
        }
        let store = self.ledger.store_id().await?;
        if plan.store.is_some() && plan.store != store {
            return Err(FlowError::OtherPlan(
                "the plan was made with another store than the one here".to_owned(),
            ));
        }
        Ok(())
    }
}

/// A new id for an apply: 16 hex digits at random.
fn new_apply_id() -> String {
    let mut bytes = [0u8; 8];
    // Without randomness nothing of hive is safe; the system's source fails only in a broken system.
    getrandom::fill(&mut bytes).expect("the system's source of randomness works");
    hex(&bytes)
}
