//! A PostgreSQL server of one's own, and the witness that asks it.

use crate::authority::Certificate;
use crate::place;
use crate::server::{Server, User, free_port};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The superuser of every server here.
pub const USER: &str = "keeper";
/// Its password: found nowhere but where hive was told it.
pub const PASSWORD: &str = "canary-Pw-7e1b";

/// One server with a data folder of its own on a free port of the loopback interface. It syncs
/// nothing: what is committed survives `kill -9`, and no power cut.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    server: Option<Server>,
    folder: tempfile::TempDir,
    settings: Vec<String>,
}

static DATABASES: AtomicU64 = AtomicU64::new(0);

impl Postgres {
    /// A server of one's own.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with settings, such as `max_connections=10`.
    #[must_use]
    pub fn with(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("hive-pg").tempdir().expect("a folder");
        User::give(folder.path());
        let mut postgres = Self {
            folder,
            port: free_port(),
            server: None,
            settings: settings.iter().map(|it| (*it).to_owned()).collect(),
        };
        postgres.make();
        postgres.up();
        postgres
    }

    /// A server that talks TLS with this certificate, and nothing else.
    #[must_use]
    pub fn with_tls(certificate: &Certificate) -> Self {
        let server = Self::with(&[
            "ssl=on",
            &format!("ssl_cert_file={}", certificate.certificate.display()),
            &format!("ssl_key_file={}", certificate.key.display()),
        ]);
        let rules = server.data().join("pg_hba.conf");
        fs::write(&rules, "hostssl all all 127.0.0.1/32 scram-sha-256\n").expect("a file");
        server.psql("postgres", "SELECT pg_reload_conf()");
        server
    }

    /// The server that tests of one binary share, each with databases of its own. Who kills a
    /// server starts its own.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The port that it listens on, at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of PostgreSQL's programs: pg_dump, psql.
    #[must_use]
    pub fn programs() -> PathBuf {
        place::postgres()
    }

