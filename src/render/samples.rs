//! Plans, problems and reports for goldens, and the switch that writes goldens anew.

use crate::apply::{Progress, Report};
use crate::plan::{
    BoundFile, Command, Expected, FORMAT, Lint, OnFailure, Plan, PlannedChange, SecretSeen, Step,
    UndoStep,
};
use crate::stack::{At, Problem};
use hive_contract::{
    Action, Difference, Event, Expects, Failure, FailureKind, FieldPath, Fields, Fingerprint,
    Operation, OutputRef, Place, Reason, Reversible, Target, Undo, Value, WayBack,
};
use hive_state::Ending;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Compares with `tests/goldens/<name>`, byte for byte; with `UPDATE_GOLDENS=1` writes it.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, read in tests alone")]
pub(crate) fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("makes the folder");
        std::fs::write(&path, found).expect("writes the golden");
    }
    let wanted = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; set UPDATE_GOLDENS=1", path.display()));
    if wanted != found {
        let diff = similar::TextDiff::from_lines(wanted.as_str(), found);
        panic!(
            "{name} differs; set UPDATE_GOLDENS=1\n{}",
            diff.unified_diff().header("golden", "found")
        );
    }
}

pub(crate) fn target(text: &str) -> Target {
    text.parse().expect("a target")
}

pub(crate) fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn difference(
    field: &str,
    recorded: Option<Value>,
    observed: Option<Value>,
    desired: Option<Value>,
    reason: Reason,
) -> Difference {
    Difference {
        field: FieldPath::parse(field),
        recorded,
        observed,
        desired,
        reason,
        moved_by: None,
    }
}

fn step(number: u32, of: &str, action: Action, title: &str, takes_ms: Option<u64>) -> Step {
    let mut operation = Operation::new("roll", title, Expects::Content, Fields::new());
    operation.takes_ms = takes_ms;
    Step {
        number,
        target: target(of),
        action,
        place: "process-0a1b2c3d".to_owned(),
        identity: format!("production/{of}"),
        access: Default::default(),
        needs: (1..number).collect(),
        expected: Expected::Anything,
        managed: Vec::new(),
        acts: false,
        operation,
    }
}

fn undo(of: u32, title: &str) -> UndoStep {
    let operation = Operation::new("roll", title, Expects::Content, Fields::new());
    UndoStep { of, needs: BTreeSet::new(), operation }
}

fn change(of: &str, action: Action, steps: &[u32], differences: Vec<Difference>) -> PlannedChange {
    PlannedChange {
        target: target(of),
        action,
        reasons: vec![Reason::Declared],
        differences,
        steps: steps.to_vec(),
    }
}

/// A plan without anything.
pub(crate) fn empty() -> Plan {
    let place = Place {
        provider: "process".to_owned(),
        settings: fields([("directory", Value::from(".hive-run"))]),
        system: "machine".to_owned(),
    };
    Plan {
        covers_all: true,
        format: FORMAT,
        hive: "0.1.0".to_owned(),
        command: Command::Apply,
        stack: "hiver".to_owned(),
        environment: "production".to_owned(),
        store: Some("5f1e".to_owned()),
        base: Some(41),
        guards: None,
        guards_before: None,
        guarded_by: Fields::new(),
        variables: BTreeMap::new(),
        parallel: 10,
        on_failure: OnFailure::Rollback,
        freezes: false,
        places: [("process-0a1b2c3d".to_owned(), place)].into(),
        reads: Vec::new(),
        changes: Vec::new(),
        kept: 41,
        records: BTreeMap::new(),
        steps: Vec::new(),
        rollback: Vec::new(),
        point_of_no_return: None,
        ways: BTreeMap::new(),
        files: Vec::new(),
        lints: Vec::new(),
        left_out: BTreeMap::new(),
        secrets: BTreeMap::new(),
    }
}

