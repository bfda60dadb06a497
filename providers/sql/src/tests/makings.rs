//! The operations of a list: the same on every engine.

use crate::Dialect::{self, Postgres, Sqlite};
use crate::history::Applied;
use crate::lint::Sizes;
use crate::list::{
    BACKUP, Compared, DeclaredBaseline, Making, Material, RAW, ROWS, SCHEMA, Tried, TriedFile,
    begin_title, rows_of,
};
use hive_contract::{Fields, Operation, Phase, Retry, Reversible, Undo, Value};
use std::collections::BTreeMap;

const ORDERS: [(&str, &str); 2] = [
    ("0001_orders.up.sql", "CREATE TABLE orders (id integer PRIMARY KEY, note text);"),
    ("0001_orders.down.sql", "DROP TABLE orders;"),
];
const STATUS: [(&str, &str); 2] = [
    ("0002_status.up.sql", "ALTER TABLE orders ADD COLUMN status text;"),
    ("0002_status.down.sql", "ALTER TABLE orders DROP COLUMN status;"),
];
const NO_NOTE: [(&str, &str); 2] = [
    ("0003_no_note.up.sql", "ALTER TABLE orders DROP COLUMN note;"),
    ("0003_no_note.down.sql", "ALTER TABLE orders ADD COLUMN note text;"),
];
const MORE: [(&str, &str); 2] = [
    ("0004_more.up.sql", "ALTER TABLE orders ADD COLUMN more text;"),
    ("0004_more.down.sql", "ALTER TABLE orders DROP COLUMN more;"),
];
/// A contract that runs statement by statement.
const ALONE: [(&str, &str); 2] = [
    (
        "0002_alone.up.sql",
        "-- hive: no-transaction\n-- hive: contract\nSELECT 1;\nSELECT 2;\nSELECT 3;",
    ),
    ("0002_alone.down.sql", "SELECT 4;"),
];

type Files = Vec<(&'static str, &'static str)>;

fn all(files: &[[(&'static str, &'static str); 2]]) -> Files {
    files.iter().flatten().copied().collect()
}

fn material(dialect: Dialect, files: &Files, more: &[(&str, &str)]) -> Material {
    let file = |(name, text): &(&str, &str)| {
        let texts = [("name", *name), ("text", *text)];
        Value::Map(texts.map(|(key, it)| (key.to_owned(), Value::text(it))).into())
    };
    let mut fields: Fields =
        more.iter().map(|(key, it)| ((*key).to_owned(), Value::text(*it))).collect();
    fields.insert("files".to_owned(), Value::List(files.iter().map(file).collect()));
    Material::read(dialect, &fields).expect("reads")
}

/// The rows of files that are applied as they are.
fn applied(material: &Material) -> Vec<Applied> {
    let whole = |it| Applied { finished_ms: Some(1), ..Applied::of(it) };
    material.migrations.list().iter().map(whole).collect()
}

/// One change: what is applied is the whole of `before`, but for the last where it is half.
struct Case {
    now: Files,
    before: Files,
    half: bool,
    more: Vec<(&'static str, &'static str)>,
    tried: Tried,
    drift: BTreeMap<String, String>,
}

impl Case {
    fn new(now: &[[(&'static str, &'static str); 2]]) -> Self {
        Self {
            now: all(now),
            before: Vec::new(),
            half: false,
            more: vec![("undo", "down")],
            tried: Tried::default(),
            drift: BTreeMap::new(),
        }
    }

    fn behind(self, before: &[[(&'static str, &'static str); 2]]) -> Self {
        Self { before: all(before), ..self }
    }

    fn with(mut self, key: &'static str, word: &'static str) -> Self {
        self.more.retain(|it| it.0 != key);
        self.more.push((key, word));
        self
    }

    fn on(&self, dialect: Dialect) -> Vec<Operation> {
        let before = material(dialect, &self.before, &[]);
        let mut rows = applied(&before);
        if let Some(last) = rows.last_mut().filter(|_| self.half) {
            *last = Applied { finished_ms: None, applied: 1, begun: 1, ..last.clone() };
        }
        let compared = Compared::new(material(dialect, &self.now, &self.more), rows);
        let compared = compared.expect("goes together");
        let making = Making {
            compared: &compared,
            before: Some(&before),
            tried: &self.tried,
            drift: &self.drift,
            sizes: &Sizes::default(),
            fresh: compared.is_fresh(),
            payload: Fields::from([("of".to_owned(), Value::text("there"))]),
            retry: Retry::NEVER,
        };
        making.operations()
    }

