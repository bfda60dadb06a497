//! What each backup's destination holds, and whether it keeps what its policy promises.

use super::era::{self, Era, KEPT_ERAS};
use super::error::FlowError;
use super::observe::observe;
use super::session::Session;
use hive_contract::{Address, Failure, Fields, Live, Observed, Target, Value};
use hive_sql::objectives::{self, Measured, Restore, Verdict};
use hive_sql::retention::{self, Policy};
use hive_sql::words;
use hive_state::{Clock, Recorded, Restored, Snapshot};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One declared backup and what its destination holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backups {
    /// Its address.
    pub address: Address,
    /// Of what, in words: `database.main`, `folder config`.
    pub of: String,
    /// Of which database, where it is of one.
    pub database: Option<Address>,
    /// Where they go.
    pub destination: String,
    /// How old the newest good one may be, in milliseconds.
    pub rpo_ms: Option<u64>,
    /// How long a restore may take, in milliseconds.
    pub rto_ms: Option<u64>,
    /// Oldest first.
    pub list: Vec<Kept>,
    /// Why the destination could not be read; none where it could.
    pub unreadable: Option<String>,
    /// Whether nothing is there that hive marked.
    #[serde(skip)]
    pub gone: bool,
    /// What is recorded and not there any more.
    pub lost: Option<String>,
    /// Since when it is known to be recorded, in milliseconds since 1970 UTC.
    #[serde(skip)]
    pub recorded_ms: Option<u64>,
    /// Which backup the data of its database came from last, where that was restored.
    #[serde(skip)]
    pub restored: Option<Restored>,
}

/// One backup at its destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// When it was made, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// `run`; `safety`: of what a restore was about to replace.
    pub kind: String,
    /// How large what it holds is, in bytes, as it comes out.
    pub bytes: Option<u64>,
    /// How large it is at its destination.
    pub stored: Option<u64>,
    /// How many rows it holds.
    pub rows: Option<u64>,
    /// The fingerprint of its schema.
    pub schema: Option<String>,
    /// The newest migration that is applied in it.
    pub version: Option<String>,
    /// When it was last restored into a scratch place and found equal.
    pub verified_ms: Option<u64>,
    /// How long that took.
    pub verify_ms: Option<u64>,
    /// How long the restore alone took.
    pub restore_ms: Option<u64>,
    /// Whether nothing speaks against it.
    pub ok: bool,
    /// What speaks against it.
    pub wrong: Option<String>,
    /// Whether its objects are all there.
    pub whole: bool,
    /// Whether it is far smaller than those before it.
    pub shrunk: bool,
    /// The snapshots whose way back with data needs it.
    pub pinned_by: Vec<u64>,
    /// Whether the next run leaves it there.
    pub stays: bool,
    /// Why it stays, or goes.
    pub because: Vec<String>,
}

impl Kept {
    /// Whether it is of what a restore was about to replace.
    pub fn is_safety(&self) -> bool {
        self.kind == hive_sql::restoring::SAFETY
    }
}

impl Backups {
    /// As declared, with what was seen of it.
    pub fn of(
        address: &Address,
        declared: &Fields,
        seen: Option<&Result<Observed, Failure>>,
        eras: &[Era],
        now_ms: u64,
    ) -> Self {
        let text = |key: &str| declared.get(key).and_then(Value::as_text).map(str::to_owned);
        let (list, unreadable, gone) = match seen {
            Some(Ok(Observed::Present(live))) => (list(live, now_ms), None, false),
            Some(Ok(Observed::Absent)) => (Vec::new(), None, true),
            None => (Vec::new(), None, false),
            Some(Err(failure)) => (Vec::new(), Some(failure.to_string()), false),
        };
        let database = text("database").and_then(|it| it.parse().ok());
        let mut backups = Self {
            address: address.clone(),
            of: of_words(declared),
            database,
            destination: text("destination").unwrap_or_default(),
            rpo_ms: number(declared, "rpo"),
            rto_ms: number(declared, "rto"),
            list,
            unreadable,
            gone,
            lost: None,
            recorded_ms: None,
            restored: None,
        };
        backups.pin(eras);
        backups.judge(&policy(declared), now_ms);
        backups
    }

