#![doc = include_str!("../README.md")]

mod engine;
mod id;
mod listing;
mod lock;
mod plain;
mod pruning;
mod publish;
mod repository;
mod settings;
mod sink;

pub use engine::{Contents, Engine, Job, Proof};
pub use id::{BackupId, now_ms};
pub use listing::{Held, Listing};
pub use plain::{Plain, failure_of};
pub use publish::{ALARM, CLOCK, MANIFEST, Order};
pub use repository::{MARKER, Marker, Repository};
pub use settings::Settings;
pub use sink::Sink;
