//! Which backups stay, and why.

use crate::words;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long backups stay. Counts of calendar periods are in UTC; periods without a backup do not
/// count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// All that ended in this span before the newest, in milliseconds.
    pub within_ms: Option<u64>,
    /// The newest so many, whatever their age.
    pub minimum: u32,
    /// The newest of each of the last so many days.
    pub daily: u32,
    /// The newest of each of the last so many weeks, which begin on Monday.
    pub weekly: u32,
    /// The newest of each of the last so many months.
    pub monthly: u32,
    /// The newest of each of the last so many years.
    pub yearly: u32,
}

impl Policy {
    /// Whether it says nothing; then everything stays.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is known of one backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// When it ended, in milliseconds since 1970, as its manifest says. Names say nothing.
    pub finished_ms: i64,
    /// Whether it was restored and was equal.
    pub verified: bool,
    /// Whether all of its objects are there.
    pub whole: bool,
    /// Whether it is far smaller than those before it.
    pub shrunk: bool,
}

/// What becomes of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Which.
    pub id: String,
    /// Whether it stays.
    pub keep: bool,
    /// Why, each a lower-case fragment.
    pub reasons: Vec<String>,
}

/// Decides over all backups of one policy, oldest first. `pins` are the ids that something may still
/// need: a snapshot, a rollback.
///
/// Rules only add: a backup stays where any rule keeps it. They run over all backups, over those
/// that have not shrunk, over the verified ones, and over those that are both, each as if there were
/// no others; so a backup that is not good never pushes out one that is. Ages count from the newest backup and not from
/// `now_ms`, so nothing expires while no backups are made; what is newer than `now_ms` stays and
/// counts for nothing. Where nothing is verified, everything stays.
pub fn decide(
    policy: &Policy,
    backups: &[Kept],
    pins: &BTreeSet<String>,
    now_ms: i64,
) -> Vec<Decision> {
    let mut all: Vec<&Kept> = backups.iter().collect();
    all.sort_by(|a, b| (a.finished_ms, &a.id).cmp(&(b.finished_ms, &b.id)));
    let mut reasons: BTreeMap<&str, Vec<(Rule, String)>> = BTreeMap::new();
    // A rule says it once: what it says of a narrower set is the same again.
    let mut keep = |one: &'_ str, rule: Rule, why: String| {
        if let Some(known) = all.iter().find(|kept| kept.id == one) {
            let list = reasons.entry(known.id.as_str()).or_default();
            if list.iter().all(|(said, _)| *said != rule) {
                list.push((rule, why));
            }
        }
    };
    let counted: Vec<&Kept> =
        all.iter().copied().filter(|one| one.whole && one.finished_ms <= now_ms).collect();
    for one in &all {
        if one.finished_ms > now_ms {
            keep(&one.id, Rule::Future, "it is of the future: a clock is wrong".to_owned());
        }
        if pins.contains(&one.id) {
            keep(&one.id, Rule::Pinned, "a snapshot or a way back needs it".to_owned());
        }
    }
    let good: Vec<&Kept> = counted.iter().copied().filter(|one| !one.shrunk).collect();
    let verified: Vec<&Kept> = counted.iter().copied().filter(|one| one.verified).collect();
    let both: Vec<&Kept> = verified.iter().copied().filter(|one| !one.shrunk).collect();
    let sets =
        [(&counted, ""), (&good, " of full size"), (&verified, " verified"), (&both, " verified")];
    for (set, name) in sets {
        for (id, rule, why) in ruled(policy, set, name) {
            keep(&id, rule, why);
        }
    }
    if policy.is_empty() || verified.is_empty() {
        let why = if policy.is_empty() {
            "no policy says what may go"
        } else {
            "no backup is verified, so nothing may go"
        };
        for one in &all {
            keep(&one.id, Rule::All, why.to_owned());
        }
    }
    all.iter().map(|one| decision(one, reasons.remove(one.id.as_str()), now_ms)).collect()
}

