//! P2: killed at every journal and effect boundary of every scenario, and again while it recovers,
//! hive ends in the same world as when nobody disturbs it.

use super::lab::{Lab, Wish, paused, said_by, until_death};
use super::scenario::{self, Scenario};
use hive::apply::Settle;
use hive::plan::{Command, Plan};
use hive_contract::testing::{KillSwitch, Picture, Spot, World};
use hive_state::Ending;
use std::collections::BTreeMap;

/// How a story ends when nobody disturbs it.
struct Undisturbed {
    start: Lab,
    plan: Plan,
    ending: Ending,
    picture: BTreeMap<Spot, Picture>,
    recorded: String,
    effects: Vec<String>,
    boundaries: u64,
}

impl Undisturbed {
    async fn of(scenario: &Scenario, world: World, parallel: u32) -> Self {
        let mut start = scenario.set_up(world).await;
        // What runs beside a failing step is not the same after a death. In a row, it is.
        start.parallel = if scenario.ending == Ending::Halted { 1 } else { parallel };
        let wish = scenario.wish(&start).await;
        let lab = start.copy();
        let plan = lab.planned(&wish).await;
        assert!(!plan.is_empty(), "{}: there is something to do", scenario.name);
        let switch = KillSwitch::never();
        let report = lab.under(&switch).apply(&plan).await;
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
        assert_eq!(report.ending, scenario.ending, "{}: {report:?}", scenario.name);
        let head = lab.head().await;
        if report.ending == Ending::Applied && wish.command != Command::Forget {
            // Whatever ends in this world with this record plans nothing either.
            let again = lab.planned(&Wish::apply(wish.stack.clone())).await;
            assert!(again.is_empty(), "{}: {:?}", scenario.name, again.changes);
        }
        Self {
            effects: effects(&start, &lab),
            picture: lab.picture(),
            recorded: said_by(head.as_ref()),
            boundaries: switch.count(),
            ending: report.ending,
            start,
            plan,
        }
    }

    /// Everything in which a disturbed end differs from this one.
    async fn differences(&self, lab: &Lab) -> Vec<String> {
        let mut found = Vec::new();
        let mut claim = |holds: bool, what: &dyn Fn() -> String| {
            if !holds {
                found.push(what());
            }
        };
        let picture = lab.picture();
        claim(picture == self.picture, &|| {
            format!("another world: {}", first_other(&self.picture, &picture))
        });
        let faults = lab.world.log_faults();
        claim(faults.is_empty(), &|| format!("the log of effects: {faults:?}"));
        if self.ending == Ending::Applied {
            let effects = effects(&self.start, lab);
            claim(effects == self.effects, &|| {
                format!("other effects: {effects:?} for {:?}", self.effects)
            });
        }
        let recorded = said_by(lab.head().await.as_ref());
        claim(recorded == self.recorded, &|| {
            format!("another record: {}", first_other_line(&self.recorded, &recorded))
        });
        let open = lab.ledger().open_journal().await.expect("a readable store");
        claim(open.is_none(), &|| "a journal is still open".to_owned());
        let verified = lab.ledger().verify_all().await;
        claim(verified.is_ok(), &|| format!("the store: {verified:?}"));
        found
    }
}

/// What was done to which object since a moment, in no order.
fn effects(since: &Lab, lab: &Lab) -> Vec<String> {
    let log = lab.world.log();
    let since = since.world.log().len();
    let mut effects: Vec<String> =
        log[since..].iter().map(|it| format!("{} {}", it.verb, it.identity)).collect();
    effects.sort();
    effects
}

fn first_other(wanted: &BTreeMap<Spot, Picture>, found: &BTreeMap<Spot, Picture>) -> String {
    let spots: std::collections::BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let other = spots.into_iter().find(|spot| wanted.get(*spot) != found.get(*spot));
    other.map_or_else(String::new, |spot| {
        format!("{}: {:?} for {:?}", spot.1, found.get(spot), wanted.get(spot))
    })
}

fn first_other_line(wanted: &str, found: &str) -> String {
    let mut lines = wanted.lines().zip(found.lines());
    match lines.find(|(wanted, found)| wanted != found) {
        Some((wanted, found)) => format!("`{found}` for `{wanted}`"),
        None => format!("{} bytes for {}", found.len(), wanted.len()),
    }
}

