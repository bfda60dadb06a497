//! Restores: closed, backed up, restored beside, swapped; and every pair of failures ends in the
//! old or the new one, as the rows say.

use crate::backups::{backup, backups, fill, restoring, run, take, taken};
use crate::lab::{Lab, ROLE, declared, migrations};
use hive_contract::outcome::Resolution;
use hive_contract::{
    Action, Expects, Failure, FailureKind, Guard, Live, Lowered, Observed, Operation, Outcome,
    Perform, Undo, Value,
};
use hive_parts::Postgres as Server;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

/// A database with rows and a backup, and other rows since.
struct Two<'a> {
    lab: Lab<'a>,
    database: Lowered,
    id: String,
    then: String,
    now: String,
}

impl<'a> Two<'a> {
    async fn new(server: &'a Server) -> Self {
        let lab = Lab::new(server);
        let database = lab.lower(&declared("database.main", lab.of()));
        lab.apply(Action::Create, &database, None).await.expect("claims");
        fill(&lab);
        let backed = taken(&lab).await;
        let live = lab.live(&backed).await.expect("is there");
        let id = backups(&live)[0]["id"].as_text().expect("is text").to_owned();
        let then = lab.server.rows(&lab.database);
        lab.psql("DELETE FROM orders WHERE id < 100; INSERT INTO doubles VALUES (9, 'new')");
        let now = lab.server.rows(&lab.database);
        Self { lab, database, id, then, now }
    }

    async fn steps(&self) -> Vec<Operation> {
        self.steps_with(Vec::new()).await
    }

    async fn steps_with(&self, files: Vec<Value>) -> Vec<Operation> {
        let mut change =
            self.lab.change(Action::Run, Some(&self.database), Some(&self.database)).await;
        change.run = Some(restoring(&self.lab, &self.id, files));
        self.lab.steps(&change, None)
    }

    fn rows(&self) -> String {
        self.lab.server.rows(&self.lab.database)
    }

    /// The databases beside it.
    fn beside(&self) -> Vec<String> {
        let prefix = format!("{}_hive", self.lab.database);
        let mut all = self.lab.server.databases();
        all.retain(|it| it.starts_with(&prefix));
        all
    }
}

/// What the executor knows: what the step before has left.
fn expecting(two: &Two<'_>, step: Operation, left: Option<&Live>) -> Perform {
    two.lab.request_on(&two.database, step, left)
}

