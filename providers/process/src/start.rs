//! One start of one replica.

use crate::Process;
use crate::claims::{Claim, claim};
use crate::ending::{Which, end};
use crate::keeper::{Instruction, Report, keep};
use crate::layout::{file_below, log_folder};
use crate::logs::length;
use crate::private::{folder, unwritten, write, write_json};
use crate::programs::Runnable;
use crate::record::{FILES, FORMAT, Launch, RUN};
use crate::scan::lives;
use crate::spec::{Spec, main_port, port_variable};
use crate::view::{Run, View};
use hive_contract::{Context, Failure, FailureKind, Perform, Value};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a keeper may take to say what it did.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that the starts of one step have in common.
pub(crate) struct Starter<'a> {
    pub(crate) process: &'a Process,
    pub(crate) request: &'a Perform,
    pub(crate) context: &'a Context<'a>,
    pub(crate) spec: &'a Spec,
    pub(crate) runnable: &'a Runnable,
    /// The declared variables with their values.
    pub(crate) declared: BTreeMap<String, SecretString>,
    /// When the step has failed for being too slow.
    pub(crate) deadline: Instant,
}

/// The values of the declared variables, secrets resolved.
///
/// # Errors
/// A secret has no value.
pub(crate) fn declared_environment(
    spec: &Spec,
    context: &Context<'_>,
) -> Result<BTreeMap<String, SecretString>, Failure> {
    let value = |(name, value): (&String, &Value)| {
        let text = context.secrets.text(value).map_err(|error| {
            Failure::new(FailureKind::Invalid, format!("the variable `{name}`: {error}"))
        })?;
        Ok((name.clone(), text))
    };
    spec.environment.iter().map(value).collect()
}

