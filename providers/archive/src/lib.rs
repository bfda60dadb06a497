//! Backups of folders and git repositories.
