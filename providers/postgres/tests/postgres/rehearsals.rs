//! Lists tried on a copy.

use crate::lab::{Lab, migrations};
use hive_contract::{Action, FailureKind, Lowered, Value};
use hive_parts::Postgres as Server;

const FILES: [(&str, &str); 4] = [
    (
        "0001_orders.up.sql",
        "CREATE TABLE orders (id int PRIMARY KEY, note text); \
         INSERT INTO orders SELECT n, 'n' || n FROM generate_series(1, 5000) n;",
    ),
    ("0001_orders.down.sql", "DROP TABLE orders;"),
    ("0002_wide.up.sql", "ALTER TABLE orders ALTER COLUMN id TYPE bigint;"),
    ("0002_wide.down.sql", "ALTER TABLE orders ALTER COLUMN id TYPE int;"),
];

fn list(lab: &Lab<'_>, files: &[(&str, &str)]) -> Lowered {
    lab.lower(&migrations(&lab.of(), files, &[]))
}

async fn no_copy_is_left(lab: &Lab<'_>) {
    let left = lab.server.databases();
    assert!(!left.iter().any(|it| it.starts_with(&format!("{}_hive", lab.database))), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rehearsed_is_what_is_applied() {
    let lab = Lab::new(Server::shared());
    let first = list(&lab, &FILES[..2]);
    let change = lab.change(Action::Create, Some(&first), None).await;
    let tried = lab.rehearse(&change).await.expect("is tried");
    assert_eq!(tried.facts["tried on"], "a copy of the live database");
    let steps = lab.steps(&change, Some(&tried));
    lab.run(&first, steps).await.expect("applies with the rehearsed schema");
    no_copy_is_left(&lab).await;

    let next = list(&lab, &FILES);
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let tried = lab.rehearse(&change).await.expect("is tried");
    assert_eq!(tried.facts["writes anew"], "public.orders");
    let steps = lab.steps(&change, Some(&tried));
    assert!(steps[0].takes_ms.is_some());
    assert!(steps[0].notes.iter().any(|it| it.contains("writes public.orders anew")));
    assert!(steps[0].payload.contains_key("schema_after"));

    // Somebody changes what the rehearsal has not seen.
    let mut other = steps[0].clone();
    other.payload.insert("schema_after".to_owned(), Value::text("00"));
    let request = lab.request(&next, other).await;
    let failure = lab.perform(&request).await.expect_err("another schema");
    assert_eq!(failure.kind, FailureKind::Moved);
    assert!(failure.message.contains("another schema here than in its rehearsal"), "{failure}");
    assert_eq!(lab.psql("SELECT count(*) FROM hive.migrations"), "1", "nothing is left of it");
    lab.run(&next, steps).await.expect("applies");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_use_is_tried_by_its_schema() {
    let lab = Lab::new(Server::shared());
    let first = list(&lab, &FILES[..2]);
    lab.apply(Action::Create, &first, None).await.expect("applies");
    let mut command = lab.server.psql_command(&lab.database);
    command.args(["-c", "SELECT pg_sleep(60)"]).stdout(std::process::Stdio::null());
    let mut user = command.stderr(std::process::Stdio::null()).spawn().expect("starts");
    let there = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", lab.database);
    while lab.server.psql("postgres", &there) == "0" {}
    let next = list(&lab, &FILES);
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let tried = lab.rehearse(&change).await.expect("is tried");
    assert!(tried.facts["tried on"].contains("without rows"), "{tried:?}");
    user.kill().expect("ends");
    user.wait().expect("ends");
    lab.run(&next, lab.steps(&change, Some(&tried))).await.expect("applies");
    no_copy_is_left(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_down_file_that_does_not_take_it_back_is_found() {
    let lab = Lab::new(Server::shared());
    let first = list(&lab, &FILES[..2]);
    lab.apply(Action::Create, &first, None).await.expect("applies");
    let lazy = [
        ("0002_not_null.up.sql", "ALTER TABLE orders ALTER COLUMN note SET NOT NULL;"),
        ("0002_not_null.down.sql", "SELECT 1;"),
    ];
    let next = list(&lab, &[FILES[0], FILES[1], lazy[0], lazy[1]]);
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let failure = lab.rehearse(&change).await.expect_err("is found");
    assert!(
        failure.message.contains("`0002_not_null.down.sql` does not take it back"),
        "{failure}"
    );
    assert!(failure.message.contains("column public.orders.note"), "{failure}");

    let loses = [
        ("0002_more.up.sql", "INSERT INTO orders VALUES (0, 'zero');"),
        ("0002_more.down.sql", "SELECT 1;"),
    ];
    let next = list(&lab, &[FILES[0], FILES[1], loses[0], loses[1]]);
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let failure = lab.rehearse(&change).await.expect_err("is found");
    assert!(failure.message.contains("public.orders has 5001 rows"), "{failure}");

    let breaks = [
        ("0002_broken.up.sql", "SELECT 1;\nALTER TABLE nothing ADD x int;"),
        ("0002_broken.down.sql", "SELECT 1;"),
    ];
    let next = list(&lab, &[FILES[0], FILES[1], breaks[0], breaks[1]]);
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let failure = lab.rehearse(&change).await.expect_err("is found");
    assert!(failure.message.contains("0002_broken.up.sql:2"), "{failure}");
    no_copy_is_left(&lab).await;
}