/// The plan of the design's section 11, as far as this version has its kinds.
pub(crate) fn release() -> Plan {
    let mut plan = empty();
    plan.kept = 38;
    plan.steps = vec![
        step(1, "check.tests", Action::Run, "run ./tests.sh", Some(120_000)),
        step(2, "config.api", Action::Update, "write config/api.toml", Some(5)),
        step(3, "service.api", Action::Update, "roll 8 replicas, one at a time", Some(95_000)),
        step(4, "alert.api-errors", Action::Create, "write rule api-errors", None),
        step(5, "service.legacy", Action::Delete, "stop 2 replicas", None),
    ];
    plan.steps[4].operation.reversible =
        Reversible::Irreversible { why: "its files go with it".into() };
    plan.steps[4].operation.undo = Undo::None { why: "its files are gone".to_owned() };
    plan.point_of_no_return = Some(5);
    plan.rollback = vec![
        undo(4, "remove rule api-errors"),
        undo(3, "roll back to api:1.4.2, 7 replicas"),
        undo(2, "write config/api.toml as it was"),
    ];
    let url = Value::Output(OutputRef {
        address: "service.orders".parse().expect("address"),
        output: "url".to_owned(),
    });
    plan.changes = vec![
        change("check.tests", Action::Run, &[1], Vec::new()),
        change(
            "config.api",
            Action::Update,
            &[2],
            vec![difference(
                "content",
                Some("[http]\nport = 8080\ntimeout = 5\n\n[log]\nlevel = \"info\"\n".into()),
                Some("[http]\nport = 8080\ntimeout = 5\n\n[log]\nlevel = \"info\"\n".into()),
                Some("[http]\nport = 8080\ntimeout = 30\n\n[log]\nlevel = \"info\"\n".into()),
                Reason::Declared,
            )],
        ),
        PlannedChange {
            reasons: vec![
                Reason::Declared,
                Reason::Dependency { address: "config.api".parse().expect("address") },
            ],
            ..change(
                "service.api",
                Action::Update,
                &[3],
                vec![
                    difference(
                        "image",
                        Some("api:1.4.2".into()),
                        Some("api:1.4.2".into()),
                        Some("api:1.5.0".into()),
                        Reason::Declared,
                    ),
                    difference(
                        "replicas",
                        Some(6.into()),
                        Some(7.into()),
                        Some(8.into()),
                        Reason::Declared,
                    ),
                    difference(
                        "environment.ORDERS_URL",
                        Some("http://127.0.0.1:20001".into()),
                        Some("http://127.0.0.1:20001".into()),
                        Some(url),
                        Reason::Dependency { address: "service.orders".parse().expect("address") },
                    ),
                    Difference {
                        moved_by: Some("kim@laptop".to_owned()),
                        ..difference(
                            "environment.LOG_LEVEL",
                            Some("info".into()),
                            Some("debug".into()),
                            Some("info".into()),
                            Reason::Drift,
                        )
                    },
                    difference(
                        "environment.TRACE",
                        Some("1".into()),
                        Some("1".into()),
                        None,
                        Reason::Declared,
                    ),
                ],
            )
        },
        change(
            "alert.api-errors",
            Action::Create,
            &[4],
            vec![
                difference(
                    "expr",
                    None,
                    None,
                    Some("rate(errors[5m]) > 0.01".into()),
                    Reason::Declared,
                ),
                difference("for", None, None, Some(300_000.into()), Reason::Declared),
            ],
        ),
        change("service.legacy", Action::Delete, &[5], Vec::new()),
        change(
            "notify.ops",
            Action::Update,
            &[],
            vec![difference(
                "on",
                Some(Value::List(vec!["failed".into()])),
                None,
                Some(Value::List(vec!["failed".into(), "applied".into()])),
                Reason::Declared,
            )],
        ),
    ];
    plan.files =
        vec![BoundFile { path: "tests.sh".into(), digest: Fingerprint::of_bytes(b"tests") }];
    plan.lints = vec![Lint {
        address: Some("service.api".parse().expect("address")),
        message: "it has no health check, so it counts as healthy when it runs".to_owned(),
    }];
    plan.secrets = [
        ("env:HIVER_SLACK_WEBHOOK".to_owned(), SecretSeen::Unseen),
        ("file:db.password".to_owned(), SecretSeen::Moved),
    ]
    .into();
    plan
}

