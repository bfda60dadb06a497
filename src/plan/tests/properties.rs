//! Laws over random stacks, random drift and random moments of failure.

use super::world::{Declaration, HERE, Play, World, a, declared, live};
use crate::plan::{Plan, Scope, check, plan};
use hive_contract::{Address, OutputRef, Value};
use hive_state::{Part, Snapshot};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// How many resources a stack has at most.
const NAMES: usize = 7;

/// One resource of a random stack; none where it is not declared.
#[derive(Clone, Debug)]
struct Drawn {
    there: bool,
    text: u8,
    fixed: u8,
    flags: [bool; 5],
    /// Resources with a smaller number whose `text` or `url` it is made of.
    refers: Vec<(usize, bool)>,
    /// Resources with a smaller number that it uses.
    uses: Vec<usize>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let refers = proptest::collection::vec((0..NAMES, any::<bool>()), 0..3);
    let uses = proptest::collection::vec(0..NAMES, 0..2);
    (0..8_u8, 0..3_u8, 0..2_u8, any::<[bool; 5]>(), refers, uses).prop_map(
        |(there, text, fixed, flags, refers, uses)| Drawn {
            there: there > 0,
            text,
            fixed,
            flags,
            refers,
            uses,
        },
    )
}

fn drawn_stack() -> impl Strategy<Value = Vec<Drawn>> {
    proptest::collection::vec(drawn(), NAMES)
}

/// The kind of a number, of 0 to 4 a thing, 5 a check, 6 a notify, is the same in every stack of a case: an address does not change its sort.
fn name(kinds: &[u8], number: usize) -> Address {
    let kind = match kinds[number] {
        0..=4 => "thing",
        5 => "check",
        _ => "notify",
    };
    a(&format!("{kind}.n{number}"))
}

fn made(kinds: &[u8], drawn: &[Drawn]) -> Declaration {
    let mut stack = Declaration::new();
    let there = |number: usize| drawn[number].there;
    for (number, it) in drawn.iter().enumerate().filter(|(_, it)| it.there) {
        let address = name(kinds, number);
        let mut resource = declared(&address.to_string(), "{}");
        let mut put = |key: &str, value: Value| resource.fields.insert(key.to_owned(), value);
        put("text", Value::Int(i64::from(it.text)));
        if address.kind() == "thing" {
            put("fixed", Value::Int(i64::from(it.fixed)));
            let [port, first, sweep, renamed, verified] = it.flags;
            for (flag, key) in [(port, "port"), (first, "first"), (sweep, "sweep")] {
                if flag {
                    put(key, true.into());
                }
            }
            if renamed {
                put("name", Value::from("-b"));
            }
            let checks = (number + 1..NAMES).filter(|it| there(*it) && kinds[*it] == 5);
            let names: Vec<Value> =
                checks.take(1).map(|it| Value::from(name(kinds, it).to_string())).collect();
            if verified && !names.is_empty() {
                let rollout = BTreeMap::from([("verify".to_owned(), Value::List(names))]);
                put("rollout", Value::Map(rollout));
            }
        }
        for (at, (on, url)) in it.refers.iter().enumerate() {
            if *on < number && there(*on) && kinds[*on] <= 4 {
                let output = if *url { "url" } else { "text" }.to_owned();
                let reference = OutputRef { address: name(kinds, *on), output };
                put(&format!("ref{at}"), Value::Output(reference));
            }
        }
        let used = it.uses.iter().filter(|on| **on < number && there(**on));
        resource.uses.extend(used.map(|on| name(kinds, *on)));
        stack.insert(address, resource);
    }
    stack
}

/// Somebody moves fields, removes objects, and changes what is nobody's.
fn drift(world: &mut World, draws: &[u8]) {
    let objects = std::mem::take(&mut world.objects);
    for ((key, object), draw) in objects.into_iter().zip(draws.iter().cycle()) {
        let mut fields = object.fields.clone();
        match draw % 6 {
            0 => continue,
            1 => {
                fields.insert("text".to_owned(), Value::Int(99));
                fields.insert("nobodys".to_owned(), Value::Int(1));
            }
            2 => drop(fields.insert("fixed".to_owned(), Value::Int(77))),
            _ => {}
        }
        world.objects.insert(key, live(&object.identity, fields, object.mark));
    }
}

/// Every object of the world is recorded, and every record has its object.
fn nothing_is_lost(world: &World) {
    let head = world.head.as_ref().expect("head");
    head.verify().expect("the snapshot holds");
    let recorded: BTreeSet<(String, String)> = head
        .resources
        .values()
        .flat_map(|it| it.parts.values())
        .map(|it| (it.place.clone(), it.identity.clone()))
        .collect();
    for key in world.objects.keys() {
        assert!(recorded.contains(key), "{key:?} is an orphan");
    }
}

