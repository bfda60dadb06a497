//! What stays, whatever comes.

use crate::retention::{AT_MOST, Decision, Kept, Policy, decide, held_back, percent};
use proptest::prelude::*;
use std::collections::BTreeSet;

const DAY: i64 = 86_400_000;
const NOW: i64 = 20_000 * DAY;

/// A good backup that ended so many days before now.
fn good(id: &str, days: i64) -> Kept {
    let finished_ms = NOW - days * DAY;
    Kept { id: id.to_owned(), finished_ms, verified: true, whole: true, shrunk: false }
}

fn kept(policy: &Policy, backups: &[Kept]) -> Vec<String> {
    kept_with(policy, backups, &[])
}

fn kept_with(policy: &Policy, backups: &[Kept], pins: &[&str]) -> Vec<String> {
    let pins: BTreeSet<String> = pins.iter().map(|pin| (*pin).to_owned()).collect();
    let all = decide(policy, backups, &pins, NOW);
    assert!(all.iter().all(|one| !one.reasons.is_empty()));
    all.into_iter().filter(|one| one.keep).map(|one| one.id).collect()
}

fn within(days: u64) -> Policy {
    Policy { within_ms: Some(days * 86_400_000), ..Policy::default() }
}

#[test]
fn time_decides_and_never_the_name() {
    let backups = [good("a", 0), good("z", 40), good("y", 50)];
    // The newest before the window stays too: the window begins with it.
    assert_eq!(kept(&within(30), &backups), ["z", "a"]);
}

#[test]
fn an_empty_policy_removes_nothing() {
    let backups = [good("a", 0), good("b", 4000)];
    assert_eq!(kept(&Policy::default(), &backups).len(), 2);
}

#[test]
fn the_future_is_kept_and_counts_for_nothing() {
    let backups = [good("future", -3650), good("a", 1), good("b", 2)];
    let policy = Policy { minimum: 1, ..Policy::default() };
    assert_eq!(kept(&policy, &backups), ["a", "future"]);
}

