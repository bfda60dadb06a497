//! PostgreSQL itself: a server of our own, and a witness that asks it with `psql` alone.

mod backups;
mod baselines;
mod conforms;
mod crashes;
mod failures;
mod files;
mod lab;
mod rehearsals;
mod restores;
mod roles;
mod touched;
