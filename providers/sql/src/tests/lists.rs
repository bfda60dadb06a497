//! Lists as resources: what a rehearsal found survives the plan.

use crate::list::{Tried, TriedFile};
use hive_contract::Rehearsal;
use std::collections::BTreeMap;

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
