//! PostgreSQL: a database, its migrations, its backups.