async fn all(two: &Two<'_>, steps: &[Operation]) -> Result<Vec<Outcome>, Failure> {
    let mut left = two.lab.live(&two.database).await;
    let mut outcomes = Vec::new();
    for step in steps {
        let outcome = two.lab.perform(&expecting(two, step.clone(), left.as_ref())).await?;
        left.clone_from(&outcome.live);
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_swaps_and_keeps_what_was_there() {
    let server = Server::start();
    let two = Two::new(&server).await;
    let name = &two.lab.database;
    two.lab.server.psql("postgres", &format!("ALTER DATABASE {name} SET work_mem = '5MB'"));
    two.lab.server.psql("postgres", &format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"));
    // A writer that nobody has told hive of, and that comes back at once.
    let loops = format!(
        "while true; do PGPASSWORD={} {} -Xqh 127.0.0.1 -p {} -U {} {name} \
         -c 'INSERT INTO doubles VALUES (7, now()::text)' -c 'SELECT pg_sleep(0.05)' ; done",
        hive_parts::PASSWORD,
        Server::programs().join("psql").display(),
        two.lab.port,
        hive_parts::USER,
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &loops]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut writer = command.spawn().expect("starts");
    let steps = two.steps().await;
    let verbs: Vec<&str> = steps.iter().map(|it| it.verb.as_str()).collect();
    assert_eq!(verbs, ["close", "safety", "restore", "swap"]);
    // hive's role is no superuser and may not end the sessions of one.
    two.lab.server.psql(
        "postgres",
        &format!("GRANT pg_signal_backend TO {ROLE}; ALTER ROLE {ROLE} SUPERUSER"),
    );
    let outcomes = all(&two, &steps).await;
    two.lab.server.psql("postgres", &format!("ALTER ROLE {ROLE} NOSUPERUSER"));
    writer.kill().expect("ends");
    writer.wait().expect("ends");
    let outcomes = outcomes.expect("restores");
    assert!(outcomes[1].kept.starts_with("safety copy "), "{}", outcomes[1].kept);
    let old = two.beside();
    assert_eq!(old.len(), 1);
    assert_eq!(outcomes[3].kept, format!("what was there before is kept as database `{}`", old[0]));
    let restored = two.lab.psql("SELECT count(*) FROM orders");
    assert_eq!(restored, "3000");
    assert_eq!(two.lab.server.psql(&old[0], "SELECT count(*) FROM orders"), "2901");
    // Whoever wrote before the close is in the safety copy; nobody wrote behind it.
    let written = two.lab.server.psql(&old[0], "SELECT count(*) FROM doubles WHERE a = 7");
    let manifest = two.lab.heard();
    assert!(!written.is_empty() && manifest.contains("safety copy"));
    let about = format!(
        "SELECT setconfig::text FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = '{name}'"
    );
    assert_eq!(two.lab.server.psql("postgres", &about), "{work_mem=5MB}");
    let granted = format!("SELECT has_database_privilege('public', '{name}', 'CONNECT')");
    assert_eq!(two.lab.server.psql("postgres", &granted), "f");
    assert!(two.lab.live(&two.database).await.is_some_and(|it| it.mark.is_some()));
}

/// One restore after the other, each of which puts a database aside; the last does not end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_restore_that_did_not_end_is_named() {
    let server = Server::start();
    let two = Two::new(&server).await;
    // Keys sort the other way round than they are made, so that the newest is not the last name.
    for (key, count) in [("cccccccc", 4), ("bbbbbbbb", 4), ("aaaaaaaa", 2), ("dddddddd", 2)] {
        let mut steps = two.steps().await;
        for step in &mut steps {
            step.payload.insert("key".to_owned(), Value::text(key));
            if let Undo::By(undo) = &mut step.undo {
                undo.payload.insert("key".to_owned(), Value::text(key));
            }
        }
        let outcomes = all(&two, &steps[..count]).await.expect("goes so far");
        if count == 4 {
            continue;
        }
        let failure = two.lab.observe(&two.database).await.expect_err("is closed");
        let named = format!("`{}_hive_old_{key}` is: a restore has put", two.lab.database);
        assert!(failure.message.contains(&named), "{failure}");
        let Undo::By(reopen) = &steps[0].undo else { panic!("{:?}", steps[0].undo) };
        let left = outcomes.last().and_then(|it| it.live.as_ref());
        let request = two.lab.request_on(&two.database, (**reopen).clone(), left);
        two.lab.perform(&request).await.expect("opens again");
    }
    assert_eq!(two.beside().len(), 2, "{:?}", two.beside());

    // With the live one lost, those that ended are no restore that did not; what an earlier hive has
    // left without a note may be.
    let live = two.lab.live(&two.database).await.expect("is there");
    assert_eq!(live.status.summary.matches("_hive_old_").count(), 2, "{}", live.status.summary);
    let name = &two.lab.database;
    two.lab.server.psql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    let failure = two.lab.observe(&two.database).await.expect_err("is lost");
    assert!(failure.message.contains("there is no such database"), "{failure}");
    let mut database = two.database.clone();
    database.access.insert("restores".to_owned(), Value::Bool(true));
    assert_eq!(two.lab.observe(&database).await.expect("is absent"), Observed::Absent);
    let old = format!("{name}_hive_old_bbbbbbbb");
    two.lab.server.psql("postgres", &format!("COMMENT ON DATABASE {old} IS NULL"));
    let failure = two.lab.observe(&database).await.expect_err("nobody knows");
    assert!(failure.message.contains(&format!("`{old}` is: a restore has put")), "{failure}");
}

/// An empty database that is nobody's gives its place to what is restored, with its owner, grants
/// and settings, and has it again where that is taken back. One that holds something keeps it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_gives_its_place_and_has_it_again() {
    let mut two = Two::new(Server::shared()).await;
    two.database.access.insert("restores".to_owned(), Value::Bool(true));
    let name = &two.lab.database;
    let run = |sql: &str| two.lab.server.psql("postgres", sql);
    run(&format!("DROP DATABASE {name} WITH (FORCE)"));
    run(&format!("CREATE DATABASE {name} OWNER {ROLE}"));
    run(&format!("COMMENT ON DATABASE {name} IS 'of the shop'"));
    run(&format!("ALTER DATABASE {name} SET work_mem = '7MB'"));
    run(&format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"));
    let steps = two.steps().await;
    let verbs: Vec<&str> = steps.iter().map(|it| it.verb.as_str()).collect();
    assert_eq!(verbs, ["restore", "swap"]);

    // It holds something: told when it is looked at, and by each step.
    two.lab.psql("CREATE FUNCTION theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    let failure = two.lab.observe(&two.database).await.expect_err("is told");
    assert_eq!(failure.kind, FailureKind::Taken);
    assert!(failure.message.contains("holds function `public.theirs`"), "{failure}");
    let failure = two.lab.perform(&expecting(&two, steps[0].clone(), None)).await;
    assert!(failure.expect_err("is told").message.contains("theirs"));
    assert_eq!(two.beside(), Vec::<String>::new());
    two.lab.psql("DROP FUNCTION theirs()");

    let outcomes = all(&two, &steps).await.expect("restores");
    assert_eq!(two.rows(), two.then);
    let old = two.beside();
    assert_eq!(old.len(), 1, "{old:?}");
    assert!(outcomes[1].kept.contains(&old[0]), "{}", outcomes[1].kept);
    let about = |database: &str| {
        run(&format!(
            "SELECT setconfig::text, has_database_privilege('public', d.oid, 'CONNECT'), \
               shobj_description(d.oid, 'pg_database') FROM pg_database d \
             LEFT JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = '{database}'"
        ))
    };
    let restored = about(name);
    assert!(restored.starts_with("{work_mem=7MB}|f|hive: restored "), "{restored}");
    let noted = about(&old[0]);
    assert!(noted.contains("|hive: replaced ") && noted.ends_with("of the shop"), "{noted}");

    let mut left = outcomes[1].live.clone();
    for step in steps.iter().rev() {
        let Undo::By(undo) = &step.undo else { panic!("{:?}", step.undo) };
        let request = expecting(&two, (**undo).clone(), left.as_ref());
        left = two.lab.perform(&request).await.expect("goes back").live;
    }
    assert_eq!(two.beside(), Vec::<String>::new());
    assert_eq!(about(name), "{work_mem=7MB}|f|of the shop");
    assert_eq!(two.lab.psql("SELECT count(*) FROM pg_class WHERE relname = 'orders'"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_backup_is_brought_up() {
    let lab = Lab::new(Server::shared());
    let database = lab.lower(&declared("database.main", lab.of()));
    lab.apply(Action::Create, &database, None).await.expect("claims");
    let files = [
        ("0001_a.up.sql", "CREATE TABLE a (id int); INSERT INTO a VALUES (1)"),
        ("0001_a.down.sql", "DROP TABLE a"),
        ("0002_b.up.sql", "ALTER TABLE a ADD COLUMN b int DEFAULT 7"),
        ("0002_b.down.sql", "ALTER TABLE a DROP COLUMN b"),
    ];
    let first = lab.lower(&migrations(&lab.of(), &files[..2], &[]));
    lab.apply(Action::Create, &first, None).await.expect("applies");
    let backed = taken(&lab).await;
    let id = backups(&lab.live(&backed).await.expect("is there"))[0]["id"].clone();
    let both = lab.lower(&migrations(&lab.of(), &files, &[]));
    lab.apply(Action::Update, &both, Some(&first)).await.expect("applies");
    let wanted = lab.live(&both).await.expect("is there").fields;
    lab.psql("DELETE FROM a");
    let two = Two {
        id: id.as_text().expect("is text").to_owned(),
        then: String::new(),
        now: String::new(),
        database,
        lab,
    };
    let list = both.material["files"].as_list().expect("is a list").to_vec();
    let steps = two.steps_with(list).await;
    all(&two, &steps).await.expect("restores");
    assert_eq!(two.lab.psql("SELECT * FROM a"), "1|7");
    assert_eq!(two.lab.live(&both).await.expect("is there").fields, wanted);
}

/// Says no from one question on, as a lease that has run out does.
struct NoAt {
    ask: u32,
    asked: AtomicU32,
}

impl Guard for NoAt {
    fn may_write(&self) -> Result<(), Failure> {
        match self.asked.fetch_add(1, Ordering::SeqCst) + 1 < self.ask {
            true => Ok(()),
            false => Err(Failure::new(FailureKind::Expired, "the lease has run out")),
        }
    }
}

/// How a step is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// The lease runs out before its last write.
    Late,
    /// hive is dropped in the middle, after so many milliseconds, and comes back.
    Dropped(u64),
    /// Its sessions are ended by the server in the middle.
    Ended(u64),
}

/// Performs a step that is broken once, and then brings it to its end by its token.
async fn broken(two: &Two<'_>, request: &Perform, how: Broken) -> Result<Outcome, Failure> {
    let first = match how {
        Broken::Late => {
            let guard = NoAt { ask: 2, asked: AtomicU32::new(0) };
            two.lab.perform_as(request, &guard, false).await
        }
        Broken::Dropped(ms) => {
            let limit = std::time::Duration::from_millis(ms);
            match tokio::time::timeout(limit, two.lab.perform(request)).await {
                Ok(ended) => ended,
                Err(_) => Err(Failure::new(FailureKind::TimedOut, "dropped")),
            }
        }
        Broken::Ended(ms) => {
            let end = async {
                tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
                let sql = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE application_name = 'hive {}'",
                    request.token
                );
                two.lab.server.psql("postgres", &sql);
            };
            tokio::join!(two.lab.perform(request), end).0
        }
    };
    if first.is_ok() {
        return first;
    }
    match two.lab.resolve(request).await? {
        Resolution::Done(outcome) => Ok(outcome),
        Resolution::Partly { .. } | Resolution::Running { .. } => two.lab.perform(request).await,
        Resolution::NotStarted { .. } => {
            let again = expecting_again(two, request);
            two.lab.perform(&again).await
        }
        other => panic!("{other:?}"),
    }
}

/// The same step with another token.
fn expecting_again(two: &Two<'_>, request: &Perform) -> Perform {
    let fresh = two.lab.request_on(&two.database, request.operation.clone(), None);
    Perform { token: fresh.token, ..request.clone() }
}

/// Every step broken in every way, on the way there and on the way back: what is under the name in
/// the end is one of the two, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_failures_ends_in_old_or_new() {
    let two = Two::new(Server::shared()).await;
    let ways = [Broken::Late, Broken::Dropped(25), Broken::Ended(40)];
    let mut count = 0;
    for at in 0..4_usize {
        for (number, there) in ways.into_iter().enumerate() {
            let back = ways[(number + at) % ways.len()];
            let steps = two.steps().await;
            let mut left = two.lab.live(&two.database).await;
            let before = left.clone();
            let mut done = Vec::new();
            for (index, step) in steps.iter().take(at + 1).enumerate() {
                let request = expecting(&two, step.clone(), left.as_ref());
                let outcome = match index == at {
                    true => broken(&two, &request, there).await,
                    false => two.lab.perform(&request).await,
                };
                let outcome = outcome.unwrap_or_else(|it| panic!("{at} {there:?}: {it:?}"));
                left.clone_from(&outcome.live);
                done.push(step.clone());
            }
            if at == 3 {
                assert_eq!(two.rows(), two.then, "swapped after {there:?}");
            }
            for step in done.iter().rev() {
                let Undo::By(undo) = &step.undo else { continue };
                let request = expecting(&two, (**undo).clone(), left.as_ref());
                let outcome = broken(&two, &request, back).await;
                let outcome = outcome.unwrap_or_else(|it| panic!("{at} {back:?}: {it:?}"));
                left.clone_from(&outcome.live);
            }
            assert_eq!(two.rows(), two.now, "taken back after {there:?} and {back:?} at {at}");
            assert_eq!(two.beside(), Vec::<String>::new(), "{there:?} and {back:?} at {at}");
            let after = two.lab.live(&two.database).await;
            assert_eq!(before.map(|it| it.fields), after.map(|it| it.fields));
            count += 1;
        }
    }
    assert_eq!(count, 12);
}

/// The server was gone when a restore that had failed wanted to take its half away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_half_restored_goes_with_the_way_back() {
    let two = Two::new(Server::shared()).await;
    let steps = two.steps().await;
    let left = two.lab.live(&two.database).await;
    let closed = two.lab.perform(&expecting(&two, steps[0].clone(), left.as_ref())).await;
    let closed = closed.expect("closes").live;
    let key = steps[0].payload["key"].as_text().expect("is text");
    let half = format!("{}_hive_new_{key}", two.lab.database);
    two.lab.server.psql("postgres", &format!("CREATE DATABASE {half} OWNER {ROLE}"));
    let Undo::By(undo) = &steps[0].undo else { panic!("{:?}", steps[0].undo) };
    let opened = expecting(&two, (**undo).clone(), closed.as_ref());
    two.lab.perform(&opened).await.expect("opens it again");
    assert_eq!(two.rows(), two.now);
    assert_eq!(two.beside(), Vec::<String>::new());
}

/// Nobody came back to it: the next restore of the database takes it, and nothing that is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_half_restored_goes_with_the_next_restore() {
    let two = Two::new(Server::shared()).await;
    let name = |key: &str| format!("{}_hive_new_{key}", two.lab.database);
    for key in ["0000aaaa", "0000bbbb"] {
        two.lab.server.psql("postgres", &format!("CREATE DATABASE {} OWNER {ROLE}", name(key)));
    }
    let whole = format!("COMMENT ON DATABASE {} IS 'hive: restored 0000bbbb'", name("0000bbbb"));
    two.lab.server.psql("postgres", &whole);
    all(&two, &two.steps().await).await.expect("restores");
    assert_eq!(two.rows(), two.then);
    let beside = two.beside();
    assert!(beside.contains(&name("0000bbbb")), "{beside:?}");
    assert!(!beside.contains(&name("0000aaaa")), "{beside:?}");
    two.lab.server.psql("postgres", &format!("DROP DATABASE {}", name("0000bbbb")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_is_told_before_anything_is_closed() {
    let two = Two::new(Server::shared()).await;
    let name = &two.lab.database;
    let steps = two.steps().await;
    two.lab.server.psql(
        "postgres",
        &format!("ALTER DATABASE {name} OWNER TO keeper; GRANT ALL ON DATABASE {name} TO {ROLE}"),
    );
    let left = two.lab.live(&two.database).await;
    let failure = two.lab.perform(&expecting(&two, steps[0].clone(), left.as_ref())).await;
    let failure = failure.expect_err("is told");
    assert_eq!(failure.kind, FailureKind::Forbidden);
    assert!(failure.message.contains("does not own"), "{failure}");
    assert_eq!(two.rows(), two.now);
    two.lab.server.psql("postgres", &format!("ALTER DATABASE {name} OWNER TO {ROLE}"));

    let mut gone = steps[0].clone();
    gone.payload.insert("id".to_owned(), Value::text("20200101T000000Z-00000000"));
    let failure = two.lab.perform(&expecting(&two, gone, left.as_ref())).await;
    assert!(failure.expect_err("is told").message.contains("there is no backup"));

    // A session of a superuser that hive's role may not end.
    let mut command = two.lab.server.psql_command(name);
    command.args(["-c", "SELECT pg_sleep(100)"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut user = command.spawn().expect("starts");
    let there = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND usename = 'keeper'"
    );
    while two.lab.server.psql("postgres", &there) == "0" {}
    let mut step = steps[0].clone();
    step.deadline_ms = 9_000;
    let failure = two.lab.perform(&expecting(&two, step, left.as_ref())).await;
    user.kill().expect("ends");
    user.wait().expect("ends");
    let failure = failure.expect_err("cannot be closed");
    assert!(matches!(failure.kind, FailureKind::Taken | FailureKind::TimedOut), "{failure:?}");
    let open = format!("SELECT datallowconn FROM pg_database WHERE datname = '{name}'");
    assert_eq!(two.lab.server.psql("postgres", &open), "t", "it is open again: {failure:?}");
    assert_eq!(two.rows(), two.now);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_comes_back_from_its_backup() {
    let two = Two::new(Server::shared()).await;
    let name = &two.lab.database;
    two.lab.server.psql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    let mut of = two.lab.of();
    of.insert("create".to_owned(), Value::Bool(true));
    let database = two.lab.lower(&declared("database.main", of));
    let two = Two { database, ..two };
    let steps = two.steps().await;
    let verbs: Vec<&str> = steps.iter().map(|it| it.verb.as_str()).collect();
    assert_eq!(verbs, ["restore", "swap"]);
    assert!(steps.iter().all(|it| it.expects == Expects::Absent));
    all(&two, &steps).await.expect("comes back");
    assert_eq!(two.rows(), two.then);
    assert!(two.beside().is_empty());
    let live = two.lab.live(&two.database).await.expect("is there");
    let undo = steps.iter().rev().filter_map(|it| match &it.undo {
        Undo::By(undo) => Some((**undo).clone()),
        _ => None,
    });
    let mut left = Some(live);
    for step in undo {
        let outcome = two.lab.perform(&expecting(&two, step, left.as_ref())).await.expect("undoes");
        left = outcome.live;
    }
    assert!(two.lab.live(&two.database).await.is_none());
    assert!(two.beside().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_content_is_not_swapped_in() {
    let two = Two::new(Server::shared()).await;
    let backed = two.lab.lower(&declared("backup.main", backup(&two.lab)));
    take(&two.lab, &backed).await;
    assert!(!run(&two.lab, &backed, "run").await.is_empty());
    let steps = two.steps().await;
    let left = two.lab.live(&two.database).await;
    let closed = two.lab.perform(&expecting(&two, steps[0].clone(), left.as_ref())).await;
    let closed = closed.expect("closes");
    let failure = two.lab.perform(&expecting(&two, steps[3].clone(), closed.live.as_ref())).await;
    let failure = failure.expect_err("there is nothing restored");
    assert_eq!(failure.kind, FailureKind::Moved);
    let Undo::By(reopen) = &steps[0].undo else { panic!("it is undone") };
    let request = expecting(&two, (**reopen).clone(), closed.live.as_ref());
    two.lab.perform(&request).await.expect("opens");
    assert_eq!(two.rows(), two.now);
}
