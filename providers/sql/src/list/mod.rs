//! A list of migrations as a resource: what is declared, what a rehearsal found, what speaks
//! against a change of it, and which ways lead back. The engines add how it is done.

mod compare;
mod material;
mod objections;
mod tried;
mod ways;

pub use compare::{Compared, down_of};
pub use material::{DeclaredBaseline, Material, NONE, migration_of};
pub use objections::{mismatched, objections};
pub use tried::{Tried, TriedFile};
pub use ways::ways_back;
