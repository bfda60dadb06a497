//! Rows against files.

use super::read;
use crate::Dialect::Postgres;
use crate::foreign::{self, Refused, Row, Tool};
use crate::history::{Applied, Mismatch, Order, compare};
use crate::migrations::chain;
use crate::{GoesOn, Half, Migrations};
use proptest::prelude::*;

/// Files with these numbers, each with two statements.
fn files(numbers: &[u64]) -> Migrations {
    let texts: Vec<(String, String)> = numbers
        .iter()
        .map(|n| {
            let text = format!("-- hive: irreversible = \"a test\"\nSELECT {n};\nSELECT 'b{n}';");
            (format!("{n:04}_m{n}.up.sql"), text)
        })
        .collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    read(Postgres, &texts).unwrap()
}

fn done(all: &Migrations) -> Vec<Applied> {
    let each = all.list().iter();
    each.map(|one| Applied { finished_ms: Some(1), applied: 2, begun: 2, ..Applied::of(one) })
        .collect()
}

#[test]
fn what_is_new_is_pending() {
    let pending = compare(&files(&[1, 2, 3]), &done(&files(&[1])), Order::Linear).unwrap();
    assert_eq!((pending.first(), pending.files), (Some(1), vec![1, 2]));
    let empty = compare(&files(&[]), &[], Order::Linear).unwrap();
    assert_eq!(empty.first(), None);
}

#[test]
fn an_older_list_is_behind_and_not_wrong() {
    let rows: Vec<Applied> = done(&files(&[1, 2, 3])).into_iter().rev().collect();
    let pending = compare(&files(&[1]), &rows, Order::Linear).unwrap();
    assert_eq!(pending.beyond, [1, 0]);
    assert!(pending.files.is_empty());
}

#[test]
fn what_was_removed_or_put_in_between_is_named() {
    let rows = done(&files(&[1, 2, 4]));
    let wrong = compare(&files(&[1, 4, 5]), &rows, Order::Linear).unwrap_err();
    assert_eq!(wrong[0].to_string(), "`0002_m2` is applied, and its file is not there");
    let wrong = compare(&files(&[1, 2, 3, 4]), &rows, Order::Linear).unwrap_err();
    assert_eq!(
        wrong[0].to_string(),
        "`0003_m3.up.sql` is not applied, and `0004_m4`, which comes after it, is"
    );
    assert!(wrong[0].help().contains("order = \"any\""));
    let pending = compare(&files(&[1, 2, 3, 4, 5]), &rows, Order::Any).unwrap();
    assert_eq!((pending.files, pending.out_of_order), (vec![2, 4], vec![2]));
    let wrong = compare(&files(&[2, 4]), &done(&files(&[2])), Order::Any);
    assert_eq!(wrong.unwrap().files, [1]);
}

#[test]
fn a_renamed_file_is_named() {
    let mut rows = done(&files(&[1]));
    rows[0].name = "0001_old".to_owned();
    let wrong = compare(&files(&[1]), &rows, Order::Any).unwrap_err();
    assert!(matches!(&wrong[..], [Mismatch::Renamed { .. }]), "{wrong:?}");
}

fn half(all: &Migrations, applied: u32, begun: u32, error: Option<&str>) -> Half {
    let row = Applied {
        applied,
        begun,
        error: error.map(str::to_owned),
        ..Applied::of(&files(&[1]).list()[0])
    };
    compare(all, &[row], Order::Linear).unwrap().half.unwrap()
}

#[test]
fn a_half_applied_file_resumes_where_what_ran_is_the_same() {
    let all = files(&[1]);
    let one = half(&all, 1, 2, Some("no such table"));
    assert_eq!((one.goes_on.clone(), one.unsure), (GoesOn::Resume(1), None));
    assert_eq!(
        one.words(),
        "`0001_m1` is half applied: 1 of 2 statements are done, then: no such table"
    );
    assert_eq!(half(&all, 1, 2, None).unsure, Some(1));
    let top = "-- hive: irreversible = \"a test\"\n";
    let fixed =
        read(Postgres, &[("0001_m1.up.sql", &format!("{top}select 1; SELECT 'c'"))]).unwrap();
    assert_eq!(half(&fixed, 1, 2, Some("x")).goes_on, GoesOn::Resume(1));
    // The end of the second was not seen: it may be done as it was.
    assert!(matches!(half(&fixed, 1, 2, None).goes_on, GoesOn::Ask(_)));
    let edited =
        read(Postgres, &[("0001_m1.up.sql", &format!("{top}SELECT 9; SELECT 'b1'"))]).unwrap();
    let GoesOn::Ask(facts) = half(&edited, 1, 1, Some("x")).goes_on else { panic!("not asked") };
    assert_eq!(
        facts,
        [
            "statements 1 to 1 of 2 ran",
            "statement 1 ran and is another now (0001_m1.up.sql:2)",
            "then the database answered: x",
            "it has no down file",
        ]
    );
    let row = Applied::of(&all.list()[0]);
    assert_eq!(Half::unwanted(&row, true).goes_on, GoesOn::Down);
}

