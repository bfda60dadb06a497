//! Files that are never planned.

use super::{faults, read};
use crate::Dialect::{self, Postgres, Sqlite};

/// What is wrong with one up file that is declared irreversible.
fn wrong(dialect: Dialect, text: &str) -> Vec<String> {
    let text = format!("-- hive: irreversible = \"a test\"\n{text}");
    match read(dialect, &[("0001_a.up.sql", &text)]) {
        Ok(_) => Vec::new(),
        Err(faults) => faults
            .iter()
            .map(|fault| format!("{}: {}", fault.line.unwrap_or(0), fault.message))
            .collect(),
    }
}

#[test]
fn what_cannot_run_in_a_transaction_needs_the_directive() {
    for text in [
        "CREATE INDEX CONCURRENTLY i ON a (b)",
        "CREATE UNIQUE INDEX CONCURRENTLY i ON a (b)",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX (VERBOSE) TABLE CONCURRENTLY a",
        "REINDEX SCHEMA s",
        "VACUUM a",
        "ALTER SYSTEM SET work_mem = 1",
        "CREATE TABLESPACE t LOCATION '/x'",
        "ALTER TABLE a DETACH PARTITION p CONCURRENTLY",
        "CLUSTER",
    ] {
        let found = wrong(Postgres, text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(
            found[0].starts_with("2: ") && found[0].contains("inside a transaction"),
            "{found:?}"
        );
        let allowed = wrong(Postgres, &format!("-- hive: no-transaction\n{text}"));
        assert_eq!(allowed, Vec::<String>::new(), "{text}");
    }
    assert_eq!(wrong(Sqlite, "VACUUM").len(), 1);
    assert_eq!(wrong(Sqlite, "PRAGMA foreign_keys = OFF").len(), 1);
    assert_eq!(wrong(Sqlite, "PRAGMA foreign_keys"), Vec::<String>::new());
    assert_eq!(wrong(Sqlite, "PRAGMA defer_foreign_keys = ON"), Vec::<String>::new());
    assert_eq!(wrong(Postgres, "CLUSTER a; REINDEX TABLE a"), Vec::<String>::new());
}

#[test]
fn transactions_are_hives() {
    for text in ["BEGIN", "START TRANSACTION", "COMMIT", "END", "ROLLBACK", "ABORT", "COMMIT WORK"]
    {
        let found = wrong(Postgres, &format!("SELECT 1;\n{text};"));
        assert!(found[0].starts_with("3: `"), "{text}: {found:?}");
    }
    assert_eq!(wrong(Postgres, "SAVEPOINT a; ROLLBACK TO a; RELEASE a"), Vec::<String>::new());
    assert_eq!(wrong(Postgres, "-- hive: no-transaction\nSAVEPOINT a").len(), 1);
    assert_eq!(
        wrong(Sqlite, "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END;"),
        Vec::<String>::new()
    );
}

#[test]
fn the_two_sorts_are_not_mixed() {
    let text =
        "-- hive: no-transaction\nCREATE INDEX CONCURRENTLY i ON a (b);\nALTER TABLE a ADD c int;";
    let found = wrong(Postgres, text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("4: ") && found[0].contains("line 3"), "{found:?}");
    let beside = "-- hive: no-transaction\nSET lock_timeout = '1s';\nCREATE INDEX CONCURRENTLY i ON a (b);\nANALYZE a;";
    assert_eq!(wrong(Postgres, beside), Vec::<String>::new());
}

#[test]
fn databases_are_neither_made_nor_dropped() {
    for text in ["drop /* x */ database a", "CREATE DATABASE a", "DROP DATABASE IF EXISTS a"] {
        assert_eq!(wrong(Postgres, text).len(), 1, "{text}");
        assert_eq!(wrong(Postgres, &format!("-- hive: no-transaction\n{text}")).len(), 1, "{text}");
    }
    assert_eq!(
        wrong(Postgres, "SELECT 'DROP DATABASE a' -- DROP DATABASE a"),
        Vec::<String>::new()
    );
    assert_eq!(wrong(Sqlite, "ATTACH 'b.db' AS b").len(), 1);
}

#[test]
fn what_only_a_client_understands_is_refused() {
    assert_eq!(
        wrong(Postgres, "COPY a (b) FROM stdin;\n1\n\\.\n")[0],
        "2: `COPY` from or to a client"
    );
    assert_eq!(
        wrong(Postgres, "\\restrict abc\nSELECT 1")[0],
        "2: `\\restrict` is a command of psql"
    );
    assert_eq!(wrong(Postgres, "COPY a FROM '/tmp/x'"), Vec::<String>::new());
    assert_eq!(wrong(Sqlite, ".mode csv")[0], "2: `.mode` is a command of the sqlite3 shell");
    assert_eq!(wrong(Sqlite, "SELECT 'a\0b'"), ["2: a NUL byte"]);
}

#[test]
fn a_new_enum_value_is_used_in_the_next_file() {
    let text = "ALTER TYPE m ADD VALUE IF NOT EXISTS 'x';\nUPDATE a SET m = 'x';";
    assert_eq!(wrong(Postgres, text), ["3: 'x' is used in the transaction that adds it (line 2)"]);
    let other = "ALTER TYPE m ADD VALUE 'x';\nUPDATE a SET m = 'y';";
    assert_eq!(wrong(Postgres, other), Vec::<String>::new());
}

#[test]
fn directives_are_read_or_refused() {
    for (text, fault) in [
        ("-- hive: no-transactions\nSELECT 1", "2: `hive: no-transactions` is no directive"),
        ("SELECT 1;\n-- hive: expand", "3: `hive: expand` stands below the first statement"),
        (
            "-- hive: expand\n-- hive: contract\nSELECT 1",
            "3: `hive: contract` is said beside another such line",
        ),
        ("-- hive: accept truncate\nTRUNCATE a", "2: `hive: accept truncate` gives no reason"),
        (
            "SELECT 1;\n-- hive: accept truncate why",
            "3: `hive: accept truncate` stands below the last statement",
        ),
    ] {
        assert_eq!(wrong(Postgres, text), [fault], "{text}");
    }
    assert_eq!(
        faults(Postgres, &[("0001_a.up.sql", "-- hive: irreversible = \"\"\nSELECT 1")])[0],
        "0001_a.up.sql: nothing takes it back"
    );
    let down = [("0001_a.up.sql", "SELECT 1"), ("0001_a.down.sql", "-- hive: contract\nSELECT 1")];
    assert_eq!(
        faults(Postgres, &down),
        ["0001_a.down.sql:1:1: `hive: contract` stands in a down file"]
    );
    let both = [
        ("0001_a.up.sql", "-- hive: irreversible = \"x\"\nSELECT 1"),
        ("0001_a.down.sql", "SELECT 1"),
    ];
    assert_eq!(
        faults(Postgres, &both),
        ["0001_a.up.sql:1:1: it is declared irreversible, and `0001_a.down.sql` is there"]
    );
}

#[test]
fn names_have_one_form() {
    for name in [
        "a.sql",
        "0001.sql",
        "0001_.sql",
        "V1__a.sql",
        "1_a b.sql",
        "1_a.up.down.sql",
        "99999999999999999999_a.sql",
        "-1_a.sql",
    ] {
        let found = faults(Postgres, &[(name, "SELECT 1")]);
        assert!(found.iter().any(|one| one.starts_with(&format!("{name}: its "))), "{found:?}");
    }
    let other = [("0001_a.up.sql", "SELECT 1"), ("0001_b.down.sql", "SELECT 1")];
    assert_eq!(
        faults(Postgres, &other),
        ["0001_b.down.sql: the up file of version 1 is `0001_a.up.sql`"]
    );
    let twice =
        [("1_a.up.sql", "SELECT 1"), ("1_a.sql", "SELECT 1"), ("0001_a.down.sql", "SELECT 1")];
    assert!(faults(Postgres, &twice).iter().any(|one| one.contains("is taken by")));
}

#[test]
fn files_are_ordered_by_number() {
    let files = [("10_b.sql", ""), ("9_a.sql", ""), ("010_c.sql", "")];
    assert_eq!(faults(Postgres, &files).iter().filter(|one| one.contains("taken")).count(), 1);
    let text = "-- hive: irreversible = \"x\"\nSELECT 1";
    let all = read(Postgres, &[("10_b.sql", text), ("9_a.sql", text)]).unwrap();
    assert_eq!(all.list().iter().map(|one| one.number).collect::<Vec<_>>(), [9, 10]);
    assert_eq!(all.head(), "10_b");
}

#[test]
fn a_file_that_does_nothing_is_refused() {
    for dialect in [Postgres, Sqlite] {
        for nothing in ["", " \n", "-- later\n", "/* later */ ;"] {
            let files = [("1_a.up.sql", nothing), ("1_a.down.sql", "-- nothing there")];
            assert_eq!(faults(dialect, &files), ["1_a.up.sql: an up file without a statement"]);
        }
    }
}
