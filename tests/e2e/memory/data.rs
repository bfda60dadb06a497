//! Stories of what holds data: a copy in front of a change, what takes away at the end, and what is
//! changed while nobody uses it.

use super::lab::{Lab, Wish, field, paused};
use super::scenario::{Asks, Scenario};
use super::thing::{Stack, Thing, address, gate, stack, thing};
use hive::plan::{Asked, Command, Plan};
use hive_contract::testing::Effect;
use hive_contract::{Action, Fields, Value};
use hive_state::Ending;

/// What holds data, at a weight.
fn list(weight: i64) -> Thing {
    thing("list")
        .with("weight", weight)
        .with("idle", true)
        .with("kept-by", "thing.copy")
        .uses("thing.copy")
}

/// What uses it, at a weight.
fn app(weight: i64) -> Thing {
    thing("app").with("weight", weight).uses("thing.list").verified_by("gate.works")
}

/// A list with a copy in front of it, what uses it, and what uses that.
fn data(list: Thing, app: Thing) -> Stack {
    stack([
        thing("copy").with("front", true),
        list,
        app,
        gate("works").with("watches", "dev/thing.app"),
        thing("side").uses("thing.app"),
    ])
}

fn story(name: &'static str, asks: Stack, ending: Ending) -> Scenario {
    Scenario {
        name,
        before: vec![data(list(1), app(1))],
        meanwhile: |_| {},
        asks: Asks::This(Box::new(Wish::apply(asks))),
        ending,
    }
}

fn restore_of_data() -> Wish {
    let run = Fields::from([
        ("verb".to_owned(), Value::from("restore")),
        ("weight".to_owned(), Value::Int(1)),
    ]);
    Wish {
        command: Command::Restore { snapshot: 1, with_data: true },
        asked: [(address("thing.list"), Asked::Do(run))].into(),
        ..Wish::apply(data(list(1), app(1)))
    }
}

/// Every story.
pub fn all() -> Vec<Scenario> {
    let contract = || list(2).with("steps", "contract");
    let quiet = || list(2).with("steps", "quiet");
    let doomed = |thing: Thing| thing.with("doomed", "unhealthy");
    let (applied, back) = (Ending::Applied, Ending::RolledBack);
    let mut without = data(quiet(), app(1));
    for gone in ["thing.app", "gate.works", "thing.side"] {
        without.remove(&address(gone));
    }
    vec![
        story("a copy in front", data(list(2), app(2)), applied),
        story("taken away at the end", data(contract(), app(2)), applied),
        story("quiet, and its user changes", data(quiet(), app(2)), applied),
        story("quiet, and its user stays", data(quiet(), app(1)), applied),
        story("quiet, and its user goes", without, applied),
        Scenario {
            before: vec![data(list(1), app(1)), data(list(2), app(2))],
            asks: Asks::This(Box::new(restore_of_data())),
            ..story("data brought back", Stack::new(), applied)
        },
        story("behind a copy, rolled back", data(doomed(list(2)), app(2)), back),
        story("before what is taken away, rolled back", data(contract(), doomed(app(2))), back),
        story(
            "what is taken away fails, halted",
            data(contract().with("doomed-contract", true), app(2)),
            Ending::Halted,
        ),
        story("quiet, rolled back", data(doomed(quiet()), app(2)), back),
        story(
            "quiet, and its user does not start, rolled back",
            data(quiet(), doomed(app(2))),
            back,
        ),
        Scenario {
            asks: Asks::This(Box::new(Wish::apply(data(quiet(), doomed(app(2)))).halting())),
            ..story("quiet, and its user does not start, halted", Stack::new(), Ending::Halted)
        },
    ]
}

async fn told(name: &str) -> (Lab, Plan, Vec<Effect>) {
    let all = all();
    let story = all.iter().find(|it| it.name == name).expect("a story");
    let lab = story.set_up(hive_contract::testing::World::new()).await;
    let since = lab.world.log().len();
    let plan = lab.planned(&story.wish(&lab).await).await;
    let report = lab.apply(&plan).await.expect("it ends");
    assert_eq!(report.ending, story.ending, "{report:?}");
    let effects = lab.world.log().split_off(since);
    (lab, plan, effects)
}

