//! What a stack says in one environment, as plain data.

use crate::plan::BoundFile;
use hive_contract::{Address, Declared, FieldPath, Fields, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// One stack in one environment: overlay, defaults and variables are in it already.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The folder of `stack.toml`.
    pub folder: PathBuf,
    /// Its name.
    pub name: String,
    /// How many steps run at once, where it says so.
    pub parallel: Option<u32>,
    /// The environment, with its instance: `dev`, `dev+feature`.
    pub environment: String,
    /// What is declared.
    pub declared: BTreeMap<Address, Declared>,
    /// Settings of platforms, by the provider's name; `process` is always there.
    pub platforms: BTreeMap<String, Fields>,
    /// What guards an apply: `protected`, `on_failure`, `window`.
    pub guards: Fields,
    /// The store's folder, relative to the stack's; `.hive` where nothing is said.
    pub store: String,
    /// How long the store's lease holds without being renewed, in milliseconds, where the stack says
    /// so.
    pub lease_ms: Option<u64>,
    /// The variables that are declared, with their values.
    pub variables: BTreeMap<String, Value>,
    /// What it takes from other stacks.
    pub foreign: Vec<ForeignValue>,
    /// Files beside it that its steps run, bound by content.
    pub files: Vec<BoundFile>,
    /// Where each thing stands in the TOML.
    pub places: Spans,
}

/// An output of another stack, read from that stack's store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignRef {
    /// The other stack's folder, relative to this one.
    pub stack: String,
    /// Its environment; this one's where nothing is said.
    pub environment: String,
    /// Whose output.
    pub address: Address,
    /// Which.
    pub output: String,
}

/// A foreign output and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignValue {
    /// Which.
    pub reference: ForeignRef,
    /// What the other stack's newest snapshot says.
    pub value: Value,
}

/// Why another stack's output has no value here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// A lower-case fragment.
    pub why: String,
    /// What to do.
    pub help: Option<String>,
}

/// Where keys of resources stand.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    /// By resource and field; the empty field is the resource's header.
    pub fields: BTreeMap<(Address, FieldPath), Span>,
    /// The files, as read.
    pub files: Vec<SourceFile>,
}

/// One file of a stack.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// As a person would name it.
    pub path: String,
    /// Its text.
    pub text: Arc<str>,
}

/// A range of bytes of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Index into [`Spans::files`].
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// First byte behind it.
    pub end: usize,
}

/// One thing that is wrong with a stack. All of a stack's are given at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A lower-case fragment.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where; none where there is no file to point into.
    pub at: Option<At>,
    /// More places that belong to it, each with a word: the other end of a cycle.
    pub related: Vec<(String, At)>,
}

/// A place in a file that can be shown without reading it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The file, as a person would name it.
    pub file: String,
    /// The whole text of the file.
    pub text: Arc<str>,
    /// First byte.
    pub start: usize,
    /// First byte behind it.
    pub end: usize,
    /// Counts from 1.
    pub line: usize,
    /// In characters, counts from 1.
    pub column: usize,
}
