//! References: inline tables that stand for a value that is somewhere else.

use super::check::{Checker, Hole};
use super::language::Takes;
use super::model::{ForeignRef, Span};
use super::shape::Shape;
use super::tree::{Entry, Is, Node, Table};
use super::variables;
use hive_contract::secret::SecretPlace;
use hive_contract::value::FormatError;
use hive_contract::{Address, Fields, Format, OutputRef, SecretRef, Value};

/// The kind of the placeholders for values of other stacks. No resource has it.
pub(crate) const FOREIGN: &str = "stack";

/// What a reference is called by, and the keys that may stand beside it.
pub(crate) const FORMS: &[(&str, &[&str])] = &[
    ("format", &[]),
    ("from", &[]),
    ("var", &[]),
    ("env", &["pin"]),
    ("file", &["pin"]),
    ("secret", &["pin"]),
    ("stack", &["output", "environment"]),
];

/// Whether a table that stands where a scalar is expected means a reference.
pub(crate) fn is_one(table: &Table) -> bool {
    FORMS.iter().any(|(form, _)| table.contains_key(*form))
}

impl Checker<'_> {
    /// The value that a reference stands for: a placeholder, or what a variable is.
    pub(crate) fn reference(&mut self, table: &Table, at: Span, takes: Takes) -> Option<Value> {
        if let Some(template) = table.get("format") {
            return self.format(table, template, at, takes);
        }
        let mut forms = FORMS.iter().filter(|(form, _)| table.contains_key(*form));
        let (form, beside) = forms.next()?;
        if let Some((other, _)) = forms.next() {
            self.findings.at(at, format!("`{form}` and `{other}` exclude each other"));
            return None;
        }
        let mut good = true;
        for (key, entry) in table.iter().filter(|(key, _)| *key != form) {
            if !beside.contains(&key.as_str()) {
                let near = self.findings.nearest(key, *beside);
                let message = format!("`{key}` is not a key of a reference with `{form}`");
                self.findings.at(entry.key, message).maybe_help(near);
                good = false;
            }
        }
        let entry = &table[*form];
        let text = self.text(entry, form)?;
        let value = match *form {
            "from" => self.output(text, entry.node.at, at, takes),
            "var" => self.variable(text, entry.node.at),
            "stack" => self.foreign(text, table, at, takes),
            "secret" => {
                self.not_yet(entry, "secret");
                None
            }
            _ => self.secret(form, text, table, at, takes),
        };
        value.filter(|_| good)
    }

    fn text<'t>(&mut self, entry: &'t Entry, form: &str) -> Option<&'t str> {
        match entry.node.text() {
            Some(text) if !text.is_empty() => Some(text),
            Some(_) => {
                self.findings.at(entry.node.at, format!("`{form}` is empty"));
                None
            }
            None => {
                let words = entry.node.words();
                let message = format!("`{form}` must be text, and here stands {words}");
                self.findings.at(entry.node.at, message);
                None
            }
        }
    }

    fn output(&mut self, text: &str, at: Span, whole: Span, takes: Takes) -> Option<Value> {
        let mut parts = text.splitn(3, '.');
        let (kind, name, output) = (parts.next()?, parts.next(), parts.next());
        let Some((name, output)) = name.zip(output).filter(|(_, output)| !output.is_empty()) else {
            let message = format!("`{text}` names no output");
            self.findings.at(at, message).help(
                "write the address and one of its outputs, as in `{ from = \"service.api.url\" }`",
            );
            return None;
        };
        let address = match Address::new(kind, name) {
            Ok(address) => address,
            Err(error) => {
                self.findings.at(at, error.to_string());
                return None;
            }
        };
        if !self.declared(&address, at) || !self.may(Takes::Outputs, takes, whole) {
            return None;
        }
        Some(Value::Output(OutputRef { address, output: output.to_owned() }))
    }

    /// Whether an address is declared; says so where it is not.
    pub(crate) fn declared(&mut self, address: &Address, at: Span) -> bool {
        if self.addresses.contains(address) {
            return true;
        }
        let names = self.addresses.iter().map(ToString::to_string);
        let near = self.findings.nearest(&address.to_string(), names);
        self.findings
            .at(at, format!("`{address}` is not declared"))
            .help(format!("declare it as `[{address}]`, or name what is declared"))
            .maybe_help(near);
        false
    }

    fn may(&mut self, needed: Takes, takes: Takes, at: Span) -> bool {
        if takes >= needed {
            return true;
        }
        let message = match needed {
            Takes::Secrets => "a secret may not stand here",
            _ => "an output may not stand here: this must be known before anything is planned",
        };
        let help = match needed {
            Takes::Secrets => {
                "secrets stand in `environment` of services and checks, in `http` of checks, in \
                 `webhook`, in the urls of databases, and in `s3` and `encrypt` of backups"
            }
            _ => "write the value, or take it from a variable",
        };
        self.findings.at(at, message).help(help);
        false
    }

    fn variable(&mut self, name: &str, at: Span) -> Option<Value> {
        match self.variables.get(name) {
            Some(value) => value.clone(),
            None => {
                variables::unknown(name, at, self.variables, self.findings);
                None
            }
        }
    }

    fn secret(
        &mut self,
        form: &str,
        text: &str,
        table: &Table,
        at: Span,
        takes: Takes,
    ) -> Option<Value> {
        let source = match form {
            "env" => SecretPlace::Env(text.to_owned()),
            _ => SecretPlace::File(text.to_owned()),
        };
        if form == "env" && !Shape::EnvName.fits(text) {
            self.findings.at(at, format!("`env` must be {}", Shape::EnvName.words()));
            return None;
        }
        let pin = match table.get("pin").map(|entry| (&entry.node, &entry.node.is)) {
            None => false,
            Some((_, Is::Bool(truth))) => *truth,
            Some((node, _)) => {
                let words = node.words();
                let message = format!("`pin` must be `true` or `false`, and here stands {words}");
                self.findings.at(node.at, message);
                return None;
            }
        };
        let reference = SecretRef { source, pin };
        self.may(Takes::Secrets, takes, at).then_some(Value::Secret(reference))
    }

    fn foreign(&mut self, stack: &str, table: &Table, at: Span, takes: Takes) -> Option<Value> {
        let Some(output) = table.get("output") else {
            self.findings
                .at(at, "a reference to another stack needs an `output`")
                .help("as in `{ stack = \"../other\", output = \"service.api.url\" }`");
            return None;
        };
        let text = self.text(output, "output")?;
        let mut parts = text.splitn(3, '.');
        let address = parts.next().zip(parts.next()).and_then(|(k, n)| Address::new(k, n).ok());
        let Some((address, name)) = address.zip(parts.next().filter(|it| !it.is_empty())) else {
            let message = format!("`{text}` names no output");
            self.findings.at(output.node.at, message).help("as in `service.api.url`");
            return None;
        };
        let environment = match table.get("environment") {
            None => self.environment.to_owned(),
            Some(entry) => self.text(entry, "environment")?.to_owned(),
        };
        if !self.may(Takes::Outputs, takes, at) {
            return None;
        }
        let placeholder = Address::new(FOREIGN, &format!("n{}", self.holes.len())).ok()?;
        let (stack, output) = (stack.to_owned(), name.to_owned());
        let value = Value::Output(OutputRef { address: placeholder, output: output.clone() });
        let reference = ForeignRef { stack, environment, address, output };
        self.holes.push(Hole { reference, at, takes });
        Some(value)
    }

    /// Text around other values; plain text where all of them are known.
    fn format(&mut self, table: &Table, template: &Entry, at: Span, takes: Takes) -> Option<Value> {
        let text = self.text(template, "format")?.to_owned();
        let mut values = Fields::new();
        let mut whole = true;
        for (hole, entry) in table.iter().filter(|(key, _)| *key != "format") {
            match self.within(hole, |checker| checker.hole(hole, &entry.node, takes)) {
                Some(value) => {
                    values.insert(hole.clone(), value);
                }
                None => whole = false,
            }
        }
        if !whole {
            return None;
        }
        let format = Format { template: text, values };
        match format.pieces() {
            Ok(_) => Some(Value::Format(format).fill(&|_| None)),
            Err(error) => {
                let near = match &error {
                    FormatError::Hole(hole) => self.findings.nearest(hole, format.values.keys()),
                    _ => None,
                };
                let at = match &error {
                    FormatError::Unused(unused) => table.get(unused).map_or(at, |it| it.key),
                    _ => template.node.at,
                };
                self.findings.at(at, error.to_string()).maybe_help(near);
                None
            }
        }
    }

    fn hole(&mut self, hole: &str, node: &Node, takes: Takes) -> Option<Value> {
        self.stands(node.at);
        if let Some(table) = node.table().filter(|table| is_one(table)) {
            return self.reference(table, node.at, takes);
        }
        let value = node.scalar();
        if value.is_none() {
            let words = node.words();
            self.findings.at(
                node.at,
                format!(
                    "`{hole}` must be text, a number, a truth value or a reference, and here \
                     stands {words}"
                ),
            );
        }
        value
    }
}
