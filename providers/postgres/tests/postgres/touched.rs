//! Files in a row by one hive: what each one leaves is read as far as it was touched, and is the
//! same as a whole read.

use crate::lab::{Lab, migrations};
use hive_contract::provider::Unguarded;
use hive_contract::{Action, FailureKind, Fields, Lowered, Rehearsal, Value};
use hive_parts::Postgres as Server;
use hive_postgres::Postgres;

/// Each file and what is in it: objects are touched by what names them, and by what does not.
const FILES: [(&str, &str); 22] = [
    (
        "start",
        "CREATE TABLE orders (id int PRIMARY KEY, note varchar(10), price numeric DEFAULT 1, \
           other int UNIQUE, CHECK (price >= 0)); \
         CREATE INDEX orders_note ON orders (note); \
         CREATE TYPE mood AS ENUM ('sad', 'glad'); \
         CREATE DOMAIN positive AS int CHECK (VALUE > 0); \
         CREATE SEQUENCE numbers; \
         CREATE FUNCTION twice(x int) RETURNS int IMMUTABLE LANGUAGE sql RETURN x * 2; \
         CREATE TABLE lines (id int DEFAULT nextval('numbers'), order_id int REFERENCES orders (id), \
           mood mood, many positive, moods mood[], doubled int DEFAULT twice(4)); \
         CREATE TABLE other (id int); CREATE TABLE whole (o other, list other[]); \
         CREATE VIEW cheap AS SELECT id, note, price FROM orders WHERE price < 10; \
         CREATE VIEW cheaper AS SELECT c.id, l.mood FROM cheap c JOIN lines l ON l.order_id = c.id; \
         CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM lines; \
         CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; \
         CREATE TRIGGER seen BEFORE INSERT ON lines FOR EACH ROW EXECUTE FUNCTION seen(); \
         CREATE POLICY mine ON lines USING (twice(many) > 2); \
         CREATE RULE quiet AS ON DELETE TO lines DO INSTEAD NOTHING; \
         CREATE STATISTICS both_of_them ON note, price FROM orders",
    ),
    ("nothing", "SELECT 1"),
    ("rows", "INSERT INTO orders SELECT n, 'n' || n FROM generate_series(1, 100) n"),
    ("a column of a table with views", "ALTER TABLE orders ADD COLUMN mood mood DEFAULT 'sad'"),
    ("the name of a column in views", "ALTER TABLE orders RENAME COLUMN price TO cost"),
    (
        "the name of a table",
        "ALTER TABLE orders RENAME TO purchases; ALTER TABLE other RENAME TO others",
    ),
    ("the name of a type", "ALTER TYPE mood RENAME TO temper"),
    (
        "a value of a type",
        "ALTER TYPE temper RENAME VALUE 'sad' TO 'blue'; ALTER TYPE temper ADD VALUE 'mad'",
    ),
    ("the name of a function", "ALTER FUNCTION twice(int) RENAME TO double"),
    (
        "the name of a sequence",
        "ALTER SEQUENCE numbers RENAME TO counts; ALTER SEQUENCE counts INCREMENT 5",
    ),
    (
        "what is made while it runs",
        "DO $$ BEGIN EXECUTE 'CREATE TABLE ' || 'made' || ' (id int)'; \
           BEGIN EXECUTE 'CREATE TABLE gone ()'; \
             EXECUTE 'ALTER TABLE purchases ALTER COLUMN note TYPE text'; \
           EXCEPTION WHEN feature_not_supported THEN \
             EXECUTE 'ALTER TABLE lines ALTER COLUMN many SET DEFAULT 3'; END; END $$",
    ),
    (
        "a function that changes the schema",
        "CREATE FUNCTION widen(t text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
           EXECUTE format('ALTER TABLE %I ADD COLUMN wide int', t); END $$; \
         SELECT widen('purchases')",
    ),
    (
        "part of it taken back",
        "SAVEPOINT s; CREATE TABLE never (id int); DROP VIEW cheap CASCADE; ROLLBACK TO s; \
         CREATE TABLE ever (id int); SAVEPOINT t; ALTER TABLE ever ADD COLUMN inside int; \
         RELEASE t",
    ),
    (
        "the type of a column in a view",
        "DROP VIEW cheap CASCADE; ALTER TABLE purchases ALTER COLUMN note TYPE text; \
         CREATE VIEW cheap AS SELECT id, note, cost FROM purchases",
    ),
    (
        "an index that a constraint takes",
        "CREATE UNIQUE INDEX lone ON made (id); ALTER TABLE made ADD CONSTRAINT lone UNIQUE USING INDEX lone",
    ),
    ("a default that goes with its function", "DROP FUNCTION double(int) CASCADE"),
    (
        "a schema",
        "CREATE SCHEMA apart; CREATE TABLE apart.t (id int REFERENCES purchases (id)); ALTER TABLE made SET SCHEMA apart",
    ),
    ("the name of a schema", "ALTER SCHEMA apart RENAME TO aside"),
    (
        "parts",
        "CREATE TABLE days (d date NOT NULL, n int) PARTITION BY RANGE (d); \
         CREATE TABLE day_one PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-01-02'); \
         CREATE INDEX ON days (n); CREATE TABLE mother (id int); \
         CREATE TABLE child () INHERITS (mother)",
    ),
    (
        "parts that part",
        "ALTER TABLE days DETACH PARTITION day_one; ALTER TABLE child NO INHERIT mother; ALTER TABLE mother RENAME TO parent",
    ),
    (
        "names that change places",
        "ALTER TABLE ever RENAME TO x; ALTER TABLE parent RENAME TO ever; ALTER TABLE x RENAME TO parent",
    ),
    (
        "everything",
        "DROP TABLE purchases, lines CASCADE; DROP SCHEMA aside CASCADE; DROP TYPE temper",
    ),
];

