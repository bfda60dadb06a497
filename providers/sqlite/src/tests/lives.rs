//! Lists of migrations from their first file to their last.

use super::world::{World, declared, list, picture};
use crate::conforms::{ONE, TWO, text};
use hive_contract::provider::LowerScope;
use hive_contract::{
    Action, FailureKind, Fields, Operation, Phase, Provider, Resolution, Reversible, Undo, Value,
};
use rusqlite::Connection;

const THREE: [(&str, &str); 1] = [(
    "0003_drop_total.up.sql",
    "-- hive: irreversible = \"totals are gone\"\nALTER TABLE orders DROP COLUMN total;",
)];

fn two() -> Vec<(&'static str, &'static str)> {
    ONE.into_iter().chain(TWO).collect()
}

fn three() -> Vec<(&'static str, &'static str)> {
    two().into_iter().chain(THREE).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_proves_down_files_and_the_live_schema_must_be_the_rehearsed_one() {
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    world.sql("INSERT INTO orders VALUES (1, 10)");
    let second = world.list(&two(), "down");
    let change = world.change(Action::Update, Some(&second), Some(&first)).await;
    assert!(world.sqlite.can_rehearse(&change));
    let before = world.picture();
    let rehearsal = world.rehearse(&change).await.expect("rehearses");
    assert_eq!(world.picture(), before, "a rehearsal changes nothing");
    assert_eq!(rehearsal.facts["down files proven"], "1 of 1");
    let steps = world.sqlite.steps(&change, Some(&rehearsal));
    let [step] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((step.title.as_str(), step.phase), ("apply 0002_status", Phase::Ready));
    assert!(step.notes.iter().any(|it| it.starts_with("down file proven")), "{:?}", step.notes);
    assert!(step.payload.contains_key("schema_after") && step.takes_ms.is_some());
    // The database is another by now: the same file leaves another schema.
    let mut moved = world.request(&change, step.clone(), None, &[]);
    moved.operation.payload.insert("schema_after".to_owned(), Value::text("0".repeat(64)));
    moved.expected = change
        .observed
        .as_ref()
        .map(|live| hive_contract::Fingerprint::of_managed(&live.fields, &moved.managed));
    let failure = world.perform(&moved).await.expect_err("is refused");
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    assert_eq!(world.picture(), before, "it was rolled back");
    world.apply(&change, Some(&rehearsal)).await.well();
    assert_eq!(world.number("SELECT count(*) FROM orders WHERE status = 'new'"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_down_file_that_does_not_bring_back_what_was_is_not_proven() {
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    let bad = [TWO[0], ("0002_status.down.sql", "ALTER TABLE orders RENAME COLUMN status TO s;")];
    let files: Vec<_> = ONE.into_iter().chain(bad).collect();
    let second = world.list(&files, "down");
    let change = world.change(Action::Update, Some(&second), Some(&first)).await;
    let rehearsal = world.rehearse(&change).await.expect("rehearses");
    assert_eq!(rehearsal.facts["down files proven"], "0 of 1");
    let why = &rehearsal.facts["not proven"];
    assert!(why.contains("column orders.s") && why.contains("0002_status.down.sql"), "{why}");
    let ways = world.sqlite.ways_back(&change, Some(&rehearsal));
    assert_eq!(ways[0].way, "previous version");
    assert_eq!(ways[0].not_because, None);
    assert!(ways[1].not_because.as_ref().is_some_and(|why| why.contains("not proven")));
    assert_eq!(ways[2].not_because.as_deref(), Some("no backup of this database is declared"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_fails_names_its_line_and_leaves_nothing() {
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    world.sql("INSERT INTO orders VALUES (1, 10)");
    let before = world.picture();
    let bad = (
        "0002_bad.up.sql",
        "-- hive: irreversible = \"test\"\nINSERT INTO orders VALUES (2, 20);\n\
         INSERT INTO orders\n  VALUES (1, 30);\n",
    );
    let files: Vec<_> = ONE.into_iter().chain([bad]).collect();
    let second = world.list(&files, "down");
    let change = world.change(Action::Update, Some(&second), Some(&first)).await;
    let rehearsed = world.rehearse(&change).await.expect_err("fails on the copy as well");
    assert_eq!(rehearsed.kind, FailureKind::Invalid);
    let done = world.apply(&change, None).await;
    let failure = done.failure();
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert_eq!(failure.remains, hive_contract::Remains::Nothing);
    assert_eq!(failure.message, "0002_bad.up.sql:3:1: UNIQUE constraint failed: orders.id");
    assert_eq!(world.picture(), before);
    assert_eq!(world.number("SELECT count(*) FROM hive_migrations"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_point_nowhere_are_refused_unless_they_did_before() {
    let world = World::new();
    let files = vec![
        (
            "0001_a.up.sql",
            "CREATE TABLE a (id INTEGER PRIMARY KEY); \
                           CREATE TABLE b (a INT REFERENCES a (id));",
        ),
        ("0001_a.down.sql", "DROP TABLE b; DROP TABLE a;"),
    ];
    let first = world.migrated(&files).await;
    world.sql("PRAGMA foreign_keys = OFF; INSERT INTO b VALUES (7)");
    let fill = |sql: &'static str| {
        let mut more = files.clone();
        more.push(("0002_fill.up.sql", sql));
        more
    };
    let good =
        world.list(&fill("-- hive: irreversible = \"t\"\nINSERT INTO a VALUES (1);"), "down");
    let change = world.change(Action::Update, Some(&good), Some(&first)).await;
    world.rehearse(&change).await.expect("what was broken before does not stop it");
    let bad = world.list(&fill("-- hive: irreversible = \"t\"\nINSERT INTO b VALUES (8);"), "down");
    let change = world.change(Action::Update, Some(&bad), Some(&first)).await;
    let done = world.apply(&change, None).await;
    assert!(
        done.failure().message.contains("point nowhere: 2 rows of b at a"),
        "{:?}",
        done.failure()
    );
    assert_eq!(world.number("SELECT count(*) FROM b"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hives_own_tables_and_transactions_are_not_a_files_to_touch() {
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    for (sql, says) in [
        ("DROP TABLE hive_marks;", "`hive_marks` is hive's own"),
        ("DELETE FROM hive_migrations;", "`hive_migrations` is hive's own"),
        ("UPDATE hive_tokens SET ended = 'void';", "`hive_tokens` is hive's own"),
        ("PRAGMA writable_schema = 1;", "SQLite's own tables"),
    ] {
        let sql = format!("-- hive: irreversible = \"t\"\n{sql}");
        let files: Vec<_> = ONE.into_iter().chain([("0002_x.up.sql", sql.as_str())]).collect();
        let second = world.list(&files, "down");
        let change = world.change(Action::Update, Some(&second), Some(&first)).await;
        let done = world.apply(&change, None).await;
        assert!(done.failure().message.contains(says), "{sql}: {:?}", done.failure());
    }
    assert_eq!(world.number("SELECT count(*) FROM hive_migrations"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_removed_or_older_file_is_named() {
    let world = World::new();
    let first = world.migrated(&two()).await;
    let edited = [(ONE[0].0, "CREATE TABLE orders (id INTEGER PRIMARY KEY, total TEXT);"), ONE[1]];
    let older = [("0000_x.up.sql", "CREATE TABLE x (a);"), ("0000_x.down.sql", "DROP TABLE x;")];
    let cases: [(Vec<(&str, &str)>, &str); 3] = [
        (edited.into_iter().chain(TWO).collect(), "`0001_orders.up.sql` is applied and was edited"),
        (TWO.to_vec(), "`0001_orders` is applied, and its file is not there"),
        (older.into_iter().chain(two()).collect(), "`0000_x.up.sql` is not applied"),
    ];
    for (files, says) in cases {
        let second = world.list(&files, "down");
        let change = world.change(Action::Update, Some(&second), Some(&first)).await;
        let wrong = world.sqlite.objections(&change);
        assert!(wrong.iter().any(|it| it.message.contains(says)), "{says}: {wrong:?}");
        assert!(world.sqlite.steps(&change, None).is_empty(), "nothing is planned");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_only_looks_other_is_accepted_as_it_is() {
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    let reworded = [
        (
            ONE[0].0,
            "-- a note\nCREATE TABLE orders (\n id INTEGER PRIMARY KEY,\n total INT NOT NULL);",
        ),
        ONE[1],
    ];
    let second = world.list(&reworded.to_vec(), "down");
    let change = world.change(Action::Update, Some(&second), Some(&first)).await;
    let done = world.apply(&change, None).await.well();
    assert_eq!(done.requests[0].0.operation.verb, "accept");
    assert_eq!(world.live(&second).await.fields["chain"], second.fields["chain"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_named_and_accepted() {
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    world.sql("ALTER TABLE orders ADD COLUMN by_hand TEXT");
    let live = world.live(&first).await;
    let drift = live.fields["drift"].as_map().expect("a table");
    assert_eq!(drift["column orders.by_hand"].as_text(), Some("added by hand: text"));
    let change = world.change(Action::Update, Some(&first), Some(&first)).await;
    let steps = world.sqlite.steps(&change, None);
    assert_eq!(steps[0].notes[0], "column orders.by_hand: added by hand: text");
    world.apply(&change, None).await.well();
    let live = world.live(&first).await;
    assert_eq!(live.fields["drift"], Value::Map(Fields::new()));
    assert_eq!(world.number("SELECT count(*) FROM pragma_table_info('orders')"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_comes_late_and_an_expand_behind_it_is_refused() {
    let world = World::new();
    let first = world.migrated(&two()).await;
    let third = world.list(&three(), "down");
    let change = world.change(Action::Update, Some(&third), Some(&first)).await;
    let steps = world.sqlite.steps(&change, None);
    assert_eq!(steps[0].phase, Phase::Prune);
    assert!(matches!(steps[0].undo, Undo::None { .. }));
    assert!(matches!(steps[0].reversible, Reversible::Irreversible { .. }));
    let ways = world.sqlite.ways_back(&change, None);
    assert!(ways[0].not_because.is_some(), "the version before does not run behind it");
    let mut files = three();
    files.push(("0004_more.up.sql", "ALTER TABLE orders ADD COLUMN more INT;"));
    files.push(("0004_more.down.sql", "ALTER TABLE orders DROP COLUMN more;"));
    let fourth = world.list(&files, "down");
    let change = world.change(Action::Update, Some(&fourth), Some(&first)).await;
    let wrong = world.sqlite.objections(&change);
    assert!(wrong[0].message.contains("`0004_more` (expand) waits behind"), "{wrong:?}");
    // On a new database nobody runs yet, so their order is that of the files.
    let fresh = World::new();
    fresh.migrated(&files).await;
    assert_eq!(fresh.number("SELECT count(*) FROM hive_migrations"), 4);
}

/// Its point of no return is where something can be lost, and nowhere before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nothing_a_contract_takes_nothing() {
    let way_back = |steps: &[Operation]| {
        let contract =
            steps.iter().find(|it| it.title.starts_with("apply 0003")).expect("a contract");
        (contract.reversible == Reversible::Reversible, contract.phase)
    };
    for (there, rehearsed, reversible) in [
        (false, true, true),
        // Who did not look does not know.
        (false, false, false),
        (true, true, false),
    ] {
        let world = World::new();
        let database = world.database();
        let change = world.change(Action::Create, Some(&database), None).await;
        world.apply(&change, None).await.well();
        if there {
            world.sql("CREATE TABLE of_a_person (n integer); INSERT INTO of_a_person VALUES (1)");
        }
        let list = world.list(&three(), "stay");
        let change = world.change(Action::Create, Some(&list), None).await;
        let rehearsal = match rehearsed {
            true => Some(world.rehearse(&change).await.expect("works on a copy")),
            false => None,
        };
        let steps = world.sqlite.steps(&change, rehearsal.as_ref());
        assert_eq!(way_back(&steps), (reversible, Phase::Ready), "{steps:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_list_stays_or_goes_down() {
    let world = World::new();
    let second = world.migrated(&two()).await;
    let older = world.list(&ONE.to_vec(), "stay");
    let change = world.change(Action::Update, Some(&older), Some(&second)).await;
    assert!(world.sqlite.steps(&change, None).is_empty());
    let older = world.list(&ONE.to_vec(), "down");
    let change = world.change(Action::Update, Some(&older), Some(&second)).await;
    let done = world.apply(&change, None).await.well();
    assert_eq!(done.requests[0].0.operation.title, "take back 0002_status");
    assert_eq!(done.requests[0].0.operation.phase, Phase::Prune, "its column may still be used");
    assert_eq!(world.live(&older).await.fields["head"].as_text(), Some("0001_orders"));
    assert_eq!(world.number("SELECT count(*) FROM pragma_table_info('orders')"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_contract_took_comes_back_early_and_goes_again_on_the_way_back() {
    let world = World::new();
    let drop = [
        ("0003_drop.up.sql", "ALTER TABLE orders DROP COLUMN total;"),
        ("0003_drop.down.sql", "ALTER TABLE orders ADD COLUMN total INT;"),
    ];
    let files: Vec<_> = two().into_iter().chain(drop).collect();
    let third = world.migrated(&files).await;
    let columns = "SELECT count(*) FROM pragma_table_info('orders')";
    let before = world.number(columns);
    let second = world.list(&two(), "down");
    let change = world.change(Action::Update, Some(&second), Some(&third)).await;
    let done = world.apply(&change, None).await.well();
    assert_eq!(done.requests[0].0.operation.phase, Phase::Ready, "its column is needed again");
    assert_eq!(world.number(columns), before + 1);
    world.undo(&change, &done).await.expect("takes that back");
    assert_eq!(world.number(columns), before);
    assert_eq!(world.live(&third).await.fields["chain"], third.fields["chain"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_was_let_go_is_taken_up_where_it_was() {
    let world = World::new();
    let list = world.migrated(&two()).await;
    world.sql("INSERT INTO orders (id, total) VALUES (1, 10)");
    let change = world.change(Action::Delete, None, Some(&list)).await;
    world.apply(&change, None).await.well();
    assert_eq!(world.look(&list).await.expect("reads"), None);
    let change = world.change(Action::Create, Some(&list), None).await;
    let tried = world.rehearse(&change).await.expect("what is applied is not tried again");
    world.apply(&change, Some(&tried)).await.well();
    assert_eq!(world.live(&list).await.fields["count"].as_int(), Some(2));
    assert_eq!(world.number("SELECT count(*) FROM orders"), 1, "no file ran twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_transaction_a_file_goes_on_where_it_stopped() {
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    let head = "-- hive: no-transaction\n-- hive: irreversible = \"t\"\n";
    let broken = format!("{head}CREATE TABLE a (x);\nCREATE TABLE a (x);\nCREATE TABLE b (x);");
    let files: Vec<_> = ONE.into_iter().chain([("0002_ab.up.sql", broken.as_str())]).collect();
    let second = world.list(&files, "down");
    let change = world.change(Action::Update, Some(&second), Some(&first)).await;
    let done = world.apply(&change, None).await;
    let (request, failure) = done.failed.as_ref().expect("fails");
    assert!(failure.message.contains("0002_ab.up.sql:4:"), "{failure:?}");
    assert!(matches!(world.resolve(request).await, Resolution::Failed(_)));
    let live = world.live(&second).await;
    assert_eq!(live.fields["half"].as_map().expect("half")["applied"].as_int(), Some(1));
    assert!(!live.status.ready);
    // The statement that failed is corrected; the one that ran is as it was.
    let fixed = format!("{head}CREATE TABLE a (x);\nCREATE TABLE c (x);\nCREATE TABLE b (x);");
    let files: Vec<_> = ONE.into_iter().chain([("0002_ab.up.sql", fixed.as_str())]).collect();
    let third = world.list(&files, "down");
    let change = world.change(Action::Update, Some(&third), Some(&first)).await;
    let steps = world.sqlite.steps(&change, None);
    assert_eq!(steps[0].verb, "resume", "{steps:?}");
    world.apply(&change, None).await.well();
    assert_eq!(world.number("SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'b', 'c')"), 3);
    // What ran may not be another.
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    let files: Vec<_> = ONE.into_iter().chain([("0002_ab.up.sql", broken.as_str())]).collect();
    let second = world.list(&files, "down");
    let change = world.change(Action::Update, Some(&second), Some(&first)).await;
    world.apply(&change, None).await.failure();
    let other = format!("{head}CREATE TABLE z (x);\nCREATE TABLE c (x);");
    let files: Vec<_> = ONE.into_iter().chain([("0002_ab.up.sql", other.as_str())]).collect();
    let third = world.list(&files, "down");
    let change = world.change(Action::Update, Some(&third), Some(&first)).await;
    let wrong = world.sqlite.objections(&change);
    assert!(wrong[0].message.contains("statement 1 ran and is another now"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vacuum_runs_where_it_can() {
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    let vacuum =
        ("0002_vacuum.up.sql", "-- hive: no-transaction\n-- hive: irreversible = \"t\"\nVACUUM;");
    let files: Vec<_> = ONE.into_iter().chain([vacuum]).collect();
    let second = world.list(&files, "down");
    let change = world.change(Action::Update, Some(&second), Some(&first)).await;
    world.rehearse(&change).await.expect("rehearses");
    world.apply(&change, None).await.well();
    assert!(world.live(&second).await.status.ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_of_another_tool_is_adopted_without_a_change() {
    let world = World::new();
    std::fs::create_dir_all(world.folder.path().join("data")).expect("folder");
    world.sql(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, total INT NOT NULL);
         INSERT INTO orders VALUES (1, 10);
         CREATE TABLE schema_migrations (version uint64, dirty bool);
         INSERT INTO schema_migrations VALUES (1, 0);",
    );
    let database = world.database();
    let change = world.change(Action::Create, Some(&database), None).await;
    world.apply(&change, None).await.well();
    let before = world.picture();
    let mut fields = list(&ONE.to_vec(), "down");
    let tool = Fields::from([text("tool", "golang-migrate")]);
    fields.insert("baseline".to_owned(), Value::Map(tool));
    let lowered = world.lower("migrations", fields.clone());
    let live = world.live(&lowered).await;
    assert_eq!(live.mark, None, "it is there, and nobody's");
    let change = world.change(Action::Adopt, Some(&lowered), None).await;
    let done = world.apply(&change, None).await.well();
    assert_eq!(done.requests.len(), 1);
    assert_eq!(
        done.requests[0].0.operation.title,
        "take over what golang-migrate has applied, up to 0001_orders"
    );
    assert_eq!(world.picture(), before);
    let live = world.live(&lowered).await;
    assert_eq!(live.fields["chain"], lowered.fields["chain"]);
    assert!(live.status.ready && live.mark.is_some());
    // A history that says that something went wrong is not taken over.
    let world = World::new();
    std::fs::create_dir_all(world.folder.path().join("data")).expect("folder");
    world.sql(
        "CREATE TABLE schema_migrations (version uint64, dirty bool);
         INSERT INTO schema_migrations VALUES (1, 1);",
    );
    let change = world.change(Action::Adopt, Some(&lowered), None).await;
    let wrong = world.sqlite.objections(&change);
    assert!(wrong[0].message.contains("did not end well"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_files_and_fields_are_refused_with_their_names() {
    let world = World::new();
    let scope = LowerScope { owner: world.owner() };
    let twice = vec![ONE[0], ONE[1], ("1_other.up.sql", "SELECT 1;")];
    let mut wrong = list(&twice, "sideways");
    wrong.insert("colour".to_owned(), Value::from(1));
    let refused = world.sqlite.lower(&declared("migrations", wrong), &scope).expect_err("wrong");
    let said: Vec<String> =
        refused.iter().map(|it| format!("{}: {}", it.field, it.message)).collect();
    for part in ["colour", "undo: `sideways`", "files: "] {
        assert!(said.iter().any(|it| it.contains(part)), "{part}: {said:?}");
    }
    for path in ["", "x/", ":memory:", "file:x", "a\nb"] {
        let fields = Fields::from([text("engine", "sqlite"), text("path", path)]);
        let refused = world.sqlite.lower(&declared("database", fields), &scope).expect_err(path);
        assert_eq!(refused[0].field.to_string(), "path", "{path:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hive_makes_is_private_and_gone_when_it_is_not_needed() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let first = world.migrated(&ONE.to_vec()).await;
    let mode = |path: &std::path::Path| path.metadata().expect("file").permissions().mode() & 0o777;
    assert_eq!(mode(&world.path()), 0o600);
    assert_eq!(mode(world.path().parent().expect("folder")), 0o700);
    let second = world.list(&two(), "down");
    let change = world.change(Action::Update, Some(&second), Some(&first)).await;
    world.rehearse(&change).await.expect("rehearses");
    let left: Vec<String> = std::fs::read_dir(world.path().parent().expect("folder"))
        .expect("reads")
        .map(|it| it.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(left, ["shop.db"], "a rehearsal leaves nothing");
    let copy = Connection::open(world.path()).expect("opens");
    assert!(picture(&copy).contains("orders"));
}