#[test]
fn what_is_not_verified_pushes_nothing_out() {
    let mut backups: Vec<Kept> = (0..10).map(|day| good(&format!("new{day}"), day)).collect();
    for one in &mut backups {
        one.verified = false;
    }
    backups.push(good("verified", 100));
    let policy = Policy { minimum: 3, daily: 2, ..Policy::default() };
    let left = kept(&policy, &backups);
    assert!(left.contains(&"verified".to_owned()), "{left:?}");
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn what_shrank_pushes_nothing_out() {
    let backups: Vec<Kept> =
        (0..6).map(|day| Kept { shrunk: day < 3, ..good(&format!("b{day}"), day) }).collect();
    let policy = Policy { minimum: 2, ..Policy::default() };
    let left = kept(&policy, &backups);
    for id in ["b3", "b4", "b0", "b1"] {
        assert!(left.contains(&id.to_owned()), "{left:?}");
    }
}

#[test]
fn nothing_goes_where_nothing_is_verified() {
    let backups: Vec<Kept> =
        (0..9).map(|day| Kept { verified: false, ..good(&format!("b{day}"), day) }).collect();
    assert_eq!(kept(&Policy { minimum: 1, ..Policy::default() }, &backups).len(), 9);
}

#[test]
fn nothing_expires_while_no_backups_are_made() {
    let backups = [good("a", 4000), good("b", 4001), good("c", 4040), good("d", 4050)];
    assert_eq!(kept(&within(30), &backups), ["c", "b", "a"]);
}

#[test]
fn pins_stay() {
    let backups = [good("a", 0), good("b", 100), good("c", 200)];
    let policy = Policy { minimum: 1, ..Policy::default() };
    assert_eq!(kept_with(&policy, &backups, &["c"]), ["c", "a"]);
}

#[test]
fn periods_are_those_of_the_calendar() {
    // 20 000 days after 1970-01-01 is 2024-10-04, a Friday.
    let backups: Vec<Kept> = (0..800).map(|day| good(&format!("{day}"), day)).collect();
    let policy = Policy { monthly: 3, ..Policy::default() };
    // 4 October; 30 September, four days before; 31 August, 34 days before.
    assert_eq!(kept(&policy, &backups), ["34", "4", "0"]);
    let policy = Policy { weekly: 2, ..Policy::default() };
    assert_eq!(kept(&policy, &backups), ["5", "0"]);
    let policy = Policy { yearly: 2, ..Policy::default() };
    // 31 December 2023 is 278 days before.
    assert_eq!(kept(&policy, &backups), ["278", "0"]);
}

#[test]
fn empty_days_do_not_count() {
    let backups = [good("a", 0), good("b", 10), good("c", 20), good("d", 30)];
    let policy = Policy { daily: 3, ..Policy::default() };
    assert_eq!(kept(&policy, &backups), ["c", "b", "a"]);
}

#[test]
fn most_of_the_backups_never_go_at_once() {
    let held = |policy: &Policy, backups: &[Kept], at_most| {
        let decisions = decide(policy, backups, &BTreeSet::new(), NOW);
        held_back(&decisions, backups, at_most)
    };
    let newest = |minimum| Policy { minimum, ..Policy::default() };
    let thirty: Vec<Kept> = (0..30).map(|day| good(&format!("{day:02}"), day)).collect();
    // `minimum = 30`, edited to 1 by mistake.
    let why = held(&newest(1), &thirty, AT_MOST).expect("is held back");
    assert_eq!(why, "29 of 30 backups would go at once, more than 50% of them");
    assert!(held(&newest(14), &thirty, AT_MOST).is_some(), "16 of 30");
    assert_eq!(held(&newest(15), &thirty, AT_MOST), None, "half of them may go");
    assert_eq!(held(&newest(1), &thirty, 100), None, "who means it says so");
    // A clock that was ten years ahead while one was made and verified, and is still.
    let mut ahead = thirty.clone();
    ahead.iter_mut().skip(1).for_each(|one| one.finished_ms -= 3650 * DAY);
    assert!(held(&within(30), &ahead, AT_MOST).is_some());
    // Few are never held back, nor does what is broken count on either side.
    assert_eq!(held(&newest(1), &thirty[..2], AT_MOST), None, "one of two");
    assert_eq!(held(&newest(1), &thirty[..3], AT_MOST), None, "two of three");
    assert!(held(&newest(1), &thirty[..4], AT_MOST).is_some(), "three of four");
    let mut broken = thirty.clone();
    broken.iter_mut().skip(3).for_each(|one| one.whole = false);
    assert_eq!(held(&newest(1), &broken, AT_MOST), None);
}

#[test]
fn a_share_is_a_number_and_a_sign() {
    assert_eq!((percent("1%"), percent("50%"), percent("100%")), (Some(1), Some(50), Some(100)));
    for wrong in ["", "%", "50", "0%", "101%", "-1%", "+5%", "5 %", "0.5%", "05%", "50%%"] {
        assert_eq!(percent(wrong), None, "{wrong}");
    }
}

#[test]
fn a_rule_says_once_why_a_backup_stays() {
    // The newest of all sets, and one of the newest of all sets.
    let policy = Policy { daily: 2, minimum: 2, within_ms: Some(86_400_000), ..Policy::default() };
    let backups = [good("a", 0), good("b", 1), good("c", 9)];
    let all = decide(&policy, &backups, &BTreeSet::new(), NOW);
    let newest = all.iter().find(|one| one.id == "a").expect("is decided");
    assert_eq!(newest.reasons, ["the newest", "within 24 h", "daily 1 of 2"]);
}

fn backups() -> impl Strategy<Value = Vec<Kept>> {
    let one = (-5_i64..2000, any::<bool>(), prop::bool::weighted(0.9), prop::bool::weighted(0.2));
    proptest::collection::vec(one, 0..40).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(at, (hours, verified, whole, shrunk))| Kept {
                // Names are in no order.
                id: format!("{:02}", (at * 17) % 41),
                finished_ms: NOW - hours * 3_600_000,
                verified,
                whole,
                shrunk,
            })
            .collect()
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    (proptest::option::of(0_u64..1000), 0_u32..5, 0_u32..8, 0_u32..5, 0_u32..4, 0_u32..3).prop_map(
        |(hours, minimum, daily, weekly, monthly, yearly)| Policy {
            within_ms: hours.map(|hours| hours * 3_600_000),
            minimum,
            daily,
            weekly,
            monthly,
            yearly,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_good_ones_always_stay(
        policy in policy(), backups in backups(), pin in 0_usize..40,
    ) {
        let pins: BTreeSet<String> = backups.get(pin).map(|one| one.id.clone()).into_iter().collect();
        let all = decide(&policy, &backups, &pins, NOW);
        let keeps = |id: &str| all.iter().any(|one| one.id == id && one.keep);
        prop_assert_eq!(all.len(), backups.len());
        prop_assert!(all.iter().all(|one: &Decision| !one.reasons.is_empty()));
        let counted = || backups.iter().filter(|one| one.whole && one.finished_ms <= NOW);
        let newest = |mut of: Vec<&Kept>| -> Option<String> {
            of.sort_by(|a, b| (a.finished_ms, &a.id).cmp(&(b.finished_ms, &b.id)));
            of.last().map(|one| one.id.clone())
        };
        for must in [
            newest(counted().collect()),
            newest(counted().filter(|one| one.verified).collect()),
            newest(counted().filter(|one| !one.shrunk).collect()),
            pins.first().cloned(),
        ].into_iter().flatten() {
            prop_assert!(keeps(&must), "{} is gone: {:?}", must, all);
        }
        for one in &backups {
            if one.finished_ms > NOW || policy.is_empty() || !counted().any(|one| one.verified) {
                prop_assert!(keeps(&one.id));
            }
        }
        let verified = counted().filter(|one| one.verified).count();
        let left = counted().filter(|one| one.verified && keeps(&one.id)).count();
        prop_assert!(left >= verified.min(usize::try_from(policy.minimum).unwrap()));
    }

    #[test]
    fn a_bad_backup_more_removes_no_good_one(policy in policy(), backups in backups(), hours in 0_i64..2000) {
        let none = BTreeSet::new();
        let before = decide(&policy, &backups, &none, NOW);
        for (verified, whole, shrunk) in [(false, true, false), (false, true, true), (true, false, false)] {
            let mut more = backups.clone();
            let finished_ms = NOW - hours * 3_600_000;
            more.push(Kept { id: "new".into(), finished_ms, verified, whole, shrunk });
            let after = decide(&policy, &more, &none, NOW);
            for one in backups.iter().filter(|one| one.whole && one.verified) {
                let kept = |all: &[Decision]| all.iter().any(|d| d.id == one.id && d.keep);
                prop_assert!(!kept(&before) || kept(&after), "{} goes for a bad one", one.id);
            }
        }
    }

    #[test]
    fn order_and_names_do_not_matter(policy in policy(), backups in backups()) {
        // Equal times are told apart by name and nothing else.
        let mut seen = BTreeSet::new();
        let backups: Vec<Kept> =
            backups.into_iter().filter(|one| seen.insert(one.finished_ms)).collect();
        let none = BTreeSet::new();
        let plain: Vec<bool> = decide(&policy, &backups, &none, NOW).iter().map(|d| d.keep).collect();
        let mut other = backups.clone();
        other.reverse();
        for one in &mut other {
            one.id = format!("x{}", one.id.chars().rev().collect::<String>());
        }
        let again: Vec<bool> = decide(&policy, &other, &none, NOW).iter().map(|d| d.keep).collect();
        prop_assert_eq!(plain, again);
    }

    #[test]
    fn pruning_is_done_once(policy in policy(), backups in backups()) {
        let none = BTreeSet::new();
        let first = decide(&policy, &backups, &none, NOW);
        let left: Vec<Kept> = backups
            .into_iter()
            .filter(|one| first.iter().any(|d| d.id == one.id && d.keep))
            .collect();
        let second = decide(&policy, &left, &none, NOW);
        prop_assert!(second.iter().all(|one| one.keep), "{:?}", second);
    }
}
