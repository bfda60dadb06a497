//! Whole lives of databases, seen with SQLite alone.

mod deaths;
mod lives;
mod restores;
mod troubles;
mod world;
