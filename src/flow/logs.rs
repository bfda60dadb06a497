//! Where services print, by replica.

use super::error::FlowError;
use super::session::Session;
use hive_contract::Address;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The log of one replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogFile {
    /// Whose.
    pub address: Address,
    /// Which replica, from 0.
    pub replica: u32,
    /// Where it is.
    pub path: PathBuf,
}

impl Session {
    /// The logs of these services as they are recorded; of all where none is named.
    ///
    /// # Errors
    /// One of these is not recorded or is no service, or the store cannot be read.
    pub async fn logs(&self, only: &BTreeSet<Address>) -> Result<Vec<LogFile>, FlowError> {
        let head = self.ledger.head().await?.map(|(_, snapshot)| snapshot);
        let Some(head) = head else {
            return match only.first() {
                Some(address) => Err(not_recorded(address)),
                None => Ok(Vec::new()),
            };
        };
        if let Some(address) = only.iter().find(|it| !head.resources.contains_key(*it)) {
            return Err(not_recorded(address));
        }
        if let Some(address) = only.iter().find(|it| it.kind() != "service") {
            return Err(FlowError::Usage(format!("`{address}` is no service, so it has no log")));
        }
        let mut files = Vec::new();
        let services = head.resources.iter().filter(|(address, _)| {
            address.kind() == "service" && (only.is_empty() || only.contains(*address))
        });
        for (address, recorded) in services {
            for part in recorded.parts.values() {
                let Some(place) = head.places.get(&part.place) else { continue };
                let paths =
                    hive_process::logs::paths_of(&self.at.folder, &place.settings, &part.identity);
                files.extend(paths.into_iter().map(|(replica, path)| LogFile {
                    address: address.clone(),
                    replica,
                    path,
                }));
            }
        }
        Ok(files)
    }
}

fn not_recorded(address: &Address) -> FlowError {
    FlowError::Usage(format!("`{address}` is not recorded here: `hive status` lists what is"))
}
