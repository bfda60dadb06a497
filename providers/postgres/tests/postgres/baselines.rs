//! Another tool's history: read for the plan, read again by the step, taken over as it is.

use crate::lab::{Lab, migrations};
use hive_contract::provider::Unguarded;
use hive_contract::{Action, FailureKind, Fields, Lowered, Provider, Value};
use hive_parts::Postgres as Server;

const FILES: [(&str, &str); 6] = [
    ("0001_orders.up.sql", "CREATE TABLE orders (id int PRIMARY KEY, note text);"),
    ("0001_orders.down.sql", "DROP TABLE orders;"),
    ("0002_note.up.sql", "ALTER TABLE orders DROP COLUMN note;"),
    ("0002_note.down.sql", "ALTER TABLE orders ADD COLUMN note text;"),
    ("0003_status.up.sql", "ALTER TABLE orders ADD COLUMN status text;"),
    ("0003_status.down.sql", "ALTER TABLE orders DROP COLUMN status;"),
];
const GOLANG: &str = "CREATE TABLE orders (id int PRIMARY KEY); ALTER TABLE orders OWNER TO hiver; \
    CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); \
    GRANT SELECT ON schema_migrations TO hiver";

fn list(lab: &Lab<'_>, tool: &str) -> Lowered {
    let tool = Fields::from([("tool".to_owned(), Value::text(tool))]);
    lab.lower(&migrations(&lab.of(), &FILES, &[("baseline", Value::Map(tool))]))
}