fn without_traces(snapshot: Option<&Snapshot>) -> BTreeMap<Address, hive_state::Recorded> {
    let mut resources = snapshot.map(|it| it.resources.clone()).unwrap_or_default();
    let parts = resources.values_mut().flat_map(|it| it.parts.values_mut());
    parts.for_each(|part: &mut Part| part.token = None);
    resources
}

/// The stack's plan; none where it has none, because a check waits for a user of what it verifies.
fn planned(world: &World, stack: &Declaration) -> Option<Plan> {
    match world.plan_of(stack, |_| {}) {
        Ok(plan) => Some(plan),
        Err(errors) => {
            let cycle =
                |it: &crate::plan::PlanError| matches!(it, crate::plan::PlanError::Cycle(_));
            assert!(errors.iter().all(cycle), "{errors:?}");
            None
        }
    }
}

fn recorded_fields_are_desired(world: &World, stack: &Declaration) {
    let head = world.head.as_ref().expect("head");
    assert_eq!(head.resources.keys().collect::<Vec<_>>(), stack.keys().collect::<Vec<_>>());
    for (address, recorded) in &head.resources {
        assert_eq!(&recorded.declared, &stack[address]);
        for part in recorded.parts.values() {
            let live = &world.objects[&(part.place.clone(), part.identity.clone())];
            for (key, value) in &part.fields {
                assert_eq!(live.fields.get(key), Some(value), "{address} {key}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p8_a_plan_of_what_was_applied_is_empty(
        kinds in proptest::collection::vec(0..7_u8, NAMES),
        first in drawn_stack(),
        second in drawn_stack(),
        moved in proptest::collection::vec(any::<u8>(), NAMES),
    ) {
        let mut world = World::new();
        for drawn in [&first, &second] {
            let stack = made(&kinds, drawn);
            let Some(plan) = planned(&world, &stack) else { continue };
            world.play(&plan, Play::On);
            nothing_is_lost(&world);
            recorded_fields_are_desired(&world, &stack);
            prop_assert!(world.plan(&stack).is_empty());
            drift(&mut world, &moved);
            let Some(mended) = planned(&world, &stack) else { continue };
            world.play(&mended, Play::On);
            prop_assert!(world.plan(&stack).is_empty());
        }
    }

    #[test]
    fn p4_the_way_back_ends_where_it_began(
        kinds in proptest::collection::vec(0..7_u8, NAMES),
        first in drawn_stack(),
        second in drawn_stack(),
        moved in proptest::collection::vec(any::<u8>(), NAMES),
        failing in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new();
        let Some(plan) = planned(&world, &made(&kinds, &first)) else { return Ok(()) };
        world.play(&plan, Play::On);
        drift(&mut world, &moved);
        let Some(plan) = planned(&world, &made(&kinds, &second)) else { return Ok(()) };
        let step = failing.index(plan.steps.len() + 1) as u32 + 1;
        let before = world.clone();
        world.play(&plan, Play::Back(step));
        prop_assert_eq!(&world.objects, &before.objects);
        let head = world.head.as_ref();
        prop_assert_eq!(without_traces(head), without_traces(before.head.as_ref()));
        prop_assert!(head.is_some_and(|it| it.whole));
        nothing_is_lost_but_what_was(&world, &before);
    }

    #[test]
    fn p2_wherever_it_stops_the_next_plan_finishes_it(
        kinds in proptest::collection::vec(0..7_u8, NAMES),
        first in drawn_stack(),
        second in drawn_stack(),
        failing in any::<prop::sample::Index>(),
        dies in any::<bool>(),
    ) {
        let mut world = World::new();
        let Some(plan) = planned(&world, &made(&kinds, &first)) else { return Ok(()) };
        world.play(&plan, Play::On);
        let stack = made(&kinds, &second);
        let Some(plan) = planned(&world, &stack) else { return Ok(()) };
        if plan.steps.is_empty() {
            return Ok(());
        }
        let step = failing.index(plan.steps.len()) as u32 + 1;
        world.play(&plan, if dies { Play::Die(step) } else { Play::Halt(step) });
        nothing_is_lost(&world);
        let Some(rest) = planned(&world, &stack) else { return Ok(()) };
        world.play(&rest, Play::On);
        nothing_is_lost(&world);
        recorded_fields_are_desired(&world, &stack);
        prop_assert!(world.head.as_ref().is_some_and(|it| it.whole));
        prop_assert!(world.plan(&stack).is_empty());
    }

    #[test]
    fn p1_two_plans_that_do_not_touch_each_other_both_hold(
        kinds in proptest::collection::vec(0..7_u8, NAMES),
        first in drawn_stack(),
        second in drawn_stack(),
        split in 1..NAMES,
    ) {
        let mut world = World::new();
        // Two halves that do not refer to each other.
        let apart = |drawn: &[Drawn]| {
            let mut drawn = drawn.to_vec();
            for (number, it) in drawn.iter_mut().enumerate() {
                it.refers.retain(|(on, _)| (*on < split) == (number < split));
                it.uses.retain(|on| (*on < split) == (number < split));
                it.flags[4] = false;
                // Two plans that choose ports share the place that they choose from.
                it.flags[0] = false;
            }
            drawn
        };
        let (first, second) = (apart(&first), apart(&second));
        let Some(plan) = planned(&world, &made(&kinds, &first)) else { return Ok(()) };
        world.play(&plan, Play::On);
        let halves = |low: &[Drawn], high: &[Drawn]| {
            let both: Vec<Drawn> = low[..split].iter().chain(&high[split..]).cloned().collect();
            made(&kinds, &both)
        };
        let low = world.plan(&halves(&second, &first));
        let high = world.plan(&halves(&first, &second));
        let mut other_way = world.clone();
        world.play(&low, Play::On);
        world.play(&high, Play::On);
        other_way.play(&high, Play::On);
        other_way.play(&low, Play::On);
        prop_assert_eq!(&world.objects, &other_way.objects);
        let whole = halves(&second, &second);
        prop_assert!(world.plan(&whole).is_empty());
        prop_assert!(other_way.plan(&whole).is_empty());
    }

    #[test]
    fn only_some_then_the_rest_is_the_same_as_all(
        kinds in proptest::collection::vec(0..7_u8, NAMES),
        first in drawn_stack(),
        second in drawn_stack(),
        number in 0..NAMES,
    ) {
        let mut world = World::new();
        let Some(plan) = planned(&world, &made(&kinds, &first)) else { return Ok(()) };
        world.play(&plan, Play::On);
        let stack = made(&kinds, &second);
        let named = name(&kinds, number);
        let head = world.head.as_ref().expect("head");
        if planned(&world, &stack).is_none()
            || !(stack.contains_key(&named) || head.resources.contains_key(&named))
        {
            return Ok(());
        }
        let only = |question: &mut crate::plan::Question<'_>| {
            question.scope = Scope::Only(BTreeSet::from([named.clone()]));
        };
        let Ok(some) = world.plan_of(&stack, only) else { return Ok(()) };
        prop_assert!(some.records.keys().all(|it| !some.left_out.contains_key(it)));
        world.play(&some, Play::On);
        nothing_is_lost(&world);
        let Some(rest) = planned(&world, &stack) else { return Ok(()) };
        prop_assert!(!rest.records.contains_key(&named) || rest.steps.is_empty()
            || kinds[number] == 5 || touches_again(&rest, &named));
        world.play(&rest, Play::On);
        prop_assert!(world.plan(&stack).is_empty());
    }

    #[test]
    fn the_same_question_gives_the_same_bytes(
        kinds in proptest::collection::vec(0..7_u8, NAMES),
        first in drawn_stack(),
        second in drawn_stack(),
    ) {
        let mut world = World::new();
        if let Some(plan) = planned(&world, &made(&kinds, &first)) {
            world.play(&plan, Play::On);
        }
        let stack = made(&kinds, &second);
        let bytes = || world.ask(&stack, |_| {}, |question| {
            plan(question).map(|plan| crate::plan::file::write(&plan))
        });
        prop_assert_eq!(bytes(), bytes());
    }
}

/// What was applied alone is touched again only because what it depends on was left out then.
fn touches_again(rest: &Plan, named: &Address) -> bool {
    let steps = rest.steps.iter().filter(|it| &it.target.address == named);
    steps.into_iter().count() == 0
}

/// The objects that the record has not were not there before either.
fn nothing_is_lost_but_what_was(world: &World, before: &World) {
    assert_eq!(world.objects.len(), before.objects.len());
    assert!(world.objects.keys().all(|(place, _)| place == HERE));
}

#[test]
fn ten_thousand_resources_without_a_change_are_planned_fast() {
    let mut world = World::new();
    let mut stack = Declaration::new();
    for number in 0..10_000 {
        let address = format!("config.c{number}");
        let mut resource = declared(&address, r#"{"text":"content","mode":"0644","path":"x"}"#);
        if number % 10 != 0 {
            let address = a(&format!("config.c{}", number - number % 10));
            let output = if number < 100 { "text" } else { "url" }.to_owned();
            let reference = Value::Output(OutputRef { address, output });
            resource.fields.insert("ref".to_owned(), reference);
        }
        stack.insert(a(&address), resource);
    }
    let first = world.ask(&stack, |_| {}, |question| plan(question).expect("a plan"));
    assert_eq!(first.steps.len(), 10_000);
    check::verify(&first).expect("holds");
    world.play(&first, Play::On);
    let began = std::time::Instant::now();
    let (empty, took) = world.ask(
        &stack,
        |_| {},
        |question| {
            let began = std::time::Instant::now();
            (plan(question).expect("a plan").is_empty(), began.elapsed())
        },
    );
    assert!(empty);
    // Generous, because a test build on a busy machine is slow: a quadratic one takes minutes.
    assert!(took.as_secs() < 5, "{took:?} of {:?}", began.elapsed());
}
