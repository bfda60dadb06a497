//! Making the replicas of a service what they should be, one at a time.

use crate::Process;
use crate::ending::{Which, end};
use crate::listeners;
use crate::perform::{begin, ground, is_done, left, look, outcome, stop_of, write_record};
use crate::private::unwritten;
use crate::programs::{Runnable, ready};
use crate::record::{FORMAT, Service};
use crate::scan::{self, Scan, Seen};
use crate::spec::{Spec, Stop};
use crate::start::{Starter, declared_environment};
use crate::steps::{RESTART, SERVICE, VERIFY};
use crate::view::{Run, View};
use hive_contract::{Context, Event, Failure, FailureKind, Outcome, Perform, Value};
use secrecy::ExposeSecret;
use std::fs;
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// Starts what is not there, ends what should not be, and exchanges what differs. With ports a
/// replica is ended before its successor starts, because both need the same; without, its
/// successor is healthy before it is ended.
///
/// # Errors
/// A replica cannot be started or does not get healthy; with what is left.
pub(crate) async fn roll(
    process: &Process,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    let deadline = Instant::now() + Duration::from_millis(request.operation.deadline_ms);
    let payload = &request.operation.payload;
    let fields = payload.get(SERVICE).and_then(Value::as_map).ok_or_else(|| {
        Failure::new(FailureKind::Invalid, "the plan does not say what the service is to be")
    })?;
    let spec = Spec::read(fields)?;
    let declared = declared_environment(&spec, context)?;
    let view = look(process, request)?;
    if is_done(&view, request) {
        return outcome(process, request);
    }
    check_directory(process, &spec)?;
    ground(process, context)?;
    let runnable = prepare(process, &spec).await?;
    let starter =
        Starter { process, request, context, spec: &spec, runnable: &runnable, declared, deadline };
    let roll = Roll {
        restart: payload.get(RESTART) == Some(&Value::Bool(true)),
        stop: stop_of(&view),
        rechecked: payload.get(VERIFY) == Some(&Value::Bool(true))
            || view
                .record
                .as_ref()
                .is_some_and(|it| it.fields.get("health") != fields.get("health")),
        starter,
    };
    roll.check_ports(&view)?;
    roll.go_on(0)?;
    begin(process, request, context)?;
    let mut record = Service {
        format: FORMAT,
        mark: Some(request.mark.clone()),
        token: request.token.clone(),
        settled: false,
        suspended: false,
        fields: fields.clone(),
        formerly: view.record.map(|record| record.formerly).unwrap_or_default(),
    };
    let rolled = async {
        write_record(process, request, context, &record)?;
        roll.all().await?;
        record.settled = true;
        write_record(process, request, context, &record)
    };
    rolled.await.map_err(|failure| left(process, request, failure))?;
    outcome(process, request)
}

fn check_directory(process: &Process, spec: &Spec) -> Result<(), Failure> {
    let directory = process.layout.stack.join(&spec.directory);
    if directory.is_dir() {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Invalid,
        format!("`process.directory` `{}` is not a folder", spec.directory),
    ))
}

/// Hashing and copying a large program takes its time: not on the runtime's thread.
async fn prepare(process: &Process, spec: &Spec) -> Result<Runnable, Failure> {
    let (layout, spec, path) = (process.layout.clone(), spec.clone(), process.path.clone());
    let prepared = tokio::task::spawn_blocking(move || ready(&layout, &spec, path.as_deref()));
    prepared.await.map_err(|error| {
        Failure::new(FailureKind::Unavailable, format!("the program was not prepared: {error}"))
    })?
}

struct Roll<'a> {
    starter: Starter<'a>,
    /// Whether what this step has not started itself is started anew.
    restart: bool,
    /// How what runs is ended.
    stop: Stop,
    /// Whether replicas that stay are asked how they are: their health is declared anew, or nobody
    /// has seen them work.
    rechecked: bool,
}

