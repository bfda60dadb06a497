//! Whole lives of databases, seen with SQLite alone.

mod lives;
mod restores;
mod troubles;
mod world;
