//! Reading many configs at once.

use crate::Base;
use crate::read::{read_file, read_spot};
use crate::sidecar::Sidecar;
use crate::spot::Spot;
use hive_contract::{Ask, Failure, Live, Observation, Observed, StackMark};
use hive_objects::failure;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// One open of each environment's two folders, then one file and one sidecar for each config.
pub(crate) fn observe(base: &Base, ask: &Ask) -> Result<Observation, Failure> {
    let mut folders = Folders { base, open: BTreeMap::new() };
    let mut observation = Observation::default();
    for one in &ask.parts {
        let seen = Spot::parse(&one.identity).and_then(|spot| folders.look(&spot));
        observation.found.insert(one.target.clone(), seen);
    }
    if let Some(mark) = &ask.marked {
        observation.marked = marked(base, mark)?;
    }
    Ok(observation)
}

/// The folders of files and of sidecars, opened once for each environment.
struct Folders<'a> {
    base: &'a Base,
    open: BTreeMap<String, Option<(OwnedFd, OwnedFd)>>,
}

impl Folders<'_> {
    fn look(&mut self, spot: &Spot) -> Result<Observed, Failure> {
        if spot.path.is_some() {
            return read_spot(self.base, spot);
        }
        let base = self.base;
        let Some((configs, marks)) = self.of(&spot.environment)? else {
            return Ok(Observed::Absent);
        };
        let Some(raw) = read_file(configs, Path::new(&spot.name), &spot.relative(base))? else {
            return Ok(Observed::Absent);
        };
        let sidecar = Sidecar::read(marks, Path::new(&format!("{}.json", spot.name)))?;
        Ok(Observed::Present(raw.live(base, spot, sidecar)))
    }

    fn of(&mut self, environment: &str) -> Result<Option<&(OwnedFd, OwnedFd)>, Failure> {
        if !self.open.contains_key(environment) {
            let configs = open_folder(&self.base.configs(environment))?;
            let both = match configs {
                None => None,
                // Files without the sidecars' folder are nobody's: the folder itself stands in.
                Some(configs) => match open_folder(&self.base.marks(environment))? {
                    Some(marks) => Some((configs, marks)),
                    None => open_folder(&self.base.configs(environment))?.map(|it| (configs, it)),
                },
            };
            self.open.insert(environment.to_owned(), both);
        }
        Ok(self.open.get(environment).and_then(Option::as_ref))
    }
}

fn open_folder(path: &Path) -> Result<Option<OwnedFd>, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(open) => Ok(Some(open)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(failure("read", &path.display().to_string(), &errno.into())),
    }
}

/// Everything that carries a stack's mark, whatever its store.
fn marked(base: &Base, mark: &StackMark) -> Result<Vec<Live>, Failure> {
    let mut found = Vec::new();
    for folder in [base.marks(&mark.environment), base.claimed_paths()] {
        for path in sidecars(&folder)? {
            let Some(sidecar) = Sidecar::read(rustix::fs::CWD, &path)? else { continue };
            let owner = &sidecar.mark.owner;
            if (&owner.stack, &owner.environment) != (&mark.stack, &mark.environment) {
                continue;
            }
            let spot = Spot::parse(&sidecar.identity)?;
            // A sidecar whose file is gone marks nothing.
            if let Observed::Present(live) = read_spot(base, &spot)? {
                found.push(live);
            }
        }
    }
    found.sort_by(|a, b| a.identity.cmp(&b.identity));
    Ok(found)
}

fn sidecars(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let shown = folder.display().to_string();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failure("read", &shown, &error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failure("read", &shown, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    Ok(paths)
}