fn decision(one: &Kept, reasons: Option<Vec<(Rule, String)>>, now_ms: i64) -> Decision {
    let keep = reasons.is_some();
    let reasons = reasons.map(|list| list.into_iter().map(|(_, why)| why).collect());
    let reasons = reasons.unwrap_or_else(|| {
        let age = words::span(u64::try_from(now_ms - one.finished_ms).unwrap_or(0));
        let mut why = vec![format!("{age} old, and no rule keeps it")];
        if !one.whole {
            why.push("it is not whole".to_owned());
        }
        why
    });
    Decision { id: one.id.clone(), keep, reasons }
}

/// How much of what is there goes at once where nobody says otherwise, in percent.
pub const AT_MOST: u32 = 50;
/// So many go whatever share they are: of two or three backups, one is much.
const FEW: usize = 2;

/// A share as it is written, `50%`; none where it is no share from 1% to 100%.
pub fn percent(text: &str) -> Option<u32> {
    let digits = text.strip_suffix('%')?;
    let plain = digits.bytes().all(|it| it.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|it| plain && (1..=100).contains(it))
}

/// Why a removal is held back: it takes more than so many percent of the whole backups away, as an
/// edited policy or a wrong clock would. What is not whole counts on neither side.
pub fn held_back(decisions: &[Decision], backups: &[Kept], at_most: u32) -> Option<String> {
    let whole: BTreeSet<&str> =
        backups.iter().filter(|one| one.whole).map(|one| one.id.as_str()).collect();
    let gone = decisions.iter().filter(|one| !one.keep && whole.contains(one.id.as_str()));
    let (gone, all) = (gone.count(), whole.len());
    let allowed = all * usize::try_from(at_most).unwrap_or(usize::MAX) / 100;
    (gone > allowed.max(FEW))
        .then(|| format!("{gone} of {all} backups would go at once, more than {at_most}% of them"))
}

/// Whose reason it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Future,
    Pinned,
    /// Also the newest alone, whatever the policy says.
    Minimum,
    Within,
    Every(Period),
    All,
}

/// What the rules keep of a set that is sorted by time, oldest first.
fn ruled(policy: &Policy, set: &[&Kept], name: &str) -> Vec<(String, Rule, String)> {
    let mut kept = Vec::new();
    let Some(newest) = set.last() else { return kept };
    kept.push((newest.id.clone(), Rule::Minimum, format!("the newest{name}")));
    for one in set.iter().rev().take(usize::try_from(policy.minimum).unwrap_or(usize::MAX)) {
        let why = format!("one of the newest {}{name}", policy.minimum);
        kept.push((one.id.clone(), Rule::Minimum, why));
    }
    if let Some(within) = policy.within_ms {
        let edge = newest.finished_ms.saturating_sub(i64::try_from(within).unwrap_or(i64::MAX));
        for one in set.iter().filter(|one| one.finished_ms >= edge) {
            kept.push((one.id.clone(), Rule::Within, format!("within {}", words::span(within))));
        }
        // The window begins with what was there before it.
        if let Some(one) = set.iter().rev().find(|one| one.finished_ms < edge) {
            let why = format!("the newest{name} before the last {}", words::span(within));
            kept.push((one.id.clone(), Rule::Within, why));
        }
    }
    let periods = [
        (policy.daily, Period::Day, "daily"),
        (policy.weekly, Period::Week, "weekly"),
        (policy.monthly, Period::Month, "monthly"),
        (policy.yearly, Period::Year, "yearly"),
    ];
    for (count, period, word) in periods {
        let mut seen = BTreeSet::new();
        for one in set.iter().rev() {
            if seen.len() >= usize::try_from(count).unwrap_or(usize::MAX) {
                break;
            }
            if seen.insert(period.of(one.finished_ms)) {
                let why = format!("{word} {} of {count}", seen.len());
                kept.push((one.id.clone(), Rule::Every(period), why));
            }
        }
    }
    kept
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    /// The number of the period that a time is in.
    fn of(self, ms: i64) -> i64 {
        let day = ms.div_euclid(86_400_000);
        match self {
            Self::Day => day,
            // The first day of 1970 was a Thursday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => {
                let (year, month) = year_and_month(day);
                year * 12 + month - 1
            }
            Self::Year => year_and_month(day).0,
        }
    }
}

/// Year and month of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted
/// from March on the way, so that the leap day is the last of its year.
fn year_and_month(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month)
}