/// A list of files that nothing takes back.
fn only_up(lab: &Lab<'_>, files: &[(String, &str)]) -> Lowered {
    let text = |text: &str| format!("-- hive: irreversible = \"it is tried\"\n{text}");
    let files: Vec<(&str, String)> = files.iter().map(|it| (&*it.0, text(it.1))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|it| (it.0, &*it.1)).collect();
    let more = [("during", Value::text("stopped"))];
    lab.lower(&migrations(&lab.of(), &files, &more))
}

fn list(lab: &Lab<'_>, upto: usize) -> Lowered {
    let texts: Vec<(String, &str)> = FILES[..upto]
        .iter()
        .enumerate()
        .map(|(at, (name, text))| {
            let name = name.replace(' ', "_");
            (format!("{:04}_{name}.up.sql", at + 1), *text)
        })
        .collect();
    only_up(lab, &texts)
}

/// Applies the rest by one hive, and compares what each file leaves with a whole read.
async fn apply(
    lab: &Lab<'_>,
    provider: &Postgres,
    action: Action,
    (desired, before): (&Lowered, Option<&Lowered>),
    tried: Option<&Rehearsal>,
) {
    let change = lab.change(action, Some(desired), before).await;
    for step in lab.steps(&change, tried) {
        let title = step.title.clone();
        let request = lab.request(desired, step).await;
        let done = lab.perform_by(provider, &request, &Unguarded, false).await;
        let outcome = done.unwrap_or_else(|failure| panic!("{title}: {failure:?}"));
        let whole = lab.live(desired).await.expect("is there");
        let none = Some(&Value::Map(Fields::new()));
        assert_eq!(whole.fields.get("drift"), none, "{title}");
        let said = outcome.live.as_ref().and_then(|it| it.outputs.get("schema")).cloned();
        assert_eq!(said.as_ref(), whole.outputs.get("schema"), "{title}");
    }
    let after = lab.psql("SELECT after FROM hive.migrations ORDER BY number DESC LIMIT 1");
    let live = lab.live(desired).await.expect("is there");
    assert_eq!(live.outputs.get("schema"), Some(&Value::text(after)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_file_touches_however_is_read_as_a_whole_read_would() {
    let lab = Lab::new(Server::shared());
    let provider = lab.provider();
    let desired = list(&lab, FILES.len());
    let change = lab.change(Action::Create, Some(&desired), None).await;
    let tried = lab.rehearse(&change).await.expect("is tried");
    apply(&lab, &provider, Action::Create, (&desired, None), Some(&tried)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_changes_between_two_files_stays_visible() {
    let lab = Lab::new(Server::shared());
    let provider = lab.provider();
    let (first, second) = (list(&lab, 1), list(&lab, 4));
    apply(&lab, &provider, Action::Create, (&first, None), None).await;
    let change = lab.change(Action::Update, Some(&second), Some(&first)).await;
    let hand = [
        "CREATE TABLE by_hand (id int)",
        "ALTER TABLE orders ALTER COLUMN price SET DEFAULT 7",
        "DROP INDEX orders_note",
    ];
    for (step, hand) in lab.steps(&change, None).into_iter().zip(hand) {
        let request = lab.request(&second, step.clone()).await;
        lab.psql(hand);
        let failure = lab.perform_by(&provider, &request, &Unguarded, false).await;
        assert_eq!(failure.expect_err("is seen").kind, FailureKind::Moved, "{hand}");
        let request = lab.request(&second, step).await;
        lab.perform_by(&provider, &request, &Unguarded, false).await.expect("applies");
    }
    let live = lab.live(&second).await.expect("is there");
    let drift = live.fields["drift"].as_map().expect("is a table");
    let named: Vec<&str> = drift.keys().map(String::as_str).collect();
    let expected = [
        "column public.by_hand.id",
        "column public.orders.price",
        "index public.orders_note",
        "table public.by_hand",
    ];
    assert_eq!(named, expected);
    let after = lab.psql("SELECT after FROM hive.migrations ORDER BY number DESC LIMIT 1");
    assert_eq!(live.outputs.get("schema"), Some(&Value::text(after)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_file_s_session_is_there_in_the_next() {
    let lab = Lab::new(Server::shared());
    let provider = lab.provider();
    let files = [
        (
            "0001_leaves.up.sql",
            "CREATE SCHEMA app; SET search_path = app; CREATE TEMP TABLE left_over (id int); \
             SELECT pg_advisory_lock(77)",
        ),
        ("0002_finds.up.sql", "CREATE TABLE here AS SELECT to_regclass('left_over') AS t"),
        (
            "0003_settings.up.sql",
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = app', current_database()); END $$",
        ),
        ("0004_of_settings.up.sql", "CREATE TABLE there (id int)"),
    ];
    let desired = only_up(&lab, &files.map(|(name, text)| (name.to_owned(), text)));
    apply(&lab, &provider, Action::Create, (&desired, None), None).await;
    assert_eq!(lab.psql("SELECT count(*) FROM public.here WHERE t IS NULL"), "1");
    assert_eq!(lab.psql("SELECT to_regclass('app.there') IS NOT NULL"), "t");
    assert_eq!(lab.psql("SELECT pg_try_advisory_lock(77)"), "t");
    // And nothing stays open.
    let open = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND usename = '{}'",
        lab.database,
        crate::lab::ROLE
    );
    for _ in 0..100 {
        if lab.server.psql("postgres", &open) == "0" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("a session stays open");
}

/// A trigger on events touches a table that the file does not name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_event_trigger_touches_is_read_too() {
    let lab = Lab::new(Server::shared());
    // Only a superuser makes one; it runs as whoever applies.
    lab.psql(
        "CREATE FUNCTION also() RETURNS event_trigger LANGUAGE plpgsql AS $$ \
           BEGIN IF to_regclass('public.also_touched') IS NOT NULL THEN \
             EXECUTE format('ALTER TABLE public.also_touched ADD COLUMN of_%s int', txid_current()); \
           END IF; END $$; \
         CREATE EVENT TRIGGER also ON ddl_command_end WHEN TAG IN ('CREATE SEQUENCE') \
           EXECUTE FUNCTION also()",
    );
    let provider = lab.provider();
    let files = [
        ("0001_table.up.sql", "CREATE TABLE also_touched (id int)"),
        ("0002_sequence.up.sql", "CREATE SEQUENCE named"),
        ("0003_rows.up.sql", "INSERT INTO also_touched VALUES (1)"),
        ("0004_another.up.sql", "CREATE SEQUENCE another"),
    ];
    let desired = only_up(&lab, &files.map(|(name, text)| (name.to_owned(), text)));
    apply(&lab, &provider, Action::Create, (&desired, None), None).await;
    let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'also_touched'::regclass \
                   AND attnum > 1";
    assert_eq!(lab.psql(columns), "2", "the trigger ran");
}
