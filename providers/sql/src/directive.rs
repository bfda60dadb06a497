//! What a file says about itself, in comments: `-- hive: no-transaction`.

use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::lexeme::{self, Lexeme, Sort};
use crate::script::Script;
use crate::stage::Stage;
use serde::{Deserialize, Serialize};

/// A finding of the lint that a person accepted, with the reason: `-- hive: accept RULE reason`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accept {
    /// Which rule.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Where it is written.
    pub line: u32,
    /// Which statement it is about, counted from 0.
    pub statement: usize,
}

/// What stands at the top of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) no_transaction: bool,
    pub(crate) stage: Option<Stage>,
    /// The reason, and where it stands.
    pub(crate) irreversible: Option<(String, u32)>,
    pub(crate) accepts: Vec<Accept>,
}

/// Whether a file goes up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

const KNOWN: &str = "hive knows `no-transaction`, `expand`, `contract`, `irreversible = \"reason\"` \
                     and `accept RULE reason`";

/// Reads the directives of a file; faults are added to `faults`.
pub(crate) fn read(
    dialect: Dialect,
    script: &Script,
    direction: Direction,
    faults: &mut Vec<Fault>,
) -> Directives {
    let mut found = Directives::default();
    let Ok(all) = lexeme::lexemes(dialect, &script.text) else { return found };
    let top = all.iter().find(|one| one.counts()).map_or(usize::MAX, |one| one.start);
    for one in all.iter().filter(|one| one.sort == Sort::Comment) {
        let Some(words) = words_of(one) else { continue };
        let (line, column) = lexeme::position(&script.text, one.start);
        let mut fault = |message: String, help: &str| {
            faults.push(Fault::of(&script.file, message).at(line, column).help(help));
        };
        let (first, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        if first == "accept" {
            match accept(script, rest, line) {
                Ok(accept) => found.accepts.push(accept),
                Err(message) => fault(message, "write `-- hive: accept RULE reason`"),
            }
            continue;
        }
        if one.start > top {
            fault(
                format!("`hive: {words}` stands below the first statement"),
                "put it at the top of the file",
            );
            continue;
        }
        let taken = match (first, direction) {
            ("no-transaction", _) if rest.is_empty() => {
                !std::mem::replace(&mut found.no_transaction, true)
            }
            ("expand", Direction::Up) if rest.is_empty() => set(&mut found.stage, Stage::Expand),
            ("contract", Direction::Up) if rest.is_empty() => {
                set(&mut found.stage, Stage::Contract)
            }
            ("irreversible" | "irreversible=", Direction::Up) => match reason(words) {
                Some(reason) => set(&mut found.irreversible, (reason, line)),
                None => {
                    fault(
                        format!("`hive: {words}` gives no reason"),
                        "write `-- hive: irreversible = \"the reason\"`",
                    );
                    continue;
                }
            },
            ("expand" | "contract" | "irreversible" | "irreversible=", Direction::Down) => {
                fault(
                    format!("`hive: {first}` stands in a down file"),
                    "it belongs at the top of the up file",
                );
                continue;
            }
            _ => {
                fault(format!("`hive: {words}` is no directive"), KNOWN);
                continue;
            }
        };
        if !taken {
            fault(
                format!("`hive: {words}` is said beside another such line"),
                "say it once, and only one of `expand` and `contract`",
            );
        }
    }
    found
}

/// The words behind `hive:` of a comment.
fn words_of<'a>(comment: &Lexeme<'a>) -> Option<&'a str> {
    let body = match comment.text.strip_prefix("--") {
        Some(body) => body,
        None => comment.text.strip_prefix("/*")?.strip_suffix("*/")?,
    };
    Some(body.trim().strip_prefix("hive:")?.trim())
}

fn set<T>(slot: &mut Option<T>, value: T) -> bool {
    let free = slot.is_none();
    *slot = Some(value);
    free
}

fn reason(words: &str) -> Option<String> {
    let (_, reason) = words.split_once('=')?;
    let reason = reason.trim();
    let bare = reason.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or(reason).trim();
    (!bare.is_empty() && !bare.contains('"')).then(|| bare.to_owned())
}

fn accept(script: &Script, words: &str, line: u32) -> Result<Accept, String> {
    let (rule, reason) = words.trim().split_once(char::is_whitespace).unwrap_or((words.trim(), ""));
    if rule.is_empty() {
        return Err("`hive: accept` names no rule".to_owned());
    }
    if reason.trim().is_empty() {
        return Err(format!("`hive: accept {rule}` gives no reason"));
    }
    let statement = script
        .statements
        .iter()
        .position(|statement| line <= statement.last_line())
        .ok_or_else(|| format!("`hive: accept {rule}` stands below the last statement"))?;
    Ok(Accept { rule: rule.to_owned(), reason: reason.trim().to_owned(), line, statement })
}
