//! The five verbs of this platform, and what all of them begin with.

use crate::Process;
use crate::claims::Claim;
use crate::ending::{Which, end};
use crate::private::{create, folder, read_json, unwritten, write_durably};
use crate::record::{FORMAT, SERVICE as FILE, Service};
use crate::roll::roll;
use crate::spec::Stop;
use crate::steps::{MARK, MARKED, verb};
use crate::view::View;
use hive_contract::value::Fields;
use hive_contract::{
    Context, Event, Expects, Failure, FailureKind, Mark, Outcome, Perform, Remains, StackMark,
    Value,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One effect.
///
/// # Errors
/// It did not come to its end; with what it left.
pub(crate) async fn perform(
    process: &Process,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    match request.operation.verb.as_str() {
        verb::LAUNCH | verb::ROLL => roll(process, request, context).await,
        verb::STOP => stop(process, request, context).await,
        verb::SUSPEND => suspend(process, request, context).await,
        verb::MARK => mark(process, request, context),
        other => Err(Failure::new(
            FailureKind::Invalid,
            format!("the process platform does not know how to `{other}`"),
        )),
    }
}

/// The service before the effect. What this same step has begun is completed whatever it looks
/// like; else it must look as the plan expects.
///
/// # Errors
/// It is somebody else's, or moved, or cannot be read; or the step was given up.
pub(crate) fn look(process: &Process, request: &Perform) -> Result<View, Failure> {
    let view = process.view(&request.identity)?;
    let begun = match process.claims().held(&request.token)? {
        Some(Claim::Void) => return Err(given_up()),
        Some(_) => true,
        None => false,
    };
    // The record alone outlives the machine's failure.
    let recorded = view.record.as_ref().is_some_and(|it| it.token == request.token);
    let gone = request.operation.verb == verb::STOP && view.live().is_none();
    if recorded || (begun && gone) {
        return Ok(view);
    }
    check_owner(&view, request)?;
    check_expected(&view, request)?;
    Ok(view)
}

/// Whether the step came to its end already: then it is not done twice.
pub(crate) fn is_done(view: &View, request: &Perform) -> bool {
    view.record.as_ref().is_some_and(|it| it.token == request.token && it.settled)
}

fn given_up() -> Failure {
    Failure::new(FailureKind::Expired, "this step was given up: its token is void")
}

fn check_owner(view: &View, request: &Perform) -> Result<(), Failure> {
    if view.live().is_none() || request.operation.verb == verb::MARK {
        return Ok(());
    }
    let taken =
        |words: String| Failure::new(FailureKind::Taken, format!("`{}` {words}", request.identity));
    match view.mark() {
        Some(mark) if mark == request.mark => Ok(()),
        Some(mark) => Err(taken(format!("belongs to somebody else: it is {mark}"))),
        None => Err(taken("is nobody's: hive has let go of it".to_owned())),
    }
}

/// A replica that died since is no reason to refuse: ending and starting replicas is what every
/// effect here does, and the plan's own preflight has compared the count.
fn check_expected(view: &View, request: &Perform) -> Result<(), Failure> {
    let live = view.live();
    let fields = live.as_ref().map(|live| &live.fields);
    let compared = request.check_expected(fields);
    let (Err(_), Expects::Content, Some(fields)) = (&compared, request.operation.expects, fields)
    else {
        return compared;
    };
    let count = |fields: &Fields| fields.get("replicas").and_then(Value::as_int).unwrap_or(0);
    let wanted = view.record.as_ref().map_or(0, |record| count(&record.fields));
    let as_before = (count(fields) + 1..=wanted).any(|replicas| {
        let mut before = fields.clone();
        before.insert("replicas".to_owned(), Value::Int(replicas));
        request.check_expected(Some(&before)).is_ok()
    });
    if as_before { Ok(()) } else { compared }
}

/// Makes the run folder with what keeps it out of version control.
///
/// # Errors
/// It cannot be written.
pub(crate) fn ground(process: &Process, context: &Context<'_>) -> Result<(), Failure> {
    context.guard.may_write()?;
    let run = &process.layout.run;
    let ignore = run.join(".gitignore");
    let made = folder(&process.layout.claims()).and_then(|()| match ignore.exists() {
        true => Ok(()),
        false => create(&ignore, b"*\n").map(drop),
    });
    made.map_err(|error| unwritten(run, &error))
}

/// Claims the step's token. From here on there are effects.
///
/// # Errors
/// The step was given up meanwhile, or may not write.
pub(crate) fn begin(
    process: &Process,
    request: &Perform,
    context: &Context<'_>,
) -> Result<(), Failure> {
    context.guard.may_write()?;
    match process.claims().begin(&request.token)? {
        Claim::Begun => Ok(()),
        Claim::Void | Claim::Keeper(_) => Err(given_up()),
    }
}

/// Writes a service's record.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_record(
    process: &Process,
    request: &Perform,
    context: &Context<'_>,
    record: &Service,
) -> Result<(), Failure> {
    context.guard.may_write()?;
    let service = process.layout.service(&request.identity)?;
    let path = service.join(FILE);
    folder(&service)
        .and_then(|()| write_durably(&path, &serde_json::to_vec_pretty(record)?))
        .map_err(|error| unwritten(&path, &error))
}

/// What a service is now, as the end of a step.
///
/// # Errors
/// It cannot be read.
pub(crate) fn outcome(process: &Process, request: &Perform) -> Result<Outcome, Failure> {
    Ok(Outcome { live: process.view(&request.identity)?.live(), kept: String::new() })
}

/// A failure after the first effect, with what is left.
pub(crate) fn left(process: &Process, request: &Perform, failure: Failure) -> Failure {
    let remains = match outcome(process, request) {
        Ok(outcome) => Remains::Left(Box::new(outcome)),
        Err(_) => Remains::Unsure,
    };
    failure.remains(remains)
}