    /// The url of a database, for the superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_of(USER, PASSWORD, database)
    }

    /// The url of a database for a user.
    #[must_use]
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The name of a database that is not there yet.
    #[must_use]
    pub fn unused(&self) -> String {
        format!("db{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed))
    }

    /// A new, empty database.
    #[must_use]
    pub fn database(&self) -> String {
        let name = self.unused();
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// What a statement yields: a line a row, columns split by `|`.
    ///
    /// # Panics
    /// Where the statement fails.
    #[track_caller]
    pub fn psql(&self, database: &str, sql: &str) -> String {
        match self.try_psql(database, sql) {
            Ok(rows) => rows,
            Err(message) => panic!("psql {database}: {message}\n{sql}"),
        }
    }

    /// The same, or the server's message.
    ///
    /// # Errors
    /// What psql printed to stderr.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = self.psql_command(database).args(["-c", sql]).output().expect("psql starts");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    /// psql against a database, as the superuser; for a session that stays open, give it a pipe.
    #[must_use]
    pub fn psql_command(&self, database: &str) -> Command {
        let mut command = Command::new(Self::programs().join("psql"));
        command
            .env_clear()
            .env("PGPASSWORD", PASSWORD)
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER])
            .args(["-p", &self.port.to_string(), "-d", database])
            .stdin(Stdio::null());
        command
    }

    /// The checksum of all rows of all tables of the schemas that are not the server's or
    /// hive's own, and of how many there are; order-free.
    #[must_use]
    pub fn rows(&self, database: &str) -> String {
        let tables = self.psql(
            database,
            "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) \
             FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema \
             NOT IN ('pg_catalog', 'information_schema', 'hive') ORDER BY 1",
        );
        tables
            .lines()
            .map(|table| {
                let sum = self.psql(
                    database,
                    &format!(
                        "SELECT count(*) || ' ' || md5(coalesce(string_agg(md5(t::text), '' \
                         ORDER BY md5(t::text)), '')) FROM {table} t"
                    ),
                );
                format!("{table} {sum}\n")
            })
            .collect()
    }

    /// The schema as pg_dump tells it, without hive's own.
    #[must_use]
    pub fn schema(&self, database: &str) -> String {
        self.dump(database, &["--no-owner"])
    }

    fn dump(&self, database: &str, more: &[&str]) -> String {
        let output = Command::new(Self::programs().join("pg_dump"))
            .env_clear()
            .env("PGPASSWORD", PASSWORD)
            .args(["--schema-only", "--exclude-schema=hive", "-h", "127.0.0.1"])
            .args(more)
            .args(["-U", USER, "-p", &self.port.to_string(), database])
            .output()
            .expect("pg_dump starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Newer ones guard the dump with a word made by chance.
        text.lines()
            .filter(|it| !it.starts_with("--") && !it.starts_with('\\') && !it.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// What a database refers to outside of itself, and what is said of it from outside, as the
    /// server and its own `pg_dump` tell it: roles, owners, grants, settings, limits. Without the
    /// roles of servers, and of whoever asks.
    #[must_use]
    pub fn surroundings(&self, database: &str, but: &[&str]) -> String {
        let but = but.iter().map(|it| format!("'{it}'")).collect::<Vec<_>>().join(", ");
        let about = format!(
            "SELECT 'database', pg_get_userbyid(datdba), datconnlimit FROM pg_database \
               WHERE datname = '{database}'; \
             SELECT 'grant', a.grantee::regrole::text, a.grantor::regrole::text, privilege_type, is_grantable \
               FROM pg_database, aclexplode(datacl) a WHERE datname = '{database}' ORDER BY 2, 3, 4; \
             SELECT 'setting', setrole::regrole::text, setconfig FROM pg_db_role_setting s \
               JOIN pg_database d ON d.oid = setdatabase WHERE datname = '{database}' ORDER BY 2; \
             SELECT 'role', rolname, rolcanlogin, rolinherit, rolconnlimit, rolcreatedb \
               FROM pg_roles WHERE rolname !~ '^pg_' AND rolname NOT IN ({but}) ORDER BY 2; \
             SELECT 'member', roleid::regrole::text, member::regrole::text FROM pg_auth_members \
               JOIN pg_roles r ON r.oid = member JOIN pg_roles g ON g.oid = roleid \
               WHERE g.rolname !~ '^pg_' AND r.rolname NOT IN ({but}) ORDER BY 2, 3"
        );
        format!("{}\n{}", self.psql("postgres", &about), self.dump(database, &[]))
    }

    /// Every database but the server's own, in order.
    #[must_use]
    pub fn databases(&self) -> Vec<String> {
        let sql = "SELECT datname FROM pg_database WHERE NOT datistemplate \
                   AND datname <> 'postgres' ORDER BY 1";
        self.psql("postgres", sql).lines().map(str::to_owned).collect()
    }

    /// Ends every process of the server at once.
    pub fn kill(&mut self) {
        drop(self.server.take().expect("it runs"));
    }

    /// Starts it again after [`Postgres::kill`], on the same port.
    pub fn restart(&mut self) {
        assert!(self.server.is_none(), "it runs");
        self.up();
    }

    /// The folder of its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn make(&self) {
        let words = self.folder.path().join("password");
        fs::write(&words, PASSWORD).expect("a file");
        User::give(&words);
        let mut command = Command::new(Self::programs().join("initdb"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.folder.path())
            .arg("-D")
            .arg(self.data())
            .args(["-U", USER, "-A", "scram-sha-256", "--no-sync", "--locale=C", "-E", "UTF8"])
            .arg("--pwfile")
            .arg(&words);
        let output = User::of(&mut command).output().expect("initdb starts");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn up(&mut self) {
        let folder = self.folder.path();
        let mut command = Command::new(Self::programs().join("postgres"));
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(folder).arg("-D");
        command.arg(self.data());
        let port = format!("port={}", self.port);
        let sockets = format!("unix_socket_directories={}", folder.display());
        let mut settings = vec![
            "listen_addresses=127.0.0.1",
            &port,
            &sockets,
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=32MB",
            "max_connections=50",
            "log_min_messages=warning",
        ];
        settings.extend(self.settings.iter().map(String::as_str));
        for setting in settings {
            command.args(["-c", setting]);
        }
        let own = self.data().display().to_string();
        let ready = || self.try_psql("postgres", "SHOW data_directory").is_ok_and(|it| it == own);
        let log = folder.join("server.log");
        self.server = Some(Server::start("postgres", User::of(&mut command), &log, ready));
    }

    /// What the server wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// Where a file of the server may be put, such as a certificate.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
