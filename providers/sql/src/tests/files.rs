//! Files in, migrations or faults out.

use super::{faults, read};
use crate::Dialect::{Postgres, Sqlite};
use crate::history::{self, Applied, Mismatch, Order};
use crate::{Down, Stage};

const ONE: [(&str, &str); 2] = [
    ("0001_orders.up.sql", "CREATE TABLE orders (id int);\nINSERT INTO orders VALUES (1);\n"),
    ("0001_orders.down.sql", "DROP TABLE orders;"),
];

#[test]
fn a_pair_is_a_migration() {
    for dialect in [Postgres, Sqlite] {
        let all = read(dialect, &ONE).unwrap();
        let one = &all.list()[0];
        assert_eq!(
            (one.number, one.version.as_str(), one.name.as_str()),
            (1, "0001", "0001_orders")
        );
        assert_eq!(one.up.statements.len(), 2);
        assert_eq!(one.up.statements[1].line, 2);
        assert_eq!(one.up.statements[1].text, "INSERT INTO orders VALUES (1)");
        assert_eq!(one.down.script().unwrap().statements[0].text, "DROP TABLE orders");
        assert_eq!(one.stage, Stage::Expand);
        assert!(one.up.transactional);
    }
}

#[test]
fn what_is_irreversible_says_why() {
    let text =
        "-- hive: irreversible = \"rows are merged\"\n-- hive: contract\nDELETE FROM a WHERE b;";
    let all = read(Postgres, &[("1_merge.sql", text)]).unwrap();
    assert_eq!(all.list()[0].down, Down::Irreversible("rows are merged".to_owned()));
    assert_eq!(all.list()[0].stage, Stage::Contract);
}

#[test]
fn faults_name_file_and_line() {
    let files = [
        ("0001_a.up.sql", "SELECT 1;\nDROP DATABASE x;"),
        ("0001_a.down.sql", "-- nothing\n"),
        ("0002_b.up.sql", "SELECT 1"),
        ("0002_c.up.sql", "SELECT 1"),
        ("0003_d.down.sql", "SELECT 1"),
        ("0004_e.up.sql", "-- later\n"),
        ("0004_e.down.sql", ""),
        ("0005_f.up.sql", ""),
        ("0005_f.down.sql", "SELECT 1"),
        ("notes.txt", ""),
    ];
    assert_eq!(
        faults(Postgres, &files),
        [
            "0001_a.down.sql: a down file without a statement",
            "0001_a.up.sql:2:1: `DROP DATABASE` in a migration",
            "0002_b.up.sql: nothing takes it back",
            "0002_c.up.sql: version 2 is taken by `0002_b.up.sql` already",
            "0003_d.down.sql: a down file without its up file",
            "0004_e.up.sql: an up file without a statement",
            "0005_f.up.sql: an up file without a statement",
            "notes.txt: its name does not end in `.sql`",
        ]
    );
}

#[test]
fn an_edited_file_is_named() {
    let all = read(Postgres, &ONE).unwrap();
    let mut row = Applied { finished_ms: Some(1), ..Applied::of(&all.list()[0]) };
    assert_eq!(
        history::compare(&all, std::slice::from_ref(&row), Order::Linear),
        Ok(Default::default())
    );
    let spaced = [
        (ONE[0].0, "-- why\nCREATE  TABLE orders (id int);\n\nINSERT INTO orders VALUES (1)"),
        ONE[1],
    ];
    let spaced = read(Postgres, &spaced).unwrap();
    let wrong = history::compare(&spaced, std::slice::from_ref(&row), Order::Linear).unwrap_err();
    assert!(matches!(&wrong[..], [Mismatch::Edited { same: true, .. }]), "{wrong:?}");
    row.name = "0001_orders".to_owned();
    let other =
        [(ONE[0].0, "CREATE TABLE orders (id int);\nINSERT INTO orders VALUES (2)"), ONE[1]];
    let other = read(Postgres, &other).unwrap();
    let wrong = history::compare(&other, std::slice::from_ref(&row), Order::Linear).unwrap_err();
    assert_eq!(
        wrong[0].to_string(),
        "`0001_orders.up.sql` is applied and was edited, first at line 2"
    );
    let shorter = read(Postgres, &[(ONE[0].0, "CREATE TABLE orders (id\n  int);\n"), ONE[1]]);
    let wrong =
        history::compare(&shorter.unwrap(), std::slice::from_ref(&row), Order::Linear).unwrap_err();
    assert_eq!(
        wrong[0].to_string(),
        "`0001_orders.up.sql` is applied and was edited, behind line 2: statement 2 is not there \
         any more"
    );
    // Of a row whose statements nobody knows, no line is blamed.
    row.statements.clear();
    let wrong = history::compare(&other, &[row], Order::Linear).unwrap_err();
    assert_eq!(wrong[0].to_string(), "`0001_orders.up.sql` is applied and was edited");
}

#[test]
fn a_long_file_is_read_in_time() {
    let text: String = (0..20_000).map(|n| format!("INSERT INTO a VALUES ({n});\n")).collect();
    let text = format!("-- hive: irreversible = \"a test\"\n{text}");
    let all = read(Postgres, &[("0001_a.sql", &text)]).unwrap();
    let statements = &all.list()[0].up.statements;
    assert_eq!((statements.len(), statements[19_999].line), (20_000, 20_001));
}
