//! What the lint says, and what a person may accept.

use super::read;
use crate::Dialect::{self, Postgres, Sqlite};
use crate::lint::{Finding, Level, Sizes, TableSize, lint};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn found(dialect: Dialect, text: &str, sizes: &Sizes) -> Vec<Finding> {
    let text = format!("-- hive: irreversible = \"a test\"\n{text}");
    let all = read(dialect, &[("0001_a.up.sql", &text)]).unwrap();
    lint(dialect, &all.list()[0], sizes)
}

fn rules(text: &str) -> Vec<String> {
    found(Postgres, text, &Sizes::default()).into_iter().map(|one| one.rule).collect()
}

fn large(table: &str, bytes: u64) -> Sizes {
    let size = TableSize { bytes, rows: bytes / 100 };
    Sizes { tables: BTreeMap::from([(table.to_owned(), size)]), ..Sizes::default() }
}

#[test]
fn squawk_says_nothing_about_these_and_hive_does() {
    for (text, rule) in [
        ("DELETE FROM a", "delete-without-where"),
        ("UPDATE a SET b = 1", "update-without-where"),
        ("TRUNCATE a", "truncate"),
        ("LOCK TABLE a IN SHARE MODE", "lock-table"),
        ("CLUSTER a", "table-rewrite"),
        ("SET search_path = x", "set-without-local"),
        ("DO $$ BEGIN EXECUTE 'x'; END $$", "dynamic-sql"),
        ("CREATE INDEX CONCURRENTLY i ON a (b, c, d, e)", "wide-index"),
        ("ALTER TABLE a ADD b int; UPDATE a SET b = c WHERE c > 1", "backfill-with-schema"),
    ] {
        let text = if text.contains("CONCURRENTLY") {
            format!("-- hive: no-transaction\n{text}")
        } else {
            text.to_owned()
        };
        assert!(rules(&text).contains(&rule.to_owned()), "{text}: {:?}", rules(&text));
    }
    let vacuum = "-- hive: no-transaction\nVACUUM FULL a";
    assert_eq!(rules(vacuum), ["table-rewrite"]);
    assert_eq!(
        rules("-- hive: no-transaction\nALTER TABLE a ADD COLUMN b int"),
        ["needless-no-transaction", "prefer-bigint-over-int"]
    );
}

#[test]
fn nobody_waits_for_a_table_that_the_file_makes() {
    let text = "CREATE TABLE a (id bigint); UPDATE a SET id = 1; DELETE FROM a; \
                CREATE INDEX i ON a (id);";
    let serious: Vec<_> = found(Postgres, text, &Sizes::default())
        .into_iter()
        .filter(|one| one.level > Level::Note)
        .collect();
    assert_eq!(serious, []);
}

#[test]
fn what_hive_sees_to_itself_is_not_said() {
    let all = rules("ALTER TABLE a ADD COLUMN b bigint; DROP INDEX i;");
    for off in ["require-lock-timeout", "require-statement-timeout", "prefer-robust-stmts"] {
        assert!(!all.contains(&off.to_owned()), "{all:?}");
    }
    assert!(all.contains(&"require-concurrent-index-deletion".to_owned()), "{all:?}");
}

#[test]
fn the_place_is_that_of_the_file() {
    let text = "SELECT 1;\n  CREATE INDEX i ON a (b);";
    let all = found(Postgres, text, &Sizes::default());
    let one = all.iter().find(|one| one.rule == "require-concurrent-index-creation").unwrap();
    assert_eq!((one.file.as_str(), one.line, one.column), ("0001_a.up.sql", 3, 3));
    assert_eq!(one.level, Level::Warning);
    assert!(one.message.starts_with(|c: char| c.is_lowercase()), "{}", one.message);
}

#[test]
fn a_person_accepts_with_a_reason() {
    let text = "-- hive: accept delete-without-where the table is a cache\nDELETE FROM a;\nDELETE FROM b; -- hive: accept delete-without-where so is this\nDELETE FROM c;\n-- hive: accept truncate never\nSELECT 1;";
    let all = found(Postgres, text, &Sizes::default());
    let deletes: Vec<_> = all
        .iter()
        .filter(|one| one.rule == "delete-without-where")
        .map(|one| (one.line, one.accepted.as_deref()))
        .collect();
    assert_eq!(deletes, [(3, Some("the table is a cache")), (4, Some("so is this")), (5, None)]);
    let needless: Vec<_> = all.iter().filter(|one| one.rule == "needless-accept").collect();
    assert_eq!(needless.iter().map(|one| one.line).collect::<Vec<_>>(), [6]);
}