    /// With what is recorded of it: what its database was restored from, which backup was made
    /// last, and since when there is any.
    #[must_use]
    pub fn beside(mut self, recorded: Option<&Snapshot>, eras: &[Era]) -> Self {
        let Some(recorded) = recorded else { return self };
        self.restored = era::restored(recorded, self.database.as_ref()).cloned();
        let holds = |it: &&Era| it.snapshot.resources.contains_key(&self.address);
        self.recorded_ms = eras.iter().take_while(holds).last().map(|it| it.from_ms);
        if let Some(held) = recorded.resources.get(&self.address) {
            self.lost = self.missing(held);
        }
        self
    }

    /// What is recorded of the place and is not there any more, where it could be looked at.
    fn missing(&self, held: &Recorded) -> Option<String> {
        let part = held.parts.get(&Target::main(self.address.clone()).part)?;
        if self.unreadable.is_some() {
            return None;
        }
        if self.gone {
            return Some(format!(
                "the place `{}` is gone, or has lost its marker `hive.json`: what lies there does \
                 not count before `hive apply` has marked it again",
                self.destination
            ));
        }
        let id = part.outputs.get("id").and_then(Value::as_text).filter(|it| !it.is_empty())?;
        let there = self.list.iter().any(|it| it.id == id);
        (!there).then(|| {
            format!(
                "the backup {id} was made and is not there any more: its `manifest.json` is gone, \
                 or all of it"
            )
        })
    }

    /// The newest that nothing speaks against and that has the data as it is now: what a rebuild
    /// takes. A safety copy has what somebody did not want any more, so it is taken where it is
    /// named, and never by itself.
    pub fn newest(&self) -> Option<&Kept> {
        self.with_data(0, None, self.restored.as_ref()).map(|(kept, _)| kept)
    }

    /// Those that are taken without being named.
    fn runs(&self) -> impl DoubleEndedIterator<Item = &Kept> {
        self.list.iter().filter(|it| it.ok && !it.is_safety())
    }

    /// Whether the newest good one is young enough; none where nothing is promised.
    pub fn rpo(&self, now_ms: u64) -> Option<Verdict> {
        let rpo_ms = self.rpo_ms?;
        let waited_ms = now_ms.saturating_sub(self.recorded_ms.unwrap_or(now_ms));
        if self.newest().is_none() && waited_ms > rpo_ms {
            let (waited, limit) = (words::span(waited_ms), words::span(rpo_ms));
            let words = format!(
                "there is no good backup, {waited} after it was declared, and the newest may be \
                 {limit} old"
            );
            return Some(Verdict::Missed { words });
        }
        Some(objectives::rpo(&self.measured(), rpo_ms, signed(now_ms)))
    }

    /// Whether restores are fast enough, as they were measured; none where nothing is promised.
    pub fn rto(&self) -> Option<Verdict> {
        Some(objectives::rto(&self.measured(), self.rto_ms?))
    }

    fn measured(&self) -> Measured {
        let timed = |it: &Kept| {
            let took_ms = it.restore_ms.or(it.verify_ms)?;
            Some(Restore { took_ms, bytes: it.bytes.unwrap_or_default() })
        };
        Measured {
            newest_ms: self.newest().map(|it| signed(it.at_ms)),
            restores: self
                .list
                .iter()
                .filter(|it| it.verified_ms.is_some())
                .filter_map(timed)
                .collect(),
            bytes: self.newest().and_then(|it| it.bytes).unwrap_or_default(),
        }
    }

    /// Whether an objective is missed, a backup is damaged or gone, or the destination cannot be
    /// read.
    pub fn fails(&self, now_ms: u64) -> bool {
        let missed = [self.rpo(now_ms), self.rto()].into_iter().flatten();
        let missed = missed.into_iter().any(|it| it.is_missed());
        let wrong = self.unreadable.is_some() || self.lost.is_some();
        wrong || missed || self.list.iter().any(|it| !it.ok)
    }

    /// The same, or an objective that nobody can say anything of.
    pub fn needs_attention(&self, now_ms: u64) -> bool {
        let unknown = [self.rpo(now_ms), self.rto()].into_iter().flatten();
        let unknown = unknown.into_iter().any(|it| matches!(it, Verdict::Unknown { .. }));
        unknown || self.fails(now_ms)
    }

    /// The backup with the data of an era: the newest good one made in it, else the newest good one
    /// before it, but none from before its data was restored: that is the one it was restored from.
    /// And whether it is of the era itself.
    pub fn of_era(&self, era: &Era) -> Option<(&Kept, bool)> {
        self.with_data(era.from_ms, era.until_ms, era.restored(self.database.as_ref()))
    }