#[test]
fn another_tools_history_becomes_a_baseline() {
    let all = files(&[1, 2, 3]);
    let rows = |versions: &[&str]| -> Vec<Row> {
        versions.iter().map(|one| Row::of_texts(one, "0")).collect()
    };
    for (tool, versions) in [
        (Tool::GolangMigrate, &["2"][..]),
        (Tool::Sqlx, &["1", "2"][..]),
        (Tool::Flyway, &["1", "2.0"][..]),
    ] {
        assert_eq!(tool.baseline(&all, &rows(versions), None).unwrap().files, [0, 1], "{tool}");
        assert_eq!(Tool::parse(tool.as_str()), Some(tool));
    }
    assert_eq!(
        Tool::Sqlx.baseline(&all, &rows(&["1", "3"]), None),
        Err(Refused::Gap { file: "0002_m2.up.sql".into(), newer: "0003_m3.up.sql".into() })
    );
    assert_eq!(
        Tool::Flyway.baseline(&all, &rows(&["1", "1.1"]), None),
        Err(Refused::NoFile { versions: vec!["1.1".into()] })
    );
    let dirty = [Row::of_texts("2", "1")];
    assert!(matches!(Tool::GolangMigrate.baseline(&all, &dirty, None), Err(Refused::Dirty { .. })));
    assert!(matches!(
        Tool::GolangMigrate.baseline(&all, &dirty, Some("2")),
        Err(Refused::Dirty { .. })
    ));
    assert_eq!(Tool::Sqlx.baseline(&all, &[], Some("0002_m2")).unwrap().files, [0, 1]);
    assert!(foreign::declared(&all, "9").is_err());
}

#[test]
fn migrations_of_django_are_found_by_app_and_name() {
    let text = "-- hive: irreversible = \"a test\"\nSELECT 1";
    let files = [
        ("0001_auth_0001_initial.sql", text),
        ("0002_auth_0002_alter.sql", text),
        ("0003_sites_0001_initial.sql", text),
    ];
    let all = read(Postgres, &files).unwrap();
    let rows = [Row::of_texts("auth.0001_initial", "0"), Row::of_texts("auth.0002_alter", "0")];
    assert_eq!(Tool::Django.baseline(&all, &rows, None).unwrap().files, [0, 1]);
    let other = [Row::of_texts("admin.0001_initial", "0")];
    assert!(Tool::Django.baseline(&all, &other, None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_of_what_is_applied_is_seen(
        count in 1_usize..8, at in 0_usize..8, what in 0..3,
    ) {
        let at = at % count;
        let numbers: Vec<u64> = (1..=count).map(|n| u64::try_from(n).unwrap() * 2).collect();
        let all = files(&numbers);
        let rows = done(&all);
        let mut names: Vec<(String, String)> = all
            .list()
            .iter()
            .map(|one| (one.name.clone(), one.up.checksum.clone()))
            .collect();
        let before = names.clone();
        let link = |list: &[(String, String)]| chain(list.iter().map(|(a, b)| (a.as_str(), b.as_str())));
        prop_assert_eq!(all.chain(), link(&before));
        let changed = match what {
            0 => {
                // The newest one removed is an older list.
                names.remove(at);
                let mut left = numbers.clone();
                left.remove(at);
                let found = compare(&files(&left), &rows, Order::Linear);
                if at + 1 == count {
                    prop_assert_eq!(found.unwrap().beyond, vec![at]);
                } else {
                    let wrong = found.unwrap_err();
                    prop_assert!(matches!(&wrong[..], [Mismatch::Removed { .. }]), "{:?}", wrong);
                }
                true
            }
            1 => {
                let new = numbers[at] - 1;
                names.insert(at, (format!("{new:04}_m{new}"), "x".to_owned()));
                let mut more = numbers.clone();
                more.insert(at, new);
                let found = compare(&files(&more), &rows, Order::Linear).unwrap_err();
                prop_assert!(
                    matches!(&found[..], [Mismatch::OutOfOrder { .. }]),
                    "{:?}", found
                );
                true
            }
            _ => {
                names[at].1.push('0');
                let mut edited = rows.clone();
                edited[at].checksum.push('0');
                edited[at].statements[1].push('0');
                let found = compare(&all, &edited, Order::Linear).unwrap_err();
                prop_assert!(
                    matches!(&found[..], [Mismatch::Edited { same: false, lines, .. }] if lines == &[3]),
                    "{:?}", found
                );
                true
            }
        };
        prop_assert!(changed);
        prop_assert_ne!(link(&before), link(&names));
        // What comes before the change has the same links.
        prop_assert_eq!(link(&before[..at]), link(&names[..at]));
        prop_assert_eq!(all.chain_at(at), link(&before[..at]));
    }
}