    /// The operations, which are the same on every engine but for what its lint says.
    fn steps(&self) -> Vec<Operation> {
        let said = |dialect| {
            let mut steps = self.on(dialect);
            for step in &mut steps {
                step.notes.retain(|it| !it.contains(".sql:"));
                if let Undo::By(undo) = &mut step.undo {
                    undo.notes.clear();
                }
                // What is hashed is folded on one of them.
                step.payload.remove(ROWS);
            }
            steps
        };
        assert_eq!(said(Sqlite), said(Postgres));
        let steps = self.on(Postgres);
        assert!(steps.iter().all(|it| it.payload.contains_key("of")), "{steps:#?}");
        assert_eq!(takes_first(&steps), None);
        steps
    }
}

/// What is made behind what takes away: a planner refuses it.
fn takes_first(steps: &[Operation]) -> Option<&str> {
    let takes = steps.iter().position(|it| it.phase == Phase::Prune)?;
    steps[takes..].iter().find(|it| it.phase != Phase::Prune).map(|it| it.title.as_str())
}

fn said(steps: &[Operation]) -> Vec<(&str, Phase)> {
    steps.iter().map(|it| (it.title.as_str(), it.phase)).collect()
}

fn back(step: &Operation) -> Option<&str> {
    match &step.undo {
        Undo::By(undo) => Some(&undo.title),
        Undo::Nothing | Undo::None { .. } => None,
    }
}

fn loses(step: &Operation) -> bool {
    matches!(step.undo, Undo::None { .. })
        && matches!(step.reversible, Reversible::Irreversible { .. })
}

#[test]
fn a_contract_comes_late_and_what_adds_at_once() {
    let case = Case::new(&[ORDERS, STATUS, NO_NOTE]).behind(&[ORDERS]);
    let steps = case.steps();
    let expected = [("apply 0002_status", Phase::Ready), ("apply 0003_no_note", Phase::Prune)];
    assert_eq!(said(&steps), expected);
    let stopped = case.with("during", "stopped").steps();
    assert!(stopped.iter().all(|it| it.phase == Phase::Stopped), "{stopped:#?}");
    // Where nothing is applied nobody runs on it yet.
    let fresh = Case::new(&[ORDERS, NO_NOTE]).steps();
    assert!(fresh.iter().all(|it| it.phase == Phase::Ready), "{fresh:#?}");
}

#[test]
fn the_way_back_of_a_file_follows_from_its_stage() {
    let case = Case::new(&[ORDERS, STATUS, NO_NOTE]).behind(&[ORDERS]);
    let steps = case.steps();
    assert_eq!(back(&steps[0]), Some("take back 0002_status"));
    assert_eq!(steps[0].reversible, Reversible::Reversible);
    assert!(loses(&steps[1]), "{:#?}", steps[1]);
    let steps = case.with("undo", "stay").with("backup", "backup.main").steps();
    assert_eq!((&steps[0].undo, &steps[0].reversible), (&Undo::Nothing, &Reversible::Reversible));
    assert!(matches!(steps[1].reversible, Reversible::Restorable { .. }), "{:#?}", steps[1]);
    assert!(matches!(steps[1].payload.get(BACKUP), Some(Value::Output(_))));
    // On nothing a contract takes nothing, and who did not look does not know.
    let mut fresh = Case::new(&[ORDERS, NO_NOTE]);
    assert!(loses(&fresh.steps()[1]));
    fresh.tried.empty = true;
    let steps = fresh.steps();
    assert_eq!(back(&steps[1]), Some("take back 0003_no_note"));
    assert!(steps[1].notes.contains(&"nothing is there that it could take".to_owned()));
}