/// A release with data, as in the design's section 11.
pub(crate) fn migrating() -> Plan {
    let mut plan = empty();
    let dependency = |of: &str| Reason::Dependency { address: of.parse().expect("address") };
    let because =
        |change: PlannedChange, of: &str| PlannedChange { reasons: vec![dependency(of)], ..change };
    plan.steps = vec![
        step(1, "backup.main", Action::Run, "back up database.main", Some(120_000)),
        step(2, "migrations.main", Action::Update, "apply 0007_add_status", Some(1_200)),
        step(3, "service.api", Action::Update, "roll 8 replicas, one at a time", Some(95_000)),
        step(4, "migrations.main", Action::Update, "apply 0008_drop_old_status", Some(40)),
    ];
    plan.steps[0].acts = true;
    plan.steps[1].operation.notes =
        vec!["expand".to_owned(), "rehearsed in 1.2 s, longest lock 8 ms".to_owned()];
    let contract = &mut plan.steps[3].operation;
    contract.notes = vec!["contract".to_owned()];
    contract.undo = Undo::None { why: "it takes away what the version before uses".to_owned() };
    contract.reversible = Reversible::Restorable {
        from: "the backup of backup.main before it".to_owned(),
        loses: "what was written since".to_owned(),
    };
    plan.point_of_no_return = Some(4);
    plan.rollback = vec![undo(3, "roll back to api:1.4.2, 7 replicas")];
    plan.changes = vec![
        because(change("backup.main", Action::Run, &[1], Vec::new()), "migrations.main"),
        change("migrations.main", Action::Update, &[2, 4], Vec::new()),
        change("service.api", Action::Update, &[3], Vec::new()),
    ];
    let way = |way: &str, not_because: Option<&str>, loses: &str, takes_ms| WayBack {
        way: way.to_owned(),
        not_because: not_because.map(str::to_owned),
        loses: loses.to_owned(),
        takes_ms,
    };
    let not = "it does not run behind `0008_drop_old_status`";
    plan.ways = [(
        target("migrations.main"),
        vec![
            way("previous version", Some(not), "nothing", None),
            way("down scripts", Some("`0008_drop_old_status` is irreversible"), "all", None),
            way("restore", None, "what was written since the backup", Some(240_000)),
        ],
    )]
    .into();
    plan
}

/// What somebody writes who wants to deceive a reviewer.
pub(crate) const EVIL: &str = "x\u{1b}[2J\u{1b}[31m</code></pre><script>alert(1)</script> | `` ```` @octocat #1 \
     ![p](http://evil.example/p.png) [l](javascript:alert(1)) <img src=x onerror=alert(1)> \u{202e}gnp.exe \r\n next";

/// A plan with [`EVIL`] in every place where text from outside stands.
pub(crate) fn adversarial() -> Plan {
    let mut plan = release();
    plan.stack = EVIL.to_owned();
    plan.environment = EVIL.to_owned();
    for step in &mut plan.steps {
        step.operation.title = EVIL.to_owned();
        step.operation.reversible =
            Reversible::Restorable { from: EVIL.to_owned(), loses: EVIL.to_owned() };
    }
    for undo in &mut plan.rollback {
        undo.operation.title = EVIL.to_owned();
    }
    let evil = || EVIL.to_owned();
    plan.steps[0].operation.notes = vec![evil()];
    let way = |not_because| WayBack { way: evil(), not_because, loses: evil(), takes_ms: None };
    plan.ways = [(target("service.api"), vec![way(None), way(Some(evil()))])].into();
    for change in &mut plan.changes {
        change.differences = vec![
            Difference {
                moved_by: Some(EVIL.to_owned()),
                ..difference(
                    "placeholder",
                    Some(EVIL.into()),
                    Some("other".into()),
                    Some(format!("{EVIL}2").into()),
                    Reason::Asked { command: EVIL.to_owned() },
                )
            },
            difference(
                "text",
                Some(format!("one\n{EVIL}\n").into()),
                None,
                Some(format!("one\n``````\n{EVIL}!\n").into()),
                Reason::Declared,
            ),
        ];
        change.differences[0].field = FieldPath::new([EVIL]);
    }
    plan.lints = vec![Lint { address: None, message: EVIL.to_owned() }];
    plan.files[0].path = EVIL.to_owned();
    plan.secrets = [(EVIL.to_owned(), SecretSeen::Unseen)].into();
    plan.guards = Some(fields([(EVIL, Value::from(EVIL))]));
    plan
}

/// A plan that is far too long for a comment.
pub(crate) fn huge() -> Plan {
    let mut plan = empty();
    for number in 1..=2_000 {
        let of = format!("config.number-{number}");
        plan.steps.push(step(number, &of, Action::Update, &format!("write number-{number}"), None));
        plan.rollback.push(undo(number, &format!("write number-{number} as it was")));
        plan.changes.push(change(
            &of,
            Action::Update,
            &[number],
            vec![difference(
                "content",
                Some("one\ntwo\n".into()),
                Some("one\ntwo\n".into()),
                Some("one\nthree\n".into()),
                Reason::Declared,
            )],
        ));
    }
    plan
}

