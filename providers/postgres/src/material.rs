//! What the operations of migrations are made of beyond their fields.

use hive_contract::{Address, Fields, Invalid, Lowered, Value};
use hive_sql::foreign::{Baseline, Tool};
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
    pub(crate) retries: i64,
    /// Whether a way back runs down files.
    pub(crate) down: bool,
    pub(crate) baseline: Option<Declared>,
    /// The backup of the same database.
    pub(crate) backup: Option<Address>,
}

/// A declared baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// None for `tool = "none"`.
    pub(crate) tool: Option<Tool>,
    /// All files up to this one count as applied.
    pub(crate) version: Option<String>,
}

impl Material {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub(crate) fn read(material: &Fields) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let files = FileText::checked_list(material.get("files"), &mut wrong);
        let migrations = Migrations::read(Dialect::Postgres, &files);
        let word = |key: &str| material.get(key).and_then(Value::as_text);
        let number = |key: &str, usual| material.get(key).and_then(Value::as_int).unwrap_or(usual);
        let mut one_of = |key: &str, words: [&str; 2]| match word(key) {
            None => false,
            Some(said) if said == words[0] => false,
            Some(said) if said == words[1] => true,
            Some(said) => {
                let what = format!("`{said}` is neither `{}` nor `{}`", words[0], words[1]);
                wrong.push(Invalid::at(key, what));
                false
            }
        };
        let stopped = one_of("during", ["running", "stopped"]);
        let any = one_of("order", ["linear", "any"]);
        let down = one_of("undo", ["stay", "down"]);
        let baseline = material.get("baseline").and_then(|it| declared(it, &mut wrong));
        let backup = word("backup").and_then(|it| match it.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                wrong.push(Invalid::at("backup", format!("`{it}` is no address")));
                None
            }
        });
        let migrations = match migrations {
            Ok(migrations) => migrations,
            Err(faults) => {
                wrong.extend(faults.iter().map(crate::lower::fault));
                return Err(wrong);
            }
        };
        if let Some(Declared { version: Some(version), .. }) = &baseline
            && let Err(refused) = hive_sql::foreign::declared(&migrations, version)
        {
            let help = refused.help();
            wrong.push(Invalid::at("baseline.version", refused.to_string()).help(help));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            migrations,
            stopped,
            order: if any { Order::Any } else { Order::Linear },
            lock_timeout: number("lock_timeout", 3_000),
            retries: number("retries", 5),
            down,
            baseline,
            backup,
        })
    }

    /// Of a lowered resource. What `lower` let pass is read again the same way.
    pub(crate) fn of(lowered: &Lowered) -> Option<Self> {
        Self::read(&lowered.material).ok()
    }

    /// The files that a baseline without another tool's history takes over.
    pub(crate) fn declared_baseline(&self) -> Option<Baseline> {
        let version = self.baseline.as_ref()?.version.as_deref()?;
        hive_sql::foreign::declared(&self.migrations, version).ok()
    }
}

fn declared(value: &Value, wrong: &mut Vec<Invalid>) -> Option<Declared> {
    let fields = value.as_map()?;
    let text = |key: &str| fields.get(key).and_then(Value::as_text);
    let tool = match text("tool") {
        Some("none") => None,
        Some(name) => match Tool::parse(name) {
            Some(tool) => Some(tool),
            None => {
                let known: Vec<&str> = Tool::ALL.iter().map(|it| it.as_str()).collect();
                let what = format!("hive knows no history of `{name}`");
                let help = format!("it knows {} and none", known.join(", "));
                wrong.push(Invalid::at("baseline.tool", what).help(help));
                return None;
            }
        },
        None => {
            wrong.push(Invalid::at("baseline.tool", "a baseline names a tool, or `none`"));
            return None;
        }
    };
    Some(Declared { tool, version: text("version").map(str::to_owned) })
}

/// The migration of an operation's payload, read again from its files.
pub(crate) fn migration_of(files_value: Option<&Value>) -> Result<Migration, String> {
    let mut wrong = Vec::new();
    let files = FileText::checked_list(files_value, &mut wrong);
    let read = Migrations::read(Dialect::Postgres, &files)
        .map_err(|faults| faults.first().map_or("no file".to_owned(), ToString::to_string))?;
    match read.list() {
        [one] if wrong.is_empty() => Ok(one.clone()),
        _ => Err("the operation does not hold one migration".to_owned()),
    }
}
