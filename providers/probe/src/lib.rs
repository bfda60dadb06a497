//! Single looks at whether something works: by HTTP, by TCP, by a command.
//!
//! Each probe looks once and says what it saw. When to look again, and for how long, is the
//! caller's. An error is a lower-case fragment that says what was wrong and never repeats the
//! address, which may be made of a secret.

mod command;
mod http;
mod tcp;

pub use command::{Ran, Run, command};
pub use http::http;
pub use tcp::tcp;

use std::time::Duration;

/// A duration in the words of the stack language: `250ms`, `30s`.
fn words(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}
