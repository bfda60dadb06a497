//! What a database refers to outside of itself, on a server that has none of it.

use crate::backups::{backup, backups, restoring, run, taken};
use crate::lab::{Lab, PASSWORD, ROLE, declared};
use hive_contract::{Action, Failure, FailureKind, Lowered, Operation, Outcome, Undo, Value};
use hive_parts::{PASSWORD as KEEPERS, Postgres as Server, USER};
use hive_sql::manifest::Manifest;
use std::fs;
use std::path::PathBuf;

/// Roles of every sort that a database can refer to; the password is nobody's business.
const ROLES: &str = "
CREATE ROLE app LOGIN PASSWORD 'canary-app-5d12';
CREATE ROLE \"Read Only\" LOGIN CONNECTION LIMIT 3 PASSWORD 'canary-reader-77aa';
CREATE ROLE tenant NOINHERIT;
CREATE ROLE later;
CREATE ROLE boss LOGIN SUPERUSER;
GRANT \"Read Only\" TO app;
GRANT pg_read_all_data TO tenant;
GRANT app TO hiver;
";

/// What refers to them inside.
const INSIDE: &str = "
SET ROLE app;
CREATE TABLE orders (id int PRIMARY KEY, owner text);
INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 50) n;
CREATE SCHEMA \"Odd\"\"One\";
CREATE TABLE \"Odd\"\"One\".kept (a int);
GRANT SELECT ON orders TO \"Read Only\", boss;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON orders TO tenant USING (owner = current_user);
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO later;
";

/// What is said of it from outside.
fn outside(name: &str) -> String {
    format!(
        "REVOKE CONNECT ON DATABASE {name} FROM PUBLIC; \
         GRANT CONNECT ON DATABASE {name} TO \"Read Only\" WITH GRANT OPTION; \
         ALTER DATABASE {name} CONNECTION LIMIT 20; \
         ALTER DATABASE {name} SET work_mem = '5MB'; \
         ALTER ROLE \"Read Only\" IN DATABASE {name} SET search_path = \"$user\", 'odd, \"one\"'"
    )
}

/// Whoever is not of the backup.
const OTHERS: [&str; 2] = [ROLE, USER];

/// A backup of such a database on a server of its own.
struct Backed {
    server: Server,
    name: String,
    id: String,
    folder: tempfile::TempDir,
    then: String,
    rows: String,
}

impl Backed {
    async fn new() -> Self {
        let server = Server::start();
        let lab = Lab::new(&server);
        let name = lab.database.clone();
        let database = lab.lower(&declared("database.main", lab.of()));
        lab.apply(Action::Create, &database, None).await.expect("claims");
        server.psql("postgres", ROLES);
        server.psql("postgres", &format!("ALTER DATABASE {name} OWNER TO app"));
        lab.psql(INSIDE);
        server.psql("postgres", &outside(&name));
        server.psql("postgres", &format!("ALTER DATABASE {name} SET app.tenant = 'one'"));
        let backed = taken(&lab).await;
        let live = lab.live(&backed).await.expect("is there");
        let id = backups(&live)[0]["id"].as_text().expect("is text").to_owned();
        let folder = tempfile::tempdir().expect("a folder");
        copy(lab.folder.path(), folder.path());
        drop(lab);
        server.psql("postgres", &format!("ALTER DATABASE {name} RESET app.tenant"));
        let then = server.surroundings(&name, &OTHERS);
        let rows = server.rows(&name);
        Self { server, name, id, folder, then, rows }
    }

    fn manifest(&self) -> PathBuf {
        self.folder.path().join("backups").join(&self.id).join("manifest.json")
    }

    /// As an older hive has written it.
    fn forget(&self) {
        let mut manifest = Manifest::from_json(&fs::read(self.manifest()).expect("reads"));
        let manifest = manifest.as_mut().expect("is one");
        manifest.surroundings = None;
        manifest.format = Manifest::format_with(None);
        fs::write(self.manifest(), manifest.to_json().expect("writes")).expect("writes");
    }