impl Roll<'_> {
    async fn all(&self) -> Result<(), Failure> {
        let count = self.starter.spec.replicas;
        for replica in 0..count {
            self.go_on(replica)?;
            self.one(replica).await?;
            let healthy = match self.starter.spec.health {
                Some(_) => "is healthy",
                None => "runs",
            };
            let event = Event::info(format!("replica {replica} {healthy}"));
            self.starter.context.event(event.progress(u64::from(replica) + 1, u64::from(count)));
        }
        self.end(&|run| run.launch.replica >= count, &|seen| of(seen).is_none_or(|it| it >= count))
            .await?;
        self.check_all()?;
        self.clean()
    }

    /// Between two replicas is where it can be cut off best.
    fn go_on(&self, replica: u32) -> Result<(), Failure> {
        let address = &self.starter.request.target.address;
        if self.starter.context.cancelled() {
            return Err(Failure::new(
                FailureKind::Cancelled,
                format!("hive was asked to stop before replica {replica} of {address}"),
            ));
        }
        if Instant::now() >= self.starter.deadline {
            return Err(Failure::new(
                FailureKind::TimedOut,
                format!("the step's time was over before replica {replica} of {address}"),
            ));
        }
        Ok(())
    }

    /// Makes one replica what it should be.
    async fn one(&self, replica: u32) -> Result<(), Failure> {
        let view = self.view()?;
        let mine = |run: &Run| run.launch.token == self.starter.request.token;
        if let Some(fresh) = view.of_replica(replica).filter(|run| self.is_fresh(run)).last() {
            self.end_others(replica, fresh).await?;
            return match mine(fresh) || self.rechecked {
                true => self.starter.healthy(fresh).await,
                false => Ok(()),
            };
        }
        // A successor of this step that is there, or was, is not made twice.
        let begun = view.of_replica(replica).any(|run| mine(run) && run.exit.is_some());
        if self.starter.spec.ports(replica).is_empty() {
            let new = self.starter.start(replica).await?;
            if let Err(failure) = self.starter.healthy(&new).await {
                // What it should have taken over from goes on.
                self.end(&|run| run.folder == new.folder, &|_| false).await?;
                return Err(failure);
            }
            return self.end_others(replica, &new).await;
        }
        if !begun {
            self.end(&|run| run.launch.replica == replica, &|seen| of(seen) == Some(replica))
                .await?;
            self.check_replica_ports(replica)?;
        }
        let new = self.starter.start(replica).await?;
        self.starter.healthy(&new).await
    }

    fn view(&self) -> Result<View, Failure> {
        self.starter.process.view(&self.starter.request.identity)
    }

    /// Whether a start is as it should be, so that it is left alone.
    fn is_fresh(&self, run: &Run) -> bool {
        let Starter { spec, request, .. } = &self.starter;
        let replica = run.launch.replica;
        run.lives()
            && run.launch.launched == spec.launched(replica)
            && (!self.restart || run.launch.token == request.token)
            && run.moved.is_empty()
            && self.has_todays_secrets(run)
    }

    /// Whether a process was started with the values that its secrets have now. They are compared
    /// with its own environment, so that they are stored nowhere.
    fn has_todays_secrets(&self, run: &Run) -> bool {
        let secret = |(name, value): (&String, &Value)| value.has_secret().then(|| name.clone());
        let names: Vec<String> = self.starter.spec.environment.iter().filter_map(secret).collect();
        if names.is_empty() {
            return true;
        }
        let first = run.started.as_ref().map(|started| started.process.pid);
        let Some(environment) = first.and_then(scan::environment) else { return true };
        names.iter().all(|name| {
            let wanted = self.starter.declared[name].expose_secret().as_bytes();
            environment.get(name.as_bytes()).is_none_or(|found| found == wanted)
        })
    }

    async fn end_others(&self, replica: u32, kept: &Run) -> Result<(), Failure> {
        let others = |run: &Run| run.launch.replica == replica && run.folder != kept.folder;
        self.end(&others, &|seen| of(seen) == Some(replica)).await
    }

    async fn end(
        &self,
        runs: &(dyn Fn(&Run) -> bool + Send + Sync),
        strays: &(dyn Fn(&Seen) -> bool + Send + Sync),
    ) -> Result<(), Failure> {
        let Starter { process, request, context, .. } = &self.starter;
        end(process, &request.identity, &Which { runs, strays }, self.stop, context).await
    }

    /// Makes sure, before the first effect, that every port is free or the service's own.
    fn check_ports(&self, view: &View) -> Result<(), Failure> {
        (0..self.starter.spec.replicas)
            .filter(|replica| !view.of_replica(*replica).any(|run| self.is_fresh(run)))
            .try_for_each(|replica| self.check_replica_ports(replica))
    }

    fn check_replica_ports(&self, replica: u32) -> Result<(), Failure> {
        for (name, port) in self.starter.spec.ports(replica) {
            if let Some(holder) = self.holder(port)? {
                return Err(Failure::new(
                    FailureKind::Taken,
                    format!(
                        "port {port} (`{name}` of replica {replica} of {}) is taken by {holder}",
                        self.starter.request.target.address
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Who listens on a port and is not of this service; none where it is free.
    fn holder(&self, port: u16) -> Result<Option<String>, Failure> {
        let Starter { process, request, .. } = &self.starter;
        let look = || {
            let scan = Scan::read()?;
            let view = View::load(&process.layout, &request.identity, &scan)?;
            listeners::foreign(port, &view.members(), &scan)
        };
        match listeners::listened(port)? && look()?.is_some() {
            // A process of ours may have begun to listen after the first look.
            true => look(),
            false => Ok(None),
        }
    }

    /// Looks at all replicas once more: one may have died while the others were started.
    fn check_all(&self) -> Result<(), Failure> {
        let view = self.view()?;
        let black = crate::diagnosis::Blackened::new(
            &self.starter.spec.fields,
            self.starter.context.secrets,
        );
        for replica in 0..self.starter.spec.replicas {
            if view.of_replica(replica).any(Run::lives) {
                continue;
            }
            let what = "ended while the others were started";
            return Err(match view.of_replica(replica).last() {
                Some(run) => crate::diagnosis::unhealthy(run, what, &[], &black),
                None => Failure::new(FailureKind::Unhealthy, format!("replica {replica} {what}")),
            });
        }
        Ok(())
    }

    /// Removes the folders of starts that are over. The log of a replica that stays is kept, and that
    /// of the first one also where none stays: it says what happened before.
    fn clean(&self) -> Result<(), Failure> {
        self.starter.context.guard.may_write()?;
        let view = self.view()?;
        let over = |run: &&Run| !run.is_there();
        for run in view.runs.iter().filter(over) {
            let above = run.folder.parent().unwrap_or(&run.folder);
            let path = match run.launch.replica < self.starter.spec.replicas.max(1) {
                true => &run.folder,
                false => above,
            };
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unwritten(path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Which replica a process says it is.
fn of(seen: &Seen) -> Option<u32> {
    seen.carried.as_ref().map(|carried| carried.replica)
}