/// When something was done to an object, among all that was done.
fn when(effects: &[Effect], what: &str) -> usize {
    let said = |it: &Effect| format!("{} {}", it.verb, it.identity) == what;
    effects.iter().position(said).unwrap_or_else(|| panic!("{what}: {effects:#?}"))
}

#[test]
fn p3_a_copy_is_kept_before_what_it_is_for() {
    paused(async {
        for name in ["a copy in front", "behind a copy, rolled back"] {
            let (lab, _, effects) = told(name).await;
            let kept = when(&effects, "keep dev/thing.copy");
            assert!(kept < when(&effects, "update dev/thing.list"), "{name}: {effects:#?}");
            let copy = &lab.picture()[&lab.spot("thing.copy")];
            assert_eq!(copy.kept, 2, "{name}: it stays");
        }
        let (lab, ..) = told("a copy in front").await;
        let list = &lab.picture()[&lab.spot("thing.list")];
        assert_eq!(list.made_with.as_deref(), Some("copy 2"), "the copy in front of this change");
        let head = lab.head().await.expect("a head");
        let recorded = &head.resources[&address("thing.copy")].parts["main"];
        assert_eq!(recorded.outputs["id"], Value::from("copy 2"));
    });
}

#[test]
fn p4_what_only_a_copy_brings_back_goes_last() {
    paused(async {
        let (_, plan, effects) = told("taken away at the end").await;
        let last = effects.last().expect("effects");
        assert_eq!((last.verb.as_str(), last.identity.as_str()), ("contract", "dev/thing.list"));
        assert_eq!(plan.point_of_no_return, Some(plan.steps.len() as u32));
        let (lab, plan, _) = told("what is taken away fails, halted").await;
        assert!(lab.ledger().freeze().await.expect("readable").is_some(), "it is frozen");
        assert_eq!(plan.lints.iter().filter(|it| it.message.contains("restoring")).count(), 1);
        let app = &lab.picture()[&lab.spot("thing.app")];
        assert_eq!(field(app, "weight"), Some(&Value::Int(2)), "nothing is taken back behind it");
    });
}

#[test]
fn p4_nobody_uses_what_needs_quiet() {
    paused(async {
        for story in all().iter().filter(|it| it.name.contains("quiet") || it.name.contains("data"))
        {
            let lab = story.set_up(hive_contract::testing::World::new()).await;
            let since = lab.world.log().len();
            let plan = lab.planned(&story.wish(&lab).await).await;
            lab.apply(&plan).await.expect("it ends");
            let mut running = true;
            let mut seen = 0;
            for effect in &lab.world.log()[since..] {
                match effect.identity.as_str() {
                    "dev/thing.app" => {
                        running = effect.after.as_ref().is_some_and(|it| it.running);
                    }
                    "dev/thing.list" => {
                        seen += 1;
                        assert!(!running, "{}: {}", story.name, effect.verb);
                    }
                    _ => {}
                }
            }
            assert!(seen > 0, "{}", story.name);
            let goes = story.name == "quiet, and its user goes";
            assert!(running || goes || story.ending == Ending::Halted, "{}", story.name);
        }
    });
}

#[test]
fn p4_what_was_stopped_and_left_is_started_by_the_next_plan() {
    paused(async {
        let (lab, ..) = told("quiet, and its user does not start, halted").await;
        let mended = Wish::apply(data(list(2).with("steps", "quiet"), app(2)));
        let plan = lab.planned(&mended).await;
        let mends = plan.changes.iter().find(|it| it.target.address == address("thing.app"));
        assert_eq!(mends.map(|it| it.action), Some(Action::Update));
        lab.apply(&plan).await.expect("it ends");
        let app = &lab.picture()[&lab.spot("thing.app")];
        assert!(app.running, "{app:?}");
        assert!(lab.planned(&mended).await.is_empty());
    });
}