    /// What restores it on a server where nothing of it is.
    fn on<'a>(&self, server: &'a Server) -> Target<'a> {
        let mut lab = Lab::without(server);
        lab.database.clone_from(&self.name);
        copy(self.folder.path(), lab.folder.path());
        let mut of = lab.of();
        of.insert("create".to_owned(), Value::Bool(true));
        let database = lab.lower(&declared("database.main", of));
        Target { lab, database, id: self.id.clone() }
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let mut command = std::process::Command::new("cp");
    let status = command.arg("-a").arg(from.join(".")).arg(to).status().expect("cp starts");
    assert!(status.success(), "the folder is copied");
}

struct Target<'a> {
    lab: Lab<'a>,
    database: Lowered,
    id: String,
}

impl Target<'_> {
    async fn steps(&self) -> Vec<Operation> {
        let mut change =
            self.lab.change(Action::Run, Some(&self.database), Some(&self.database)).await;
        change.run = Some(restoring(&self.lab, &self.id, Vec::new()));
        self.lab.steps(&change, None)
    }

    async fn restore(&self) -> Result<Vec<Outcome>, Failure> {
        let mut left = self.lab.live(&self.database).await;
        let mut outcomes = Vec::new();
        for step in self.steps().await {
            let request = self.lab.request_on(&self.database, step, left.as_ref());
            let outcome = self.lab.perform(&request).await?;
            left.clone_from(&outcome.live);
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

/// The roles of a server that are not of every server here.
fn roles(server: &Server) -> String {
    let sql = format!(
        "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles \
         WHERE rolname !~ '^pg_' AND rolname NOT IN ('{ROLE}', '{USER}')"
    );
    server.psql("postgres", &sql)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_an_empty_server_a_restore_makes_what_the_database_refers_to() {
    let backed = Backed::new().await;
    let manifest = fs::read_to_string(backed.manifest()).expect("reads");
    for secret in ["SCRAM-SHA-256", "md5", "canary", PASSWORD, KEEPERS] {
        assert!(!manifest.contains(secret), "`{secret}` stands in the manifest");
    }
    let empty = Server::start();
    let target = backed.on(&empty);
    empty.psql("postgres", &format!("ALTER ROLE {ROLE} CREATEROLE"));
    let outcomes = target.restore().await.expect("restores");
    // Only a superuser sets what an application has made up.
    let said = format!("the setting `app.tenant` in database `{}` was not set", backed.name);
    assert!(target.lab.heard().contains(&said));
    assert_eq!(empty.surroundings(&backed.name, &OTHERS), backed.then);
    assert_eq!(empty.rows(&backed.name), backed.rows);
    let kept: Vec<&str> = outcomes[0].kept.lines().collect();
    assert_eq!(
        kept,
        [
            "role `Read Only` was made without a password: give it one with ALTER ROLE",
            "role `app` was made without a password: give it one with ALTER ROLE",
            "role `hiver` is a member of `app`, to give it what is its",
            "role `boss` was made without a password: give it one with ALTER ROLE; and without \
             SUPERUSER: give it what it shall have",
            "role `later` was made",
            "role `tenant` was made without membership in `pg_read_all_data`: give it what it \
             shall have",
        ]
    );
    let word = "SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL";
    assert_eq!(empty.psql("postgres", word), "2", "the two that the tests have made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_goes_with_the_restore_that_made_it() {
    let backed = Backed::new().await;
    let empty = Server::start();
    let target = backed.on(&empty);
    empty.psql("postgres", &format!("ALTER ROLE {ROLE} CREATEROLE; CREATE ROLE later"));
    let step = target.steps().await.remove(0);
    let request = target.lab.request_on(&target.database, step.clone(), None);
    target.lab.perform(&request).await.expect("restores");
    assert_eq!(roles(&empty), "Read Only app boss later tenant");
    // Somebody has begun to use one.
    empty.psql("postgres", "CREATE DATABASE other OWNER boss");
    let Undo::By(undo) = &step.undo else { panic!("{:?}", step.undo) };
    let request = target.lab.request_on(&target.database, (**undo).clone(), None);
    target.lab.perform(&request).await.expect("takes it away");
    assert_eq!((roles(&empty), empty.databases()), ("boss later".into(), vec!["other".into()]));
    let stays = "role `boss`, which this restore made, stays: something is its";
    assert!(target.lab.heard().contains(stays));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_make_none_is_refused_with_what_somebody_else_runs() {
    let backed = Backed::new().await;
    let empty = Server::start();
    let target = backed.on(&empty);
    let failure = target.restore().await.expect_err("is refused");
    assert_eq!(failure.kind, FailureKind::Forbidden);
    let named = "`hiver` may not make the roles `Read Only`, `app`, `boss`, `later`, `tenant`";
    assert!(failure.message.contains(named), "{failure}");
    assert_eq!((roles(&empty), empty.databases()), (String::new(), Vec::new()));
    let lines: Vec<&str> = failure.diagnosis.iter().map(String::as_str).skip(1).collect();
    empty.psql("postgres", &lines.join(" "));
    let outcomes = target.restore().await.expect("restores");
    assert_eq!(outcomes[0].kept, "", "it has made none");
    let said = "the setting `search_path` of role `Read Only`";
    assert!(target.lab.heard().contains(said), "who makes no roles sets nothing for them");
    let then: Vec<&str> = backed.then.lines().filter(|it| !it.contains("search_path=")).collect();
    assert_eq!(empty.surroundings(&backed.name, &OTHERS), then.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_give_to_an_owner_is_refused_in_front() {
    let backed = Backed::new().await;
    let empty = Server::start();
    empty.psql("postgres", "CREATE ROLE app");
    let target = backed.on(&empty);
    empty.psql("postgres", &format!("ALTER ROLE {ROLE} CREATEROLE"));
    let failure = target.restore().await.expect_err("is refused");
    assert_eq!(failure.kind, FailureKind::Forbidden);
    assert!(failure.message.ends_with("`hiver` may not give anything to `app`"), "{failure}");
    assert_eq!(failure.diagnosis[1..], ["GRANT \"app\" TO \"hiver\";"]);
    assert_eq!((roles(&empty), empty.databases()), ("app".into(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_manifest_is_read_and_what_is_missing_is_named_by_the_server() {
    let backed = Backed::new().await;
    backed.forget();
    let empty = Server::start();
    let target = backed.on(&empty);
    let failure = target.restore().await.expect_err("is refused");
    assert!(failure.message.contains("role \"app\" does not exist"), "{failure}");
    let advice = failure.diagnosis.iter().any(|it| it.contains("make them with CREATE ROLE"));
    assert!(advice, "{:?}", failure.diagnosis);
    assert_eq!((roles(&empty), empty.databases()), (String::new(), Vec::new()));
    empty.psql("postgres", ROLES);
    empty.psql("postgres", "ALTER ROLE hiver SUPERUSER");
    target.restore().await.expect("restores");
    assert_eq!(empty.rows(&backed.name), backed.rows);
}

/// Beside the living system nothing is made by an exercise, and the live database says whose it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_database_is_there_only_what_is_missing_now_is_made() {
    let backed = Backed::new().await;
    let (server, name) = (&backed.server, &backed.name);
    server.psql(name, "DROP POLICY mine ON orders");
    server.psql("postgres", "DROP ROLE tenant");
    server.psql("postgres", &format!("ALTER DATABASE {name} CONNECTION LIMIT 30"));
    let target = backed.on(server);
    let database = Target {
        database: target.lab.lower(&declared("database.main", target.lab.of())),
        ..target
    };
    let all = database.lab.lower(&declared("backup.main", backup(&database.lab)));
    let steps = run(&database.lab, &all, "verify").await;
    let tried = database.lab.run(&all, steps).await.expect_err("a policy names a role");
    assert!(tried.message.contains("names the role `tenant`, which is not there"), "{tried}");
    assert!(database.lab.heard().contains("role `tenant` is not on this server"));
    assert_eq!(roles(server), "Read Only app boss later", "an exercise makes none");

    let failure = database.restore().await.expect_err("it may make no role");
    assert_eq!(failure.kind, FailureKind::Forbidden);
    let open = format!("SELECT datallowconn FROM pg_database WHERE datname = '{name}'");
    assert_eq!(server.psql("postgres", &open), "t", "nothing was closed");
    server.psql("postgres", &format!("ALTER ROLE {ROLE} CREATEROLE"));
    let outcomes = database.restore().await.expect("restores");
    let kept: Vec<&str> = outcomes[2].kept.lines().collect();
    assert_eq!(
        kept,
        [
            "role `tenant` was made without membership in `pg_read_all_data`: give it what it shall have"
        ]
    );
    let then = backed.then.replace("database|app|20", "database|app|30");
    assert_eq!(server.surroundings(name, &OTHERS), then);
}
