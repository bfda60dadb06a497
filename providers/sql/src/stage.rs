//! Whether the version before a migration runs on its outcome.

use crate::act::{self, Act, Rule};
use crate::dialect::Dialect;
use crate::script::Statement;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// When in a rollout a migration belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before the services are updated: the version before runs on its outcome.
    Expand,
    /// After them: the version before does not run on it.
    Contract,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expand => "expand",
            Self::Contract => "contract",
        })
    }
}

/// What speaks for an expand.
pub(crate) const ADDS: &str = "it takes away nothing, and asks nothing more of rows";

/// Decides from the SQL, with the reasons, each a lower-case fragment.
///
/// What takes away or asks more of what was there before is contract; what only adds is expand.
/// What the same file makes first is its own, and may change in it.
pub fn stage(dialect: Dialect, statements: &[Statement]) -> (Stage, Vec<String>) {
    let mut own = Own::default();
    let mut why = Vec::new();
    let mut unread = Vec::new();
    for statement in statements {
        for act in act::acts(dialect, &statement.text) {
            if act == Act::Dynamic {
                unread.push(format!(
                    "the SQL of line {} is made while it runs: declare `-- hive: contract` where \
                     the version before does not run on it",
                    statement.line
                ));
            }
            if let Some(reason) = narrows(&act, &own) {
                why.push(format!("{reason} (line {})", statement.line));
            }
            own.learn(act);
        }
    }
    if !why.is_empty() {
        return (Stage::Contract, why);
    }
    let mut why = vec![ADDS.to_owned()];
    why.append(&mut unread);
    (Stage::Expand, why)
}

/// What a file has made itself so far.
#[derive(Default)]
struct Own {
    tables: BTreeSet<String>,
    columns: BTreeSet<(String, String)>,
    others: BTreeSet<(String, String)>,
}

impl Own {
    fn learn(&mut self, act: Act) {
        match act {
            Act::CreateTable { table, .. } => {
                self.tables.insert(table);
            }
            Act::RenameTable { table, to } if self.tables.contains(&table) => {
                self.tables.insert(to);
            }
            Act::AddColumn(new) => {
                self.columns.insert((new.table, new.column));
            }
            Act::Create { sort, name, replaces: false } => {
                self.others.insert((sort, name));
            }
            _ => {}
        }
    }

    fn table(&self, table: &str) -> bool {
        self.tables.contains(table)
    }

    fn column(&self, table: &str, column: &str) -> bool {
        self.table(table) || self.columns.contains(&(table.to_owned(), column.to_owned()))
    }

    fn columns(&self, table: &str, columns: &[String]) -> bool {
        self.table(table)
            || !columns.is_empty() && columns.iter().all(|column| self.column(table, column))
    }

    fn other(&self, sort: &str, name: &str) -> bool {
        self.others.contains(&(sort.to_owned(), name.to_owned()))
    }
}

/// Why the version before may not run on it.
fn narrows(act: &Act, own: &Own) -> Option<String> {
    match act {
        Act::DropTable { table } if !own.table(table) => Some(format!("drops table {table}")),
        Act::RenameTable { table, .. } if !own.table(table) => {
            Some(format!("renames table {table}"))
        }
        Act::DropColumn { table, column } if !own.column(table, column) => {
            Some(format!("drops column {column} of {table}"))
        }
        Act::RenameColumn { table, column } if !own.column(table, column) => {
            Some(format!("renames column {column} of {table}"))
        }
        Act::ColumnType { table, column, to, .. } if !own.column(table, column) => {
            Some(format!("makes column {column} of {table} {to}"))
        }
        Act::SetNotNull { table, column } if !own.table(table) => {
            Some(format!("forbids nulls in column {column} of {table}"))
        }
        Act::DropDefault { table, column } if !own.column(table, column) => {
            Some(format!("takes the default of column {column} of {table} away"))
        }
        Act::Regenerate { table, column, adds: false } if !own.column(table, column) => {
            Some(format!("changes how column {column} of {table} gets its values"))
        }
        Act::AddColumn(new) if new.not_null && !new.filled && !own.table(&new.table) => {
            Some(format!(
                "adds column {} to {}, which rows of the version before have no value for",
                new.column, new.table
            ))
        }
        Act::AddRule(new) if !own.columns(&new.table, &new.columns) => {
            Some(format!("asks {} of rows of {}", new.rule.words(), new.table))
        }
        Act::CreateIndex { table, columns, unique: true, .. } if !own.columns(table, columns) => {
            Some(format!("asks {} of rows of {table}", Rule::Unique.words()))
        }
        Act::SwitchTrigger { table, off: true } if !own.table(table) => {
            Some(format!("switches triggers of {table} off"))
        }
        Act::RowSecurity { table, on: true } if !own.table(table) => {
            Some(format!("hides rows of {table}"))
        }
        Act::DetachPartition { table, part, .. } => {
            Some(format!("takes the rows of {part} out of {table}"))
        }
        Act::Move { what } => Some(format!("moves {what} to another schema")),
        Act::Truncate { tables } if !tables.iter().all(|table| own.table(table)) => {
            Some(format!("empties {}", tables.join(", ")))
        }
        Act::Delete { table, all: true } if !own.table(table) => Some(format!("empties {table}")),
        Act::Drop { sort, name } if !own.other(sort, name) => Some(format!("drops {sort} {name}")),
        Act::Rename { sort, name } if !own.other(sort, name) => {
            Some(format!("renames {sort} {name}, or a part of it"))
        }
        Act::Alter { sort, name, narrows: Some(how) } if !own.other(sort, name) => {
            Some(format!("{how}: {sort} {name}"))
        }
        Act::Revoke => Some("takes rights away".to_owned()),
        _ => None,
    }
}

/// The same, where a directive may say otherwise.
pub(crate) fn declared(
    dialect: Dialect,
    statements: &[Statement],
    declared: Option<Stage>,
) -> (Stage, Vec<String>) {
    let (found, why) = stage(dialect, statements);
    match declared {
        None => (found, why),
        Some(declared) if declared == found => (found, why),
        Some(declared) => {
            let mut all = vec![format!("declared {declared}; the SQL itself looks like {found}")];
            all.extend(why);
            (declared, all)
        }
    }
}
