//! Variables: declared in `[variables]`, given from outside, typed.

use super::language::Type;
use super::model::Span;
use super::problem::Findings;
use super::suggest::nearest;
use super::tree::{Entry, Is, Node, Table, quoted};
use hive_contract::Value;
use std::collections::BTreeMap;

/// What is given from outside, by name.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    /// By `--var`; wins.
    pub(crate) by_argument: &'a BTreeMap<String, String>,
    /// By `HIVE_VAR_…`, with or without that prefix.
    pub(crate) by_environment: &'a BTreeMap<String, String>,
}

/// The declared variables. One without a value is a problem already, and is absent from
/// everything that refers to it.
pub(crate) type Variables = BTreeMap<String, Option<Value>>;

const PREFIX: &str = "HIVE_VAR_";

/// The value of each declared variable: given by argument, else by environment, else its default.
pub(crate) fn resolve(
    section: Option<&Entry>,
    given: Given<'_>,
    findings: &mut Findings,
) -> Variables {
    let nothing = Table::new();
    let declared = section.and_then(|it| it.node.table()).unwrap_or(&nothing);
    for name in given.by_argument.keys().filter(|name| !declared.contains_key(*name)) {
        let near = nearest(name, declared.keys());
        let near = near.map(|near| format!("did you mean `{near}`?"));
        findings
            .add(None, format!("`--var {name}=…` names no variable of this stack"))
            .help("declare it under `[variables]` in `stack.toml`")
            .maybe_help(near);
    }
    declared.iter().map(|(name, entry)| (name.clone(), one(name, entry, given, findings))).collect()
}

fn one(name: &str, entry: &Entry, given: Given<'_>, findings: &mut Findings) -> Option<Value> {
    // A variable that is no table is found when the section is checked.
    let keys = entry.node.table()?;
    let default = keys.get("default").map(|it| &it.node);
    let sort = match keys.get("type").map(|it| it.node.text()) {
        Some(Some("number")) => Sort::Number,
        Some(Some("bool")) => Sort::Bool,
        Some(_) => Sort::Text,
        None => default.map_or(Sort::Text, Sort::of),
    };
    if let Some((text, from)) = text_given(name, given) {
        let value = sort.read(text);
        if value.is_none() {
            let message = format!(
                "the variable `{name}` must be {}, and {from} gives {}",
                sort.words(),
                quoted(text)
            );
            findings.at(entry.key, message);
        }
        return value;
    }
    let Some(default) = default else {
        findings.at(entry.key, format!("the variable `{name}` has no value")).help(format!(
            "give it by `--var {name}=…` or `{PREFIX}{}`, or give it a `default`",
            loud(name)
        ));
        return None;
    };
    let value = default.scalar()?;
    if !sort.fits(&value) {
        let message =
            format!("the default must be {}, and here stands {}", sort.words(), default.words());
        findings.at(default.at, message);
        return None;
    }
    Some(value)
}

/// The text that is given for a variable, and by whom.
fn text_given<'a>(name: &str, given: Given<'a>) -> Option<(&'a str, String)> {
    if let Some(text) = given.by_argument.get(name) {
        return Some((text, "`--var`".to_owned()));
    }
    [name.to_owned(), loud(name)].into_iter().find_map(|name| {
        let whole = format!("{PREFIX}{name}");
        let by = given.by_environment;
        let text = by.get(&whole).or_else(|| by.get(&name))?;
        Some((text.as_str(), format!("`{whole}`")))
    })
}

/// The name as a shell can export it: `MY_VAR` for `my-var`.
fn loud(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

#[derive(Clone, Copy)]
enum Sort {
    Text,
    Number,
    Bool,
}

impl Sort {
    fn of(default: &Node) -> Self {
        match default.is {
            Is::Int(_) => Self::Number,
            Is::Bool(_) => Self::Bool,
            _ => Self::Text,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Number => "a whole number".to_owned(),
            Self::Bool => Type::Bool.words(),
        }
    }

    fn fits(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (Self::Text, Value::Text(_))
                | (Self::Number, Value::Int(_))
                | (Self::Bool, Value::Bool(_))
        )
    }

    fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Text => Some(Value::from(text)),
            Self::Number => text.parse().ok().map(Value::Int),
            Self::Bool => text.parse().ok().map(Value::Bool),
        }
    }
}

/// Where a variable may be named in a message about a reference to it.
pub(crate) fn unknown(name: &str, at: Span, variables: &Variables, findings: &mut Findings) {
    let near = findings.nearest(name, variables.keys());
    findings
        .at(at, format!("there is no variable `{name}`"))
        .help(format!("declare it: `[variables]` with `{name} = {{ default = … }}`"))
        .maybe_help(near);
}
