//! Expand or contract, and what is held meanwhile.

use crate::Dialect::{self, Postgres, Sqlite};
use crate::locks::{self, Lock, Work};
use crate::{Stage, split};

fn stage(dialect: Dialect, text: &str) -> (Stage, Vec<String>) {
    crate::stage(dialect, &split::statements(dialect, text))
}

#[test]
fn what_adds_is_expand() {
    for text in [
        "CREATE TABLE a (id int NOT NULL PRIMARY KEY, b text UNIQUE REFERENCES c)",
        "ALTER TABLE a ADD COLUMN b text",
        "ALTER TABLE a ADD b int NOT NULL DEFAULT 0",
        "ALTER TABLE a ADD COLUMN b bigserial NOT NULL",
        "ALTER TABLE a ADD COLUMN b int GENERATED ALWAYS AS IDENTITY",
        "CREATE INDEX CONCURRENTLY i ON a (b)",
        "ALTER TABLE a ALTER b DROP NOT NULL, ALTER COLUMN c SET DEFAULT 1",
        "ALTER TABLE a DROP CONSTRAINT c",
        "ALTER TABLE a RENAME CONSTRAINT b TO c; ALTER INDEX i RENAME TO j",
        "ALTER TABLE a VALIDATE CONSTRAINT c",
        "DROP INDEX i",
        "ALTER TYPE mood ADD VALUE 'new'",
        "UPDATE a SET b = 1; DELETE FROM a WHERE b = 2; INSERT INTO a SELECT * FROM b",
        "CREATE TABLE a (id int); ALTER TABLE a ADD CHECK (id > 0); DROP TABLE a",
        "ALTER TABLE a ADD COLUMN b int; CREATE UNIQUE INDEX i ON a (b)",
        "ALTER TABLE a ADD COLUMN b int; ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c (id)",
        "CREATE OR REPLACE VIEW v AS SELECT 1; GRANT SELECT ON v TO r",
        "WITH gone AS (SELECT 1) DELETE FROM a WHERE b IN (SELECT * FROM gone)",
        "COMMENT ON TABLE a IS 'we drop table a one day'",
        "DO $$ BEGIN CREATE TABLE x (y int); END $$",
    ] {
        let (stage, why) = stage(Postgres, text);
        assert_eq!(stage, Stage::Expand, "{text}: {why:?}");
    }
}

#[test]
fn what_takes_away_or_asks_more_is_contract() {
    for (text, reason) in [
        ("DROP TABLE IF EXISTS public.\"Orders\" CASCADE", "drops table public.Orders"),
        ("ALTER TABLE ONLY a DROP COLUMN IF EXISTS b, DROP c", "drops column b of a"),
        ("ALTER TABLE a RENAME TO b", "renames table a"),
        ("ALTER TABLE a RENAME b TO c", "renames column b of a"),
        ("ALTER TABLE a ALTER b TYPE bigint USING b::bigint", "makes column b of a bigint"),
        ("ALTER TABLE a ALTER COLUMN b SET DATA TYPE text", "makes column b of a text"),
        ("ALTER TABLE a ALTER b SET NOT NULL", "forbids nulls in column b of a"),
        ("ALTER TABLE a ALTER b DROP DEFAULT", "takes the default of column b of a away"),
        ("ALTER TABLE a ADD b int NOT NULL", "adds column b to a, which rows"),
        ("ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0) NOT VALID", "asks a check of rows of a"),
        ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c", "asks a foreign key of rows of a"),
        ("ALTER TABLE a ADD UNIQUE (b)", "asks uniqueness of rows of a"),
        ("CREATE UNIQUE INDEX ON a (b)", "asks uniqueness of rows of a"),
        ("TRUNCATE a, b", "empties a, b"),
        ("DELETE FROM a", "empties a"),
        ("WITH x AS (SELECT 1) DELETE FROM a", "empties a"),
        ("DROP VIEW v", "drops view v"),
        ("DROP MATERIALIZED VIEW v", "drops materialized view v"),
        ("DROP TRIGGER t ON a", "drops trigger t"),
        ("ALTER TYPE mood RENAME VALUE 'a' TO 'b'", "renames type mood"),
        ("ALTER TYPE mood DROP ATTRIBUTE b", "changes what it is made of: type mood"),
        ("ALTER DOMAIN d ADD CHECK (VALUE > 0)", "asks more of values: domain d"),
        ("ALTER TABLE a SET SCHEMA b", "moves a to another schema"),
        ("ALTER TABLE a ENABLE ROW LEVEL SECURITY", "hides rows of a"),
        ("CREATE POLICY p ON a USING (false)", "hides rows of a"),
        ("REVOKE SELECT ON a FROM b", "takes rights away"),
        ("ALTER TABLE a DETACH PARTITION p CONCURRENTLY", "takes the rows of p out of a"),
        ("DO $x$ BEGIN ALTER TABLE a DROP COLUMN b; END $x$", "drops column b of a"),
        ("/* x */ drop /* y */ table -- z\n a", "drops table a"),
    ] {
        let (stage, why) = stage(Postgres, text);
        assert_eq!(stage, Stage::Contract, "{text}");
        assert!(why[0].starts_with(reason), "{text}: {why:?}");
        assert!(why[0].ends_with("(line 1)"), "{text}: {why:?}");
    }
}

