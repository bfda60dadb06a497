//! A list of migrations as a resource: what is declared, what a rehearsal found, what speaks
//! against a change of it, its operations, and which ways lead back. The engines add how it is done.

mod accept;
mod ahead;
mod apply;
mod back;
mod begin;
mod compare;
mod making;
mod material;
mod notes;
mod objections;
mod rows;
mod taken;
mod told;
mod tried;
mod ways;

pub use ahead::{ahead, is_ahead, remarks};
pub use begin::{begin_title, counted};
pub use compare::{Compared, down_of};
pub use making::{ACCEPT, BACKUP, DOWN, FILES, MIGRATE, Making, RAW, RESUME, ROWS, SCHEMA};
pub use material::{DeclaredBaseline, Material, NONE, migration_of};
pub use objections::{mismatched, objections};
pub use rows::{row_value, rows_of};
pub use taken::{FOREIGN, foreign_of, no_history, not_taken, take_over, taken_over};
pub use told::{DRIFT, HALF, HISTORY, drift_of, history_lines, history_of};
pub use tried::{Tried, TriedFile};
pub use ways::ways_back;
