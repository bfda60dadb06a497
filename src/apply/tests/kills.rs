//! A death at every boundary of store and world, and at every boundary of the recovery after it.

use super::bed::{Bed, chain, declare};
use crate::apply::{ApplyError, Report, Settle};
use hive_contract::Declared;
use hive_contract::testing::{Fault, KillSwitch};
use hive_state::{Ending, Record};
use serde_json::json;
use std::collections::BTreeSet;

/// What happens in one scenario.
struct Scenario {
    name: &'static str,
    before: Vec<Declared>,
    after: Vec<Declared>,
    /// Whose call goes wrong, once.
    fails: Option<(&'static str, Vec<Fault>)>,
}

fn scenarios() -> Vec<Scenario> {
    let rolling = |weight: i64| {
        vec![
            declare("thing.a", json!({ "weight": weight, "writes": 2, "settle_ms": 100 }), &[]),
            declare("thing.b", json!({ "weight": weight, "steps": 2 }), &["thing.a"]),
            declare("gate.c", json!({ "gate": true, "watches": "dev/thing.b" }), &["thing.b"]),
            declare("thing.d", json!({ "weight": weight }), &["gate.c"]),
            declare("thing.e", json!({ "weight": weight }), &[]),
        ]
    };
    let doomed = {
        let mut doomed = rolling(2);
        doomed[3] = declare("thing.d", json!({ "doomed": "unhealthy" }), &["gate.c"]);
        doomed
    };
    let replaced = |size: i64| {
        vec![
            declare("thing.a", json!({ "immutable": { "size": size } }), &[]),
            declare("thing.b", json!({ "weight": size }), &["thing.a"]),
        ]
    };
    let scenario = |name, before, after| Scenario { name, before, after, fails: None };
    vec![
        scenario("first apply", vec![], rolling(1)),
        scenario("rollout", rolling(1), rolling(2)),
        scenario("rollback", rolling(1), doomed),
        scenario("replacement", replaced(1), replaced(2)),
        scenario("destroy", rolling(1), vec![]),
        Scenario {
            name: "throttled as often as the schedule allows",
            before: chain("ab", 1),
            after: chain("ab", 2),
            fails: Some(("dev/thing.b", vec![Fault::Throttle, Fault::Throttle])),
        },
        Scenario {
            name: "lost answer",
            before: chain("ab", 1),
            after: chain("ab", 2),
            fails: Some(("dev/thing.b", vec![Fault::Lost { effect: true }])),
        },
    ]
}

/// Every scenario on a quick store, and one on a slow one.
fn on_both_stores() -> impl Iterator<Item = (bool, Scenario)> {
    let slow = scenarios().into_iter().filter(|it| it.name == "rollout");
    scenarios().into_iter().map(|it| (false, it)).chain(slow.map(|it| (true, it)))
}

async fn bed_of(scenario: &Scenario) -> Bed {
    let bed = Bed::new();
    if !scenario.before.is_empty() {
        bed.apply(&scenario.before).await.expect("applies");
    }
    if let Some((whose, faults)) = &scenario.fails {
        bed.world.script(whose, faults.clone());
    }
    bed
}

/// Runs something until it ends or the switch kills it.
async fn mortal<T>(
    bed: &mut Bed,
    switch: &KillSwitch,
    work: impl AsyncFnOnce(&Bed) -> Result<T, ApplyError>,
) -> Option<T> {
    bed.arm(switch);
    let ended = tokio::select! {
        biased;
        () = switch.dead() => None,
        ended = work(bed) => Some(ended),
    };
    bed.arm(&KillSwitch::never());
    ended.map(|it| it.unwrap_or_else(|error| panic!("{error}")))
}

/// Everything that had an effect was begun in the journal before, what was begun had all that it
/// needs done before, and the plan was in the store before either.
async fn journalled_first(bed: &Bed, why: &str) {
    let mut begun = BTreeSet::new();
    for apply in bed.ledger.journals().await.expect("lists") {
        let read = bed.ledger.journal(&apply).await.expect("reads");
        let Some(opened) = &read.replay.opened else { continue };
        let plan = bed.ledger.plan(&opened.plan).await.expect("reads").expect("a plan");
        let plan = crate::plan::file::read(&plan).expect("a whole plan");
        for entry in &read.entries {
            if let Record::Begin(it) | Record::UndoBegin(it) = &entry.record {
                begun.insert(it.token.clone());
            }
            let Record::Begin(it) = &entry.record else { continue };
            for need in &plan.step(it.step).expect("a step").needs {
                let done = read.replay.steps.get(need).is_some_and(|it| it.left.is_some());
                assert!(done, "{why}: step {} was begun before {need} was done", it.step);
            }
        }
    }
    for effect in bed.world.log() {
        let token = effect.token.expect("only hive has effects here");
        assert!(begun.contains(&token), "{why}: {} had no durable begin", effect.verb);
    }
}

/// The next apply after a death: recovers, or where nothing is open, begins.
async fn next(bed: &Bed, after: &[Declared]) -> Result<Option<Report>, ApplyError> {
    if let Some(report) = bed.recover(Settle::On).await? {
        return Ok(Some(report));
    }
    let plan = bed.plan(after).await;
    if plan.is_empty() {
        return Ok(None);
    }
    bed.run(&plan).await.map(Some)
}

#[tokio::test(start_paused = true)]
async fn a_death_anywhere_ends_in_the_same_world() {
    let mut deaths = 0;
    for (slow, scenario) in on_both_stores() {
        let mut undisturbed = bed_of(&scenario).await;
        undisturbed.slow = slow;
        let switch = KillSwitch::never();
        let plan = undisturbed.plan(&scenario.after).await;
        let report = mortal(&mut undisturbed, &switch, async |bed| bed.run(&plan).await)
            .await
            .expect("ends");
        let picture = undisturbed.picture();
        assert_eq!(undisturbed.world.log_faults(), Vec::<String>::new());
        for boundary in 1..=switch.count() {
            let why = format!("{} at {}", scenario.name, switch.log()[boundary as usize - 1]);
            let mut bed = bed_of(&scenario).await;
            bed.slow = slow;
            let plan = bed.plan(&scenario.after).await;
            mortal(&mut bed, &KillSwitch::at(boundary), async |bed| bed.run(&plan).await).await;
            journalled_first(&bed, &why).await;
            let ended = next(&bed, &scenario.after).await;
            let ended = ended.unwrap_or_else(|error| panic!("{why}: {error}"));
            let ending = ended.map_or(report.ending, |it| it.ending);
            if scenario.name != "lost answer" {
                // A fault that was used up by the first life is not there in the second.
                assert_eq!(bed.picture(), picture, "{why}");
                assert_eq!(ending, report.ending, "{why}");
            }
            let left = match ending {
                Ending::Applied => &scenario.after,
                _ => &scenario.before,
            };
            bed.converged(left, &why).await;
            deaths += 1;
        }
    }
    assert!(deaths > 200, "{deaths}");
}

#[tokio::test(start_paused = true)]
async fn a_death_in_the_recovery_ends_there_too() {
    for scenario in scenarios().into_iter().filter(|it| it.name == "rollback") {
        let mut undisturbed = bed_of(&scenario).await;
        let switch = KillSwitch::never();
        let plan = undisturbed.plan(&scenario.after).await;
        mortal(&mut undisturbed, &switch, async |bed| bed.run(&plan).await).await.expect("ends");
        let picture = undisturbed.picture();
        for first in (1..=switch.count()).step_by(11) {
            let counts = KillSwitch::never();
            let mut bed = bed_of(&scenario).await;
            let plan = bed.plan(&scenario.after).await;
            mortal(&mut bed, &KillSwitch::at(first), async |bed| bed.run(&plan).await).await;
            mortal(&mut bed, &counts, async |bed| next(bed, &scenario.after).await)
                .await
                .expect("ends");
            for second in (1..=counts.count()).step_by(5) {
                let mut bed = bed_of(&scenario).await;
                let plan = bed.plan(&scenario.after).await;
                mortal(&mut bed, &KillSwitch::at(first), async |bed| bed.run(&plan).await).await;
                mortal(&mut bed, &KillSwitch::at(second), async |bed| {
                    next(bed, &scenario.after).await
                })
                .await;
                let why = format!("{first}, then {second}");
                next(&bed, &scenario.after).await.unwrap_or_else(|it| panic!("{why}: {it}"));
                assert_eq!(bed.picture(), picture, "{why}");
                bed.converged(&scenario.before, &why).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_anywhere_can_be_closed_or_taken_back() {
    for scenario in scenarios() {
        let mut undisturbed = bed_of(&scenario).await;
        let before = undisturbed.picture();
        let switch = KillSwitch::never();
        let plan = undisturbed.plan(&scenario.after).await;
        mortal(&mut undisturbed, &switch, async |bed| bed.run(&plan).await).await.expect("ends");
        for boundary in 1..=switch.count() {
            let settle = if boundary % 2 == 0 { Settle::Close } else { Settle::Back };
            let at = &switch.log()[boundary as usize - 1];
            let why = format!("{} at {at}, {settle:?}", scenario.name);
            let mut bed = bed_of(&scenario).await;
            let plan = bed.plan(&scenario.after).await;
            let dies = KillSwitch::at(boundary);
            mortal(&mut bed, &dies, async |bed| bed.run(&plan).await).await;
            let ended = bed.recover(settle).await.unwrap_or_else(|it| panic!("{why}: {it}"));
            assert!(bed.ledger.open_journal().await.expect("reads").is_none(), "{why}");
            if ended.is_some_and(|it| it.ending == Ending::RolledBack) {
                assert_eq!(bed.picture(), before, "{why}");
                bed.converged(&scenario.before, &why).await;
            }
            if bed.ledger.freeze().await.expect("reads").is_some() {
                bed.ledger.set_freeze(None).await.expect("lifts");
            }
            // From wherever it was left, the stack can be taken where it was to be before.
            bed.world.calm();
            let plan = bed.plan(&scenario.before).await;
            if !plan.is_empty() {
                let report = bed.run(&plan).await.unwrap_or_else(|it| panic!("{why}: {it}"));
                assert_eq!(report.ending, Ending::Applied, "{why}: {report:#?}");
            }
            assert_eq!(bed.picture(), before, "{why}");
            bed.converged(&scenario.before, &why).await;
        }
    }
}