#[test]
fn what_a_rehearsal_found_stands_in_notes_payload_and_time() {
    let mut case = Case::new(&[ORDERS, STATUS]).behind(&[ORDERS]);
    assert_eq!(case.steps()[0].notes[..2], ["expand", "not rehearsed"]);
    let file = TriedFile {
        took_ms: 1_200,
        down_ms: Some(5),
        locked_ms: Some(8),
        schema_before: Some("aa".to_owned()),
        schema_after: Some("ab".to_owned()),
        ..TriedFile::default()
    };
    case.tried.files.insert("0002_status".to_owned(), file);
    let step = &case.steps()[0];
    let notes = [
        "expand",
        "rehearsed in 1.2 s, longest lock 8 ms",
        "down file proven: the schema is as before",
    ];
    assert_eq!(step.notes[..3], notes);
    assert_eq!((step.takes_ms, &step.payload[SCHEMA]), (Some(1_200), &Value::text("ab")));
    let Undo::By(down) = &step.undo else { panic!("{step:#?}") };
    assert_eq!((down.takes_ms, &down.payload[SCHEMA]), (Some(5), &Value::text("aa")));
    assert!(down.payload.contains_key(RAW));
    // A down file that was not proven promises no schema.
    let file = case.tried.files.get_mut("0002_status").expect("is there");
    file.unproven = Some("it leaves something".to_owned());
    let step = &case.steps()[0];
    assert_eq!(step.notes[2], "down file not proven: it leaves something");
    let Undo::By(down) = &step.undo else { panic!("{step:#?}") };
    assert!(!down.payload.contains_key(SCHEMA));
}

#[test]
fn what_the_lint_says_has_its_place_its_rule_and_who_accepted_it() {
    let mut case = Case::new(&[ORDERS, NO_NOTE]).behind(&[ORDERS]);
    let says = |case: &Case| case.on(Postgres)[0].notes.join("\n");
    let plain = says(&case);
    assert!(plain.contains("drops column note of orders (line 1)"), "{plain}");
    let finding = plain.lines().find(|it| it.starts_with("0003_no_note.up.sql:1: "));
    let finding = finding.unwrap_or_else(|| panic!("no finding: {plain}"));
    let rule = finding.rsplit_once('(').map(|it| it.1.trim_end_matches(')').to_owned());
    let rule = rule.unwrap_or_else(|| panic!("no rule: {finding}"));
    let top = format!("-- hive: accept {rule} nobody reads it\n{}", NO_NOTE[0].1);
    case.now[2].1 = Box::leak(top.into_boxed_str());
    let accepted = says(&case);
    assert!(accepted.contains(&format!("({rule}, accepted: nobody reads it)")), "{accepted}");
}

#[test]
fn what_nobody_wants_any_more_goes_last_and_is_not_made_again() {
    let case = Case::new(&[ORDERS]).behind(&[ORDERS, STATUS]);
    let steps = case.steps();
    assert_eq!(said(&steps), [("take back 0002_status", Phase::Prune)]);
    assert!(loses(&steps[0]), "what was written into it: {:#?}", steps[0]);
    let backed = Case::new(&[ORDERS]).behind(&[ORDERS, STATUS]).with("backup", "backup.main");
    assert!(matches!(backed.steps()[0].reversible, Reversible::Restorable { .. }));
    assert!(case.with("undo", "stay").steps().is_empty(), "an expand stays");
}

#[test]
fn what_a_contract_took_comes_back_before_somebody_needs_it() {
    let case = Case::new(&[ORDERS]).behind(&[ORDERS, STATUS, NO_NOTE]);
    let steps = case.steps();
    let expected =
        [("take back 0003_no_note", Phase::Ready), ("take back 0002_status", Phase::Prune)];
    assert_eq!(said(&steps), expected, "early");
    // It gives back, and its up file takes that away again.
    assert_eq!(back(&steps[0]), Some("apply 0003_no_note"));
    assert_eq!(steps[0].reversible, Reversible::Reversible);
    // What lies above it has to go before it.
    let case = Case::new(&[ORDERS]).behind(&[ORDERS, STATUS, NO_NOTE, MORE]);
    let steps = case.steps();
    assert_eq!(said(&steps)[0], ("take back 0004_more", Phase::Ready));
    assert_eq!(said(&steps)[1..], expected);
    assert!(loses(&steps[0]));
}

