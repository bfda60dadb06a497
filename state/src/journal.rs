//! The journal of one apply: groups of records, one file a group, each made at the next number.
//!
//! The journal is the fence. A number can be made once, so whoever makes the next one may write,
//! and a holder that was taken over finds its next number taken. Each group names the digest of the
//! group before it; a hole or a damaged group is damage. Only the last one may be cut off: it is
//! taken as never written, because nobody was told that it was.

use crate::law::Replay;
use crate::layout::{self, FORMAT};
use crate::lease::Lease;
use crate::ledger::{Ledger, LedgerError};
use crate::record::{Entry, Record};
use crate::sealed::{self, Check, Damage, Opened};
use crate::store::{Put, Version};
use crate::{StepRecord, law};
use hive_contract::Fingerprint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The content of one group.
#[derive(Serialize, Deserialize)]
struct Group {
    /// Whose journal.
    apply: String,
    /// Its number, from 1.
    sequence: u64,
    /// The epoch of the lease under which it was written.
    epoch: u64,
    /// Its records.
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct GroupRef<'a> {
    apply: &'a str,
    sequence: u64,
    epoch: u64,
    entries: &'a [Entry],
}

/// Everything that a journal says.
#[derive(Clone, Debug)]
pub struct JournalRead {
    /// Whose.
    pub apply: String,
    /// Its records in order.
    pub entries: Vec<Entry>,
    /// What they come to.
    pub replay: Replay,
    /// The number of the next group.
    pub next: u64,
    /// The digest of the last group.
    pub parent: Option<Fingerprint>,
    /// The epoch of the last group, 0 where there is none.
    pub epoch: u64,
    /// A last group that was cut off stands at `next`.
    torn: Option<Version>,
}

/// An apply that was begun and not brought to its end.
#[derive(Clone, Debug)]
pub struct OpenJournal {
    /// Its journal. Where its `replay.closed` says something, all that is missing is that head
    /// moves to the snapshot named there.
    pub read: JournalRead,
}

/// The end of a journal, without what is before.
pub(crate) struct Tail {
    next: u64,
    parent: Option<Fingerprint>,
    pub(crate) epoch: u64,
    torn: Option<Version>,
}

/// The journal of an apply under way, for writing.
pub struct Journal {
    ledger: Ledger,
    apply: String,
    epoch: u64,
    next: u64,
    parent: Option<Fingerprint>,
    torn: Option<Version>,
    replay: Replay,
}

impl Journal {
    /// The journal of a new apply. Nothing is written before the first [`Self::append`].
    ///
    /// # Errors
    /// There is one already, or that cannot be said.
    pub async fn create(ledger: &Ledger, lease: &Lease, apply: &str) -> Result<Self, LedgerError> {
        let tail = tail(ledger, apply).await?;
        if tail.next != 1 {
            return Err(LedgerError::Fenced { apply: apply.to_owned(), sequence: 1 });
        }
        Ok(Self {
            ledger: ledger.clone(),
            apply: apply.to_owned(),
            epoch: lease.epoch(),
            next: 1,
            parent: None,
            torn: tail.torn,
            replay: Replay::default(),
        })
    }

    /// Goes on with a journal. Whoever wrote it before can write no more afterwards.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or somebody with a newer lease goes on with it already.
    pub async fn resume(ledger: &Ledger, lease: &Lease, apply: &str) -> Result<Self, LedgerError> {
        if tail(ledger, apply).await?.epoch < lease.epoch() {
            seal(ledger, apply, lease.epoch(), &lease.holder().who, lease.since_ms()).await?;
        }
        let read = ledger.journal(apply).await?;
        if read.epoch > lease.epoch() {
            return Err(LedgerError::Fenced { apply: apply.to_owned(), sequence: read.next - 1 });
        }
        Ok(Self {
            ledger: ledger.clone(),
            apply: read.apply,
            epoch: lease.epoch(),
            next: read.next,
            parent: read.parent,
            torn: read.torn,
            replay: read.replay,
        })
    }

