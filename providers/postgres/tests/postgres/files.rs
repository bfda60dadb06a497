//! Files: applied, refused, half applied and gone on with, taken back.

use crate::lab::{Lab, migrations, one, target};
use hive_contract::{Action, Ask, Expects, FailureKind, Lowered, Phase, Reversible, Undo, Value};
use hive_parts::Postgres as Server;

const ONE: [(&str, &str); 2] = [
    ("0001_orders.up.sql", "CREATE TABLE orders (id int PRIMARY KEY, note text);"),
    ("0001_orders.down.sql", "DROP TABLE orders;"),
];
const TWO: [(&str, &str); 2] = [
    ("0002_status.up.sql", "ALTER TABLE orders ADD COLUMN status text;"),
    ("0002_status.down.sql", "ALTER TABLE orders DROP COLUMN status;"),
];

fn list(lab: &Lab<'_>, files: &[(&str, &str)]) -> Lowered {
    lab.lower(&migrations(&lab.of(), files, &[]))
}

async fn fields(lab: &Lab<'_>, lowered: &Lowered) -> hive_contract::Fields {
    lab.live(lowered).await.expect("is there").fields
}

async fn is_as_declared(lab: &Lab<'_>, lowered: &Lowered) {
    let live = fields(lab, lowered).await;
    for (field, value) in &lowered.fields {
        assert_eq!(live.get(field), Some(value), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_and_its_history_are_one_transaction() {
    let lab = Lab::new(Server::shared());
    let desired = list(&lab, &ONE);
    lab.apply(Action::Create, &desired, None).await.expect("applies");
    is_as_declared(&lab, &desired).await;
    let row = lab.psql(
        "SELECT name, applied, total, finished_ms IS NOT NULL, apply, before <> after, \
         length(token) FROM hive.migrations",
    );
    assert_eq!(row, "0001_orders|1|1|t|a-1|t|32");

    let bad = ("0002_bad.up.sql", "INSERT INTO orders VALUES (1);\nSELECT 1 / 0;");
    let down = ("0002_bad.down.sql", "DELETE FROM orders;");
    let next = list(&lab, &[ONE[0], ONE[1], bad, down]);
    let failure = lab.apply(Action::Update, &next, Some(&desired)).await.expect_err("fails");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.contains("0002_bad.up.sql:2"), "{failure}");
    assert!(failure.message.contains("division by zero"), "{failure}");
    assert_eq!(lab.psql("SELECT count(*) FROM orders"), "0");
    assert_eq!(lab.psql("SELECT count(*) FROM hive.migrations"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_has_a_name_and_is_accepted_by_name() {
    let lab = Lab::new(Server::shared());
    let desired = list(&lab, &ONE);
    lab.apply(Action::Create, &desired, None).await.expect("applies");
    lab.psql("ALTER TABLE orders ADD COLUMN by_hand int; CREATE INDEX by_hand ON orders (note)");
    let live = fields(&lab, &desired).await;
    let drift = live["drift"].as_map().expect("is a table");
    let named: Vec<&str> = drift.keys().map(String::as_str).collect();
    assert_eq!(named, ["column public.orders.by_hand", "index public.by_hand"]);

    let change = lab.change(Action::Update, Some(&desired), Some(&desired)).await;
    let steps = lab.steps(&change, None);
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].verb, "accept");
    assert!(steps[0].notes[0].contains("column public.orders.by_hand"), "{:?}", steps[0].notes);
    lab.run(&desired, steps).await.expect("accepts");
    assert_eq!(fields(&lab, &desired).await["drift"], Value::Map(hive_contract::Fields::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_go_with_the_history_is_refused_by_name() {
    let lab = Lab::new(Server::shared());
    let desired = list(&lab, &[ONE[0], ONE[1], TWO[0], TWO[1]]);
    lab.apply(Action::Create, &desired, None).await.expect("applies");
    let edited = ("0001_orders.up.sql", "CREATE TABLE orders (id int PRIMARY KEY,\n note int);");
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[edited, ONE[1], TWO[0], TWO[1]], "`0001_orders.up.sql` is applied and was edited"),
        (&[TWO[0], TWO[1]], "`0001_orders` is applied, and its file is not there"),
        (
            &[
                ONE[0],
                ONE[1],
                ("0001_5_x.up.sql", "SELECT 1"),
                ("0001_5_x.down.sql", "SELECT 1"),
                TWO[0],
                TWO[1],
            ],
            "version 1 is taken",
        ),
    ];
    for (files, expected) in cases {
        let declared = migrations(&lab.of(), files, &[]);
        let scope = hive_contract::LowerScope { owner: crate::lab::owner() };
        use hive_contract::Provider;
        let said = match lab.provider().lower(&declared, &scope) {
            Err(wrong) => format!("{wrong:?}"),
            Ok(lowered) => {
                let change = lab.change(Action::Update, Some(&lowered), Some(&desired)).await;
                assert!(lab.steps(&change, None).is_empty(), "nothing is planned");
                format!("{:?}", lab.provider().objections(&change))
            }
        };
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_list_goes_down_by_what_the_record_has() {
    let lab = Lab::new(Server::shared());
    let both = list(&lab, &[ONE[0], ONE[1], TWO[0], TWO[1]]);
    lab.apply(Action::Create, &both, None).await.expect("applies");
    let first = list(&lab, &ONE);
    lab.apply(Action::Update, &first, Some(&both)).await.expect("goes down");
    assert_eq!(lab.psql("SELECT string_agg(name, ' ') FROM hive.migrations"), "0001_orders");
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders'";
    assert_eq!(lab.psql(columns), "2");

    let stays = lab.lower(&migrations(&lab.of(), &ONE, &[("undo", Value::text("stay"))]));
    lab.apply(Action::Update, &both, Some(&first)).await.expect("goes up again");
    let change = lab.change(Action::Update, Some(&stays), Some(&both)).await;
    assert!(lab.steps(&change, None).is_empty(), "an expand stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_contract_took_comes_back_early_and_goes_again_on_the_way_back() {
    let lab = Lab::new(Server::shared());
    let drop = ("0003_drop.up.sql", "ALTER TABLE orders DROP COLUMN note;");
    let back = ("0003_drop.down.sql", "ALTER TABLE orders ADD COLUMN note text;");
    let two = list(&lab, &[ONE[0], ONE[1], TWO[0], TWO[1]]);
    let three = list(&lab, &[ONE[0], ONE[1], TWO[0], TWO[1], drop, back]);
    lab.apply(Action::Create, &three, None).await.expect("applies");
    let columns = "SELECT string_agg(column_name, ' ' ORDER BY column_name) \
                   FROM information_schema.columns WHERE table_name = 'orders'";
    assert_eq!(lab.psql(columns), "id status");
    let change = lab.change(Action::Update, Some(&two), Some(&three)).await;
    let steps = lab.steps(&change, None);
    assert_eq!(steps.iter().map(|it| it.phase).collect::<Vec<_>>(), [Phase::Ready]);
    let Undo::By(again) = steps[0].undo.clone() else { panic!("{:?}", steps[0].undo) };
    lab.run(&two, steps).await.expect("goes back");
    assert_eq!(lab.psql(columns), "id note status");
    lab.run(&three, vec![*again]).await.expect("takes that back");
    assert_eq!(lab.psql(columns), "id status");
    is_as_declared(&lab, &three).await;
    // What an expand below it added goes when nobody uses it any more.
    let one = list(&lab, &ONE);
    let change = lab.change(Action::Update, Some(&one), Some(&three)).await;
    let steps = lab.steps(&change, None);
    let phases = steps.iter().map(|it| it.phase).collect::<Vec<_>>();
    assert_eq!(phases, [Phase::Ready, Phase::Prune]);
    assert!(matches!(steps[1].reversible, Reversible::Irreversible { .. }));
    lab.run(&one, steps).await.expect("goes back");
    is_as_declared(&lab, &one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phases_and_ways_back_follow_from_the_sql() {
    let lab = Lab::new(Server::shared());
    let first = list(&lab, &ONE);
    lab.apply(Action::Create, &first, None).await.expect("applies");
    let contract = (
        "0002_drop.up.sql",
        "-- hive: irreversible = \"the notes are gone\"\nALTER TABLE orders DROP COLUMN note;",
    );
    let next = list(&lab, &[ONE[0], ONE[1], contract]);
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let steps = lab.steps(&change, None);
    assert_eq!(steps[0].phase, Phase::Prune);
    assert!(matches!(steps[0].undo, Undo::None { .. }));
    assert!(matches!(steps[0].reversible, Reversible::Irreversible { .. }));
    use hive_contract::Provider;
    let ways = lab.provider().ways_back(&change, None);
    let holds: Vec<bool> = ways.iter().map(|it| it.not_because.is_none()).collect();
    assert_eq!(holds, [false, false, false], "{ways:?}");

    let backed = [("backup", Value::text("backup.main"))];
    let next = lab.lower(&migrations(&lab.of(), &[ONE[0], ONE[1], contract], &backed));
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let steps = lab.steps(&change, None);
    assert!(matches!(steps[0].reversible, Reversible::Restorable { .. }));
    assert!(matches!(steps[0].payload.get("backup"), Some(Value::Output(_))));

    let behind = ("0003_more.up.sql", "ALTER TABLE orders ADD COLUMN more int;");
    let down = ("0003_more.down.sql", "ALTER TABLE orders DROP COLUMN more;");
    let files = [ONE[0], ONE[1], contract, behind, down];
    let next = list(&lab, &files);
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let wrong = format!("{:?}", lab.provider().objections(&change));
    assert!(wrong.contains("`0003_more` (expand) waits behind `0002_drop` (contract)"), "{wrong}");
    let stopped = [("during", Value::text("stopped"))];
    let next = lab.lower(&migrations(&lab.of(), &files, &stopped));
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    assert!(lab.provider().objections(&change).is_empty());
    assert!(lab.steps(&change, None).iter().all(|it| it.phase == Phase::Stopped));
}

const CONCURRENT: [(&str, &str); 2] = [
    (
        "0002_index.up.sql",
        "-- hive: no-transaction\nSET statement_timeout = 0;\n\
         CREATE UNIQUE INDEX CONCURRENTLY one_note ON orders (note);\nANALYZE orders;",
    ),
    ("0002_index.down.sql", "-- hive: no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS one_note;"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_applied_file_goes_on_and_leaves_no_carcass() {
    let lab = Lab::new(Server::shared());
    let first = list(&lab, &ONE);
    lab.apply(Action::Create, &first, None).await.expect("applies");
    lab.psql("INSERT INTO orders VALUES (1, 'same'), (2, 'same')");
    let next = list(&lab, &[ONE[0], ONE[1], CONCURRENT[0], CONCURRENT[1]]);
    let failure = lab.apply(Action::Update, &next, Some(&first)).await.expect_err("fails");
    assert!(failure.message.contains("0002_index.up.sql:3"), "{failure}");
    assert_eq!(lab.psql("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0");
    let live = fields(&lab, &next).await;
    let half = live["half"].as_map().expect("is half");
    assert_eq!((&half["applied"], &half["total"]), (&Value::Int(1), &Value::Int(3)));
    assert_eq!(live["count"], Value::Int(1));

    lab.psql("DELETE FROM orders WHERE id = 2");
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let steps = lab.steps(&change, None);
    assert_eq!(steps[0].verb, "resume");
    assert!(steps[0].notes[0].contains("1 of 3 statements are done"), "{:?}", steps[0].notes);
    lab.run(&next, steps).await.expect("goes on");
    let row =
        lab.psql("SELECT applied, total, error IS NULL FROM hive.migrations WHERE number = 2");
    assert_eq!(row, "3|3|t");
    assert_eq!(
        lab.psql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'one_note'::regclass"),
        "t"
    );
    lab.apply(Action::Update, &first, Some(&next)).await.expect("goes down");
    assert_eq!(lab.psql("SELECT to_regclass('one_note') IS NULL"), "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_applied_file_that_nobody_wants_is_taken_back() {
    use hive_contract::Provider;
    let lab = Lab::new(Server::shared());
    let first = list(&lab, &ONE);
    lab.apply(Action::Create, &first, None).await.expect("applies");
    lab.psql("INSERT INTO orders VALUES (1, 'same'), (2, 'same')");
    let next = list(&lab, &[ONE[0], ONE[1], CONCURRENT[0], CONCURRENT[1]]);
    lab.apply(Action::Update, &next, Some(&first)).await.expect_err("fails");

    // Without its down file a person decides.
    let change = lab.change(Action::Update, Some(&first), Some(&first)).await;
    let wrong = format!("{:?}", lab.provider().objections(&change));
    assert!(wrong.contains("`0002_index` is half applied: 1 of 3 statements are done"), "{wrong}");

    let change = lab.change(Action::Update, Some(&first), Some(&next)).await;
    assert!(lab.provider().objections(&change).is_empty());
    let steps = lab.steps(&change, None);
    assert_eq!(steps.iter().map(|it| &*it.verb).collect::<Vec<_>>(), ["down"]);
    assert_eq!((steps[0].title.as_str(), steps[0].phase), ("take back 0002_index", Phase::Ready));
    lab.run(&first, steps).await.expect("goes back");
    assert_eq!(lab.psql("SELECT count(*) FROM hive.migrations WHERE number = 2"), "0");
    is_as_declared(&lab, &first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_in_an_applied_file_is_taken_as_it_is() {
    use hive_contract::Provider;
    let lab = Lab::new(Server::shared());
    let first = list(&lab, &ONE);
    lab.apply(Action::Create, &first, None).await.expect("applies");
    let said = (
        "0001_orders.up.sql",
        "-- who orders what\nCREATE TABLE orders (id int PRIMARY KEY, note text);",
    );
    let next = list(&lab, &[said, ONE[1]]);
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    assert!(lab.provider().objections(&change).is_empty());
    let steps = lab.steps(&change, None);
    assert_eq!(steps.iter().map(|it| &*it.verb).collect::<Vec<_>>(), ["accept"]);
    assert!(
        steps[0].notes[0].contains("only blanks or comments are other"),
        "{:?}",
        steps[0].notes
    );
    lab.run(&next, steps).await.expect("is taken");
    is_as_declared(&lab, &next).await;
    // An edit that says something else is refused.
    let other = ("0001_orders.up.sql", "CREATE TABLE orders (id int PRIMARY KEY, note varchar);");
    let edited = list(&lab, &[other, ONE[1]]);
    let change = lab.change(Action::Update, Some(&edited), Some(&next)).await;
    let wrong = format!("{:?}", lab.provider().objections(&change));
    assert!(wrong.contains("`0001_orders.up.sql` is applied and was edited"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_not_given_is_asked_for_again_as_a_whole() {
    let lab = Lab::new(Server::shared());
    let first = list(&lab, &ONE);
    lab.apply(Action::Create, &first, None).await.expect("applies");
    let mut command = lab.server.psql_command(&lab.database);
    command.args(["-c", "BEGIN; SELECT * FROM orders; SELECT pg_sleep(1.5); COMMIT"]);
    let mut reader = command.stdout(std::process::Stdio::null()).spawn().expect("starts");
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND granted";
    while lab.psql(held) == "0" {}
    let next = list(&lab, &[ONE[0], ONE[1], TWO[0], TWO[1]]);
    lab.apply(Action::Update, &next, Some(&first)).await.expect("applies in the end");
    reader.wait().expect("ends");
    assert!(lab.heard().contains("tried again in"), "it says so");
    assert_eq!(lab.psql("SELECT count(*) FROM hive.migrations"), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hive_waits_for_no_other_hive_for_ever_and_says_who_it_is() {
    let lab = Lab::new(Server::shared());
    let desired = list(&lab, &ONE);
    let mut command = lab.server.psql_command(&lab.database);
    command
        .env("PGAPPNAME", "hive of somebody")
        .args(["-c", "SELECT pg_advisory_lock(1751742053, 1); SELECT pg_sleep(60)"]);
    let mut holder = command.stdout(std::process::Stdio::null()).spawn().expect("starts");
    while lab.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0" {}
    let change = lab.change(Action::Create, Some(&desired), None).await;
    let mut step = lab.steps(&change, None).remove(0);
    step.deadline_ms = 1_000;
    let request = lab.request(&desired, step).await;
    let failure = lab.perform(&request).await.expect_err("is locked");
    assert_eq!(failure.kind, FailureKind::Taken);
    assert!(failure.retryable);
    assert!(failure.message.contains("`hive of somebody` of keeper (pid "), "{failure}");
    holder.kill().expect("ends");
    holder.wait().expect("ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_of_one_url_share_one_session_and_marks_are_found() {
    let lab = Lab::new(Server::shared());
    let database = lab.lower(&crate::lab::declared("database.main", lab.of()));
    let list = list(&lab, &ONE);
    lab.apply(Action::Create, &database, None).await.expect("claims");
    lab.apply(Action::Create, &list, None).await.expect("applies");
    let sessions =
        format!("SELECT sessions FROM pg_stat_database WHERE datname = '{}'", lab.database);
    let count = || lab.server.psql("postgres", &sessions).parse::<u64>().expect("a number");
    lab.server.psql("postgres", "SELECT pg_sleep(0.6)");
    let before = count();
    let ask = Ask {
        parts: vec![one(&database), one(&list)],
        marked: Some(crate::lab::owner()),
        facts: false,
    };
    use hive_contract::Provider;
    let secrets = lab.secrets();
    let seen = lab.provider().observe(&ask, &secrets).await.expect("sees");
    assert!(seen.found[&target(&database)].as_ref().is_ok_and(|it| it.live().is_some()));
    let marked: Vec<&str> = seen.marked.iter().map(|it| it.identity.as_str()).collect();
    assert_eq!(marked, ["dev/database.main", "dev/migrations.main"]);
    // A session is counted when it ends.
    for _ in 0..40 {
        if count() > before {
            break;
        }
        lab.server.psql("postgres", "SELECT pg_sleep(0.1)");
    }
    assert_eq!(count() - before, 1, "one session for both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_made_where_it_may_be() {
    let lab = Lab::without(Server::shared());
    let mut of = lab.of();
    of.insert("create".to_owned(), Value::Bool(true));
    let database = lab.lower(&crate::lab::declared("database.main", of));
    assert!(lab.live(&database).await.is_none());
    let change = lab.change(Action::Create, Some(&database), None).await;
    let steps = lab.steps(&change, None);
    assert_eq!(steps[0].expects, Expects::Absent);
    lab.run(&database, steps).await.expect("makes it");
    assert!(lab.live(&database).await.is_some());
    assert_eq!(lab.psql("SELECT identity FROM hive.marks"), "dev/database.main");
}
