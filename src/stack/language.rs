//! The language as data: what a key is called, what it may hold, what it means.
//!
//! Checking, suggestions, merging, the JSON Schema and the tables of `docs/language.md` all walk
//! the one table [`super::sections::TOP`]. A new key is one line there.

use super::shape::Shape;

/// What may stand behind a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number between two others, both included.
    Int(i64, i64),
    /// Text of some form.
    Text(Shape),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `"30s"`, in milliseconds once it is read; at least so many.
    Duration(i64),
    /// Text, a whole number or a truth value.
    Scalar,
    /// Values in order, at least so many.
    List(&'static Type, usize),
    /// A table whose keys are chosen by the user.
    Map(Shape, &'static Type),
    /// A table whose keys are these.
    Table(&'static Keys),
    /// Known, and refused: no part of hive does anything with it yet.
    Later,
}

/// The keys of one sort of table.
#[derive(Debug)]
pub(crate) struct Keys {
    /// What the table is, with its article: `a service`.
    pub(crate) what: &'static str,
    /// Its keys, in the order in which documents show them.
    pub(crate) keys: &'static [Key],
    /// Of each of these groups exactly one key stands in the table.
    pub(crate) one_of: &'static [&'static [&'static str]],
    /// Keys that say something only beside one of these others.
    pub(crate) only_with: &'static [(&'static str, &'static [&'static str])],
}

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// As it is written.
    pub(crate) name: &'static str,
    /// What it may hold.
    pub(crate) is: Type,
    /// Which references may stand in it.
    pub(crate) takes: Takes,
    /// Whether the table is wrong without it.
    pub(crate) required: bool,
    /// What is meant where it is absent, in TOML.
    pub(crate) default: Option<&'static str>,
    /// Whether the default is put into the declared fields, so that providers always see it.
    pub(crate) filled: bool,
    /// What it means: one sentence without its full stop.
    pub(crate) doc: &'static str,
    /// A value that it may have, in TOML.
    pub(crate) example: &'static str,
}

/// Which references may stand where a scalar is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Takes {
    /// Only what is known before anything is planned: variables, and formats of them.
    Known,
    /// Also outputs, of this stack and of others.
    Outputs,
    /// Also secrets.
    Secrets,
}

impl Keys {
    /// The key of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    /// A key that may be absent and takes no reference but variables.
    pub(crate) const fn new(
        name: &'static str,
        is: Type,
        doc: &'static str,
        example: &'static str,
    ) -> Self {
        let (takes, required, default, filled) = (Takes::Known, false, None, false);
        Self { name, is, takes, required, default, filled, doc, example }
    }

    /// A key that is known and refused.
    pub(crate) const fn later(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Type::Later, doc, "")
    }

    /// The same, and the table is wrong without it.
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same, with what is meant where it is absent.
    pub(crate) const fn default(mut self, toml: &'static str) -> Self {
        self.default = Some(toml);
        self
    }

    /// The same; where it is absent, the default is declared in its place.
    pub(crate) const fn filled(mut self, toml: &'static str) -> Self {
        self.default = Some(toml);
        self.filled = true;
        self
    }

    /// The same, with the references that may stand in it.
    pub(crate) const fn takes(mut self, takes: Takes) -> Self {
        self.takes = takes;
        self
    }
}

impl Type {
    /// What is expected, as it stands behind "must be".
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Int(least, most) if *most == i64::MAX => {
                format!("a whole number, {least} or more")
            }
            Self::Int(least, most) => format!("a whole number from {least} to {most}"),
            Self::Text(shape) => shape.words().to_owned(),
            Self::Choice(choices) => one_of(choices),
            Self::Duration(0) => "a duration such as `\"30s\"`, `\"5m\"`, `\"26h\"`".to_owned(),
            Self::Duration(_) => {
                "a duration above zero such as `\"30s\"`, `\"5m\"`, `\"26h\"`".to_owned()
            }
            Self::Scalar => "text, a whole number, or `true` or `false`".to_owned(),
            Self::List(of, 0) => format!("a list, each of it {}", of.words()),
            Self::List(of, _) => format!("a list with something in it, each {}", of.words()),
            Self::Map(_, of) => format!("a table, each value {}", of.words()),
            Self::Table(keys) => format!("a table with the keys of {}", keys.what),
            Self::Later => "absent".to_owned(),
        }
    }

    /// What stands behind a key of a table of this type; none where it is not a table or has no
    /// such key.
    pub(crate) fn below(&self, key: &str) -> Option<&'static Type> {
        match self {
            Self::Map(_, of) => Some(of),
            Self::Table(keys) => keys.get(key).map(|key| &key.is),
            _ => None,
        }
    }

    /// Whether an overlay merges into it by key, and does not replace it.
    pub(crate) fn merges(&self) -> bool {
        matches!(self, Self::Map(..) | Self::Table(_))
    }
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn one_of<S: AsRef<str>>(choices: &[S]) -> String {
    let quoted: Vec<String> = choices.iter().map(|it| format!("`{}`", it.as_ref())).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}
