//! Everything that keeps hive out, told apart and without the password.

use crate::lab::{Lab, PASSWORD, ROLE, declared, migrations, url};
use hive_contract::{
    Action, Ask, Failure, FailureKind, Fields, Format, Provider, SecretRef, Secrets, Value,
};
use hive_parts::{PgBouncer, Postgres as Server};
use std::fs;
use std::process::{Command, Stdio};

/// What `observe` says of a database with this url.
async fn told(lab: &Lab<'_>, url: Value, password: &str) -> Failure {
    let of =
        Fields::from([("engine".to_owned(), Value::text("postgres")), ("url".to_owned(), url)]);
    let lowered = lab.lower(&declared("database.main", of));
    let mut secrets = Secrets::default();
    secrets.insert(SecretRef::env("PW"), password.into());
    let ask = Ask { parts: vec![crate::lab::one(&lowered)], ..Ask::default() };
    let mut seen = lab.provider().observe(&ask, &secrets).await.expect("answers");
    let (_, answer) = seen.found.pop_first().expect("one answer");
    let failure = answer.expect_err("cannot be read");
    lab.hear(&format!("{failure:?}"));
    failure
}

fn with(url: &Value, after: &str) -> Value {
    let Value::Format(format) = url else { panic!("a format") };
    let template = format!("{}{after}", format.template);
    Value::Format(Format { template, values: format.values.clone() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_names_what_is_wrong_and_where() {
    let lab = Lab::new(Server::shared());
    let (server, port) = (lab.server, lab.port);
    let spot = format!("database `{}` on 127.0.0.1:{port} as `{ROLE}`", lab.database);

    let wrong = told(&lab, lab.url(), "canary-other").await;
    assert_eq!(wrong.kind, FailureKind::Forbidden);
    assert_eq!(wrong.message, format!("cannot connect: {spot}: the password is refused"));
    assert!(!wrong.retryable && !format!("{wrong:?}").contains("canary"));

    let missing = told(&lab, url(ROLE, port, "nowhere"), PASSWORD).await;
    assert_eq!(missing.kind, FailureKind::Invalid);
    assert!(missing.message.contains("`nowhere`") && missing.message.contains("no such database"));
    assert!(missing.diagnosis.iter().any(|it| it.contains("create = true")), "{missing:?}");

    let nobody = told(&lab, url(ROLE, 1, &lab.database), PASSWORD).await;
    assert_eq!(nobody.kind, FailureKind::Unavailable);
    assert!(nobody.retryable && nobody.message.contains("the server cannot be reached"));

    let plain = told(&lab, with(&lab.url(), "?sslmode=verify-full"), PASSWORD).await;
    assert_eq!(plain.kind, FailureKind::Forbidden, "{plain:?}");
    assert!(plain.message.contains("TLS failed"), "{plain}");

    server.psql("postgres", &format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", lab.database));
    let shut = told(&lab, lab.url(), PASSWORD).await;
    server.psql("postgres", &format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", lab.database));
    assert_eq!(shut.kind, FailureKind::Taken);
    assert!(shut.message.contains("not currently accepting connections"), "{shut}");
}

/// Whoever looks does not wait for a lock longer than it takes to say who holds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_locks_a_table_that_is_looked_at_is_said() {
    let lab = Lab::new(Server::shared());
    lab.psql("CREATE TABLE orders (n int); CREATE VIEW named AS SELECT n FROM orders");
    let list = lab.lower(&migrations(
        &lab.of(),
        &[("0001_a.up.sql", "SELECT 1"), ("0001_a.down.sql", "SELECT 1")],
        &[],
    ));
    let mut command = lab.server.psql_command(&lab.database);
    command.args(["-c", "BEGIN; LOCK TABLE orders; SELECT pg_sleep(600)"]);
    let mut holder = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let held = "SELECT pid FROM pg_locks WHERE relation = 'orders'::regclass AND granted";
    let pid = loop {
        let pid = lab.psql(held);
        if !pid.is_empty() {
            break pid;
        }
    };
    let failure = lab.observe(&list).await;
    holder.kill().expect("ends");
    holder.wait().expect("ends");
    lab.server.psql("postgres", &format!("SELECT pg_terminate_backend({pid})"));
    let failure = failure.expect_err("it is locked");
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    let said = format!("table `public.orders` is locked by pid {pid} (`psql` of");
    assert!(failure.message.contains(&said), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_only_reads_is_told_so() {
    let lab = Lab::new(Server::shared());
    let name = &lab.database;
    lab.server
        .psql("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let list = lab.lower(&migrations(
        &lab.of(),
        &[("0001_a.up.sql", "SELECT 1"), ("0001_a.down.sql", "SELECT 1")],
        &[],
    ));
    let failure = lab.apply(Action::Create, &list, None).await.expect_err("only reads");
    assert_eq!(failure.kind, FailureKind::Forbidden);
    assert!(failure.message.contains("the server only reads"), "{failure}");
    lab.server
        .psql("postgres", &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));

    lab.server.psql("postgres", &format!("ALTER DATABASE {name} OWNER TO keeper"));
    let failure = lab.apply(Action::Create, &list, None).await.expect_err("may not");
    assert_eq!(failure.kind, FailureKind::Forbidden);
    assert!(failure.message.contains("the role may not do it"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_checked_against_the_given_root() {
    let mut server = Server::start();
    let folder = server.folder().to_owned();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hive"])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(["-keyout", "server.key", "-out", "server.crt"])
        .current_dir(server.data())
        .output()
        .expect("openssl starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for file in ["server.key", "server.crt"] {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let path = server.data().join(file);
        let owner = fs::metadata(server.data()).expect("is there");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("gives");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
    }
    let root = folder.join("root.crt");
    fs::copy(server.data().join("server.crt"), &root).expect("copies");
    server.psql("postgres", "ALTER SYSTEM SET ssl = on");
    server.kill();
    server.restart();
    let lab = Lab::new(&server);
    let given = format!("?sslmode=verify-full&sslrootcert={}", root.display());
    let of = |after: &str| {
        Fields::from([
            ("engine".to_owned(), Value::text("postgres")),
            ("url".to_owned(), with(&lab.url(), after)),
        ])
    };
    let lowered = lab.lower(&declared("database.main", of(&given)));
    lab.apply(Action::Create, &lowered, None).await.expect("the certificate holds");
    let used = lab.psql("SELECT count(*) FROM hive.marks");
    assert_eq!(used, "1");
    let unknown = told(&lab, with(&lab.url(), "?sslmode=verify-full"), PASSWORD).await;
    assert_eq!(unknown.kind, FailureKind::Forbidden);
    assert!(unknown.message.contains("TLS failed"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_breaks_sessions_is_refused_and_passed_by() {
    let lab = Lab::new(Server::shared());
    let pooler = PgBouncer::start(lab.server);
    let through = Value::Secret(SecretRef::env("POOLED"));
    let straight = Value::Secret(SecretRef::env("STRAIGHT"));
    let mut secrets = Secrets::default();
    secrets.insert(SecretRef::env("POOLED"), pooler.url(&lab.database).into());
    secrets.insert(SecretRef::env("STRAIGHT"), lab.server.url(&lab.database).into());
    let mut of =
        Fields::from([("engine".to_owned(), Value::text("postgres")), ("url".to_owned(), through)]);
    let files = [("0001_a.up.sql", "CREATE TABLE a ()"), ("0001_a.down.sql", "DROP TABLE a")];
    let ends = async |of: &Fields| {
        let list = lab.lower(&migrations(of, &files, &[]));
        let mut change =
            hive_contract::Change::new(crate::lab::target(&list), Action::Create, &list.identity);
        change.desired = Some(list.clone());
        let cancel = std::sync::atomic::AtomicBool::new(false);
        let context = hive_contract::Context {
            secrets: &secrets,
            guard: &hive_contract::provider::Unguarded,
            events: &|_| {},
            cancel: &cancel,
        };
        let step = lab.steps(&change, None).remove(0);
        let request = lab.request_on(&list, step, None);
        lab.provider().perform(&request, &context).await
    };
    let failure = ends(&of).await.expect_err("is refused");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.contains("pooler"), "{failure}");
    assert!(failure.diagnosis[0].contains("`direct_url`"), "{failure:?}");
    let locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                 WHERE d.datname = current_database() AND locktype = 'advisory' \
                 AND classid = 1751742053";
    assert_eq!(lab.psql(locks), "0", "no lock is left behind in the pool");
    of.insert("direct_url".to_owned(), straight);
    ends(&of).await.expect("goes past the pooler");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_before_anything_is_read() {
    let lab = Lab::new(Server::shared());
    let scope = hive_contract::LowerScope { owner: crate::lab::owner() };
    let wrong = |fields: &[(&str, Value)]| {
        let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let wrong = lab.provider().lower(&declared("database.main", fields), &scope);
        format!("{:?}", wrong.expect_err("is refused"))
    };
    let engine = ("engine", Value::text("postgres"));
    let said = wrong(&[engine.clone(), ("url", Value::text("postgres://u:canary-1@db/d"))]);
    assert!(said.contains("has a password in it") && !said.contains("canary"), "{said}");
    assert!(wrong(std::slice::from_ref(&engine)).contains("needs a `url`"));
    assert!(wrong(&[engine, ("url", Value::text("mysql://db/d"))]).contains("postgres://"));
    let sqlite = [("engine", Value::text("sqlite")), ("url", lab.url())];
    assert!(wrong(&sqlite).contains("`postgres`, not `sqlite`"));
}
