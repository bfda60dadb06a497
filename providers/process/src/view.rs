//! One service as it is: its record, its starts, and what of them lives.

use crate::layout::{Layout, file_below, identity, split};
use crate::outputs;
use crate::private::{names, read_json, unread};
use crate::record::{EXIT, Exit, FILES, FORMAT, Launch, RUN, SERVICE, STARTED, Service, Started};
use crate::scan::{self, Carried, Meant, Scan, Seen};
use crate::spec;
use hive_contract::value::Fields;
use hive_contract::{Failure, FailureKind, FieldPath, Live, Mark, Status, Token, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One service.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// What it is known by.
    pub(crate) identity: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its record; none where nothing was made here, or it was lost.
    pub(crate) record: Option<Service>,
    /// Its starts that are on record, by replica, the dead too.
    pub(crate) runs: Vec<Run>,
    /// Its processes that no start on record explains.
    pub(crate) strays: Vec<Seen>,
    /// The keepers of those.
    pub(crate) stray_keepers: Vec<Seen>,
}

/// One start of one replica.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Which start of its step, from 0.
    pub(crate) number: u32,
    pub(crate) launch: Launch,
    pub(crate) started: Option<Started>,
    pub(crate) exit: Option<Exit>,
    /// The files of it that are not as they were written, as they are, where anything of it lives.
    pub(crate) moved: BTreeMap<String, Option<String>>,
    /// Its processes.
    pub(crate) members: Vec<Seen>,
    pub(crate) keeper: Option<Seen>,
}

impl Run {
    /// Whether it works on: its first process lives, or ended well and left others behind.
    pub(crate) fn lives(&self) -> bool {
        !self.members.is_empty() && self.exit.as_ref().is_none_or(Exit::is_good)
    }

    /// Whether anything of it is there to be ended.
    pub(crate) fn is_there(&self) -> bool {
        !self.members.is_empty() || self.keeper.is_some()
    }

    /// The folder of its replica's log.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.parent().unwrap_or(&self.folder).join("log")
    }

    /// The same start, looked at again; none where its folder is gone.
    ///
    /// # Errors
    /// Something of it cannot be read.
    pub(crate) fn again(&self, layout: &Layout, scan: &Scan) -> Result<Option<Self>, Failure> {
        Self::read(layout, self.folder.clone(), scan)
    }

    fn read(layout: &Layout, folder: PathBuf, scan: &Scan) -> Result<Option<Self>, Failure> {
        let parts = |name: &str| {
            let (token, number) = name.rsplit_once('.')?;
            Some((Token::from_text(token), number.parse().ok()?))
        };
        let Some((token, number)) = folder.file_name().and_then(|name| parts(name.to_str()?))
        else {
            return Ok(None);
        };
        let launch = match read_json::<Launch>(&folder.join(RUN)) {
            // Without it hive died before it started anything.
            Ok(None) => return Ok(None),
            Ok(Some(launch)) => launch,
            // The machine has failed before it was on the disk, and nothing runs any more.
            Err(failure) if failure.kind == FailureKind::Malformed && !scan.carries(&token) => {
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        known(launch.format, &folder.join(RUN))?;
        let started: Option<Started> = hint(&folder.join(STARTED))?;
        let first = started.as_ref().map(|it| &it.process);
        let meant = Meant { token: &launch.token, replica: launch.replica, folder: &layout.run };
        let members = scan.members(&meant, first);
        let moved = match members.is_empty() {
            true => BTreeMap::new(),
            false => moved_files(&folder, &launch)?,
        };
        Ok(Some(Self {
            number,
            moved,
            members,
            keeper: scan.keeper(&meant).cloned(),
            exit: hint(&folder.join(EXIT))?,
            launch,
            started,
            folder,
        }))
    }
}

/// What a keeper wrote. Where the machine has failed before it was on the disk, it says nothing.
fn hint<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    match read_json(path) {
        Err(failure) if failure.kind == FailureKind::Malformed => Ok(None),
        read => read,
    }
}

/// Refuses what a newer hive wrote.
fn known(format: u32, path: &Path) -> Result<(), Failure> {
    if format <= FORMAT {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Malformed,
        format!(
            "`{}` has format {format}, and this hive knows up to {FORMAT}: use a newer hive",
            path.display()
        ),
    ))
}

impl View {
    /// Looks at one service.
    ///
    /// # Errors
    /// Something of it cannot be read.
    pub(crate) fn load(layout: &Layout, identity: &str, scan: &Scan) -> Result<Self, Failure> {
        let folder = layout.service(identity)?;
        let record: Option<Service> = read_json(&folder.join(SERVICE))?;
        if let Some(record) = &record {
            known(record.format, &folder.join(SERVICE))?;
        }
        let mut runs = Vec::new();
        for name in names(&folder)? {
            if name.parse::<u32>().is_err() {
                continue;
            }
            let replica = folder.join(&name);
            for start in names(&replica)? {
                runs.extend(Run::read(layout, replica.join(start), scan)?);
            }
        }
        runs.sort_by_key(|run| (run.launch.replica, run.launch.token.clone(), run.number));
        // The same token and replica started twice are one set of processes: the last has it.
        for at in 1..runs.len() {
            let (before, after) = runs.split_at_mut(at);
            let (before, after) = (&mut before[at - 1].launch, &after[0].launch);
            if before.token == after.token && before.replica == after.replica {
                runs[at - 1].members.clear();
                runs[at - 1].keeper = None;
            }
        }
        let strays = strays(layout, identity, record.as_ref(), &runs, scan)?;
        let keeps = |seen: &Seen| seen.carried.as_ref().is_some_and(|it| it.keeper);
        let (stray_keepers, strays) = strays.into_iter().partition(keeps);
        Ok(Self { identity: identity.to_owned(), folder, record, runs, strays, stray_keepers })
    }