    fn with_data(
        &self,
        from_ms: u64,
        until_ms: Option<u64>,
        restored: Option<&Restored>,
    ) -> Option<(&Kept, bool)> {
        let newest = |since: u64, end: Option<u64>| {
            let runs = self.runs();
            let within =
                runs.filter(|it| it.at_ms >= since && end.is_none_or(|end| it.at_ms < end));
            within.max_by_key(|it| it.at_ms)
        };
        if let Some(kept) = newest(restored.map_or(0, |it| it.at_ms), until_ms) {
            return Some((kept, kept.at_ms >= from_ms));
        }
        let restored = restored?;
        match self.list.iter().find(|it| it.ok && it.id == restored.id) {
            Some(kept) => Some((kept, restored.at_ms >= from_ms)),
            None => newest(0, Some(restored.made_ms)).map(|it| (it, false)),
        }
    }

    /// Says of each whether retention leaves it.
    fn judge(&mut self, policy: &Policy, now_ms: u64) {
        let one = |it: &Kept| retention::Kept {
            id: it.id.clone(),
            finished_ms: signed(it.at_ms),
            verified: it.verified_ms.is_some(),
            whole: it.whole,
            shrunk: it.shrunk,
        };
        let all: Vec<retention::Kept> = self.list.iter().map(one).collect();
        let pinned = self.list.iter().filter(|it| !it.pinned_by.is_empty());
        let pins: BTreeSet<String> = pinned.map(|it| it.id.clone()).collect();
        let decided = retention::decide(policy, &all, &pins, signed(now_ms));
        for decision in decided {
            for kept in self.list.iter_mut().filter(|it| it.id == decision.id) {
                kept.stays = decision.keep;
                kept.because = decision.reasons.clone();
            }
        }
    }

    /// Says of each which snapshots' way back with data needs it.
    fn pin(&mut self, eras: &[Era]) {
        let mut pins: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for era in eras.iter().filter(|it| it.snapshot.whole) {
            let needs = |it: &Address| era.snapshot.resources.contains_key(it);
            if !self.database.as_ref().is_some_and(needs) {
                continue;
            }
            if let Some((kept, _)) = self.of_era(era) {
                pins.entry(kept.id.clone()).or_default().insert(era.snapshot.number);
            }
        }
        for kept in &mut self.list {
            kept.pinned_by = pins.remove(&kept.id).unwrap_or_default().into_iter().collect();
        }
    }
}

impl Session {
    /// The recorded backups, or these of them, with what their destinations hold.
    ///
    /// # Errors
    /// One of these is not recorded or is no backup, or the store cannot be read.
    pub async fn backups(&self, only: &BTreeSet<Address>) -> Result<Vec<Backups>, FlowError> {
        let head = self.ledger.head().await?.map(|(_, snapshot)| snapshot);
        let Some(head) = head else {
            return match only.first() {
                Some(address) => Err(not_recorded(address)),
                None => Ok(Vec::new()),
            };
        };
        check_backups(&head, only)?;
        let mut those = head.clone();
        those.resources.retain(|address, _| {
            address.kind() == "backup" && (only.is_empty() || only.contains(address))
        });
        if those.resources.is_empty() {
            return Ok(Vec::new());
        }
        let providers = self.providers(Some(&head)).await?;
        let seen = observe(&providers, &self.secrets, &BTreeMap::new(), Some(&those)).await;
        let eras = self.eras(KEPT_ERAS).await?;
        let seen: BTreeMap<Address, Result<Observed, Failure>> = seen
            .observed
            .into_iter()
            .map(|((_, Target { address, .. }), found)| (address, found))
            .collect();
        let now_ms = self.clock.wall_ms();
        let each = those.resources.iter().map(|(address, recorded)| {
            let fields = &recorded.declared.fields;
            Backups::of(address, fields, seen.get(address), &eras, now_ms)
                .beside(Some(&head), &eras)
        });
        Ok(each.collect())
    }

    /// The ids of the backups that ways back with data need, by backup.
    pub(super) fn pins(backups: &[Backups]) -> BTreeMap<Address, Vec<Value>> {
        let pinned = |it: &Backups| {
            let ids = it.list.iter().filter(|it| !it.pinned_by.is_empty());
            (it.address.clone(), ids.map(|it| Value::text(&it.id)).collect())
        };
        backups.iter().map(pinned).collect()
    }
}