    /// Writes records as one group; they are durable when this returns. No records, no group.
    ///
    /// # Errors
    /// [`LedgerError::Illegal`] where the law forbids one; [`LedgerError::Fenced`] where somebody
    /// else has taken over; or the store cannot be written. None of them is recorded then.
    pub async fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        if entries.is_empty() {
            return Ok(());
        }
        let before = Before::of(&self.replay, entries);
        let written = match record_all(&mut self.replay, entries) {
            Ok(()) => self.write(entries).await,
            Err(illegal) => Err(illegal.into()),
        };
        if written.is_err() {
            before.back(&mut self.replay);
        }
        written
    }

    async fn write(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        let key = self.ledger.layout.group(&self.apply, self.next);
        if let Some(torn) = &self.torn {
            // Whoever else removed it has also made the number, and that is seen right below.
            self.ledger.store.remove(&key, torn).await?;
            self.torn = None;
        }
        let bytes = group_bytes(&self.apply, self.next, self.epoch, self.parent.as_ref(), entries);
        if self.ledger.store.create(&key, &bytes).await? == Put::Conflict {
            // An attempt that the store called failed may have been durable all the same.
            let found = self.ledger.store.read(&key).await?;
            if found.is_none_or(|it| it.bytes != bytes) {
                let apply = self.apply.clone();
                return Err(LedgerError::Fenced { apply, sequence: self.next });
            }
        }
        self.parent = Some(Fingerprint::of_bytes(&bytes));
        self.next += 1;
        Ok(())
    }

    /// What its records come to.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Whose it is.
    pub fn apply(&self) -> &str {
        &self.apply
    }
}

/// What the replay was before a group, as far as the group can change it: taking a group back costs
/// what the group costs, however long the journal is.
struct Before {
    opened: Option<law::Opened>,
    back: Option<String>,
    closed: Option<(crate::Ending, Option<Fingerprint>)>,
    epoch: u64,
    steps: BTreeMap<u32, Option<StepRecord>>,
}

impl Before {
    fn of(replay: &Replay, entries: &[Entry]) -> Self {
        let steps = entries.iter().filter_map(|entry| entry.record.step());
        Self {
            opened: replay.opened.clone(),
            back: replay.back.clone(),
            closed: replay.closed.clone(),
            epoch: replay.epoch,
            steps: steps.map(|step| (step, replay.steps.get(&step).cloned())).collect(),
        }
    }

    fn back(self, replay: &mut Replay) {
        replay.opened = self.opened;
        replay.back = self.back;
        replay.closed = self.closed;
        replay.epoch = self.epoch;
        for (step, record) in self.steps {
            match record {
                Some(record) => replay.steps.insert(step, record),
                None => replay.steps.remove(&step),
            };
        }
    }
}

fn record_all(replay: &mut Replay, entries: &[Entry]) -> Result<(), crate::Illegal> {
    entries.iter().try_for_each(|entry| replay.record(&entry.record, entry.at_ms))
}

impl Ledger {
    /// The applies that have a journal, oldest first.
    ///
    /// # Errors
    /// They cannot be listed, or the first group of one cannot be read.
    pub async fn journals(&self) -> Result<Vec<String>, LedgerError> {
        let all = self.journals_by_age().await?;
        Ok(all.into_iter().filter(|it| it.begun).map(|it| it.apply).collect())
    }

    /// Reads and checks the whole journal of one apply.
    ///
    /// # Errors
    /// There is none, or it cannot be read or is damaged.
    pub async fn journal(&self, apply: &str) -> Result<JournalRead, LedgerError> {
        let last = last_sequence(self, apply).await?;
        let mut read = JournalRead {
            apply: apply.to_owned(),
            entries: Vec::new(),
            replay: Replay::default(),
            next: 1,
            parent: None,
            epoch: 0,
            torn: None,
        };
        while read.next <= last {
            match read_group(self, apply, read.next, last).await? {
                Found::Torn(version) => {
                    read.torn = Some(version);
                    break;
                }
                Found::Whole(group) => read.take(self, group)?,
            }
        }
        if last == 0 {
            let by = "the apply's name".to_owned();
            return Err(self.damaged(&self.layout.journal(apply), Check::Missing { by }));
        }
        Ok(read)
    }

    /// Every journal, oldest first. One whose only group was cut off is not among them.
    pub(crate) async fn journals_by_age(&self) -> Result<Vec<Aged>, LedgerError> {
        let mut journals = Vec::new();
        for apply in self.store.folders(&self.layout.journals()).await? {
            if let Some(first) = first_group(self, &apply).await? {
                let (begun, routine) = (first.begins(), first.is_routine());
                journals.push(Aged { epoch: first.epoch, begun, routine, apply });
            }
        }
        journals.sort();
        Ok(journals)
    }
}

