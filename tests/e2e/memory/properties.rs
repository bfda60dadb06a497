//! Laws over random stacks: thousands of cases each, the seed and the distribution printed.

use super::lab::{Lab, Wish, paused, said_by};
use super::thing::{Stack, Thing, gate, notice, stack, thing};
use crate::seed::Seed;
use hive::apply::ApplyError;
use hive::plan::Plan;
use hive_contract::testing::Fault;
use hive_contract::{Action, Fields, Value};
use hive_state::Ending;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

const CASES: u32 = 2_000;
const NAMES: u8 = 6;

/// What one slot of a stack holds in one version. Slots refer only to lower ones.
#[derive(Clone, Debug, Default)]
struct Slot {
    there: bool,
    weight: u8,
    fixed: u8,
    create_first: bool,
    refers: Option<u8>,
    around: bool,
    uses: Option<u8>,
    ports: bool,
    two_steps: bool,
    two_writes: bool,
    settles: bool,
    secret: bool,
    extra: u8,
}

fn slot() -> impl Strategy<Value = Slot> {
    let shape = (prop::bool::weighted(0.75), 0..4u8, 0..3u8, any::<bool>());
    let links = (prop::option::of(0..NAMES), any::<bool>(), prop::option::of(0..NAMES));
    let ways = (
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.15),
    );
    (shape, links, ways, 0..4u8).prop_map(|(shape, links, ways, extra)| Slot {
        there: shape.0,
        weight: shape.1,
        fixed: shape.2,
        create_first: shape.3,
        refers: links.0,
        around: links.1,
        uses: links.2,
        ports: ways.0,
        two_steps: ways.1,
        two_writes: ways.2,
        settles: ways.3,
        secret: ways.4,
        extra,
    })
}

fn version() -> impl Strategy<Value = Vec<Slot>> {
    prop::collection::vec(slot(), usize::from(NAMES))
}

/// The next version: most slots stay, some are drawn anew.
fn next(before: Vec<Slot>) -> impl Strategy<Value = (Vec<Slot>, Vec<Slot>)> {
    let drawn = prop::collection::vec((prop::bool::weighted(0.5), slot()), before.len());
    (Just(before), drawn).prop_map(|(before, drawn)| {
        let next = before.iter().zip(drawn);
        let next = next.map(|(slot, (anew, other))| if anew { other } else { slot.clone() });
        let next = next.collect();
        (before, next)
    })
}

fn name(slot: u8) -> String {
    format!("{}{slot}", char::from(b'a' + slot))
}

/// The stack of a version. The last slot but one is a gate, the last a notice.
fn declare(slots: &[Slot]) -> Stack {
    let kind = |at: u8| match at {
        at if at == NAMES - 2 => "gate",
        at if at == NAMES - 1 => "notice",
        _ => "thing",
    };
    let there = |at: &u8| slots[usize::from(*at)].there && kind(*at) == "thing";
    let things = (0..NAMES).zip(slots).filter(|(_, slot)| slot.there).map(|(at, slot)| {
        let on = |on: Option<u8>| on.filter(|on| *on < at).filter(there);
        let name = name(at);
        let mut it: Thing = match kind(at) {
            "gate" => gate(&name),
            "notice" => notice(&name),
            _ => object(&name, slot),
        };
        if slot.weight > 0 {
            it = it.with("weight", i64::from(slot.weight));
        }
        if let Some(on) = on(slot.refers) {
            let on = format!("thing.{}", self::name(on));
            it = if slot.around { it.around("up", &on, "url") } else { it.from("up", &on, "url") };
        }
        if let Some(on) = on(slot.uses) {
            it = it.uses(&format!("thing.{}", self::name(on)));
        }
        it
    });
    stack(things)
}

fn object(name: &str, slot: &Slot) -> Thing {
    let mut it = thing(name);
    if slot.fixed > 0 {
        it = it.fixed(i64::from(slot.fixed));
    }
    if slot.create_first {
        it = it.with("replace", "create-first");
    }
    if slot.ports {
        it = it.with("ports", Value::List(vec!["http".into()]));
    }
    if slot.two_steps {
        it = it.with("steps", 2);
    }
    if slot.two_writes {
        it = it.with("writes", 2);
    }
    if slot.settles {
        it = it.with("settle_ms", 40);
    }
    if slot.secret {
        it = it.secret("password", "ONE");
    }
    for extra in 0..slot.extra {
        it = it.with(&format!("extra-{extra}"), i64::from(slot.extra));
    }
    it
}

