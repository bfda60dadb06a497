//! The only place that prints. Everything else gives data; here it becomes what a person reads.
//!
//! The functions that make text are pure: data, a [`Style`] and nothing else. [`Screen`] owns the
//! two streams. Whatever comes from outside (names, log lines, values) passes [`clean`] before it
//! is shown, so that nothing from outside can move a cursor, hide a line or break a page.

pub mod backups;
pub mod clean;
pub mod error;
pub mod explain;
pub mod history;
pub mod lease;
pub mod line;
pub mod logs;
pub mod migrations;
pub mod output;
pub mod plan_html;
pub mod plan_json;
pub mod plan_markdown;
pub mod plan_text;
pub mod problem;
pub mod progress;
pub mod reading;
pub mod rebuilt;
pub mod report;
pub mod screen;
pub mod site;
pub mod snapshot;
pub mod status;
pub mod style;
pub mod trying;
pub mod value;
mod way_back;
pub mod words;

#[cfg(test)]
pub(crate) mod samples;

pub use progress::ProgressMode;
pub use reading::About;
pub use screen::Screen;
pub use site::Site;
pub use style::{Paint, Style};
