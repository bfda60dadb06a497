//! One question to a provider, with the values of the secrets that it needs to ask.

use super::model::SecretReader;
use hive_contract::value::secrets_in;
use hive_contract::{Ask, Failure, Observation, Provider, Secrets};

/// Asks a provider. A secret that has no value here is left out: whoever needs it says so.
///
/// # Errors
/// The system as a whole cannot be read.
pub async fn look(
    provider: &dyn Provider,
    reader: &dyn SecretReader,
    ask: &Ask,
) -> Result<Observation, Failure> {
    let mut secrets = Secrets::default();
    for reference in ask.parts.iter().flat_map(|it| secrets_in(&it.access)) {
        if let Ok(value) = reader.read(&reference).await {
            secrets.insert(reference, value);
        }
    }
    provider.observe(ask, &secrets).await
}
