//! What ended a command, in words, and what to do about it. Hints are written here and nowhere else.

use crate::apply::ApplyError;
use crate::flow::FlowError;
use crate::plan::PlanError;
use crate::render::error::Trouble;
use crate::render::words::{ago, moment};
use hive_state::LedgerError;

/// Words and hints for an error.
pub fn of(error: &FlowError, now_ms: u64) -> Trouble {
    let message = error.to_string();
    match error {
        FlowError::Plan(errors) => plan(errors),
        FlowError::Apply(error) => apply(error, now_ms),
        FlowError::Ledger(error) => ledger(error, now_ms),
        FlowError::PlanFile { .. } => {
            Trouble::new(message).hint("make the plan again: `hive plan -o FILE`")
        }
        FlowError::OtherPlan(_) => Trouble::new(message)
            .hint("give the stack's folder with `--stack`, or the environment with `-e`"),
        FlowError::NoStack(_) => {
            Trouble::new(message).hint("`hive init` starts one; or name a stack's folder")
        }
        FlowError::NoSnapshot { .. } => {
            Trouble::new(message).hint("`hive snapshot list` shows which there are")
        }
        FlowError::Files { address, faults } => {
            let trouble = Trouble::new(format!("the files of `{address}` cannot be used"));
            faults.iter().cloned().fold(trouble, Trouble::detail)
        }
        FlowError::Tried { failure, .. } => {
            let trouble =
                failure.diagnosis.iter().cloned().fold(Trouble::new(message), Trouble::detail);
            trouble
                .hint("nothing live was touched: mend the file, and plan again")
                .hint("`--no-rehearse` plans without trying")
        }
        FlowError::NoWayBack { message, facts, hints } => {
            Trouble { message: message.clone(), details: facts.clone(), hints: hints.clone() }
        }
        FlowError::Secret(_) => {
            Trouble::new(message).hint("set the variable, or make the file readable")
        }
        FlowError::Stack(_)
        | FlowError::Io { .. }
        | FlowError::Connect { .. }
        | FlowError::Usage(_) => Trouble::new(message),
    }
}

fn plan(errors: &[PlanError]) -> Trouble {
    let mut trouble = match errors {
        [one] => facts(one)
            .into_iter()
            .fold(Trouble::new(format!("there is no plan: {one}")), Trouble::detail),
        many => many
            .iter()
            .flat_map(|it| [vec![it.to_string()], facts(it)].concat())
            .fold(Trouble::new("there is no plan"), Trouble::detail),
    };
    let mut hints: Vec<String> = errors.iter().filter_map(plan_hint).collect();
    hints.sort();
    hints.dedup();
    trouble.hints = hints;
    let lost: Vec<String> = errors
        .iter()
        .filter_map(|it| match it {
            PlanError::Lost { target, .. } => Some(format!("--replace {}", target.address)),
            _ => None,
        })
        .collect();
    if !lost.is_empty() {
        trouble.hints.push(
            "`hive rebuild` brings back whatever is gone from its newest backup; \
             `hive restore N --with-data` takes all of it to snapshot N"
                .to_owned(),
        );
        trouble.hints.push(format!(
            "`hive apply {}` gives the data up: it takes what is there, or makes an empty one",
            lost.join(" ")
        ));
    }
    trouble
}

/// What a provider knows beside its words: what it found, what can be done.
fn facts(error: &PlanError) -> Vec<String> {
    match error {
        PlanError::Unreadable { failure, .. } => failure.diagnosis.clone(),
        PlanError::Lost { backup, .. } => vec![match backup {
            Some(backup) => format!("{backup} brings it back"),
            None => "no good backup of it is known".to_owned(),
        }],
        _ => Vec::new(),
    }
}

