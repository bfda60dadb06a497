//! Stories of what holds data: backups in front, users stopped around, what takes away at the end.

use super::world::*;
use crate::plan::{Asked, Command, Plan, PlanError, Question, Scope, plan, to_rehearse};
use hive_contract::{Action, Fields, Reason, Rehearsal, Target, Value};

/// A list of this number over a backup, with a service that uses the list, and what uses that.
fn with_data(number: i64, list: &str, version: i64) -> Declaration {
    let list = format!(r#"{{"number":{number},"kept":"backup.b"{list}}}"#);
    let mut all = stack([
        declared("backup.b", r#"{"to":"there"}"#),
        declared("list.l", &list),
        declared("service.s", &format!(r#"{{"runs":true,"version":{version}}}"#)),
        declared("alert.a", &format!(r#"{{"service":"s","version":{version}}}"#)),
    ]);
    uses(&mut all, "list.l", "backup.b");
    uses(&mut all, "service.s", "list.l");
    all
}

fn uses(all: &mut Declaration, user: &str, on: &str) {
    all.get_mut(&a(user)).expect("declared").uses.insert(a(on));
}

fn applied(declared: &Declaration) -> World {
    let mut world = World::new();
    world.apply(declared);
    world
}

fn reasons(plan: &Plan, address: &str) -> Vec<Reason> {
    let change = plan.changes.iter().find(|it| it.target.address == a(address));
    change.expect("changes").reasons.clone()
}

fn before(address: &str) -> Reason {
    Reason::Dependency { address: a(address) }
}

fn text(world: &World, address: &str, output: &str) -> Option<String> {
    let recorded = world.head.as_ref()?.resources.get(&a(address))?;
    recorded.parts["main"].outputs.get(output)?.scalar()
}

#[test]
fn a_backup_runs_in_front_of_what_uses_it() {
    let mut world = World::new();
    let plan = world.apply(&with_data(1, "", 1));
    assert_eq!(
        done(&plan),
        ["create backup.b", "keep backup.b", "create list.l", "create service.s", "create alert.a"]
    );
    let keep = plan.step(2).expect("a step");
    assert_eq!(keep.action, Action::Run);
    assert!(!keep.only_looks(), "it is no gate");
    assert_eq!(keep.operation.payload["reason"], Value::from("before list.l"));
    assert_eq!(keep.operation.payload["due"], Value::Bool(false));
    assert!(needs(&plan, 3).contains(&2));
    assert_eq!(reasons(&plan, "backup.b"), [Reason::Declared, before("list.l")]);
    assert_eq!(text(&world, "backup.b", "id").as_deref(), Some("of apply-1"));

    // Alone where it is as declared, and its users have steps; and no more where none has.
    let plan = world.apply(&with_data(2, "", 1));
    assert_eq!(done(&plan), ["keep backup.b", "set list.l"]);
    assert_eq!(reasons(&plan, "backup.b"), [before("list.l")]);
    assert_eq!(actions(&plan)[0], ("backup.b".to_owned(), Action::Run));
    assert_eq!(text(&world, "backup.b", "id").as_deref(), Some("of apply-2"));
    assert!(world.plan(&with_data(2, "", 1)).is_empty());
    assert_eq!(done(&world.plan(&with_data(2, "", 2))), ["set service.s", "set alert.a"]);
}

#[test]
fn it_is_needed_with_only_too() {
    let world = applied(&with_data(1, "", 1));
    let only = |question: &mut Question<'_>| question.scope = Scope::Only(set(&["list.l"]));
    let plan = world.plan_of(&with_data(2, "", 2), only).expect("a plan");
    assert_eq!(done(&plan), ["keep backup.b", "set list.l"]);
    assert!(plan.left_out.contains_key(&a("service.s")));
}

#[test]
fn an_operation_is_not_made_of_what_nobody_says() {
    let world = World::new();
    let mut all = with_data(1, "", 1);
    all.get_mut(&a("list.l")).expect("declared").fields.insert("kept".into(), "set.x".into());
    all.extend(stack([declared("set.x", "{}")]));
    let errors = world.plan_of(&all, |_| {}).expect_err("nobody says it");
    let no = PlanError::NoOutput { address: a("list.l"), on: a("set.x"), output: "id".to_owned() };
    assert_eq!(errors, [no]);
}

#[test]
fn what_takes_away_comes_after_everything_else() {
    let world = applied(&with_data(1, "", 1));
    let plan = world.plan(&with_data(2, r#","contract":true"#, 2));
    assert_eq!(
        done(&plan),
        ["keep backup.b", "set list.l", "set service.s", "set alert.a", "contract list.l"]
    );
    assert_eq!(plan.point_of_no_return, Some(5));
    assert!(needs(&plan, 5).contains(&4), "behind the alert of its user: {:?}", needs(&plan, 5));

    // Where its users stay as they are, right away; where one goes, behind that.
    let plan = world.plan(&with_data(2, r#","contract":true"#, 1));
    assert_eq!(done(&plan), ["keep backup.b", "set list.l", "contract list.l"]);
    let mut without = with_data(2, r#","contract":true"#, 1);
    without.remove(&a("service.s"));
    without.remove(&a("alert.a"));
    let plan = world.plan(&without);
    assert_eq!(
        done(&plan),
        ["keep backup.b", "set list.l", "delete alert.a", "delete service.s", "contract list.l"]
    );
    assert!(needs(&plan, 5).contains(&4));
}

#[test]
fn nothing_is_taken_away_before_something_is_made() {
    let world = applied(&with_data(1, "", 1));
    let backwards = with_data(2, r#","contract":true,"backwards":true"#, 2);
    let errors = world.plan_of(&backwards, |_| {}).expect_err("has no order");
    let PlanError::TakesFirst { target, takes, makes } = &errors[0] else {
        panic!("{errors:?}");
    };
    assert_eq!(target, &Target::main(a("list.l")));
    assert_eq!((takes.as_str(), makes.as_str()), ("contract list.l", "set list.l"));
    // While nobody uses it, any order will do.
    world.plan(&with_data(2, r#","contract":true,"backwards":true,"quiet":true"#, 2));
}

#[test]
fn users_are_stopped_around_it() {
    let mut world = applied(&with_data(1, "", 1));
    let plan = world.plan(&with_data(2, r#","quiet":true"#, 1));
    assert_eq!(done(&plan), ["keep backup.b", "stop service.s", "set list.l", "start service.s"]);
    let listed: Vec<_> = plan.changes.iter().map(|it| (it.action, it.steps.clone())).collect();
    assert_eq!(
        listed,
        [
            (Action::Run, vec![1]),
            (Action::Update, vec![3]),
            (Action::Stop, vec![2]),
            (Action::Start, vec![4])
        ]
    );
    assert_eq!(plan.changes[2].reasons, [before("list.l")]);
    let back: Vec<u32> = plan.rollback.iter().map(|it| it.of).collect();
    assert_eq!(back, [4, 3, 2], "stopped again, taken back, started as it was");
    assert_eq!(plan.kept, 1, "the alert alone");
    world.play(&plan, Play::On);
    assert_eq!(object(&mut world, "dev/service.s").fields["runs"], Value::Bool(true));
    assert!(world.plan(&with_data(2, r#","quiet":true"#, 1)).is_empty());
}

#[test]
fn a_user_that_changes_is_started_in_its_new_form() {
    let mut world = applied(&with_data(1, "", 1));
    let plan = world.apply(&with_data(2, r#","quiet":true"#, 2));
    assert_eq!(
        done(&plan),
        ["keep backup.b", "stop service.s", "set list.l", "start service.s", "set alert.a"]
    );
    let listed = actions(&plan);
    assert!(listed.contains(&("service.s".to_owned(), Action::Stop)), "{listed:?}");
    assert!(listed.contains(&("service.s".to_owned(), Action::Update)), "{listed:?}");
    assert_eq!(object(&mut world, "dev/service.s").fields["version"], Value::Int(2));
    assert!(world.plan(&with_data(2, r#","quiet":true"#, 2)).is_empty());
}

#[test]
fn users_through_others_and_users_that_go() {
    let mut before = with_data(1, "", 1);
    before.extend(stack([
        declared("set.through", "{}"),
        declared("service.far", r#"{"runs":true}"#),
        declared("service.gone", r#"{"runs":true}"#),
        declared("service.front", r#"{"runs":true}"#),
    ]));
    uses(&mut before, "set.through", "list.l");
    uses(&mut before, "service.far", "set.through");
    uses(&mut before, "service.gone", "list.l");
    uses(&mut before, "service.front", "service.s");
    let world = applied(&before);
    let mut after = before.clone();
    after.remove(&a("service.gone"));
    after.extend(with_data(2, r#","quiet":true"#, 1));
    uses(&mut after, "service.far", "set.through");
    let plan = world.plan(&after);
    let at = |what: &str| done(&plan).iter().position(|it| it == what).expect(what);
    for gone in ["stop service.s", "stop service.far", "delete service.gone"] {
        assert!(at(gone) < at("set list.l"), "{:?}", done(&plan));
        let number = at("set list.l") as u32 + 1;
        assert!(needs(&plan, number).contains(&(at(gone) as u32 + 1)), "{gone}");
    }
    assert!(at("set list.l") < at("start service.far"));
    // What uses a service that is stopped does not use what is changed.
    assert!(!done(&plan).iter().any(|it| it.contains("front")), "{:?}", done(&plan));
}

#[test]
fn what_is_left_out_is_stopped_and_started_as_it_is_recorded() {
    let mut world = applied(&with_data(1, "", 1));
    let quiet = with_data(2, r#","quiet":true"#, 2);
    let only = |question: &mut Question<'_>| question.scope = Scope::Only(set(&["list.l"]));
    let plan = world.plan_of(&quiet, only).expect("a plan");
    assert_eq!(done(&plan), ["keep backup.b", "stop service.s", "set list.l", "start service.s"]);
    world.play(&plan, Play::On);
    assert_eq!(object(&mut world, "dev/service.s").fields["version"], Value::Int(1));
    let head = world.head.as_ref().expect("recorded");
    assert_eq!(head.resources[&a("service.s")].declared.fields["version"], Value::Int(1));
    assert_eq!(done(&world.plan(&quiet)), ["set service.s", "set alert.a"]);
}

#[test]
fn wherever_it_ends_the_next_plan_starts_what_is_stopped() {
    let first = applied(&with_data(1, "", 1));
    let quiet = with_data(2, r#","quiet":true"#, 2);
    let plan = first.plan(&quiet);
    for number in 1..=plan.steps.len() as u32 {
        for play in [Play::Halt(number), Play::Leave(number), Play::Die(number), Play::Back(number)]
        {
            let mut world = first.clone();
            world.play(&plan, play);
            if matches!(play, Play::Back(_)) {
                let live = &object(&mut world, "dev/service.s").fields;
                assert_eq!(live["runs"], Value::Bool(true), "{play:?}");
                assert_eq!(live["version"], Value::Int(1), "{play:?}");
            }
            world.apply(&quiet);
            let live = &object(&mut world, "dev/service.s").fields;
            assert_eq!(live["runs"], Value::Bool(true), "{play:?}");
            assert_eq!(live["version"], Value::Int(2), "{play:?}");
            assert!(world.plan(&quiet).is_empty(), "{play:?}");
        }
    }
}

#[test]
fn what_a_provider_objects_to_is_no_plan() {
    let world = applied(&with_data(1, "", 1));
    let refused = with_data(2, r#","refused":"one was edited""#, 1);
    let errors = world.plan_of(&refused, |_| {}).expect_err("refused");
    let PlanError::Invalid { address, invalid } = &errors[0] else { panic!("{errors:?}") };
    assert_eq!((address, invalid.message.as_str()), (&a("list.l"), "one was edited"));
}

#[test]
fn a_rehearsal_that_failed_is_said() {
    let world = applied(&with_data(1, "", 1));
    let tried = with_data(2, r#","tried":true"#, 1);
    let changes = world.ask(&tried, |_| {}, to_rehearse).expect("a plan");
    let named: Vec<_> = changes.iter().map(|(_, it)| it.target.clone()).collect();
    assert_eq!(named, [Target::main(a("list.l"))]);
    let target = named[0].clone();
    let failed = |question: &mut Question<'_>| {
        question.rehearsals.insert(target.clone(), Err("it is full".to_owned()));
    };
    let plan = world.plan_of(&tried, failed).expect("a plan");
    assert_eq!(
        plan.step(2).expect("a step").operation.notes.last().map(String::as_str),
        Some("not rehearsed")
    );
    let lint = plan.lints.iter().find(|it| it.message.contains("rehearsed")).expect("a lint");
    assert_eq!(lint.message, "it was not rehearsed: it is full");

    let went = |question: &mut Question<'_>| {
        let facts = [("took".to_owned(), "1 s".to_owned())].into();
        let rehearsal = Rehearsal { facts, fields: Fields::new() };
        question.rehearsals.insert(target.clone(), Ok(rehearsal));
    };
    let plan = world.plan_of(&tried, went).expect("a plan");
    assert_eq!(plan.ways[&target][0].way, "1 s");
    let notes = &plan.step(2).expect("a step").operation.notes;
    assert!(!notes.contains(&"not rehearsed".to_owned()), "{notes:?}");
}

#[test]
fn it_is_shown_what_it_looks_at_and_what_it_was_made_of() {
    let world = applied(&with_data(1, r#","tried":true"#, 1));
    let plan = world.plan(&with_data(2, r#","sees":"service.s""#, 1));
    let notes = &plan.step(2).expect("a step").operation.notes;
    assert_eq!(notes, &["sees service.s", "had kept", "had tried"]);
}

fn asked(run: &[(&str, Value)]) -> Asked {
    Asked::Do(run.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

#[test]
fn a_person_asks_in_the_providers_words() {
    let mut world = applied(&with_data(1, "", 1));
    let all = with_data(1, "", 1);
    let ask = |due: bool| {
        move |question: &mut Question<'_>| {
            question.command = Command::Backup;
            question.scope = Scope::Exactly(set(&["backup.b"]));
            question.asked = [(a("backup.b"), asked(&[("due", Value::Bool(due))]))].into();
        }
    };
    let plan = world.plan_of(&all, ask(false)).expect("a plan");
    assert_eq!(done(&plan), ["keep backup.b"]);
    assert_eq!(reasons(&plan, "backup.b"), [Reason::Asked { command: "backup run".to_owned() }]);
    world.play(&plan, Play::On);
    assert_eq!(text(&world, "backup.b", "id").as_deref(), Some("of apply-2"));
    // What is not due is no plan at all.
    assert!(world.plan_of(&all, ask(true)).expect("a plan").is_empty());
    // Anything else has something to do.
    let nothing = |question: &mut Question<'_>| {
        question.asked = [(a("set.x"), asked(&[]))].into();
    };
    let still = stack([declared("set.x", r#"{"still":true}"#)]);
    let world = applied(&still);
    let errors = world.plan_of(&still, nothing).expect_err("nothing to do");
    assert!(matches!(&errors[..], [PlanError::Invalid { .. }]), "{errors:?}");
}

#[test]
fn only_the_record_of_what_another_brings_back_changes() {
    let mut world = applied(&with_data(2, "", 1));
    let before = with_data(1, "", 1);
    let ask = |question: &mut Question<'_>| {
        question.command = Command::Restore { snapshot: 1, with_data: true };
        question.asked = [(a("list.l"), Asked::Record)].into();
    };
    let plan = world.plan_of(&before, ask).expect("a plan");
    assert_eq!(plan.command.to_string(), "restore 1 --with-data");
    assert!(plan.steps.is_empty(), "{:?}", done(&plan));
    assert_eq!(actions(&plan), [("list.l".to_owned(), Action::Update)]);
    world.play(&plan, Play::On);
    let head = world.head.as_ref().expect("recorded");
    assert_eq!(head.resources[&a("list.l")].parts["main"].fields["number"], Value::Int(1));
    // Where nothing differs, nothing happens.
    drift(&mut world, "dev/list.l", "number", 1);
    assert!(world.ask(&before, ask, plan_of).is_empty());
}

fn plan_of(question: &Question<'_>) -> Plan {
    plan(question).expect("a plan")
}

#[test]
fn what_is_newer_stays_where_an_older_version_comes_back() {
    let list = |json: &str| stack([declared("list.l", json)]);
    let (older, newer) = (list(r#"{"number":1}"#), list(r#"{"number":1,"newer":2}"#));
    let mut world = applied(&newer);
    // Whoever takes it out has a change like any other, and its provider says whether it may be.
    let plan = world.ask(&older, |_| {}, plan_of);
    assert_eq!(reasons(&plan, "list.l"), [Reason::Declared]);
    assert!(!plan.steps.is_empty());
    let back = |question: &mut Question<'_>| {
        question.command = Command::Restore { snapshot: 1, with_data: false };
    };
    let plan = world.plan_of(&older, back).expect("a plan");
    assert!(plan.steps.is_empty(), "{:?}", done(&plan));
    assert_eq!(plan.changes[0].differences, []);
    let said: Vec<&str> = plan.lints.iter().map(|it| it.message.as_str()).collect();
    assert!(said.contains(&"something newer stays"), "{said:?}");
    world.play(&plan, Play::On);
    let plan = world.ask(&older, |_| {}, plan_of);
    assert!(plan.is_empty(), "{:?}", plan.changes);
    // And it is there when the newer version comes again.
    world.apply(&newer);
    assert!(world.ask(&newer, |_| {}, plan_of).is_empty());
}

#[test]
fn what_holds_data_and_is_gone_is_not_quietly_made_anew() {
    let declaration = |number: i64| {
        let mut all = with_data(number, "", 1);
        all.insert(a("thing.d"), declared("thing.d", r#"{"holds":true,"text":"one"}"#));
        uses(&mut all, "backup.b", "thing.d");
        all
    };
    let mut world = applied(&declaration(1));
    world.objects.retain(|key, _| !key.1.contains("thing.d"));
    let lost = PlanError::Lost { target: Target::main(a("thing.d")), backup: None };
    for number in [1, 2] {
        let refused = world.plan_of(&declaration(number), |_| {}).expect_err("it is refused");
        assert_eq!(refused, std::slice::from_ref(&lost));
    }
    // Given up by a person: what is kept of it from now on is smaller on purpose.
    let asks = |asked: Asked| {
        move |question: &mut Question<'_>| drop(question.asked.insert(a("thing.d"), asked))
    };
    let plan = world.plan_of(&declaration(2), asks(Asked::Replace)).expect("a plan");
    assert_eq!(done(&plan)[0], "create thing.d");
    let keeps = plan.steps.iter().find(|it| it.operation.verb == "keep").expect("it is kept");
    assert_eq!(keeps.operation.payload["smaller"], Value::Bool(true));
    // Brought back by what a person asked of its provider.
    let run = Fields::from([("verb".to_owned(), Value::from("restore"))]);
    let plan = world.plan_of(&declaration(2), asks(Asked::Do(run))).expect("a plan");
    assert_eq!(actions(&plan).iter().filter(|it| it.0 == "thing.d").count(), 1);
    let keeps = plan.steps.iter().find(|it| it.operation.verb == "keep").expect("it is kept");
    assert!(!keeps.operation.payload.contains_key("smaller"));
}