/// How the running replicas are to be ended, as recorded.
pub(crate) fn stop_of(view: &View) -> Stop {
    let recorded = view.record.as_ref().map(|record| Stop::read(&record.fields));
    recorded.and_then(Result::ok).unwrap_or_default()
}

/// Ends everything and takes it away, the record last.
async fn stop(
    process: &Process,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    let view = look(process, request)?;
    if view.live().is_none() && !view.folder.exists() {
        remove_aside(&aside(&view.folder, request), context)?;
        return Ok(Outcome::nothing());
    }
    ground(process, context)?;
    begin(process, request, context)?;
    let stopped = async {
        if let Some(record) = &view.record {
            let record = Service { token: request.token.clone(), settled: false, ..record.clone() };
            write_record(process, request, context, &record)?;
        }
        end(process, &request.identity, &Which::ALL, stop_of(&view), context).await?;
        remove(&view, request, context)
    };
    stopped.await.map_err(|failure| left(process, request, failure))?;
    context.event(Event::info("everything of it has ended"));
    Ok(Outcome::nothing())
}

/// Takes the service's folder away, unless another step has made it its own meanwhile: this one may
/// have slept for long. It is put aside whole before anything in it goes, so that a step that comes
/// then finds nothing or everything.
fn remove(view: &View, request: &Perform, context: &Context<'_>) -> Result<(), Failure> {
    context.guard.may_write()?;
    let still_ours = |folder: &Path| {
        let record: Option<Service> = read_json(&folder.join(FILE))?;
        let ours =
            record.as_ref().map(|it| &it.token) == view.record.as_ref().map(|_| &request.token);
        if ours { Ok(()) } else { Err(taken_meanwhile(request)) }
    };
    still_ours(&view.folder)?;
    let aside = aside(&view.folder, request);
    match fs::rename(&view.folder, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unwritten(&view.folder, &error)),
    }
    if let Err(failure) = still_ours(&aside) {
        // It came between the look and the move: it gets back what is its.
        fs::rename(&aside, &view.folder).map_err(|error| unwritten(&view.folder, &error))?;
        return Err(failure);
    }
    remove_aside(&aside, context)
}

/// Where a step puts what it takes away: a name that is no service's and no other step's.
fn aside(folder: &Path, request: &Perform) -> PathBuf {
    folder.with_file_name(format!(".gone.{}", request.token))
}

fn remove_aside(aside: &Path, context: &Context<'_>) -> Result<(), Failure> {
    context.guard.may_write()?;
    match fs::remove_dir_all(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(unwritten(aside, &error));
        }
        _ => {}
    }
    // The environment's folder goes with its last service.
    let _ = fs::remove_dir(aside.parent().unwrap_or(aside));
    Ok(())
}

fn taken_meanwhile(request: &Perform) -> Failure {
    let message = format!("another step has changed `{}` meanwhile", request.identity);
    Failure::new(FailureKind::Moved, message)
}

/// Ends everything and keeps what it was, so that it can be started again.
async fn suspend(
    process: &Process,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    let view = look(process, request)?;
    if is_done(&view, request) {
        return outcome(process, request);
    }
    let record = view.record.clone().ok_or_else(|| unrecorded(request))?;
    ground(process, context)?;
    begin(process, request, context)?;
    let stopped = async {
        let mut record =
            Service { token: request.token.clone(), settled: false, suspended: true, ..record };
        write_record(process, request, context, &record)?;
        end(process, &request.identity, &Which::ALL, stop_of(&view), context).await?;
        record.settled = true;
        write_record(process, request, context, &record)
    };
    stopped.await.map_err(|failure| left(process, request, failure))?;
    outcome(process, request)
}

fn unrecorded(request: &Perform) -> Failure {
    Failure::new(
        FailureKind::Invalid,
        format!("how `{}` was started is not recorded", request.identity),
    )
}

/// Puts a mark on a service, or takes it off. Its processes do not notice.
fn mark(process: &Process, request: &Perform, context: &Context<'_>) -> Result<Outcome, Failure> {
    let view = look(process, request)?;
    if is_done(&view, request) {
        return outcome(process, request);
    }
    let live = view.live().ok_or_else(|| {
        Failure::new(FailureKind::Moved, format!("`{}` is not there", request.identity))
    })?;
    ground(process, context)?;
    begin(process, request, context)?;
    let before = view.mark();
    let payload = &request.operation.payload;
    let wanted = match payload.get(MARK) {
        Some(fields) => Some(mark_in(fields)?),
        None => {
            Some(request.mark.clone()).filter(|_| payload.get(MARKED) == Some(&Value::Bool(true)))
        }
    };
    let mut record = view.record.clone().unwrap_or_else(|| Service {
        format: FORMAT,
        mark: None,
        token: request.token.clone(),
        settled: true,
        suspended: false,
        fields: live.fields.clone(),
        formerly: Vec::new(),
    });
    record.formerly.extend(before.filter(|before| !record.formerly.contains(before)));
    record.mark = wanted;
    record.token = request.token.clone();
    record.settled = true;
    write_record(process, request, context, &record)?;
    outcome(process, request)
}

/// A mark as it stands in a payload.
fn mark_in(fields: &Value) -> Result<Mark, Failure> {
    let text = |key: &str| fields.as_map()?.get(key)?.as_text().map(str::to_owned);
    let mark = || {
        Some(Mark {
            owner: StackMark {
                store: text("store")?,
                stack: text("stack")?,
                environment: text("environment")?,
            },
            address: text("address")?.parse().ok()?,
        })
    };
    mark().ok_or_else(|| {
        Failure::new(FailureKind::Invalid, "the plan's `mark` is not what it must be")
    })
}
