//! Statements out of texts, with nothing lost.

use crate::Dialect::{self, Postgres, Sqlite};
use crate::lexeme::{self, Lexeme};
use crate::{script, split};
use proptest::prelude::*;

fn texts(dialect: Dialect, text: &str) -> Vec<String> {
    split::statements(dialect, text).into_iter().map(|one| one.text).collect()
}

#[test]
fn semicolons_in_literals_and_comments_end_nothing() {
    let both = "SELECT ';', \"a;b\" -- ; no\n, 1 /* ; */; SELECT 'it''s;'";
    for dialect in [Postgres, Sqlite] {
        assert_eq!(texts(dialect, both).len(), 2, "{dialect}");
    }
    let postgres = [
        ("SELECT E'\\';'; SELECT 1", 2),
        ("SELECT e'a'\n  'b\\';'; SELECT 1", 2),
        ("SELECT '\\'; SELECT 1", 2),
        ("SELECT U&'d\\0061t;a' ; SELECT U&\"a;\"", 2),
        ("SELECT $$;$$; SELECT $a$ $$;$$ $b$; $a$; SELECT $1", 3),
        ("/* a /* ; */ ; */ SELECT 1; SELECT 2", 2),
        ("SELECT a$b$ FROM t; SELECT $b$;$b$", 2),
        ("CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b); SELECT 1", 2),
        ("SELECT B'1;' , X'a;', N'b;' ; SELECT 1", 2),
    ];
    for (text, count) in postgres {
        assert_eq!(texts(Postgres, text).len(), count, "{text}");
    }
    let sqlite = [
        ("SELECT [a;b], `c;d`; SELECT 1", 2),
        ("SELECT 'a\\'; SELECT 1", 2),
        ("SELECT $$; SELECT 1", 2),
        ("/* a /* ; */ SELECT 1; SELECT 2", 2),
    ];
    for (text, count) in sqlite {
        assert_eq!(texts(Sqlite, text).len(), count, "{text}");
    }
}

#[test]
fn a_trigger_of_sqlite_is_one_statement() {
    let text = "CREATE TEMP TRIGGER IF NOT EXISTS t AFTER UPDATE ON a WHEN new.b BEGIN\n\
                UPDATE a SET c = CASE WHEN 1 THEN 2 END;\nDELETE FROM b;\nEND;\nSELECT 1;";
    assert_eq!(texts(Sqlite, text).len(), 2);
    let other = "CREATE TABLE trigger_log (id); SELECT 1; SELECT 2";
    assert_eq!(texts(Sqlite, other).len(), 3);
    let split = texts(Sqlite, "create trigger t after insert on a begin select 1; end");
    assert_eq!(split, ["create trigger t after insert on a begin select 1; end"]);
}

#[test]
fn a_routine_with_a_body_of_sql_is_one_statement() {
    let text = "CREATE OR REPLACE FUNCTION f(a int) RETURNS int BEGIN ATOMIC\n\
                SELECT CASE WHEN a > 1 THEN 2 ELSE (CASE WHEN a THEN 1 END) END;\n\
                SELECT t.end AS end FROM t;\nEND;\nSELECT 1;\nBEGIN;";
    assert_eq!(texts(Postgres, text).len(), 3);
    let plain = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ BEGIN; END; $$; SELECT 1";
    assert_eq!(texts(Postgres, plain).len(), 2);
}

#[test]
fn lines_are_those_of_the_file() {
    let found = split::statements(Postgres, "-- top\n\nSELECT 1;;\n ;\n/* x\n */ SELECT\n2;\n");
    let lines: Vec<_> = found.iter().map(|one| (one.line, one.last_line())).collect();
    assert_eq!(lines, [(3, 3), (6, 7)]);
}

#[test]
fn the_hash_is_over_what_is_said() {
    let hash = |text| script::hash(Postgres, text);
    assert_eq!(hash("SELECT  1 -- x\n, 2"), hash("select 1,2"));
    assert_ne!(hash("SELECT 'A'"), hash("SELECT 'a'"));
    assert_ne!(hash("SELECT \"A\""), hash("SELECT A"));
    assert_ne!(hash("SELECT ab"), hash("SELECT a b"));
    assert_ne!(hash("SELECT 1 <= 2"), hash("SELECT 1 < = 2"));
    assert_ne!(
        script::hash(Sqlite, "CREATE TABLE A (b)"),
        script::hash(Sqlite, "CREATE TABLE a (b)")
    );
}

#[test]
fn the_normal_form_changes_no_literal() {
    let raw = "\u{feff}SELECT 1;  \r\n-- note \t\r\nSELECT 'a  \r\n b' ;\t\r\n\r\n";
    let normal = script::normalise(Postgres, raw).unwrap();
    assert_eq!(normal, "SELECT 1;\n-- note\nSELECT 'a  \n b' ;");
}

