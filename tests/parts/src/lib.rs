//! The real servers that tests run against. For tests alone: nothing here is part of hive, and
//! what cannot be had panics with the reason.

#![allow(
    clippy::disallowed_methods,
    reason = "tests wait for servers, and are told where they are"
)]

mod authority;
mod minio;
mod pgbouncer;
mod place;
mod postgres;
mod proxy;
mod server;
mod stored;

pub use authority::{Authority, Certificate};
pub use minio::Minio;
pub use pgbouncer::PgBouncer;
pub use place::{cache, part, program};
pub use postgres::{PASSWORD, Postgres, USER};
pub use proxy::{Fault, Proxy};
pub use server::{alive, free_port};