/// Refuses addresses that are not those of recorded backups.
fn check_backups(head: &Snapshot, only: &BTreeSet<Address>) -> Result<(), FlowError> {
    if let Some(address) = only.iter().find(|it| it.kind() != "backup") {
        return Err(FlowError::Usage(format!(
            "`{address}` is no backup: name one as in `backup.{}`",
            address.name()
        )));
    }
    match only.iter().find(|it| !head.resources.contains_key(*it)) {
        Some(address) => Err(not_recorded(address)),
        None => Ok(()),
    }
}

pub(super) fn not_recorded(address: &Address) -> FlowError {
    FlowError::Usage(format!(
        "`{address}` is not recorded here: `hive status` lists what is, and `hive apply` makes \
         what is declared"
    ))
}

/// What is backed up, in words.
fn of_words(declared: &Fields) -> String {
    if let Some(database) = declared.get("database").and_then(Value::as_text) {
        return database.to_owned();
    }
    let of = declared.get("of").and_then(Value::as_map);
    let word = |key: &str| of.and_then(|it| it.get(key)).and_then(Value::as_text);
    format!("{} {}", word("engine").unwrap_or("folder"), word("path").unwrap_or_default())
}

/// The backups that a live destination says it holds, oldest first.
fn list(live: &Live, now_ms: u64) -> Vec<Kept> {
    let listed = live.fields.get("backups").and_then(Value::as_list).unwrap_or_default();
    let mut list: Vec<Kept> = listed.iter().filter_map(Value::as_map).map(kept).collect();
    let damaged = live.fields.get("damaged").and_then(Value::as_list).unwrap_or_default();
    list.extend(damaged.iter().filter_map(Value::as_map).map(unread));
    // What is of the future is nobody's newest: it would be proven, restored and measured for ever.
    for ahead in list.iter_mut().filter(|it| it.ok && it.at_ms > now_ms) {
        ahead.ok = false;
        ahead.wrong = Some("it is of the future: a clock is wrong".to_owned());
    }
    list.sort_by(|a, b| (a.at_ms, &a.id).cmp(&(b.at_ms, &b.id)));
    list
}

fn kept(fields: &Fields) -> Kept {
    let text = |key: &str| {
        let text = fields.get(key).and_then(Value::as_text).filter(|it| !it.is_empty());
        text.map(str::to_owned)
    };
    Kept {
        id: text("id").unwrap_or_default(),
        at_ms: number(fields, "at_ms").unwrap_or_default(),
        kind: text("kind").unwrap_or_else(|| "run".to_owned()),
        bytes: number(fields, "bytes"),
        stored: number(fields, "stored"),
        rows: number(fields, "rows"),
        schema: text("schema"),
        version: text("version"),
        verified_ms: number(fields, "verified_ms"),
        verify_ms: number(fields, "verify_ms"),
        restore_ms: number(fields, "restore_ms"),
        ok: fields.get("ok").and_then(Value::as_bool).unwrap_or(true),
        wrong: text("wrong").or_else(|| text("why")),
        whole: fields.get("whole").and_then(Value::as_bool).unwrap_or(true),
        shrunk: fields.get("shrunk").and_then(Value::as_bool).unwrap_or(false),
        ..Kept::default()
    }
}

/// One whose manifest says nothing that counts: when it was begun stands in its id.
fn unread(fields: &Fields) -> Kept {
    let kept = kept(fields);
    let begun_ms = hive_backup::BackupId::parse(&kept.id).and_then(|it| it.begun_ms());
    let at_ms = begun_ms.and_then(|it| u64::try_from(it).ok()).unwrap_or_default();
    Kept { at_ms, ok: false, whole: false, ..kept }
}

