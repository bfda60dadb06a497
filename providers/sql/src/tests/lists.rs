//! Lists as resources: what a rehearsal found survives the plan, and what stays where an older
//! version of a list comes back.

use crate::history::Applied;
use crate::list::{Compared, Material, Tried, TriedFile, ahead, is_ahead, objections, remarks};
use crate::{Dialect, Migrations};
use hive_contract::{Declared, Fields, Live, Lowered, Rehearsal, Status, Value};
use std::collections::{BTreeMap, BTreeSet};

const STEMS: [&str; 4] = ["0001_orders", "0002_note", "0003_status", "0004_more"];

/// The first files of a list, each with a down file.
fn declared(count: usize, more: &[(&str, &str)]) -> Declared {
    let file = |name: String, text: String| {
        let fields = [("name", name), ("text", text)];
        Value::Map(fields.map(|(key, it)| (key.to_owned(), Value::Text(it))).into())
    };
    let files = STEMS.iter().take(count).flat_map(|stem| {
        let up = format!("CREATE TABLE t{} (n int);", &stem[..4]);
        let down = format!("DROP TABLE t{};", &stem[..4]);
        [file(format!("{stem}.up.sql"), up), file(format!("{stem}.down.sql"), down)]
    });
    let mut fields = Fields::from([("files".to_owned(), Value::List(files.collect()))]);
    fields.extend(more.iter().map(|(key, it)| ((*key).to_owned(), Value::text(*it))));
    Declared {
        address: "migrations.main".parse().expect("an address"),
        fields,
        uses: BTreeSet::new(),
        protect: false,
        ignore: Vec::new(),
    }
}

fn material(declared: &Declared) -> Material {
    Material::read(Dialect::Sqlite, &declared.fields).expect("reads")
}

fn managed(list: &Migrations) -> Fields {
    let count = i64::try_from(list.list().len()).expect("few");
    Fields::from([
        ("head".to_owned(), Value::text(list.head())),
        ("count".to_owned(), Value::Int(count)),
        ("chain".to_owned(), Value::Text(list.chain())),
    ])
}

fn lowered(declared: &Declared) -> Lowered {
    let fields = managed(&material(declared).migrations);
    Lowered { fields, material: declared.fields.clone(), ..Lowered::default() }
}

/// What is live where the first files are applied.
fn live(count: usize) -> Live {
    let all = material(&declared(count, &[])).migrations;
    let line = |it: &crate::Migration| format!("{} {}", it.name, it.up.checksum);
    let mut fields = managed(&all);
    let lines = all.list().iter().map(|it| Value::Text(line(it))).collect();
    fields.insert("history".to_owned(), Value::List(lines));
    Live {
        identity: "x".to_owned(),
        fields,
        outputs: BTreeMap::new(),
        mark: None,
        token: None,
        moved_by: BTreeMap::new(),
        ended: BTreeMap::new(),
        status: Status::default(),
    }
}

fn rows(count: usize) -> Vec<Applied> {
    let all = material(&declared(count, &[])).migrations;
    let whole = |it| Applied { finished_ms: Some(1), ..Applied::of(it) };
    all.list().iter().map(whole).collect()
}

#[test]
fn the_newest_applied_file_that_is_removed_is_named() {
    let (now, before) = (declared(2, &[]), declared(3, &[]));
    assert_eq!(ahead(&lowered(&now), Some(&before), &live(3)), None);
    let compared = Compared::new(material(&now), rows(3)).expect("goes together");
    let wrong = objections(&compared, Some(&material(&before)), false, false);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!(wrong[0].message, "`0003_status` is applied, and its file is not there");
    assert!(wrong[0].help.as_ref().is_some_and(|it| it.starts_with("bring the file back")));
    // What its down file takes back is no file that is missing, and neither is half a file.
    let down = Compared::new(material(&declared(2, &[("undo", "down")])), rows(3)).expect("goes");
    assert_eq!(objections(&down, Some(&material(&before)), false, false), []);
    let mut half = rows(3);
    half[2].finished_ms = None;
    let half = Compared::new(material(&now), half).expect("goes together");
    assert_eq!(objections(&half, Some(&material(&before)), false, false), []);
}

#[test]
fn what_an_older_version_leaves_applied_is_ahead_of_it_and_no_drift() {
    let (older, newer) = (declared(1, &[]), declared(3, &[]));
    let live = live(3);
    // As a snapshot comes back no record counts, and afterwards the record is the older version.
    for recorded in [None, Some(&older)] {
        let fields = ahead(&lowered(&older), recorded, &live).expect("ahead");
        for (key, value) in &fields {
            assert_eq!(live.fields.get(key), Some(value), "{key}");
        }
        let list = material(&older).migrations;
        let came_to = Lowered { fields, ..lowered(&older) };
        assert!(is_ahead(&came_to, &list) && !is_ahead(&lowered(&older), &list));
    }
    let compared = Compared::new(material(&older), rows(3)).expect("goes together");
    assert_eq!(objections(&compared, Some(&material(&newer)), false, true), []);
    let said = remarks(&older, Some(&newer), Some(&live));
    assert_eq!(said, ["`0002_note`, `0003_status` are newer than its files, and stay applied"]);
    // With down files it is to be as declared, and a list that is not behind is as it is.
    let down = declared(1, &[("undo", "down")]);
    assert_eq!(ahead(&lowered(&down), None, &live), None);
    assert_eq!(remarks(&down, Some(&newer), Some(&live)), Vec::<String>::new());
    for count in [3, 4] {
        assert_eq!(ahead(&lowered(&declared(count, &[])), None, &live), None);
    }
}

#[test]
fn a_down_file_that_is_edited_after_its_up_file_ran_is_named() {
    let before = declared(2, &[]);
    let mut now = declared(3, &[]);
    let Some(Value::List(files)) = now.fields.get_mut("files") else { panic!("files") };
    for at in [1, 5] {
        let Value::Map(file) = &mut files[at] else { panic!("a file") };
        file.insert("text".to_owned(), Value::text("DROP TABLE nope;"));
    }
    let said = remarks(&now, Some(&before), Some(&live(2)));
    assert_eq!(
        said,
        ["`0001_orders.down.sql` is another than when `0001_orders` was applied, and is not tried"]
    );
    assert_eq!(remarks(&before, Some(&before), Some(&live(2))), Vec::<String>::new());
}

#[test]
fn what_was_found_survives_the_plan() {
    let file = TriedFile {
        took_ms: 1_200,
        down_ms: Some(5),
        locked_ms: Some(8),
        rewritten: vec!["public.orders".to_owned()],
        schema_before: Some("aa".to_owned()),
        schema_after: Some("ab".to_owned()),
        unproven: Some("it leaves something".to_owned()),
    };
    let bare = TriedFile { took_ms: 3, ..TriedFile::default() };
    let files = BTreeMap::from([("0001_a".to_owned(), file), ("0002_b".to_owned(), bare)]);
    for empty in [false, true] {
        let tried = Tried { files: files.clone(), empty };
        let rehearsal = Rehearsal { fields: tried.fields(), ..Rehearsal::default() };
        assert_eq!(Tried::of(Some(&rehearsal)), tried);
    }
    assert_eq!(Tried::of(None), Tried::default());
}

#[test]
fn a_down_file_is_proven_only_where_it_was_tried() {
    let tried = TriedFile { down_ms: Some(0), ..TriedFile::default() };
    assert!(tried.is_proven());
    assert!(!TriedFile::default().is_proven());
    assert!(!TriedFile { unproven: Some("no".to_owned()), ..tried }.is_proven());
}