/// A journal by its age.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Aged {
    /// The epoch of its first group: the order in which journals were made, whatever the clocks.
    epoch: u64,
    /// Whose.
    pub(crate) apply: String,
    /// Whether it says more than that it was sealed while it was empty.
    pub(crate) begun: bool,
    /// Whether it is of a run of backups, or of a look at them: a timer makes many of these.
    pub(crate) routine: bool,
}

/// The commands that a timer gives.
const ROUTINE: [&str; 2] = ["backup run", "backup verify"];

impl Group {
    fn begins(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.record, Record::Opened { .. }))
    }

    fn is_routine(&self) -> bool {
        self.entries.iter().any(|entry| match &entry.record {
            Record::Opened { command, .. } => ROUTINE.contains(&command.as_str()),
            _ => false,
        })
    }
}

impl JournalRead {
    fn take(&mut self, ledger: &Ledger, group: Opened<Group>) -> Result<(), LedgerError> {
        let key = ledger.layout.group(&self.apply, self.next);
        let rule = |why: &str| Err(ledger.damaged(&key, Check::Rule(why.to_owned())));
        if group.parent != self.parent {
            return rule("it does not follow the group before it");
        }
        if group.body.epoch < self.epoch {
            return rule("its epoch is older than that of the group before it");
        }
        record_all(&mut self.replay, &group.body.entries)
            .map_err(|illegal| ledger.damaged(&key, Check::Rule(illegal.to_string())))?;
        self.entries.extend(group.body.entries);
        self.parent = Some(group.digest);
        self.epoch = group.body.epoch;
        self.next += 1;
        Ok(())
    }
}

enum Found {
    Whole(Opened<Group>),
    Torn(Version),
}

/// Reads one group. Only the last one may be cut off.
async fn read_group(
    ledger: &Ledger,
    apply: &str,
    sequence: u64,
    last: u64,
) -> Result<Found, LedgerError> {
    let key = ledger.layout.group(apply, sequence);
    let Some(stored) = ledger.store.read(&key).await? else {
        let by = format!("group {} of the journal", sequence + 1);
        return Err(ledger.damaged(&key, Check::Missing { by }));
    };
    match sealed::open::<Group>(&ledger.what(&key), "journal", FORMAT, &stored.bytes) {
        Ok(group) if group.body.apply != apply || group.body.sequence != sequence => {
            Err(ledger.damaged(&key, Check::Digest { by: "its own name".to_owned() }))
        }
        Ok(group) => Ok(Found::Whole(group)),
        Err(Damage { check: Check::Empty | Check::Truncated, .. }) if sequence == last => {
            Ok(Found::Torn(stored.version))
        }
        Err(damage) => Err(damage.into()),
    }
}

async fn last_sequence(ledger: &Ledger, apply: &str) -> Result<u64, LedgerError> {
    let keys = ledger.store.list(&ledger.layout.journal(apply)).await?;
    Ok(keys.iter().filter_map(|key| layout::number(key)).max().unwrap_or(0))
}

pub(crate) async fn tail(ledger: &Ledger, apply: &str) -> Result<Tail, LedgerError> {
    let last = last_sequence(ledger, apply).await?;
    if last == 0 {
        return Ok(Tail { next: 1, parent: None, epoch: 0, torn: None });
    }
    let torn = match read_group(ledger, apply, last, last).await? {
        Found::Whole(group) => return Ok(Tail::after(group)),
        Found::Torn(version) => Some(version),
    };
    if last == 1 {
        return Ok(Tail { next: 1, parent: None, epoch: 0, torn });
    }
    match read_group(ledger, apply, last - 1, last).await? {
        Found::Whole(group) => Ok(Tail { torn, ..Tail::after(group) }),
        Found::Torn(_) => Ok(Tail { next: last, parent: None, epoch: 0, torn }),
    }
}

impl Tail {
    fn after(group: Opened<Group>) -> Self {
        Self {
            next: group.body.sequence + 1,
            parent: Some(group.digest),
            epoch: group.body.epoch,
            torn: None,
        }
    }
}

/// Whether an apply's journal was begun, rather than named only, or sealed while it was empty.
pub(crate) async fn begun(ledger: &Ledger, apply: &str) -> Result<bool, LedgerError> {
    Ok(first_group(ledger, apply).await?.is_some_and(|it| it.begins()))
}

