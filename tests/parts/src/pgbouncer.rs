//! A pooler in front of a PostgreSQL.

use crate::place;
use crate::postgres::{PASSWORD, Postgres, USER};
use crate::server::{Server, User, free_port, listens};
use std::fs;
use std::process::Command;

/// PgBouncer in transaction mode: the mode that breaks what a session holds.
#[derive(Debug)]
pub struct PgBouncer {
    _server: Server,
    _folder: tempfile::TempDir,
    port: u16,
}

impl PgBouncer {
    /// In front of every database of a server, in transaction mode.
    #[must_use]
    pub fn start(before: &Postgres) -> Self {
        let folder = tempfile::Builder::new().prefix("hive-pool").tempdir().expect("a folder");
        User::give(folder.path());
        let port = free_port();
        let users = folder.path().join("users.txt");
        fs::write(&users, format!("\"{USER}\" \"{PASSWORD}\"\n")).expect("a file");
        User::give(&users);
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\n\
             auth_file = {}\npool_mode = transaction\nmax_client_conn = 50\n\
             default_pool_size = 5\nignore_startup_parameters = extra_float_digits,options\n",
            before.port(),
            users.display()
        );
        fs::write(&settings, text).expect("a file");
        User::give(&settings);
        let mut command = Command::new(place::pgbouncer());
        command.env_clear().current_dir(folder.path()).arg(&settings);
        let log = folder.path().join("pool.log");
        let server = Server::start("pgbouncer", User::of(&mut command), &log, || listens(port));
        Self { _server: server, _folder: folder, port }
    }

    /// The url of a database through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }
}
