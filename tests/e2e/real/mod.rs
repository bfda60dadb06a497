//! Against real servers, which `tests/parts/get` puts in place: PostgreSQL, PgBouncer, MinIO; and
//! the schemas and histories of other people's tools.

mod adopted;
mod disk;
mod django;
mod hiver;
mod killed;
mod postgres;
mod rehearsed;
mod s3;
mod tls;
mod unwilling;
