//! What can be said about a stack only once its providers have lowered it: whether the outputs
//! that it refers to, and the fields that it ignores, exist.

use super::cycle::visit;
use super::model::{Problem, Span, Stack};
use super::problem::Findings;
use super::sections;
use crate::plan::Desired;
use hive_contract::{Address, Declared, FieldPath, OutputRef, Sort, Value};
use std::collections::{BTreeMap, BTreeSet};

impl Stack {
    /// References to outputs that no provider gives, and ignored fields that no resource has.
    pub fn check_lowered(&self, desired: &BTreeMap<Address, Desired>) -> Vec<Problem> {
        let mut findings = Findings::default();
        for (address, declared) in &self.declared {
            visit(&declared.fields, &mut |path, value| {
                if let Value::Output(output) = value {
                    let at = self.span(address, &FieldPath::new(path.iter().cloned()));
                    has_output(output, desired, at, &mut findings);
                }
            });
            self.has_ignored(declared, desired.get(address), &mut findings);
        }
        findings.problems(&self.places.files)
    }

    fn has_ignored(&self, declared: &Declared, desired: Option<&Desired>, findings: &mut Findings) {
        let kind = declared.address.kind();
        // What could not be lowered has its own problem.
        if !declared.ignore.is_empty() && desired.is_some_and(|it| it.sort() != Sort::Object) {
            let at = self.span(&declared.address, &FieldPath::new(["ignore"]));
            let message = format!("a {kind} has nothing live, so there is nothing to ignore");
            findings.add(at, message).help("remove `ignore`");
            return;
        }
        let mut known: BTreeSet<&str> = BTreeSet::new();
        known.extend(sections::kind(kind).into_iter().flat_map(|it| it.keys).map(|it| it.name));
        let parts = desired.into_iter().flat_map(|it| it.parts.values());
        known.extend(parts.flat_map(|it| it.lowered.fields.keys()).map(String::as_str));
        for (number, ignored) in declared.ignore.iter().enumerate() {
            let first = ignored.field.keys().first().map_or("", String::as_str);
            if known.contains(first) {
                continue;
            }
            let field = FieldPath::new(["ignore", &number.to_string(), "field"]);
            let near = findings.nearest(first, &known);
            findings
                .add(
                    self.span(&declared.address, &field),
                    format!("`{}` has no field `{}`", declared.address, ignored.field),
                )
                .maybe_help(near);
        }
    }
}

fn has_output(
    output: &OutputRef,
    desired: &BTreeMap<Address, Desired>,
    at: Option<Span>,
    findings: &mut Findings,
) {
    // What could not be lowered has its own problem.
    let Some(of) = desired.get(&output.address) else { return };
    let outputs = || of.parts.values().flat_map(|part| part.lowered.outputs.keys());
    if outputs().any(|name| *name == output.output) {
        return;
    }
    let near = findings.nearest(&output.output, outputs());
    let names: Vec<String> = outputs().map(|name| format!("`{name}`")).collect();
    let help = match names.is_empty() {
        true if output.address.kind() == "service" => {
            "it has no outputs without `ports`; declare one, as in `ports = { http = 8080 }`"
                .to_owned()
        }
        true => format!("a {} has no outputs", output.address.kind()),
        false if output.address.kind() == "service" && !names.contains(&"`url`".to_owned()) => {
            format!(
                "its outputs are {}; `url`, `urls` and `port` come with one port, or with one named \
                 `http`",
                names.join(", ")
            )
        }
        false => format!("its outputs are {}", names.join(", ")),
    };
    findings
        .add(at, format!("`{}` has no output `{}`", output.address, output.output))
        .help(help)
        .maybe_help(near);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::LoweredPart;
    use crate::stack::tests::{shown, stack};
    use hive_contract::{Fields, Lowered, Output};

    fn lowered(declared: &Declared, outputs: &[&str]) -> Desired {
        let output = Output { made_of: Vec::new(), value: None };
        let lowered = Lowered {
            sort: Sort::Object,
            identity: declared.address.to_string(),
            fields: Fields::from([("listen".to_owned(), Value::from(1))]),
            outputs: outputs.iter().map(|it| ((*it).to_owned(), output.clone())).collect(),
            immutable: BTreeSet::new(),
            replace: hive_contract::ReplaceOrder::default(),
            ..Lowered::default()
        };
        let (part, place) = ("main".to_owned(), String::new());
        let part = LoweredPart { part, provider: "p".to_owned(), form: 1, place, lowered };
        Desired { declared: declared.clone(), parts: BTreeMap::from([("main".to_owned(), part)]) }
    }

    #[test]
    fn nothing_is_ignored_where_nothing_is_live() {
        let text = r#"[stack]
name = "s"
[check.a]
tcp = "127.0.0.1:80"
ignore = [{ field = "tcp", reason = "x" }]
"#;
        let stack = stack(text);
        let gate = |(address, it): (&Address, &Declared)| {
            let mut gate = lowered(it, &[]);
            gate.parts.values_mut().for_each(|part| part.lowered.sort = Sort::Gate);
            (address.clone(), gate)
        };
        let desired = stack.declared.iter().map(gate).collect();
        let said = shown(&stack.check_lowered(&desired));
        assert!(said.starts_with("stack.toml:5:"), "{said}");
        assert!(said.contains("a check has nothing live"), "{said}");
    }

    #[test]
    fn an_output_or_ignored_field_that_is_not_there_is_shown_where_it_is_named() {
        let text = r#"[stack]
name = "s"
[config.a]
content = "x"
[config.b]
content = { format = "{p} {q}", p = { from = "config.a.pat" }, q = { from = "config.a.digest" } }
ignore = [{ field = "mod", reason = "x" }, { field = "listen.x", reason = "x" }]
"#;
        let stack = stack(text);
        let desired = stack
            .declared
            .iter()
            .map(|(address, it)| (address.clone(), lowered(it, &["content", "path", "digest"])))
            .collect();
        assert_eq!(
            shown(&stack.check_lowered(&desired)),
            "stack.toml:6:37: `config.a` has no output `pat` (did you mean `path`?)\n\
             stack.toml:7:21: `config.b` has no field `mod` (did you mean `mode`?)\n"
        );
    }
}