    /// The starts of one replica.
    pub(crate) fn of_replica(&self, replica: u32) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.launch.replica == replica)
    }

    /// Every process of the service.
    pub(crate) fn members(&self) -> Vec<Seen> {
        let runs = self.runs.iter().flat_map(|run| &run.members);
        runs.chain(&self.strays).cloned().collect()
    }

    /// The replicas of processes without a record of their start, each with its first process.
    fn lost_replicas(&self) -> BTreeMap<(Token, u32), &Seen> {
        let mut lost = BTreeMap::new();
        for seen in &self.strays {
            if let Some(Carried { token, replica, .. }) = &seen.carried {
                lost.entry((token.clone(), *replica)).or_insert(seen);
            }
        }
        lost
    }

    /// Whose it is.
    pub(crate) fn mark(&self) -> Option<Mark> {
        match &self.record {
            Some(record) => record.mark.clone(),
            None => {
                let run = self.runs.iter().rev().map(|run| run.launch.mark.clone()).next();
                let stray = || Some(self.strays.first()?.carried.as_ref()?.mark.clone());
                run.or_else(stray)
            }
        }
    }

    /// As the contract has it; none where nothing is there.
    pub(crate) fn live(&self) -> Option<Live> {
        let running: Vec<&Run> = self.runs.iter().filter(|run| run.lives()).collect();
        let lost = self.lost_replicas();
        if self.record.is_none() && running.is_empty() && lost.is_empty() {
            return None;
        }
        let count = running.len() + lost.len();
        let mut fields = match &self.record {
            Some(record) => record.fields.clone(),
            None => self.guessed(&running, &lost),
        };
        let wanted = fields.get("replicas").and_then(Value::as_int);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        fields.insert("replicas".to_owned(), Value::Int(count));
        let outputs = outputs::values(&fields);
        let recorded = fields.clone();
        for run in &running {
            overlay(&mut fields, &recorded, run);
        }
        let wanted = wanted.unwrap_or(count);
        Some(Live {
            identity: self.identity.clone(),
            fields,
            outputs,
            mark: self.mark(),
            token: self.token(),
            moved_by: BTreeMap::new(),
            ended: self.ended(count, wanted),
            status: self.status(count, wanted),
        })
    }

    fn token(&self) -> Option<Token> {
        let recorded = self.record.as_ref().map(|record| record.token.clone());
        let started = || self.runs.last().map(|run| run.launch.token.clone());
        let carried = || Some(self.strays.first()?.carried.as_ref()?.token.clone());
        recorded.or_else(started).or_else(carried)
    }

    /// What can be said of a service whose record is lost: never its variables, which may be
    /// secrets.
    fn guessed(&self, running: &[&Run], lost: &BTreeMap<(Token, u32), &Seen>) -> Fields {
        let mut fields = Fields::new();
        let mut listen: BTreeMap<String, Fields> = BTreeMap::new();
        for run in running {
            fields.extend(run.launch.launched.clone());
            let ports = run.launch.launched.get("listen").and_then(Value::as_map);
            for (name, port) in ports.into_iter().flatten() {
                let ports = listen.entry(name.clone()).or_default();
                ports.insert(run.launch.replica.to_string(), port.clone());
            }
        }
        for ((_, replica), seen) in lost {
            let command = scan::arguments(seen.pid).into_iter().map(Value::Text).collect();
            fields.entry("command".to_owned()).or_insert(Value::List(command));
            let carried = seen.carried.as_ref().map(|it| &it.ports);
            for (variable, port) in carried.into_iter().flatten() {
                let name = variable.to_ascii_lowercase().replace('_', "-");
                let port = Value::Int(i64::from(*port));
                listen.entry(name).or_default().insert(replica.to_string(), port);
            }
        }
        let listen = listen.into_iter().map(|(name, ports)| (name, Value::Map(ports))).collect();
        fields.insert("listen".to_owned(), Value::Map(listen));
        fields
    }

    /// That fewer run than are meant to, and how the missing ended where that is known.
    fn ended(&self, count: i64, wanted: i64) -> BTreeMap<FieldPath, String> {
        let suspended = self.record.as_ref().is_some_and(|record| record.suspended);
        if count >= wanted || suspended {
            return BTreeMap::new();
        }
        let mut last: BTreeMap<u32, &Run> = BTreeMap::new();
        for run in &self.runs {
            let before = last.get(&run.launch.replica);
            if !before.is_some_and(|it| it.lives()) {
                last.insert(run.launch.replica, run);
            }
        }
        let known = last.values().filter(|run| !run.lives()).filter_map(|run| {
            Some(format!("replica {} {}", run.launch.replica, run.exit.as_ref()?.words()))
        });
        let known: Vec<String> = known.collect();
        let how = match known.is_empty() {
            true => format!("{count} of {wanted} run, and nothing says how the others ended"),
            false => known.join(", "),
        };
        BTreeMap::from([(FieldPath::new(["replicas"]), how)])
    }

    fn status(&self, count: i64, wanted: i64) -> Status {
        let suspended = self.record.as_ref().is_some_and(|record| record.suspended);
        let mut details = BTreeSet::new();
        for run in &self.runs {
            let replica = run.launch.replica;
            if run.lives() {
                let pid = run.members.first().map(|seen| seen.pid).unwrap_or_default();
                details.insert(format!("replica {replica} runs, pid {pid}"));
            } else if let Some(exit) = &run.exit
                && !suspended
                && self.of_replica(replica).all(|run| !run.lives())
            {
                details.insert(format!("replica {replica} {}", exit.words()));
            }
        }
        if !self.strays.is_empty() {
            details.insert("of some processes it is not recorded how they were started".to_owned());
        }
        if self.record.as_ref().is_some_and(|record| !record.settled) {
            details.insert("the last step did not come to its end".to_owned());
        }
        Status {
            ready: count == wanted && wanted > 0 && !suspended,
            summary: match suspended {
                true => "stopped".to_owned(),
                false if wanted == 0 && count == 0 => "stopped: it has no replicas".to_owned(),
                false => format!("{count} of {wanted} running"),
            },
            details,
        }
    }
}

