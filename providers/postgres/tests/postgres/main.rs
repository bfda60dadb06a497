//! PostgreSQL itself: a server of our own, and a witness that asks it with `psql` alone.

mod conforms;
mod failures;
mod files;
mod lab;