/// The first group of a journal; none where nothing was ever written whole.
async fn first_group(ledger: &Ledger, apply: &str) -> Result<Option<Group>, LedgerError> {
    // Nearly always it is there and whole, and then the others need not be listed.
    let there = ledger.store.read(&ledger.layout.group(apply, 1)).await?.is_some();
    let last = if there { 1 } else { last_sequence(ledger, apply).await? };
    if last == 0 {
        return Ok(None);
    }
    match read_group(ledger, apply, 1, last).await? {
        Found::Whole(group) => Ok(Some(group.body)),
        Found::Torn(_) => match last_sequence(ledger, apply).await? {
            0 | 1 => Ok(None),
            last => match read_group(ledger, apply, 1, last).await? {
                Found::Whole(group) => Ok(Some(group.body)),
                Found::Torn(_) => Ok(None),
            },
        },
    }
}

/// Makes the next number of a journal, also of an empty one, so that whoever wrote it before finds
/// it taken. Does nothing where that was done under this epoch.
pub(crate) async fn seal(
    ledger: &Ledger,
    apply: &str,
    epoch: u64,
    by: &str,
    at_ms: u64,
) -> Result<(), LedgerError> {
    let record = Record::Sealed { epoch, by: by.to_owned() };
    let entries = [Entry { at_ms, record }];
    loop {
        let tail = tail(ledger, apply).await?;
        if tail.epoch >= epoch {
            return Ok(());
        }
        let key = ledger.layout.group(apply, tail.next);
        if let Some(torn) = &tail.torn {
            ledger.store.remove(&key, torn).await?;
        }
        let bytes = group_bytes(apply, tail.next, epoch, tail.parent.as_ref(), &entries);
        // A conflict is the holder's own next record: once more, behind it.
        if let Put::Done(_) = ledger.store.create(&key, &bytes).await? {
            return Ok(());
        }
    }
}

/// See [`Ledger::open_journal`].
pub(crate) async fn open(ledger: &Ledger) -> Result<Option<OpenJournal>, LedgerError> {
    let Some(apply) = newest(ledger).await? else { return Ok(None) };
    let head = ledger.head_only().await?;
    if let Some(ending) = closed(ledger, &apply).await? {
        let settled = ending.is_none() || ending == head.map(|it| it.digest);
        return match settled {
            true => Ok(None),
            false => Ok(Some(OpenJournal { read: ledger.journal(&apply).await? })),
        };
    }
    if head.is_some_and(|it| it.apply == apply) {
        let by = "head.json, which this apply moved,".to_owned();
        let what = format!("{}(the last group)", ledger.layout.journal(&apply));
        return Err(ledger.damaged(&what, Check::Missing { by }));
    }
    Ok(Some(OpenJournal { read: ledger.journal(&apply).await? }))
}

/// The apply whose journal was begun last. Leases name it, so that the others need not be read.
async fn newest(ledger: &Ledger) -> Result<Option<String>, LedgerError> {
    if let Some(lease) = ledger.lease_now().await? {
        if begun(ledger, &lease.apply).await? {
            return Ok(Some(lease.apply));
        }
        return Ok(lease.last);
    }
    Ok(ledger.journals().await?.pop())
}

/// The snapshot that the last record of a journal names; none where it has no last record. Read
/// from the end, because all but the newest few groups do not matter here.
async fn closed(ledger: &Ledger, apply: &str) -> Result<Option<Option<Fingerprint>>, LedgerError> {
    let last = last_sequence(ledger, apply).await?;
    for sequence in (1..=last).rev() {
        let Found::Whole(group) = read_group(ledger, apply, sequence, last).await? else {
            continue;
        };
        for entry in group.body.entries.into_iter().rev() {
            match entry.record {
                Record::Closed { snapshot, .. } => return Ok(Some(snapshot)),
                Record::Sealed { .. } | Record::Event { .. } => {}
                _ => return Ok(None),
            }
        }
    }
    Ok(None)
}

fn group_bytes(
    apply: &str,
    sequence: u64,
    epoch: u64,
    parent: Option<&Fingerprint>,
    entries: &[Entry],
) -> Vec<u8> {
    let group = GroupRef { apply, sequence, epoch, entries };
    sealed::seal("journal", FORMAT, parent, &group, false)
}

#[cfg(test)]
mod tests;
