//! What the operations of a list are made of beyond its fields.

use crate::foreign::{Baseline, Tool, declared};
use crate::history::Order;
use crate::{Dialect, FileText, Migration, Migrations};
use hive_contract::{Address, Failure, FailureKind, Fields, Invalid, Lowered, Value};

/// A baseline that no tool's history says.
pub const NONE: &str = "none";

/// The declared list and how it is applied.
#[derive(Clone, Debug)]
pub struct Material {
    /// Its files.
    pub migrations: Migrations,
    /// Users are stopped around the list.
    pub stopped: bool,
    /// Whether a file may come in between those that are applied.
    pub order: Order,
    /// How long one statement may wait for a lock, in milliseconds.
    pub lock_timeout: i64,
    /// How often the whole is tried again where a lock was not given.
    pub retries: u32,
    /// Whether a way back runs down files.
    pub down: bool,
    /// What was applied before hive came.
    pub baseline: Option<DeclaredBaseline>,
    /// The backup of the same database.
    pub backup: Option<Address>,
}

/// A declared baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredBaseline {
    /// Whose history tells it; none for [`NONE`].
    pub tool: Option<Tool>,
    /// All files up to this one count as applied.
    pub version: Option<String>,
}

impl Material {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn read(dialect: Dialect, material: &Fields) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let files = FileText::checked_list(material.get("files"), &mut wrong);
        let word = |key: &str| material.get(key).and_then(Value::as_text);
        let number = |key: &str, usual| material.get(key).and_then(Value::as_int).unwrap_or(usual);
        let mut second = |key: &str, words: [&str; 2]| match word(key) {
            None => false,
            Some(said) if words.contains(&said) => said == words[1],
            Some(said) => {
                let what = format!("`{said}` is neither `{}` nor `{}`", words[0], words[1]);
                wrong.push(Invalid::at(key, what));
                false
            }
        };
        let stopped = second("during", ["running", "stopped"]);
        let any = second("order", ["linear", "any"]);
        let down = second("undo", ["stay", "down"]);
        let baseline = material.get("baseline").and_then(|it| baseline(it, &mut wrong));
        let backup = word("backup").map(str::parse::<Address>).transpose().unwrap_or_else(|_| {
            wrong.push(Invalid::at("backup", "the backup is no address"));
            None
        });
        let migrations = match Migrations::read(dialect, &files) {
            Ok(migrations) => migrations,
            Err(faults) => {
                wrong.extend(faults.iter().map(crate::Fault::invalid));
                return Err(wrong);
            }
        };
        if let Some(DeclaredBaseline { version: Some(version), .. }) = &baseline
            && let Err(refused) = declared(&migrations, version)
        {
            let invalid = Invalid::at("baseline.version", refused.to_string());
            wrong.push(invalid.help(refused.help()));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            migrations,
            stopped,
            order: if any { Order::Any } else { Order::Linear },
            lock_timeout: number("lock_timeout", 3_000),
            retries: u32::try_from(number("retries", 5)).unwrap_or(0),
            down,
            baseline,
            backup,
        })
    }

    /// Of a lowered resource. What `lower` let pass is read again the same way.
    pub fn of(dialect: Dialect, lowered: &Lowered) -> Option<Self> {
        Self::read(dialect, &lowered.material).ok()
    }

    /// The files that a baseline without another tool's history takes over.
    pub fn declared_baseline(&self) -> Option<Baseline> {
        let version = self.baseline.as_ref()?.version.as_deref()?;
        declared(&self.migrations, version).ok()
    }
}

fn baseline(value: &Value, wrong: &mut Vec<Invalid>) -> Option<DeclaredBaseline> {
    let fields = value.as_map()?;
    let text = |key: &str| fields.get(key).and_then(Value::as_text);
    let tool = match text("tool") {
        Some(NONE) => None,
        Some(name) => match Tool::parse(name) {
            Some(tool) => Some(tool),
            None => {
                let known: Vec<&str> = Tool::ALL.iter().map(|it| it.as_str()).collect();
                let what = format!("hive knows no history of `{name}`");
                let help = format!("it knows {} and {NONE}", known.join(", "));
                wrong.push(Invalid::at("baseline.tool", what).help(help));
                return None;
            }
        },
        None => {
            let what = format!("a baseline names a tool, or `{NONE}`");
            wrong.push(Invalid::at("baseline.tool", what));
            return None;
        }
    };
    Some(DeclaredBaseline { tool, version: text("version").map(str::to_owned) })
}

/// The migration of an operation's payload, read again from its files.
///
/// # Errors
/// It holds none, or more than one.
pub fn migration_of(dialect: Dialect, files: Option<&Value>) -> Result<Migration, Failure> {
    let mut wrong = Vec::new();
    let files = FileText::checked_list(files, &mut wrong);
    let read = Migrations::read(dialect, &files);
    match read.as_ref().map(|it| it.list()) {
        Ok([one]) if wrong.is_empty() => Ok(one.clone()),
        _ => {
            let what = "the operation does not hold the files of one migration";
            Err(Failure::new(FailureKind::Invalid, what))
        }
    }
}
