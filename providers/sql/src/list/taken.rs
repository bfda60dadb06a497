//! What another tool has applied, as far as a live list that is nobody's tells it: which files count
//! as applied, and the step that takes them over.

use super::making::ROWS;
use super::{Compared, Material, begin_title, counted, row_value};
use crate::Migration;
use crate::foreign::{Baseline, Refused, Row, Tool, declared, rows_of};
use crate::history::Mismatch;
use hive_contract::{Expects, Fields, Invalid, Live, Operation, Value};

/// The unmanaged field, and the payload, of another tool's history.
pub const FOREIGN: &str = "foreign";
/// How many files are named one by one where more are taken over.
const NAMED: usize = 40;

/// Another tool's history, where a live list shows one.
pub fn foreign_of(live: &Live) -> Option<Vec<Row>> {
    rows_of(live.fields.get(FOREIGN)?)
}

/// The files that something else has applied, by what the database says; none where nothing is
/// taken over.
pub fn taken_over(material: &Material, live: Option<&Live>) -> Option<Result<Baseline, Refused>> {
    let foreign = foreign_of(live?)?;
    let said = material.baseline.as_ref()?;
    let version = said.version.as_deref();
    Some(match said.tool {
        Some(tool) => tool.baseline(&material.migrations, &foreign, version),
        // The schema as it is, and no file.
        None => version.map_or(Ok(Baseline::default()), |it| declared(&material.migrations, it)),
    })
}

/// What keeps a history from being taken over.
pub fn not_taken(refused: &Refused) -> Invalid {
    Invalid::at("baseline", refused.to_string()).help(refused.help())
}

/// A tool's history that is not there.
pub fn no_history(tool: Tool) -> Invalid {
    let what = format!("there is no history of {tool} here: no table `{}` is found", tool.table());
    Invalid::at("baseline.tool", what).help(
        "name the tool that has migrated this database, say `none` with the version that is \
         applied, or take `baseline` out where nothing is applied yet",
    )
}

impl Compared {
    /// Compares what is left behind the files that something else has applied.
    ///
    /// # Errors
    /// Everything that does not go together.
    pub fn behind(
        material: Material,
        rows: Vec<crate::history::Applied>,
        live: Option<&Live>,
    ) -> Result<Self, Vec<Mismatch>> {
        let taken = taken_over(&material, live).and_then(Result::ok).unwrap_or_default();
        let mut compared = Self::new(material, rows)?;
        compared.pending.files.retain(|at| !taken.files.contains(at));
        Ok(compared)
    }
}

/// The step that takes another tool's history over, not yet with its way back. `payload` is what
/// every payload of the list holds.
pub fn take_over(
    verb: &str,
    address: &impl std::fmt::Display,
    material: &Material,
    live: &Live,
    mut payload: Fields,
) -> Option<Operation> {
    let taken = taken_over(material, Some(live))?.ok()?;
    let list = material.migrations.list();
    let covered: Vec<&Migration> = taken.files.iter().filter_map(|at| list.get(*at)).collect();
    let tool = material.baseline.as_ref()?.tool;
    payload.extend([
        (ROWS.to_owned(), Value::List(covered.iter().map(|it| row_value(it)).collect())),
        (FOREIGN.to_owned(), live.fields.get(FOREIGN)?.clone()),
    ]);
    let upto = covered.last().map(|it| it.name.as_str());
    let title = begin_title(address, material.baseline.as_ref(), upto);
    let mut step = Operation::new(verb, title, Expects::Content, payload);
    step.notes = vec![counted(covered.len())];
    step.notes.extend(said(tool, &taken, live));
    let says = |(at, it): (usize, &&Migration)| match (tool, taken.said.get(at)) {
        (Some(tool), Some(version)) => format!("{}: {tool} says {version}", it.name),
        _ => format!("{}: as declared", it.name),
    };
    step.notes.extend(covered.iter().enumerate().take(NAMED).map(says));
    if covered.len() > NAMED {
        step.notes.push(format!("and all up to {}", upto.unwrap_or_default()));
    }
    Some(step)
}

/// What the history holds, where no file stands for it.
fn said(tool: Option<Tool>, taken: &Baseline, live: &Live) -> Option<String> {
    let tool = tool.filter(|_| taken.files.is_empty())?;
    let rows = foreign_of(live)?.len();
    Some(format!("the history of {tool} has {}", crate::words::count(rows as u64, "row")))
}
