//! What the operations of a list are made of beyond its fields.

use hive_contract::{Address, Fields, Invalid, Lowered, Value};
use hive_sql::foreign::Tool;
use hive_sql::history::Order;
use hive_sql::{Dialect, FileText, Migration, Migrations};

/// The declared list and how it is applied.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    pub(crate) migrations: Migrations,
    /// Users are stopped around the list.
    pub(crate) stopped: bool,
    pub(crate) order: Order,
    /// How long one statement may wait for a lock, in milliseconds.
    pub(crate) lock_timeout: i64,
    /// How often the whole is tried again where a lock was not given.
    pub(crate) retries: u32,
    /// Whether a way back runs down files.
    pub(crate) down: bool,
    /// The backup of the same database.
    pub(crate) backup: Option<Address>,
}

impl Material {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub(crate) fn read(material: &Fields) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let texts = FileText::checked_list(material.get("files"), &mut wrong);
        let word = |key: &str| material.get(key).and_then(Value::as_text);
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
        let backup = word("backup").map(str::parse::<Address>).transpose().unwrap_or_else(|_| {
            wrong.push(Invalid::at("backup", "the backup is no address"));
            None
        });
        let number = |key: &str, usual| material.get(key).and_then(Value::as_int).unwrap_or(usual);
        let migrations = match Migrations::read(Dialect::Sqlite, &texts) {
            Ok(migrations) if wrong.is_empty() => migrations,
            Ok(_) => return Err(wrong),
            Err(faults) => {
                wrong.extend(faults.into_iter().map(|fault| Invalid {
                    help: fault.help.clone(),
                    ..Invalid::at("files", fault.to_string())
                }));
                return Err(wrong);
            }
        };
        baseline(material.get("baseline"), &migrations)?;
        Ok(Self {
            migrations,
            stopped,
            order: if any { Order::Any } else { Order::Linear },
            lock_timeout: number("lock_timeout", 3_000),
            retries: u32::try_from(number("retries", 5)).unwrap_or(0),
            down,
            backup,
        })
    }

    /// Of a lowered resource. What `lower` let pass is read again the same way.
    pub(crate) fn of(lowered: &Lowered) -> Option<Self> {
        Self::read(&lowered.material).ok()
    }
}

/// A tool that hive knows, and a version that a file has.
fn baseline(declared: Option<&Value>, migrations: &Migrations) -> Result<(), Vec<Invalid>> {
    let Some(declared) = declared.and_then(Value::as_map) else { return Ok(()) };
    let text = |key: &str| declared.get(key).and_then(Value::as_text);
    let known = |tool: &str| tool == NONE || Tool::parse(tool).is_some();
    let tool = text("tool").unwrap_or_default();
    if !known(tool) {
        let names: Vec<&str> = Tool::ALL.iter().map(|it| it.as_str()).collect();
        let what = format!("hive knows no history of `{tool}`");
        let help = format!("it knows {} and {NONE}", names.join(", "));
        return Err(vec![Invalid::at("baseline.tool", what).help(help)]);
    }
    let Some(version) = text("version") else {
        let what = "a baseline without a tool's history needs a `version`";
        let needs = tool == NONE;
        return if needs { Err(vec![Invalid::at("baseline", what)]) } else { Ok(()) };
    };
    match hive_sql::foreign::declared(migrations, version) {
        Ok(_) => Ok(()),
        Err(refused) => {
            let invalid = Invalid::at("baseline.version", refused.to_string());
            Err(vec![invalid.help(refused.help())])
        }
    }
}

/// A baseline that no tool's history says.
pub(crate) const NONE: &str = "none";

/// The migration of a payload, read again from its files.
///
/// # Errors
/// It holds none.
pub(crate) fn migration_of(payload: &Fields) -> Result<Migration, hive_contract::Failure> {
    let mut wrong = Vec::new();
    let texts = FileText::checked_list(payload.get(super::FILES), &mut wrong);
    let read = Migrations::read(Dialect::Sqlite, &texts);
    match read.as_ref().map(|it| it.list()) {
        Ok([one]) if wrong.is_empty() => Ok(one.clone()),
        _ => Err(hive_contract::Failure::new(
            hive_contract::FailureKind::Invalid,
            "the operation does not hold the files of one migration",
        )),
    }
}