/// Puts what one replica really runs with over what the record says, where they differ: a replica
/// that is as recorded hides no other one that is not.
fn overlay(fields: &mut Fields, recorded: &Fields, run: &Run) {
    let replica = run.launch.replica;
    let wanted = spec::launched(recorded, replica);
    for (key, value) in &run.launch.launched {
        if wanted.get(key) == Some(value) {
            continue;
        }
        match (key.as_str(), fields.get_mut("listen")) {
            ("listen", Some(Value::Map(listen))) => {
                for (name, port) in value.as_map().into_iter().flatten() {
                    if let Some(Value::Map(ports)) = listen.get_mut(name) {
                        ports.insert(replica.to_string(), port.clone());
                    }
                }
            }
            _ => {
                fields.insert(key.clone(), value.clone());
            }
        }
    }
    for (path, content) in &run.moved {
        if let Some(Value::Map(files)) = fields.get_mut("files") {
            match content {
                Some(content) => files.insert(path.clone(), Value::Text(content.clone())),
                None => files.remove(path),
            };
        }
    }
}

/// The files of a start that are not as they were written, as they are.
fn moved_files(
    folder: &Path,
    launch: &Launch,
) -> Result<BTreeMap<String, Option<String>>, Failure> {
    let declared = launch.launched.get("files").and_then(Value::as_map);
    let mut moved = BTreeMap::new();
    for (path, content) in declared.into_iter().flatten() {
        let file = file_below(&folder.join(FILES), path);
        let live = match fs::read(&file) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            // It is gone, or something else stands in its place.
            Err(error) if is_no_file(&error) => None,
            Err(error) => return Err(unread(&file, &error)),
        };
        if live.as_deref() != content.as_text() {
            moved.insert(path.clone(), live);
        }
    }
    Ok(moved)
}

fn is_no_file(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | IsADirectory | NotADirectory)
}

/// The processes that carry the service's mark, or one it had, and that no start explains, and
/// their keepers.
fn strays(
    layout: &Layout,
    identity: &str,
    record: Option<&Service>,
    runs: &[Run],
    scan: &Scan,
) -> Result<Vec<Seen>, Failure> {
    let (environment, address) = split(identity)?;
    let folder = layout.run.to_string_lossy();
    let explained: BTreeSet<(&Token, u32)> =
        runs.iter().map(|run| (&run.launch.token, run.launch.replica)).collect();
    let ours = |carried: &Carried| {
        let here = carried.folder == folder
            && carried.mark.owner.environment == environment
            && carried.mark.address.to_string() == address;
        let marked = record.is_some_and(|record| {
            record.mark.as_ref() == Some(&carried.mark) || record.formerly.contains(&carried.mark)
        });
        (here || (marked && carried.belongs(&layout.run)))
            && !explained.contains(&(&carried.token, carried.replica))
    };
    let stray = |seen: &&Seen| seen.carried.as_ref().is_some_and(ours);
    Ok(scan.processes.values().filter(stray).cloned().collect())
}

/// All services of an environment that have a folder here.
pub(crate) fn identities(layout: &Layout, environment: &str) -> Result<Vec<String>, Failure> {
    let names = names(&layout.run.join(environment))?;
    // Other providers keep theirs beside.
    let services = names.iter().filter(|name| name.starts_with("service."));
    Ok(services.map(|name| identity(environment, name)).collect())
}
