//! A bucket whose server misbehaves, and one on a real server.

mod faults;
#[cfg(feature = "real-parts")]
mod minio;
mod scripted;
mod stalls;