/// How often each thing happened in the cases of one property.
#[derive(Default)]
struct Distribution(RefCell<BTreeMap<&'static str, u32>>);

impl Distribution {
    fn count(&self, what: &'static str) {
        *self.0.borrow_mut().entry(what).or_default() += 1;
    }

    /// Counts what a plan has of each action.
    fn plan(&self, plan: &Plan) {
        let has = |action| plan.changes.iter().any(|it| it.action == action);
        for (action, what) in [
            (Action::Create, "a create"),
            (Action::Update, "an update"),
            (Action::Replace, "a replace"),
            (Action::Delete, "a delete"),
            (Action::Run, "a gate"),
        ] {
            if has(action) {
                self.count(what);
            }
        }
        if plan.is_empty() {
            self.count("nothing");
        }
    }

    fn at_least(&self, what: &'static str, times: u32) {
        let found = self.0.borrow().get(what).copied().unwrap_or_default();
        assert!(found >= times, "only {found} cases had {what}");
    }
}

/// Runs a property over many cases, each with paused time of its own.
fn property<S: Strategy>(
    test: &str,
    strategy: S,
    law: impl AsyncFn(&Distribution, S::Value) -> Result<(), String>,
) -> Distribution {
    let mut seed = Seed::from_environment(test);
    let bytes: Vec<u8> = (0..4).flat_map(|_| seed.next().to_le_bytes()).collect();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let distribution = Distribution::default();
    let result = runner.run(&strategy, |case| {
        distribution.count("cases");
        paused(law(&distribution, case)).map_err(TestCaseError::fail)
    });
    println!("{test}: {:?}", distribution.0.borrow());
    if let Err(error) = result {
        panic!("{test}: {error}");
    }
    distribution
}

async fn applied(lab: &Lab, stack: &Stack, distribution: &Distribution) -> Result<(), String> {
    let plan = lab.plan(&Wish::apply(stack.clone())).await.map_err(|it| format!("{it:?}"))?;
    distribution.plan(&plan);
    if plan.is_empty() {
        return Ok(());
    }
    let report = lab.apply(&plan).await.map_err(|it| it.to_string())?;
    match report.ending {
        Ending::Applied => Ok(()),
        other => Err(format!("it ended {other:?}: {report:?}")),
    }
}

async fn converged(lab: &Lab, stack: &Stack) -> Result<(), String> {
    let again = lab.plan(&Wish::apply(stack.clone())).await.map_err(|it| format!("{it:?}"))?;
    if !again.is_empty() {
        return Err(format!("the next plan is not empty: {:?}", again.changes));
    }
    sound(lab).await
}

/// What always holds: the log of effects, and every file of the store.
async fn sound(lab: &Lab) -> Result<(), String> {
    let faults = lab.world.log_faults();
    if !faults.is_empty() {
        return Err(format!("the log of effects: {faults:?}"));
    }
    lab.ledger().verify_all().await.map(|_| ()).map_err(|it| format!("the store: {it:?}"))
}

#[test]
fn plan_apply_plan_is_empty() {
    let law = async |seen: &Distribution, (one, two): (Vec<Slot>, Vec<Slot>)| {
        let lab = Lab::new();
        for version in [one, two] {
            let stack = declare(&version);
            applied(&lab, &stack, seen).await?;
            converged(&lab, &stack).await?;
            let declared: Vec<_> = stack.keys().collect();
            let head = lab.head().await;
            let recorded: Vec<_> = head.iter().flat_map(|it| it.resources.keys()).collect();
            if declared != recorded {
                return Err(format!("declared {declared:?}, recorded {recorded:?}"));
            }
            let live = lab.picture().len();
            let objects = declared.iter().filter(|it| it.kind() == "thing").count();
            if live != objects {
                return Err(format!("{objects} declared, {live} live"));
            }
        }
        Ok(())
    };
    let seen = property("plan_apply_plan_is_empty", version().prop_flat_map(next), law);
    for what in ["a create", "an update", "a replace", "a delete", "a gate"] {
        seen.at_least(what, 200);
    }
}

#[test]
fn a_rollback_ends_where_it_began() {
    let strategy = (version().prop_flat_map(next), 0..NAMES - 2, any::<bool>());
    let law = async |seen: &Distribution,
                     ((one, two), at, early): ((Vec<Slot>, Vec<Slot>), u8, bool)| {
        let lab = Lab::new();
        applied(&lab, &declare(&one), seen).await?;
        let (picture, recorded) = (lab.picture(), said_by(lab.head().await.as_ref()));
        let stack = declare(&two);
        let plan = lab.plan(&Wish::apply(stack.clone())).await.map_err(|it| format!("{it:?}"))?;
        let doomed =
            hive_contract::Target::main(super::thing::address(&format!("thing.{}", name(at))));
        let Some(step) = plan.steps.iter().find(|it| it.target == doomed) else {
            seen.count("no fault");
            return Ok(());
        };
        seen.plan(&plan);
        seen.count("a fault");
        let no = hive_contract::Failure::new(hive_contract::FailureKind::Invalid, "no");
        let fault = if early { Fault::Refuse(no) } else { Fault::Unhealthy };
        let deletes = step.operation.verb == "delete";
        lab.world.script(&step.identity, [if deletes { fault_of_delete(early) } else { fault }]);
        lab.world.forget_calls();
        let report = lab.apply(&plan).await.map_err(|it| it.to_string())?;
        let performed = ("perform".to_owned(), step.identity.clone());
        if report.ending == Ending::Applied && !lab.world.calls().objects.contains_key(&performed) {
            // Its filled fields are what is live already.
            seen.count("no effect");
            return Ok(());
        }
        if report.ending != Ending::RolledBack {
            return Err(format!("it ended {:?}: {report:?}", report.ending));
        }
        seen.count("a rollback");
        if lab.picture() != picture {
            return Err(format!("{:?} is not {picture:?}", lab.picture()));
        }
        let now = said_by(lab.head().await.as_ref());
        if now != recorded {
            return Err(format!("recorded {now} is not {recorded}"));
        }
        // And nothing is in the way of trying once more.
        lab.world.calm();
        applied(&lab, &stack, seen).await?;
        converged(&lab, &stack).await
    };
    let seen = property("a_rollback_ends_where_it_began", strategy, law);
    for what in ["a rollback", "a replace", "a delete"] {
        seen.at_least(what, 100);
    }
}

fn fault_of_delete(early: bool) -> Fault {
    let kind = hive_contract::FailureKind::Unavailable;
    if early {
        return Fault::Refuse(hive_contract::Failure::new(kind, "no"));
    }
    Fault::FailAfter(kind)
}

/// What somebody else does between plan and apply.
#[derive(Clone, Copy, Debug)]
enum Moves {
    Changes,
    Wrecks,
    AppliesAnother,
    Nothing,
}

#[test]
fn a_stale_plan_is_refused_and_a_fresh_one_is_not() {
    let moves = prop_oneof![
        Just(Moves::Changes),
        Just(Moves::Wrecks),
        Just(Moves::AppliesAnother),
        Just(Moves::Nothing)
    ];
    let strategy = (version().prop_flat_map(next), 0..NAMES - 2, moves);
    let law = async |seen: &Distribution,
                     ((one, two), at, moves): ((Vec<Slot>, Vec<Slot>), u8, Moves)| {
        let lab = Lab::new();
        applied(&lab, &declare(&one), seen).await?;
        let plan = lab.plan(&Wish::apply(declare(&two))).await.map_err(|it| format!("{it:?}"))?;
        let touched: Vec<_> =
            plan.steps.iter().filter(|it| it.target.address.kind() == "thing").collect();
        let Some(step) = touched.get(usize::from(at) % touched.len().max(1)) else {
            seen.count("nothing to move");
            return Ok(());
        };
        let spot = (step.place.clone(), step.identity.clone());
        let was_there = lab.world.objects().contains_key(&spot);
        let moved = match moves {
            Moves::Changes => {
                // A field that neither version declares is nobody's business.
                let managed = step.managed.iter().any(|it| it.to_string() == "weight");
                let key = if managed { "weight" } else { "somebody's" };
                let fields = Fields::from([(key.to_owned(), Value::Int(99))]);
                lab.world.meddle(&spot, "a passer-by", fields);
                !was_there || managed
            }
            Moves::Wrecks if was_there => {
                lab.world.wreck(&spot);
                true
            }
            Moves::AppliesAnother => {
                let mut other = declare(&one);
                let address = &step.target.address;
                match other.get_mut(address) {
                    Some(declared) => {
                        declared.fields.insert("label".to_owned(), "another".into());
                    }
                    None => {
                        let new = stack([thing(address.name()).with("label", "another")]);
                        other.extend(new);
                    }
                }
                applied(&lab, &other, seen).await?;
                true
            }
            Moves::Wrecks | Moves::Nothing => false,
        };
        let before = lab.world.log().len();
        match lab.apply(&plan).await {
            Err(ApplyError::Stale(_)) if moved => {
                seen.count("stale");
                if lab.world.log().len() != before {
                    return Err("a stale plan had an effect".to_owned());
                }
            }
            Ok(report) if !moved && report.ending == Ending::Applied => {
                seen.count("fresh");
                converged(&lab, &declare(&two)).await?;
            }
            other => return Err(format!("moved: {moved} ({moves:?} {spot:?}): {other:?}")),
        }
        sound(&lab).await
    };
    let seen = property("a_stale_plan_is_refused_and_a_fresh_one_is_not", strategy, law);
    seen.at_least("stale", 500);
    seen.at_least("fresh", 200);
}

/// Two stacks in one: what two teams change apart.
fn beside(left: &[Slot], right: &[Slot]) -> Stack {
    let mut both = declare(left);
    for (address, mut declared) in declare(right) {
        let other = |it: &hive_contract::Address| {
            super::thing::address(&format!("{}.{}-right", it.kind(), it.name()))
        };
        declared.address = other(&address);
        declared.uses = declared.uses.iter().map(other).collect();
        declared.fields =
            hive_contract::value::fill_fields(&declared.fields, &|value| match value {
                Value::Output(it) => {
                    let mut moved = it.clone();
                    moved.address = other(&it.address);
                    Some(Value::Output(moved))
                }
                _ => None,
            });
        both.insert(declared.address.clone(), declared);
    }
    both
}

#[test]
fn two_plans_that_do_not_touch_each_other_both_apply() {
    let strategy = (version().prop_flat_map(next), version().prop_flat_map(next), any::<bool>());
    type Case = ((Vec<Slot>, Vec<Slot>), (Vec<Slot>, Vec<Slot>), bool);
    let law = async |seen: &Distribution, ((a1, a2), (b1, b2), swap): Case| {
        let lab = Lab::new();
        applied(&lab, &beside(&a1, &b1), seen).await?;
        let plan = async |stack: Stack| {
            lab.plan(&Wish::apply(stack)).await.map_err(|it| format!("{it:?}"))
        };
        let left = plan(beside(&a2, &b1)).await?;
        let right = plan(beside(&a1, &b2)).await?;
        seen.plan(&left);
        seen.plan(&right);
        let order = if swap { [&right, &left] } else { [&left, &right] };
        for (at, plan) in order.into_iter().enumerate() {
            if plan.is_empty() {
                continue;
            }
            seen.count("an apply");
            let report = lab.apply(plan).await.map_err(|it| format!("plan {at}: {it}"))?;
            if report.ending != Ending::Applied {
                return Err(format!("plan {at} ended {:?}", report.ending));
            }
            let head = lab.head().await.ok_or("no head")?;
            let own = head.resources.iter().map(|(at, it)| (at.clone(), it.declared.clone()));
            converged(&lab, &own.collect())
                .await
                .map_err(|why| format!("after plan {at}: {why}"))?;
        }
        converged(&lab, &beside(&a2, &b2)).await
    };
    property("two_plans_that_do_not_touch_each_other_both_apply", strategy, law);
}