#[test]
fn the_same_statement_is_heavy_on_a_large_table() {
    let text = "ALTER TABLE orders ALTER note TYPE varchar(9)";
    let heavy = |sizes: &Sizes| -> Option<Finding> {
        found(Postgres, text, sizes).into_iter().find(|one| one.rule == "large-rewrite")
    };
    assert_eq!(heavy(&Sizes::default()), None);
    assert_eq!(heavy(&large("public.orders", 1_000_000)), None);
    let one = heavy(&large("public.orders", 4_000_000_000)).unwrap();
    assert_eq!(one.level, Level::Danger);
    assert_eq!(
        one.message,
        "making column note varchar ( 9 ): orders has 4 GB in about 40000000 rows, and is written \
         anew while all who read or write wait: about 1.6 min at 40 MB a second (assumed)"
    );
    let measured =
        Sizes { rewrite_rate: Some(400_000_000), ..large("public.orders", 4_000_000_000) };
    assert!(heavy(&measured).unwrap().message.contains("about 10 s at 400 MB a second (measured)"));
    let concurrently = "-- hive: no-transaction\nCREATE INDEX CONCURRENTLY i ON orders (id)";
    let all = found(Postgres, concurrently, &large("public.orders", 4_000_000_000));
    assert!(!all.iter().any(|one| one.level == Level::Danger), "{all:?}");
    let sqlite = found(Sqlite, "CREATE INDEX i ON Orders (id)", &large("orders", 4_000_000_000));
    assert_eq!(sqlite[0].rule, "large-scan");
}

#[test]
fn small_tables_make_notes_of_warnings() {
    let text = "CREATE INDEX i ON orders (id)";
    let level = |sizes: &Sizes| found(Postgres, text, sizes)[0].level;
    assert_eq!(level(&Sizes::default()), Level::Warning);
    assert_eq!(level(&large("public.orders", 1000)), Level::Note);
}

#[test]
fn the_longest_transaction_is_waited_for() {
    let sizes = Sizes { longest_tx_ms: 90_000, ..Sizes::default() };
    let all = found(Postgres, "ALTER TABLE a ADD b bigint", &sizes);
    let one = all.iter().find(|one| one.rule == "waits-for-transactions").unwrap();
    assert!(one.message.contains("which runs for 1.5 min"), "{}", one.message);
}

#[test]
fn a_transaction_can_lock_too_much() {
    let text: String = (0..2000)
        .map(|n| format!("CREATE TABLE t{n} (id bigint);CREATE INDEX i{n} ON t{n} (id);\n"))
        .collect();
    let sizes = Sizes { max_locks: Some(6400), ..Sizes::default() };
    let text = format!("-- hive: irreversible = \"a test\"\n{text}");
    let all = read(Sqlite, &[("0001_a.up.sql", &text)]).unwrap();
    let one = lint(Sqlite, &all.list()[0], &sizes);
    let one = one.iter().find(|one| one.rule == "too-many-objects").unwrap();
    assert_eq!(one.level, Level::Danger);
}

#[test]
fn a_contract_is_not_blamed_for_being_one() {
    let all = found(Postgres, "ALTER TABLE a DROP COLUMN b", &Sizes::default());
    assert!(all.iter().all(|one| one.level == Level::Note), "{all:?}");
    let all = found(Postgres, "-- hive: expand\nALTER TABLE a DROP COLUMN b", &Sizes::default());
    assert!(all.iter().any(|one| one.level == Level::Warning), "{all:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_stops_the_lint(
        words in proptest::collection::vec(
            prop_oneof![
                Just("alter table"), Just("create"), Just("drop"), Just("a.b"), Just("("), Just(")"),
                Just("add"), Just("column"), Just("'x'"), Just(";"), Just("\"é\""), Just(","),
                Just("index"), Just("concurrently"), Just("set"), Just("update"), Just("with"),
                Just("do"), Just("$$ begin x; end $$"), Just("type"), Just("default"), Just("1"),
                Just("$"), Just("\\"), Just("-- hive: accept a b\n"), Just("references"),
            ],
            0..20,
        )
    ) {
        let text = format!("-- hive: irreversible = \"a test\"\n{}", words.join(" "));
        for dialect in [Postgres, Sqlite] {
            if let Ok(all) = read(dialect, &[("0001_a.up.sql", &text)]) {
                let found = lint(dialect, &all.list()[0], &large("a.b", 1 << 40));
                let lines = u32::try_from(text.lines().count()).unwrap();
                prop_assert!(found.iter().all(|one| (1..=lines).contains(&one.line)));
            }
        }
    }
}
