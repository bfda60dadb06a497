//! SQLite: a database file, its migrations, its backups.