#[test]
fn what_has_no_end_is_named_with_its_place() {
    for (text, what) in [
        ("SELECT 1;\n 'a", "0001_a.sql:2:2: a text in quotes is never closed"),
        ("\"a", "0001_a.sql:1:1: a quoted name is never closed"),
        ("a /* /* */", "0001_a.sql:1:3: a comment is never closed"),
        ("\n\n é $x$ $y$", "0001_a.sql:3:4: a text in dollar quotes is never closed"),
        ("E'\\'", "0001_a.sql:1:1: a text in quotes is never closed"),
    ] {
        assert_eq!(super::faults(Postgres, &[("0001_a.sql", text)]), [what], "{text}");
    }
}

/// Pieces of SQL, each whole by itself, in ways that are easily cut wrong.
fn piece(dialect: Dialect) -> impl Strategy<Value = String> {
    let shared = prop_oneof![
        Just(";".to_owned()),
        Just("-- ; it's\n".to_owned()),
        Just("/* ; ' */".to_owned()),
        Just("'a;''b'".to_owned()),
        Just("\"a;\"\"b\"".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just(" \n\t".to_owned()),
        Just("<=".to_owned()),
        "[a-zé]{1,6}",
        "[0-9]{1,3}(\\.[0-9]{1,2})?(e[+-]?[0-9])?",
        "(begin|end|case|atomic|as|create|function|trigger|temp|or|replace)",
        "[-+*/<>=~!@#%^&|?,.:$\\\\]",
    ];
    let own = match dialect {
        Postgres => prop_oneof![
            Just("$$ ; $a$ $$".to_owned()),
            Just("$t$ ; ' $$ $t$".to_owned()),
            Just("E'\\';'".to_owned()),
            Just("U&'\\'".to_owned()),
            Just("/* /* ; */ */".to_owned()),
            Just("$1".to_owned()),
        ]
        .boxed(),
        Sqlite => prop_oneof![
            Just("[a;b]".to_owned()),
            Just("`a;``b`".to_owned()),
            Just("x'00'".to_owned()),
            Just("/* /* ; */".to_owned()),
        ]
        .boxed(),
    };
    prop_oneof![4 => shared, 1 => own]
}

fn text(dialect: Dialect) -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(dialect), 0..40).prop_map(|pieces| pieces.join(" "))
}

fn counting(dialect: Dialect, text: &str) -> Vec<String> {
    let all = lexeme::lexemes(dialect, text).unwrap();
    all.iter().filter(|one| one.counts()).map(|one| one.text.to_owned()).collect()
}

fn nothing_is_lost(dialect: Dialect, text: &str) {
    let Ok(all) = lexeme::lexemes(dialect, text) else { return };
    assert_eq!(all.iter().map(|one| one.text).collect::<String>(), text);
    let statements = split::statements(dialect, text);
    let joined: Vec<String> =
        statements.iter().flat_map(|one| counting(dialect, &one.text)).collect();
    // What ends statements is all that may be missing, and only between them.
    let without = |words: Vec<String>| -> Vec<String> {
        words.into_iter().filter(|word| word != ";").collect()
    };
    assert_eq!(without(joined), without(counting(dialect, text)));
    for one in &statements {
        assert_eq!(&text[one.start..one.start + one.text.len()], one.text);
        assert!(!one.text.is_empty());
    }
}

fn normal_form_holds(dialect: Dialect, text: &str) {
    let Ok(normal) = script::normalise(dialect, text) else { return };
    assert_eq!(script::normalise(dialect, &normal).as_deref(), Ok(normal.as_str()));
    let windows = text.replace('\n', "\r\n");
    assert_eq!(script::normalise(dialect, &windows).as_deref(), Ok(normal.as_str()));
    let plain: Vec<Lexeme<'_>> = lexeme::lexemes(dialect, text).unwrap();
    let plain: Vec<_> = plain.iter().filter(|one| one.counts()).map(|one| one.text).collect();
    assert_eq!(counting(dialect, &normal), plain);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn joined_statements_of_postgres_lose_nothing(text in text(Postgres)) {
        nothing_is_lost(Postgres, &text);
        normal_form_holds(Postgres, &text);
    }

    #[test]
    fn joined_statements_of_sqlite_lose_nothing(text in text(Sqlite)) {
        nothing_is_lost(Sqlite, &text);
        normal_form_holds(Sqlite, &text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\\n\\r\\t'\"$é;\\x00\u{feff}]{0,80}") {
        for dialect in [Postgres, Sqlite] {
            nothing_is_lost(dialect, &text);
            let plain = text.replace('\r', "");
            normal_form_holds(dialect, plain.trim_start_matches('\u{feff}'));
            let file = crate::FileText::new("0001_a.sql", text.clone());
            let _read_or_refused = crate::Migrations::read(dialect, &[file]);
        }
    }

    #[test]
    fn statements_that_are_whole_are_found_again(
        bodies in proptest::collection::vec("[a-z]{1,5}( '[a-z;]{0,4}'| \"[a-z;]{1,4}\"| [0-9]{1,3}){0,4}", 1..12)
    ) {
        // No body begins a trigger, a routine or a block.
        let bodies: Vec<String> = bodies.iter().map(|body| format!("select {body}")).collect();
        let text = bodies.join(" ; -- ;\n");
        for dialect in [Postgres, Sqlite] {
            prop_assert_eq!(&texts(dialect, &text), &bodies);
        }
    }
}
