//! A stack checked without any call: its files, and each provider's word about what is declared.

use super::error::FlowError;
use super::session::Session;
use crate::plan;

impl Session {
    /// Checks everything that can be checked without looking at anything live.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub async fn validate(&self) -> Result<(), FlowError> {
        let providers = self.providers(None).await?;
        let declared = self.toml()?;
        let desired =
            plan::desire(&declared.declared, &providers).map_err(|wrong| self.wrong(wrong))?;
        let problems = declared.check_lowered(&desired);
        if problems.is_empty() { Ok(()) } else { Err(FlowError::Stack(problems)) }
    }
}
