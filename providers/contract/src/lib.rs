//! The contract between hive and what it acts on: nouns as plain data, and the six verbs.
//!
//! This crate does no I/O and knows no runtime. Everything a provider is given or gives back is
//! plain data, so that a verb may run somewhere else ([`provider::Runner`]) without noticing.

pub mod address;
pub mod change;
pub mod declared;
pub mod event;
pub mod fingerprint;
pub mod live;
pub mod lowered;
pub mod mark;
pub mod operation;
pub mod outcome;
pub mod path;
pub mod place;
pub mod provider;
pub mod secret;
#[cfg(feature = "testing")]
pub mod testing;
pub mod value;

pub use address::{Address, Target};
pub use change::{Action, Change, Difference, Reason, ReplaceOrder};
pub use declared::{Declared, Ignore};
pub use event::{Event, Level};
pub use fingerprint::Fingerprint;
pub use live::{Ask, AskOne, Facts, Live, Observation, Observed, Status};
pub use lowered::{Invalid, Lowered, Output, Sort};
pub use mark::{Mark, StackMark, Token};
pub use operation::{Expects, Operation, Phase, Retry, Reversible, Undo, WayBack};
pub use outcome::{Failure, FailureKind, Outcome, Remains, Resolution};
pub use path::FieldPath;
pub use place::Place;
pub use provider::{
    Context, Guard, LowerScope, Perform, Provider, Rehearsal, Runner, SecretSource, Task,
};
pub use secret::{SecretRef, Secrets};
pub use value::{Fields, Format, OutputRef, Pick, Value};
