//! Manifests, facts and objectives.

use crate::facts::{Facts, changes, drift, fingerprint};
use crate::manifest::{
    FORMAT, Kind, Manifest, Object, Source, Table, Unreadable, differences, shrunk,
};
use crate::objectives::{Measured, Restore, Verdict, rpo, rto};
use crate::surroundings::{Attribute, Role, Setting, Surroundings};
use crate::words;
use hive_contract::{Mark, StackMark};
use proptest::prelude::*;

fn manifest(id: &str, finished_ms: i64, size: u64, rows: u64) -> Manifest {
    let owner = StackMark { store: "s".into(), stack: "shop".into(), environment: "dev".into() };
    Manifest {
        format: Manifest::format_with(None),
        id: id.to_owned(),
        token: "t".to_owned(),
        mark: Mark { owner, address: "backup.main".parse().unwrap() },
        kind: Kind::Run,
        source: Source { engine: "sqlite".into(), ..Source::default() },
        snapshot_ms: finished_ms,
        started_ms: finished_ms,
        finished_ms,
        schema: None,
        migrations: None,
        tables: vec![Table { name: "orders".into(), rows, ..Table::default() }],
        surroundings: None,
        objects: vec![Object { key: "data.zst".into(), size, ..Object::default() }],
        compression: "zstd".into(),
        recipients: Vec::new(),
        tools: Default::default(),
        notes: Default::default(),
    }
}

#[test]
fn a_manifest_is_read_back_and_a_newer_one_refused() {
    let one = manifest("a", 5, 100, 3);
    let bytes = one.to_json().unwrap();
    assert_eq!(Manifest::from_json(&bytes), Ok(one));
    let newer = String::from_utf8(bytes.clone()).unwrap().replace("\"format\": 1", "\"format\": 9");
    assert_eq!(Manifest::from_json(newer.as_bytes()), Err(Unreadable::Newer(9)));
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(Manifest::from_json(&bytes[..cut]), Err(Unreadable::Damaged(_))));
    }
}

/// Two settings, one of which an application has made up.
fn surroundings() -> Surroundings {
    let setting = |name: &str, value: &str| Setting {
        role: None,
        name: name.to_owned(),
        value: Some(value.to_owned()),
    };
    Surroundings {
        owner: "app".to_owned(),
        connection_limit: -1,
        settings: vec![setting("work_mem", "5MB"), setting("app.key", "canary-key")],
        roles: vec![Role {
            name: "app".to_owned(),
            attributes: [Attribute::Login, Attribute::CreateDb].into(),
            connection_limit: 3,
            owns: true,
            ..Role::default()
        }],
        ..Surroundings::default()
    }
}

#[test]
fn only_a_manifest_with_surroundings_has_the_format_that_an_older_hive_refuses() {
    let plain = manifest("a", 5, 100, 3);
    assert_eq!((plain.format, Manifest::format_with(Some(&surroundings()))), (1, 2));
    let written = String::from_utf8(plain.to_json().unwrap()).unwrap();
    assert!(!written.contains("surroundings"), "the digest of an older one stays: {written}");
    let one = Manifest { format: 2, surroundings: Some(surroundings()), ..plain };
    let bytes = one.to_json().unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"createdb\""));
    assert_eq!(Manifest::from_json(&bytes), Ok(one));
}

#[test]
fn what_an_application_has_set_for_itself_can_be_left_out() {
    let veiled = surroundings().veiled();
    assert_eq!(veiled.settings[0], surroundings().settings[0]);
    assert_eq!((veiled.settings[1].name.as_str(), &veiled.settings[1].value), ("app.key", &None));
}

#[test]
fn what_is_proven_is_said_also_of_a_database_without_tables() {
    let mut one = manifest("a", 5, 100, 1);
    assert_eq!(one.proven(), "1 table with 1 row is as backed up");
    one.tables.push(Table { name: "lines".into(), rows: 4, ..Table::default() });
    assert_eq!(one.proven(), "2 tables with 5 rows are as backed up");
    one.tables.clear();
    assert_eq!(one.proven(), "there is no table, as when it was backed up");
}

#[test]
fn far_smaller_than_before_is_an_alarm() {
    let before: Vec<Manifest> =
        (0..7).map(|n| manifest(&format!("b{n}"), n, 1_000_000, 1000)).collect();
    assert_eq!(shrunk(&manifest("n", 9, 990_000, 990), &before), None);
    assert_eq!(shrunk(&manifest("n", 9, 500_000, 500), &before), None);
    assert_eq!(
        shrunk(&manifest("n", 9, 400_000, 990), &before).unwrap(),
        "it holds 400 kB, and the last 5 held 1 MB (median)"
    );
    assert_eq!(
        shrunk(&manifest("n", 9, 990_000, 0), &before).unwrap(),
        "it holds 0 rows, and the last 5 held 1000 (median)"
    );
    assert_eq!(shrunk(&manifest("n", 9, 1, 1), &[]), None);
    // One small one among the last five changes nothing.
    let mut mixed = before.clone();
    mixed.push(manifest("small", 8, 10, 0));
    assert!(shrunk(&manifest("n", 9, 400_000, 990), &mixed).is_some());
    // It is not compared with itself, nor with what came after it.
    assert_eq!(shrunk(&manifest("n", 1, 10, 0), &[manifest("z", 9, 1_000_000, 9)]), None);
}