fn at(file: &str, text: &str, marked: &str) -> At {
    let start = text.find(marked).expect("the text has it");
    let line = text[..start].matches('\n').count() + 1;
    let column = text[..start].rsplit('\n').next().map_or(0, |it| it.chars().count()) + 1;
    At {
        file: file.to_owned(),
        text: Arc::from(text),
        start,
        end: start + marked.len(),
        line,
        column,
    }
}

/// Problems of every shape.
pub(crate) fn problems() -> Vec<Problem> {
    let text = "[stack]\nname = \"hiver\"\n\n[service.api]\nreplica = 3\nuses = [\"service.web\"]\n\n\
                [service.web]\n\tuses = [\"service.api\"] # größe 日本\n";
    let long = format!("x = \"{}\"\nbad = 1\n", "ä".repeat(5_000));
    vec![
        Problem {
            message: "unknown key `replica`".to_owned(),
            help: Some("did you mean `replicas`?".to_owned()),
            at: Some(at("stacks/hiver/stack.toml", text, "replica")),
            related: Vec::new(),
        },
        Problem {
            message: "these wait for each other: service.api → service.web → service.api"
                .to_owned(),
            help: None,
            at: Some(at("stacks/hiver/stack.toml", text, "\"service.web\"")),
            related: vec![(
                "and here back".to_owned(),
                at("stacks/hiver/stack.toml", text, "\"service.api\""),
            )],
        },
        Problem {
            message: format!("a name that tries {EVIL}"),
            help: Some(EVIL.to_owned()),
            at: Some(at("evil\u{1b}[2J.toml", "a = 1\nb\u{1b}[31m = 2 \u{202e}x", "2")),
            related: Vec::new(),
        },
        Problem {
            message: "the value is too long".to_owned(),
            help: None,
            at: Some(at("long.toml", &long, "\"")),
            related: vec![(
                "far inside".to_owned(),
                At { start: 3_005, end: 3_009, column: 1_505, ..at("long.toml", &long, "\"") },
            )],
        },
        Problem {
            message: "`HIVE_VAR_COUNT` is not a whole number".to_owned(),
            help: Some("give it as `--var count=3`".to_owned()),
            at: None,
            related: Vec::new(),
        },
    ]
}

/// An apply that fails and goes back, as it is told.
pub(crate) fn told() -> Vec<Progress> {
    let failure = unhealthy();
    let began = |step: u32, of: &str, title: &str, attempt: u32, back: bool| Progress::Began {
        step,
        target: target(of),
        title: title.to_owned(),
        attempt,
        back,
    };
    vec![
        Progress::Opened {
            apply: "0a1b2c3d4e5f6071".into(),
            command: "apply".into(),
            steps: 2,
            resumed: false,
        },
        began(1, "config.api", "write config/api.toml", 1, false),
        Progress::Done { step: 1, took_ms: 12, back: false },
        began(2, "service.api", "roll 2 replicas", 1, false),
        Progress::Said { step: 2, event: Event::info("replica 1 is healthy").progress(1, 2) },
        began(2, "service.api", "roll 2 replicas", 2, false),
        Progress::Said { step: 2, event: Event::warning("port 8080 answers \u{1b}[31mslowly") },
        Progress::Failed { step: 2, failure, back: false },
        Progress::GoingBack {
            why: format!("step 2 (service.api) failed: {}", unhealthy()),
            failed: Some((2, target("service.api"))),
        },
        began(1, "config.api", "write config/api.toml as it was", 1, true),
        Progress::Done { step: 1, took_ms: 1_234, back: true },
        Progress::Note { message: "the notice `notify.ops` was not sent: no answer".into() },
        Progress::Closed { ending: Ending::RolledBack, snapshot: Some(42) },
    ]
}

fn unhealthy() -> Failure {
    Failure::new(FailureKind::Unhealthy, "replica 2 of 2 is not healthy after 30 s")
        .diagnosis("exit status 1 after 0.4 s")
        .diagnosis("last lines:\npanic: no \u{1b}[31mconfig\nmain.rs:7")
}

/// The report of that apply.
pub(crate) fn report() -> Report {
    Report {
        apply: "0a1b2c3d4e5f6071".to_owned(),
        ending: Ending::RolledBack,
        snapshot: Some(42),
        failures: vec![(3, target("service.api"), unhealthy())],
        undo_failures: Vec::new(),
        stays: Vec::new(),
        unfinished: Vec::new(),
        halted_because: None,
        moved_secrets: vec!["env:TOKEN".to_owned()],
        kept: [(1, "12 tests passed\n".to_owned())].into(),
        frozen: false,
    }
}