impl Starter<'_> {
    /// Starts a replica, unless this step has started it already: then its last start is given,
    /// whatever became of it.
    ///
    /// # Errors
    /// It cannot be started, or the step is not ours any more.
    pub(crate) async fn start(&self, replica: u32) -> Result<Run, Failure> {
        let number = match self.next(replica).await? {
            Next::Started(run) => return Ok(*run),
            Next::Number(number) => number,
        };
        self.context.guard.may_write()?;
        let service = self.process.layout.service(&self.request.identity)?;
        let instruction = self.prepare(&service, replica, number)?;
        self.context.guard.may_write()?;
        match self.keep(replica, instruction).await? {
            Report::Started(_) => {}
            Report::Claimed => {
                return Err(Failure::new(
                    FailureKind::Expired,
                    format!("another hive has settled the start of {}", self.words(replica)),
                ));
            }
            Report::Failed(why) => {
                return Err(Failure::new(
                    FailureKind::Invalid,
                    format!("{} could not be started: {why}", self.words(replica)),
                ));
            }
        }
        let view = self.process.view(&self.request.identity)?;
        let run = self.own(&view, replica).cloned().ok_or_else(|| {
            Failure::new(
                FailureKind::Unavailable,
                format!("{} was started and its folder is gone", self.words(replica)),
            )
        })?;
        if let Err(failure) = self.runnable.check() {
            // Something else runs than what was planned.
            let which = Which { runs: &|other| other.folder == run.folder, strays: &|_| false };
            end(self.process, &self.request.identity, &which, self.spec.stop, self.context).await?;
            return Err(failure);
        }
        Ok(run)
    }

    fn words(&self, replica: u32) -> String {
        format!("replica {replica} of {}", self.request.target.address)
    }

    /// The last start that this step made of a replica.
    fn own<'a>(&self, view: &'a View, replica: u32) -> Option<&'a Run> {
        view.of_replica(replica).filter(|run| run.launch.token == self.request.token).last()
    }

    /// Whether the replica was started, else under which number it is to be. A number is given up
    /// only when nobody can start anything under it any more.
    async fn next(&self, replica: u32) -> Result<Next, Failure> {
        loop {
            let view = self.process.view(&self.request.identity)?;
            let Some(run) = self.own(&view, replica) else { return Ok(Next::Number(0)) };
            if !run.members.is_empty() || run.exit.is_some() {
                return Ok(Next::Started(Box::new(run.clone())));
            }
            let claims = self.process.claims();
            let path = claims.start(&self.request.token, replica, run.number);
            match claim(&path, &Claim::Void)? {
                // It is at it right now.
                Claim::Keeper(keeper) if lives(&keeper)? => sleep(Duration::from_millis(5)).await,
                Claim::Keeper(_) | Claim::Void | Claim::Begun => {
                    return Ok(Next::Number(run.number + 1));
                }
            }
        }
    }

    /// Writes all that a start needs, and says what the keeper is to do.
    fn prepare(&self, service: &Path, replica: u32, number: u32) -> Result<Instruction, Failure> {
        let Perform { token, mark, .. } = self.request;
        let log = log_folder(service, replica);
        let run = service.join(replica.to_string()).join(format!("{token}.{number}"));
        let files = run.join(FILES);
        for path in [&log, &files] {
            folder(path).map_err(|error| unwritten(path, &error))?;
        }
        for (path, content) in &self.spec.files {
            put(&file_below(&files, path), content)?;
        }
        let launch = Launch {
            format: FORMAT,
            mark: mark.clone(),
            token: token.clone(),
            replica,
            launched: self.spec.launched(replica),
            log_from: length(&log),
        };
        let path = run.join(RUN);
        write_json(&path, &launch).map_err(|error| unwritten(&path, &error))?;
        Ok(Instruction {
            program: self.runnable.program.clone(),
            called: self.runnable.called.clone(),
            arguments: self.runnable.arguments.clone(),
            environment: self.environment(replica, &files),
            directory: self.process.layout.stack.join(&self.spec.directory),
            log,
            rotation: self.process.rotation,
            folder: run,
            claim: self.process.claims().start(token, replica, number),
        })
    }

    /// What the machine lends, what is declared, what hive says: the later ones hold.
    fn environment(&self, replica: u32, files: &Path) -> Vec<(String, String)> {
        let mut all = self.variables(replica, files);
        for (name, value) in self.marks(replica) {
            all.insert(name.to_owned(), value);
        }
        all.into_iter().collect()
    }

    /// The environment of a replica without the marks by which its processes are found: what
    /// health commands get, which are no part of the service.
    pub(crate) fn variables(&self, replica: u32, files: &Path) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = self.process.base.iter().cloned().collect();
        let ports = self.spec.ports(replica);
        if let Some(port) = main_port(&ports) {
            all.insert("PORT".to_owned(), ports[port].to_string());
        }
        for (name, value) in &self.declared {
            all.insert(name.clone(), value.expose_secret().to_owned());
        }
        for (name, port) in &ports {
            all.insert(port_variable(name), port.to_string());
        }
        all.insert("HIVE_FILES".to_owned(), files.to_string_lossy().into_owned());
        all
    }

    /// What makes a process findable as this replica.
    fn marks(&self, replica: u32) -> [(&'static str, String); 7] {
        let Perform { mark, token, .. } = self.request;
        [
            ("HIVE_STORE", mark.owner.store.clone()),
            ("HIVE_STACK", mark.owner.stack.clone()),
            ("HIVE_ENVIRONMENT", mark.owner.environment.clone()),
            ("HIVE_ADDRESS", mark.address.to_string()),
            ("HIVE_REPLICA", replica.to_string()),
            ("HIVE_TOKEN", token.to_string()),
            ("HIVE_FOLDER", self.process.layout.run.to_string_lossy().into_owned()),
        ]
    }

    async fn keep(&self, replica: u32, instruction: Instruction) -> Result<Report, Failure> {
        let keeper = self.process.keeper.clone();
        let mut marks = self.marks(replica).to_vec();
        marks.push(("HIVE_KEEPER", "1".to_owned()));
        let title = format!("{}/{replica}", self.request.identity);
        let kept = tokio::task::spawn_blocking(move || keep(&keeper, &marks, &title, &instruction));
        let failed = |why: String| {
            Failure::new(
                FailureKind::Unavailable,
                format!("{} could not be started: {why}", self.words(replica)),
            )
        };
        match tokio::time::timeout(PATIENCE, kept).await {
            Ok(Ok(Ok(report))) => Ok(report),
            Ok(Ok(Err(error))) => Err(failed(error.to_string())),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("its keeper does not answer".to_owned())),
        }
    }
}

/// See [`Starter::next`].
enum Next {
    Started(Box<Run>),
    Number(u32),
}

fn put(path: &Path, content: &str) -> Result<(), Failure> {
    let above = path.parent().unwrap_or(path);
    folder(above)
        .and_then(|()| write(path, content.as_bytes()))
        .map_err(|error| unwritten(path, &error))
}
