//! Where a command stands: the folder, the environment, and what the outside lends it.

use secrecy::SecretString;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// Reads one variable of hive's own environment; none where it is not set.
pub type ReadVariable = Arc<dyn Fn(&str) -> Option<SecretString> + Send + Sync>;

/// What a command is about, and everything that it takes from outside of stack and store.
#[derive(Clone)]
pub struct Where {
    /// The stack's folder.
    pub folder: PathBuf,
    /// The environment.
    pub environment: String,
    /// The instance of it, where one is named.
    pub instance: Option<String>,
    /// Variables given by `--var`.
    pub vars: BTreeMap<String, String>,
    /// Variables given by `HIVE_VAR_…`.
    pub env_vars: BTreeMap<String, String>,
    /// Where programs are looked for.
    pub path: Option<OsString>,
    /// User and host, as written into journals.
    pub who: String,
    /// Reads secrets that stand in hive's environment.
    pub variable: ReadVariable,
    /// How many steps may run at once: as a person says, else as the stack does.
    pub parallel: Option<u32>,
}

impl Where {
    /// The environment with its instance: `dev+feature`.
    pub fn full_environment(&self) -> String {
        match &self.instance {
            Some(instance) => format!("{}+{instance}", self.environment),
            None => self.environment.clone(),
        }
    }
}