/// What a person does after hive has died: the same again.
async fn next_apply(undisturbed: &Undisturbed, lab: &Lab) -> Result<(), String> {
    match lab.recover(Settle::On).await {
        Err(error) => return Err(format!("it cannot be recovered: {error}")),
        Ok(Some(_)) => return Ok(()),
        Ok(None) => {}
    }
    // Nothing is open: it ended before the death, or it was never begun.
    let begun = lab.ledger().journals().await.map_err(|it| it.to_string())?;
    for apply in begun {
        let journal = lab.ledger().journal(&apply).await.map_err(|it| it.to_string())?;
        let ours = |it: &hive_state::Opened| it.plan == undisturbed.plan.digest();
        if journal.replay.opened.as_ref().is_some_and(ours) {
            return Ok(());
        }
    }
    match lab.apply(&undisturbed.plan).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the same plan cannot be applied: {error}")),
    }
}

/// A hive that dies at a boundary of its apply; none where it reached the end alive.
async fn killed(undisturbed: &Undisturbed, boundary: u64) -> Option<(Lab, String)> {
    let lab = undisturbed.start.copy();
    let switch = KillSwitch::at(boundary);
    let dying = lab.under(&switch);
    if until_death(&switch, dying.apply(&undisturbed.plan)).await.is_some() {
        return None;
    }
    lab.world.arm(KillSwitch::never());
    Some((lab, switch.log().pop().unwrap_or_default()))
}

#[derive(Default)]
struct Tally {
    scenarios: u64,
    kills: u64,
    wrong: Vec<String>,
}

impl Tally {
    async fn judge(&mut self, undisturbed: &Undisturbed, lab: &Lab, where_: &str) {
        self.kills += 1;
        let mut found = match next_apply(undisturbed, lab).await {
            Ok(()) => undisturbed.differences(lab).await,
            Err(why) => vec![why],
        };
        if let Some(first) = found.first_mut() {
            self.wrong.push(format!("{where_}: {first}"));
        }
    }

    fn conclude(self, test: &str) {
        println!("{test}: {} kills in {} scenarios", self.kills, self.scenarios);
        let shown: Vec<&str> = self.wrong.iter().map(String::as_str).take(12).collect();
        let count = self.wrong.len();
        assert!(count == 0, "{count} of {} kills:\n{}", self.kills, shown.join("\n"));
    }
}

async fn every_boundary(world: fn() -> World, parallel: u32) -> Tally {
    let mut tally = Tally::default();
    for scenario in &scenario::all() {
        let undisturbed = Undisturbed::of(scenario, world(), parallel).await;
        tally.scenarios += 1;
        for boundary in 1..=undisturbed.boundaries {
            let Some((lab, name)) = killed(&undisturbed, boundary).await else {
                tally.wrong.push(format!("{}: {boundary} was not reached", scenario.name));
                continue;
            };
            let where_ = format!("{}, {boundary} ({name})", scenario.name);
            tally.judge(&undisturbed, &lab, &where_).await;
        }
    }
    tally
}

#[test]
fn p2_killed_at_every_boundary() {
    let tally = paused(every_boundary(World::new, 4));
    assert!(tally.kills > 800, "not only {}", tally.kills);
    tally.conclude("p2_killed_at_every_boundary");
}

#[test]
fn p2_killed_at_every_boundary_one_step_at_a_time() {
    let tally = paused(every_boundary(World::new, 1));
    tally.conclude("p2_killed_at_every_boundary_one_step_at_a_time");
}

#[test]
fn p2_killed_at_every_boundary_of_a_system_that_remembers_no_token() {
    let tally = paused(every_boundary(World::forgetful, 4));
    tally.conclude("p2_killed_at_every_boundary_of_a_system_that_remembers_no_token");
}

/// Dies at every n-th boundary, and then at every boundary of the recovery.
async fn again_in_recovery(nth: u64) -> Tally {
    let mut tally = Tally::default();
    for scenario in &scenario::all() {
        let undisturbed = Undisturbed::of(scenario, World::new(), 4).await;
        tally.scenarios += 1;
        let first = 1 + tally.scenarios % nth;
        for boundary in (first..=undisturbed.boundaries).step_by(nth as usize) {
            let Some((dead, name)) = killed(&undisturbed, boundary).await else { continue };
            let mut second = 1;
            loop {
                let lab = dead.copy();
                let switch = KillSwitch::at(second);
                let dying = lab.under(&switch);
                let ended = until_death(&switch, next_apply(&undisturbed, &dying)).await;
                lab.world.arm(KillSwitch::never());
                if ended.is_some() {
                    break;
                }
                let again = switch.log().pop().unwrap_or_default();
                let where_ =
                    format!("{}, {boundary} ({name}), then {second} ({again})", scenario.name);
                tally.judge(&undisturbed, &lab, &where_).await;
                second += 1;
            }
        }
    }
    tally
}

#[test]
fn p2_killed_again_while_it_recovers() {
    let tally = paused(again_in_recovery(7));
    assert!(tally.kills > 2_500, "not only {}", tally.kills);
    tally.conclude("p2_killed_again_while_it_recovers");
}