fn plan_hint(error: &PlanError) -> Option<String> {
    Some(match error {
        PlanError::Exists { owner: Some(_), .. } => {
            "if this stack's store was lost, `hive adopt` takes what it held into hive again \
             (`hive adopt --take-over`, where something was applied since); else another copy of \
             this stack holds it"
                .to_owned()
        }
        PlanError::Exists { target, owner: None, .. } => {
            format!("`hive adopt {}` takes it into hive", target.address)
        }
        PlanError::Foreign { .. } => {
            "give this one another name or path; `--take-over` takes it from whoever holds it"
                .to_owned()
        }
        PlanError::Unmarked { target } => {
            format!("`hive forget {}` lets go of it; then remove it by hand", target.address)
        }
        PlanError::Protected { address, .. } => {
            format!(
                "take `protect = true` away from `{address}` and `hive apply` that first: a plan \
                 goes by what is recorded"
            )
        }
        PlanError::InUse { address, how: "forgotten", users } => {
            let users: Vec<String> = users.iter().map(ToString::to_string).collect();
            format!("let go of its users too: `hive forget {address} {}`", users.join(" "))
        }
        PlanError::InUse { .. } => "take it out of what uses it, and name its users too".to_owned(),
        PlanError::Missing { .. } | PlanError::Unknown(_) => {
            "`hive status` lists what is recorded".to_owned()
        }
        PlanError::NoPort { .. } => {
            "widen `ports` under `[platform.process]`, or stop what holds them".to_owned()
        }
        PlanError::TakesFirst { .. } => {
            "`hive apply` the release that holds only the first of the two before this one; or say \
             `during = \"stopped\"`, and what uses it is stopped around both"
                .to_owned()
        }
        PlanError::Invalid { invalid, .. } => return invalid.help.clone(),
        PlanError::Form { .. } => "use the hive that wrote it, or a newer one".to_owned(),
        _ => return None,
    })
}

/// How many lines of what moved a person reads.
const SHOWN: usize = 10;

/// The first of many lines, and how many more there are.
fn first(lines: &[String], shown: usize) -> Vec<String> {
    let more = lines.len().saturating_sub(shown);
    let mut all: Vec<String> = lines.iter().take(shown).cloned().collect();
    all.extend((more > 0).then(|| format!("and {more} more")));
    all
}

fn apply(error: &ApplyError, now_ms: u64) -> Trouble {
    match error {
        ApplyError::Stale(moved) => first(moved, SHOWN)
            .into_iter()
            .fold(Trouble::new("the plan is stale, so nothing was begun"), Trouble::detail)
            .hint("make the plan again: `hive plan`"),
        ApplyError::Refused(why) if why.contains(" is frozen by ") => {
            Trouble::new(why.clone()).hint("`hive unfreeze` lets it go again")
        }
        ApplyError::Untrusted(why) => {
            Trouble::new(why.clone()).hint("make the plan again: `hive plan -o FILE`")
        }
        ApplyError::Open { .. } => Trouble::new(error.to_string())
            .hint("`hive recover` goes on with it, `hive recover --back` takes it back"),
        ApplyError::Ledger(error) => ledger(error, now_ms),
        ApplyError::Unsettled { target, .. } => Trouble::new(error.to_string())
            .hint(format!("look at `{target}`; then `hive recover --close` records what is there")),
        ApplyError::NoPlace(_) => Trouble::new(error.to_string())
            .hint("apply on the machine and with the settings that it was planned for"),
        ApplyError::Expired(_) => Trouble::new(error.to_string())
            .hint("`hive lease show` says who holds it; `hive status` shows what is"),
        ApplyError::Unreadable { failure, .. } => {
            failure.diagnosis.iter().cloned().fold(Trouble::new(error.to_string()), Trouble::detail)
        }
        ApplyError::Refused(_) | ApplyError::LeftAtOnce | ApplyError::LeftOpen => {
            Trouble::new(error.to_string())
        }
    }
}

fn ledger(error: &LedgerError, now_ms: u64) -> Trouble {
    match error {
        LedgerError::Held { holder, apply, since_ms } => Trouble::new(format!(
            "{} (pid {} on {}) holds the lease since {} ({})",
            holder.who,
            holder.pid,
            holder.host,
            moment(*since_ms),
            ago(*since_ms, now_ms),
        ))
        .detail(format!("for the apply {apply}"))
        .hint(
            "wait for it; where it is gone for good, `hive recover --wait` or `hive lease break`",
        ),
        LedgerError::Damaged(_) => Trouble::new(error.to_string())
            .hint("nothing was changed; put the file back from a copy of the store"),
        LedgerError::Fenced { .. } | LedgerError::Lost(_) => Trouble::new(error.to_string())
            .hint("`hive lease show` says who holds it; `hive status` shows what is"),
        _ => Trouble::new(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_that_moved_the_first_lines_are_shown() {
        let lines: Vec<String> = (1..=12).map(|it| it.to_string()).collect();
        assert_eq!(first(&lines, SHOWN).len(), 11);
        assert_eq!(first(&lines, SHOWN).last().map(String::as_str), Some("and 2 more"));
        assert_eq!(first(&lines[..10], SHOWN), lines[..10]);
    }
}