/// What is kept, as it is declared.
fn policy(declared: &Fields) -> Policy {
    let Some(keep) = declared.get("keep").and_then(Value::as_map) else {
        return Policy::default();
    };
    let count = |key: &str| number(keep, key).map_or(0, |it| u32::try_from(it).unwrap_or(u32::MAX));
    Policy {
        within_ms: number(keep, "within"),
        minimum: count("minimum"),
        daily: count("daily"),
        weekly: count("weekly"),
        monthly: count("monthly"),
        yearly: count("yearly"),
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn number(fields: &Fields, key: &str) -> Option<u64> {
    u64::try_from(fields.get(key)?.as_int()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, at_ms: u64, ok: bool) -> Kept {
        Kept { id: id.to_owned(), at_ms, ok, whole: ok, ..Kept::default() }
    }

    fn backups(list: Vec<Kept>) -> Backups {
        let fields = Fields::from([("destination".to_owned(), Value::text("backups"))]);
        let address = "backup.main".parse().expect("an address");
        Backups { list, ..Backups::of(&address, &fields, None, &[], 0) }
    }

    #[test]
    fn the_data_of_an_era_is_the_newest_good_backup_in_it_else_before_it() {
        let all = backups(vec![one("a", 10, true), one("b", 20, true), one("c", 30, false)]);
        let of = |from, until| {
            all.with_data(from, until, None).map(|(it, exact)| (it.id.as_str(), exact))
        };
        assert_eq!(of(15, Some(25)), Some(("b", true)));
        assert_eq!(of(15, None), Some(("b", true)), "a damaged one is nobody's");
        assert_eq!(of(25, None), Some(("b", false)));
        assert_eq!(of(11, Some(20)), Some(("a", false)));
        assert_eq!(of(5, Some(9)), None);
    }

    #[test]
    fn what_was_restored_is_what_it_was_restored_from_and_never_what_was_put_aside() {
        let safety = Kept { kind: "safety".to_owned(), ..one("s", 30, true) };
        let mut all = backups(vec![one("a", 10, true), one("b", 20, true), safety]);
        assert_eq!(all.newest().map(|it| it.id.as_str()), Some("b"), "what a rebuild takes");
        let restored = |id: &str, made_ms| Restored { id: id.to_owned(), made_ms, at_ms: 31 };
        let of = |all: &Backups, id: &str, made_ms| {
            let found = all.with_data(31, None, Some(&restored(id, made_ms)));
            found.map(|(it, exact)| (it.id.clone(), exact))
        };
        assert_eq!(of(&all, "a", 10), Some(("a".to_owned(), true)), "nor what came between");
        assert_eq!(of(&all, "s", 30), Some(("s".to_owned(), true)), "it was named");
        all.restored = Some(restored("a", 10));
        assert_eq!(all.newest().map(|it| it.id.as_str()), Some("a"));
        all.list.push(one("d", 40, true));
        assert_eq!(all.newest().map(|it| it.id.as_str()), Some("d"), "made of what came back");
        all.list.retain(|it| !["a", "d"].contains(&it.id.as_str()));
        assert_eq!(
            of(&all, "a", 25),
            Some(("b".to_owned(), false)),
            "the one before, not the copy"
        );
    }

    #[test]
    fn a_promise_is_met_missed_or_not_measured() {
        let mut all = backups(vec![one("a", 1_000, true)]);
        assert_eq!(all.rpo(2_000), None);
        (all.rpo_ms, all.rto_ms) = (Some(5_000), Some(100));
        assert!(matches!(all.rpo(2_000), Some(Verdict::Met { .. })));
        assert!(all.rpo(9_000).is_some_and(|it| it.is_missed()));
        assert!(matches!(all.rto(), Some(Verdict::Unknown { .. })));
        assert!(!all.fails(2_000) && all.needs_attention(2_000));
        all.list[0].verified_ms = Some(1_500);
        all.list[0].restore_ms = Some(101);
        assert!(all.rto().is_some_and(|it| it.is_missed()) && all.fails(2_000));
        all.list.clear();
        assert!(!all.fails(2_000) && all.needs_attention(2_000), "nothing is there yet");
        all.recorded_ms = Some(1_000);
        assert!(!all.fails(6_000), "it has as long as a backup may be old");
        assert!(all.rpo(6_001).is_some_and(|it| it.is_missed()) && all.fails(6_001));
    }

    #[test]
    fn a_declared_policy_decides_and_a_pin_keeps() {
        let day = 86_400_000;
        let json = r#"{"destination":"b","keep":{"within":86400000}}"#;
        let fields: Fields = serde_json::from_str(json).expect("fields");
        let mut all = backups((1..=5).map(|it| one(&it.to_string(), it * day, true)).collect());
        all.list[4].verified_ms = Some(5 * day);
        all.list[1].pinned_by = vec![7];
        all.judge(&policy(&fields), 5 * day);
        let stays: Vec<bool> = all.list.iter().map(|it| it.stays).collect();
        assert_eq!(stays, [false, true, true, true, true], "{:?}", all.list);
    }
}