#[test]
fn what_comes_in_between_comes_before_what_goes() {
    let case = Case::new(&[ORDERS, STATUS]).behind(&[ORDERS, MORE]).with("order", "any");
    let expected = [("apply 0002_status", Phase::Ready), ("take back 0004_more", Phase::Prune)];
    assert_eq!(said(&case.steps()), expected);
}

#[test]
fn a_half_applied_file_goes_on_behind_what_ran() {
    let case = Case { half: true, ..Case::new(&[ORDERS, ALONE]).behind(&[ORDERS, ALONE]) };
    let steps = case.steps();
    assert_eq!(said(&steps), [("go on with 0002_alone behind statement 1", Phase::Prune)]);
    assert_eq!(steps[0].verb, "resume");
    assert!(steps[0].notes[0].contains("1 of 3 statements are done"), "{:?}", steps[0].notes);
    let alone = "without a transaction, statement by statement".to_owned();
    assert!(steps[0].notes.contains(&alone), "{:?}", steps[0].notes);
}

#[test]
fn an_unwanted_half_applied_file_is_taken_back_before_anything_else() {
    for undo in ["stay", "down"] {
        let case = Case::new(&[ORDERS]).behind(&[ORDERS, ALONE]).with("undo", undo);
        let steps = Case { half: true, ..case }.steps();
        assert_eq!(said(&steps), [("take back 0002_alone", Phase::Ready)], "{undo}");
        // Nobody ran on it: it stays back whatever becomes of the rest.
        let way = (&steps[0].undo, &steps[0].reversible);
        assert_eq!(way, (&Undo::Nothing, &Reversible::Reversible));
        assert!(steps[0].notes[0].contains("1 of 3 statements are done"), "{:?}", steps[0].notes);
    }
}

#[test]
fn what_is_taken_as_it_is_is_named_and_stops_nobody() {
    let mut case = Case::new(&[ORDERS]).behind(&[ORDERS]).with("during", "stopped");
    assert!(case.steps().is_empty(), "nothing to do");
    case.now[0].1 = "-- who orders what\nCREATE TABLE orders (id integer PRIMARY KEY, note text);";
    let steps = case.steps();
    assert_eq!(said(&steps), [("take the files as they are now", Phase::Ready)]);
    let notes = [
        "0001_orders.up.sql: only blanks or comments are other than when it was applied",
        "nothing of the data or the schema changes",
    ];
    assert_eq!(
        (steps[0].verb.as_str(), &steps[0].notes[..]),
        ("accept", &notes.map(str::to_owned)[..])
    );
    let rows = steps[0].payload[ROWS].as_list().expect("rows");
    let row = rows_of(&steps[0].payload).expect("reads").remove(0);
    let list = material(Postgres, &case.now, &[]);
    assert!(row.checksum == list.migrations.list()[0].up.checksum && rows.len() == 1);
    assert_eq!(row.raw_checksum, list.migrations.list()[0].up.raw_checksum);
    case.drift.insert("column orders.by_hand".to_owned(), "added by hand: text".to_owned());
    let steps = case.steps();
    assert_eq!(steps[0].title, "take what was changed by hand as it is");
    assert_eq!(steps[0].notes[0], "column orders.by_hand: added by hand: text");
    case.drift.insert("index by_hand".to_owned(), "added by hand".to_owned());
    let title = &case.steps()[0].title;
    assert_eq!(title, "take 2 objects that were changed by hand as they are");
}

#[test]
fn a_history_begins_in_one_wording() {
    let tool = |name| DeclaredBaseline { tool: crate::foreign::Tool::parse(name), version: None };
    let said =
        |baseline: Option<&DeclaredBaseline>, upto| begin_title(&"migrations.main", baseline, upto);
    assert_eq!(said(None, None), "begin the history of migrations.main");
    assert_eq!(said(Some(&tool("none")), None), "take the schema as it is for the start");
    assert_eq!(said(Some(&tool("none")), Some("7")), "take over what is applied, up to 7");
    assert_eq!(said(Some(&tool("sqlx")), None), "take over what sqlx has applied");
    assert_eq!(said(Some(&tool("sqlx")), Some("7")), "take over what sqlx has applied, up to 7");
}