#[test]
fn a_restored_table_is_compared_by_rows_and_sums() {
    let table = |name: &str, rows, xor: &str| Table {
        name: name.into(),
        rows,
        xor: xor.into(),
        sum: "1".into(),
        bytes: rows * 7,
    };
    let before = [table("a", 2, "x"), table("b", 1, "y"), table("c", 1, "z")];
    let after = [table("a", 3, "x"), table("b", 1, "q"), table("d", 1, "z")];
    assert_eq!(
        differences(&before, &after),
        [
            "a has 3 rows, and had 2",
            "b has other rows than it had",
            "c is not there",
            "d was not in the backup",
        ]
    );
    let moved: Vec<Table> =
        before.iter().rev().map(|one| Table { bytes: 1, ..one.clone() }).collect();
    assert_eq!(differences(&before, &moved), Vec::<String>::new());
}

#[test]
fn drift_names_the_column_that_somebody_added() {
    let facts = |all: &[(&str, &str)]| -> Facts {
        all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let recorded = facts(&[("column a.x", "int"), ("column a.y", "text"), ("index i", "on a (x)")]);
    let live = facts(&[("column a.x", "bigint"), ("column a.y", "text"), ("column a.z", "text")]);
    let found: Vec<(String, String)> = drift(&recorded, &live).into_iter().collect();
    assert_eq!(
        found,
        [
            ("column a.x".to_owned(), "was int, is bigint".to_owned()),
            ("column a.z".to_owned(), "added by hand: text".to_owned()),
            ("index i".to_owned(), "removed by hand: on a (x)".to_owned()),
        ]
    );
    assert!(drift(&live, &live).is_empty());
    let changes = changes(&recorded, &live);
    assert_eq!(changes["column a.z"], "added: text");
    assert_eq!(changes["index i"], "gone: on a (x)");
    assert_ne!(fingerprint(&recorded), fingerprint(&live));
}

#[test]
fn objectives_are_held_against_what_was_measured() {
    const HOUR: i64 = 3_600_000;
    let measured = Measured {
        newest_ms: Some(10 * HOUR),
        restores: vec![Restore { took_ms: 60_000, bytes: 1000 }],
        bytes: 2000,
    };
    assert_eq!(
        rpo(&measured, 26 * 3_600_000, 40 * HOUR),
        Verdict::Missed { words: "the newest backup is 30 h old, and may be 26 h".into() }
    );
    assert!(matches!(rpo(&measured, 26 * 3_600_000, 36 * HOUR), Verdict::Met { .. }));
    assert!(matches!(rpo(&measured, 1, 9 * HOUR), Verdict::Unknown { .. }));
    assert!(matches!(rpo(&Measured::default(), 1, 1), Verdict::Unknown { .. }));
    // Twice as large takes twice as long.
    assert_eq!(
        rto(&measured, 100_000),
        Verdict::Missed { words: "a restore takes 2 min, and may take 1.6 min".into() }
    );
    assert!(matches!(rto(&measured, 120_000), Verdict::Met { .. }));
    assert!(matches!(rto(&Measured::default(), 1), Verdict::Unknown { .. }));
}

#[test]
fn a_small_restore_says_nothing_of_a_large_backup() {
    let small = Restore { took_ms: 90, bytes: 5_800 };
    let grown = Measured { restores: vec![small], bytes: 22_100_000, ..Measured::default() };
    assert_eq!(
        rto(&grown, 1_800_000),
        Verdict::Unknown {
            words:
                "the newest backup holds 22.1 MB, and no restore of more than 5.8 kB was measured"
                    .into()
        }
    );
    // One of the size counts, and the small one beside it says nothing.
    let large = Restore { took_ms: 2_000, bytes: 22_100_000 };
    let both = Measured { restores: vec![small, large], ..grown };
    assert_eq!(
        rto(&both, 1_800_000),
        Verdict::Met { words: "a restore takes 2 s, at most 30 min".into() }
    );
}

#[test]
fn amounts_are_readable() {
    let sizes = [0, 1, 999, 1000, 1234, 999_949, 1_150_000_000, u64::MAX].map(words::size);
    assert_eq!(
        sizes,
        ["0 bytes", "1 byte", "999 bytes", "1 kB", "1.2 kB", "999 kB", "1.1 GB", "18446 PB"]
    );
    let spans = [0, 999, 1000, 61_000, 3_600_000, 93_600_000, 2_592_000_000].map(words::span);
    assert_eq!(spans, ["0 ms", "999 ms", "1 s", "1 min", "1 h", "26 h", "30 d"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn facts_that_differ_have_a_name(
        a in proptest::collection::btree_map("[a-c]{1,2}", "[x-z]{1,2}", 0..8),
        b in proptest::collection::btree_map("[a-c]{1,2}", "[x-z]{1,2}", 0..8),
    ) {
        let found = drift(&a, &b);
        prop_assert_eq!(found.is_empty(), a == b);
        prop_assert_eq!(fingerprint(&a) == fingerprint(&b), a == b);
        for object in a.keys().chain(b.keys()) {
            prop_assert_eq!(found.contains_key(object), a.get(object) != b.get(object));
        }
    }

    #[test]
    fn a_manifest_that_lost_a_byte_is_never_taken_for_another(cut in 0_usize..2000, bit in 0_u8..8) {
        let one = manifest("a", 5, 100, 3);
        let mut bytes = one.to_json().unwrap();
        let at = cut % bytes.len();
        bytes[at] ^= 1 << bit;
        match Manifest::from_json(&bytes) {
            Ok(read) => prop_assert_eq!(read, one),
            Err(Unreadable::Damaged(why)) => prop_assert!(!why.is_empty()),
            Err(Unreadable::Newer(format)) => prop_assert!(format > FORMAT),
        }
    }
}