async fn wrong(lab: &Lab<'_>, tool: &str) -> String {
    let desired = list(lab, tool);
    let there = lab.live(&desired).await.is_some();
    let action = if there { Action::Adopt } else { Action::Create };
    let change = lab.change(action, Some(&desired), None).await;
    let wrong = lab.provider().objections(&change);
    assert!(wrong.iter().all(|it| it.help.is_some()), "{wrong:?}");
    wrong.iter().map(|it| format!("{}: {}", it.field, it.message)).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_what_another_tool_has_applied_and_tries_the_rest() {
    let lab = Lab::new(Server::shared());
    lab.psql(&format!("{GOLANG}; INSERT INTO schema_migrations VALUES (2, false)"));
    let desired = list(&lab, "golang-migrate");
    let live = lab.live(&desired).await.expect("is there, and nobody's");
    assert_eq!((live.mark, live.token), (None, None));
    let change = lab.change(Action::Adopt, Some(&desired), None).await;
    // What is applied already hides no file that is not.
    assert_eq!(lab.provider().objections(&change), []);
    let tried = lab.rehearse(&change).await.expect("tries the rest");
    let steps = lab.steps(&change, Some(&tried));
    let titles: Vec<&str> = steps.iter().map(|it| it.title.as_str()).collect();
    let first = "take over what golang-migrate has applied, up to 0002_note";
    assert_eq!(titles, [first, "apply 0003_status"]);
    let notes = [
        "2 files counted as applied, none run",
        "0001_orders: golang-migrate says 2",
        "0002_note: golang-migrate says 2",
    ];
    assert_eq!(steps[0].notes, notes);
    assert!(!steps[1].notes.contains(&"not rehearsed".to_owned()), "{:?}", steps[1].notes);

    let before = lab.psql("SELECT oid, relfilenode FROM pg_class WHERE relname = 'orders'");
    lab.run(&desired, steps).await.expect("takes over, and goes on");
    assert_eq!(lab.psql("SELECT oid, relfilenode FROM pg_class WHERE relname = 'orders'"), before);
    let rows = "SELECT name, baseline, finished_ms IS NOT NULL, applied, total \
        FROM hive.migrations ORDER BY number";
    assert_eq!(lab.psql(rows), "0001_orders|t|t|1|1\n0002_note|t|t|1|1\n0003_status|f|t|1|1");
    assert_eq!(lab.psql("SELECT * FROM schema_migrations"), "2|f");
    let live = lab.live(&desired).await.expect("is hive's").fields;
    for (field, value) in &desired.fields {
        assert_eq!(live.get(field), Some(value), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_cannot_be_taken_over_is_refused_by_the_plan() {
    let lab = Lab::new(Server::shared());
    let none = "baseline.tool: there is no history of golang-migrate here: no table \
        `schema_migrations` is found";
    assert_eq!(wrong(&lab, "golang-migrate").await, none);
    lab.psql(&format!("{GOLANG}; INSERT INTO schema_migrations VALUES (2, true)"));
    let dirty = "baseline: golang-migrate says that version 2 did not end well";
    assert_eq!(wrong(&lab, "golang-migrate").await, dirty);
    lab.psql("UPDATE schema_migrations SET version = 7, dirty = false");
    assert_eq!(wrong(&lab, "golang-migrate").await, "baseline: applied, and no file here: 7");

    let flyway = "baseline.tool: there is no history of flyway here: no table \
        `flyway_schema_history` is found";
    assert_eq!(wrong(&lab, "flyway").await, flyway);
    lab.psql(
        "CREATE TABLE flyway_schema_history (installed_rank int, version text, type text, \
           success boolean); GRANT SELECT ON flyway_schema_history TO hiver; \
         INSERT INTO flyway_schema_history VALUES (1, '1', 'SQL', true), (2, '2', 'SQL', false)",
    );
    let failed = "baseline: flyway says that version 2 did not end well";
    assert_eq!(wrong(&lab, "flyway").await, failed);

    lab.psql(
        "CREATE TABLE django_migrations (id int, app text, name text); \
         GRANT SELECT ON django_migrations TO hiver; \
         INSERT INTO django_migrations VALUES (1, 'shop', '0002_note')",
    );
    let gap = "baseline: `0001_orders.up.sql` is not applied, and `0002_note.up.sql`, which comes \
        after it, is";
    assert_eq!(wrong(&lab, "django").await, gap);

    // A table of that name that is another tool's cannot be read, and that is said.
    lab.psql(
        "CREATE TABLE _sqlx_migrations (other text); GRANT SELECT ON _sqlx_migrations TO hiver",
    );
    let failure = lab.observe(&list(&lab, "sqlx")).await.expect_err("is no history of sqlx");
    assert!(
        failure.message.contains("read the history of sqlx in `_sqlx_migrations`"),
        "{failure}"
    );
    assert_eq!(lab.psql("SELECT to_regclass('hive.marks') IS NULL"), "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_moved_behind_the_plan_is_not_taken_over() {
    let lab = Lab::new(Server::shared());
    lab.psql(&format!("{GOLANG}; INSERT INTO schema_migrations VALUES (1, false)"));
    let desired = list(&lab, "golang-migrate");
    let change = lab.change(Action::Adopt, Some(&desired), None).await;
    let step = lab.steps(&change, None).remove(0);
    let planned = lab.request(&desired, step.clone()).await;
    lab.psql("UPDATE schema_migrations SET version = 2");
    let failure = lab.perform(&planned).await.expect_err("moved");
    assert_eq!(failure.kind, FailureKind::Moved);
    assert!(failure.message.contains("is not what the plan saw"), "{failure}");
    // What is expected says so too, before any step.
    let now = lab.request(&desired, step).await;
    assert_ne!(now.expected, planned.expected);
    lab.psql("DROP TABLE schema_migrations");
    let gone = lab.perform_as(&planned, &Unguarded, false).await.expect_err("is gone");
    assert_eq!(gone.kind, FailureKind::Moved);
    assert_eq!(lab.psql("SELECT to_regclass('hive.marks') IS NULL"), "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_was_taken_over_and_let_go_is_taken_up_where_it_was() {
    let lab = Lab::new(Server::shared());
    lab.psql(&format!("{GOLANG}; INSERT INTO schema_migrations VALUES (2, false)"));
    let desired = list(&lab, "golang-migrate");
    lab.apply(Action::Adopt, &desired, None).await.expect("takes over");
    lab.take_away(&desired).await.expect("lets go");
    // hive's own history says more than the tool's.
    let live = lab.live(&desired).await.expect("is there, and nobody's");
    assert_eq!((live.mark, live.token), (None, None));
    assert_eq!(live.fields.get("count"), Some(&Value::Int(3)));
    let change = lab.change(Action::Adopt, Some(&desired), None).await;
    assert_eq!(lab.provider().objections(&change), []);
    let steps = lab.steps(&change, None);
    assert_eq!(steps.iter().map(|it| &*it.verb).collect::<Vec<_>>(), ["adopt"]);
    lab.run(&desired, steps).await.expect("takes up");
    assert!(lab.live(&desired).await.expect("is hive's").mark.is_some());
}
