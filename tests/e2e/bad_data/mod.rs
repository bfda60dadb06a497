//! What wrong migrations, broken backups and unwilling databases get: an exit code, a message that
//! names what is wrong, and nothing lost.

mod backups;
mod files;
mod world;