#[test]
fn sqlite_rebuilds_a_table_and_that_is_contract() {
    let text = "CREATE TABLE new_a (id INTEGER PRIMARY KEY, b TEXT NOT NULL);\n\
                INSERT INTO new_a SELECT id, b FROM a;\nDROP TABLE a;\n\
                ALTER TABLE new_a RENAME TO a;";
    let (found, why) = stage(Sqlite, text);
    assert_eq!((found, why), (Stage::Contract, vec!["drops table a (line 3)".to_owned()]));
    let (found, _) = stage(Sqlite, "ALTER TABLE [a b] ADD COLUMN c TEXT DEFAULT ''");
    assert_eq!(found, Stage::Expand);
}

#[test]
fn what_hive_cannot_read_is_said() {
    let (found, why) = stage(Postgres, "DO $$ BEGIN EXECUTE 'DROP TABLE ' || x; END $$");
    assert_eq!(found, Stage::Expand);
    assert!(why[1].contains("made while it runs"), "{why:?}");
}

#[test]
fn locks_are_those_of_the_table() {
    let one = |text| {
        let holds = locks::holds(Postgres, text);
        (holds[0].lock, holds[0].work)
    };
    for (text, lock, work) in [
        ("ALTER TABLE a ADD b int DEFAULT 1", Lock::AccessExclusive, Work::Instant),
        ("ALTER TABLE a ADD b timestamptz DEFAULT now()", Lock::AccessExclusive, Work::Instant),
        ("ALTER TABLE a ADD b numeric(9,2)", Lock::AccessExclusive, Work::Instant),
        (
            "ALTER TABLE a ADD b uuid DEFAULT gen_random_uuid()",
            Lock::AccessExclusive,
            Work::Rewrite,
        ),
        (
            "ALTER TABLE a ADD b int GENERATED ALWAYS AS (c + 1) STORED",
            Lock::AccessExclusive,
            Work::Rewrite,
        ),
        ("ALTER TABLE a ADD b serial", Lock::AccessExclusive, Work::Rewrite),
        ("ALTER TABLE a DROP b", Lock::AccessExclusive, Work::Instant),
        ("ALTER TABLE a ALTER b TYPE bigint", Lock::AccessExclusive, Work::Rewrite),
        ("ALTER TABLE a ALTER b TYPE text", Lock::AccessExclusive, Work::Instant),
        ("ALTER TABLE a ALTER b SET NOT NULL", Lock::AccessExclusive, Work::Scan),
        ("ALTER TABLE a ADD CHECK (b > 0)", Lock::AccessExclusive, Work::Scan),
        ("ALTER TABLE a ADD CHECK (b > 0) NOT VALID", Lock::AccessExclusive, Work::Instant),
        ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c", Lock::ShareRowExclusive, Work::Scan),
        ("ALTER TABLE a VALIDATE CONSTRAINT c", Lock::ShareUpdateExclusive, Work::Scan),
        ("CREATE INDEX ON a (b)", Lock::Share, Work::Scan),
        ("CREATE INDEX CONCURRENTLY ON a (b)", Lock::ShareUpdateExclusive, Work::Scan),
        ("ALTER TABLE a ADD PRIMARY KEY USING INDEX i", Lock::AccessExclusive, Work::Instant),
        (
            "CREATE TRIGGER t BEFORE INSERT ON a EXECUTE FUNCTION f()",
            Lock::ShareRowExclusive,
            Work::Instant,
        ),
        ("VACUUM (FULL, ANALYZE) a", Lock::AccessExclusive, Work::Rewrite),
        ("CLUSTER a USING i", Lock::AccessExclusive, Work::Rewrite),
        ("ALTER TABLE a SET UNLOGGED", Lock::AccessExclusive, Work::Rewrite),
    ] {
        assert_eq!(one(text), (lock, work), "{text}");
    }
    let both = locks::holds(Postgres, "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c (id)");
    assert_eq!(both.iter().map(|hold| hold.table.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(locks::holds(Sqlite, "ALTER TABLE a DROP COLUMN b")[0].lock, Lock::Writer);
}
