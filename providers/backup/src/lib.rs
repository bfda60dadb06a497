#![doc = include_str!("../README.md")]

mod engine;
mod frame;
mod id;
mod listing;
mod live;
mod lock;
mod lower;
mod plain;
mod pruning;
mod publish;
mod repository;
mod runs;
mod schedule;
mod seen;
mod settings;
mod sink;
mod steps;

pub use engine::{Contents, Engine, Job, Proof};
pub use frame::Backups;
pub use id::{BackupId, now_ms};
pub use listing::{Held, Listing};
pub use live::marked;
pub use lower::lower_backup;
pub use plain::{Plain, failure_of};
pub use publish::{ALARM, CLOCK, MANIFEST, Order, SMALLER};
pub use repository::{MARKER, Marker, Repository};
pub use schedule::Schedule;
pub use seen::{Seen, measured};
pub use settings::Settings;
pub use sink::Sink;
pub use steps::{ADOPT, BACKUP, PRUNE, REGISTER, RELEASE, UNMARK, VERIFY, steps_backup};
