//! The flow: stack, store and providers opened, observed, planned, applied.

pub mod applying;
pub mod ask;
pub mod clock;
pub mod error;
pub mod foreign;
pub mod history;
pub mod logs;
pub mod observe;
pub mod outside;
pub mod place;
pub mod planning;
pub mod saved;
pub mod secret;
pub mod session;
pub mod status;
pub mod tell;
pub mod validate;

pub use applying::Says;
pub use ask::{Ask, Want};
pub use clock::SystemClock;
pub use error::FlowError;
pub use history::{Applied, AppliedStep};
pub use logs::LogFile;
pub use place::{ReadVariable, Where};
pub use planning::Planned;
pub use saved::{read_plan, write_plan};
pub use session::Session;
pub use status::{Drifted, PartStatus, Status};
