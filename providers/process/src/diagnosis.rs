//! What a person is told about a replica that does not work.

use crate::logs::last_lines;
use crate::view::Run;
use hive_contract::value::{Fields, secrets_in};
use hive_contract::{Failure, FailureKind, Secrets, Value};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// How many lines of its log.
const LINES: usize = 20;
/// Shorter values are no secrets, and would blacken half of the text.
const SHORTEST: usize = 4;

/// Takes the values of secrets out of text that comes from a service.
pub(crate) struct Blackened {
    /// Value → reference, the longest values first.
    values: Vec<(SecretString, String)>,
    /// Whether every secret's value is at hand.
    complete: bool,
}

impl Blackened {
    /// For the secrets in these fields.
    pub(crate) fn new(fields: &Fields, secrets: &Secrets) -> Self {
        let mut values: BTreeMap<String, SecretString> = BTreeMap::new();
        let mut complete = true;
        for reference in secrets_in(fields).into_iter().chain(secrets.references().cloned()) {
            match secrets.text(&Value::Secret(reference.clone())) {
                Ok(value) => {
                    values.insert(reference.to_string(), value);
                }
                Err(_) => complete = false,
            }
        }
        let mut values: Vec<_> = values.into_iter().map(|(name, value)| (value, name)).collect();
        values.retain(|(value, _)| value.expose_secret().len() >= SHORTEST);
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.expose_secret().len()));
        Self { values, complete }
    }

    /// The text without them; nothing where they are not known here.
    pub(crate) fn text(&self, text: &str) -> Option<String> {
        let black = |text: String, (value, name): &(SecretString, String)| {
            text.replace(value.expose_secret(), &format!("({name})"))
        };
        self.complete.then(|| self.values.iter().fold(text.to_owned(), black))
    }
}

/// A replica that runs and does not work, or runs no more.
pub(crate) fn unhealthy(run: &Run, what: &str, more: &[String], black: &Blackened) -> Failure {
    let address = &run.launch.mark.address;
    let replica = run.launch.replica;
    let mut failure =
        Failure::new(FailureKind::Unhealthy, format!("replica {replica} of {address} {what}"));
    if let Some(exit) = &run.exit {
        failure = failure.diagnosis(format!("replica {replica} {}", exit.words()));
    }
    let lines = last_lines(&run.log(), run.launch.log_from, LINES);
    if lines.is_empty() {
        return failure.diagnosis(format!("replica {replica} printed nothing"));
    }
    let lines = more.iter().cloned().chain(lines.into_iter().map(|line| format!("log: {line}")));
    for line in lines {
        match black.text(&line) {
            Some(line) => failure = failure.diagnosis(line),
            None => {
                return failure
                    .diagnosis("its log is not shown: it may hold a secret unknown here");
            }
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::SecretRef;

    #[test]
    fn no_secret_is_left_in_what_a_service_said() {
        let mut secrets = Secrets::default();
        secrets.insert(SecretRef::env("PW"), "hunter22".into());
        secrets.insert(SecretRef::env("LONG"), "hunter22-and-more".into());
        let black = Blackened::new(&Fields::new(), &secrets);
        let said = black.text("pw=hunter22 long=hunter22-and-more");
        assert_eq!(said.as_deref(), Some("pw=(env:PW) long=(env:LONG)"));
    }

    #[test]
    fn without_its_value_nothing_is_shown() {
        let secret = Value::Secret(SecretRef::env("PW"));
        let fields = Fields::from([("environment".to_owned(), secret)]);
        assert_eq!(Blackened::new(&fields, &Secrets::default()).text("x"), None);
    }
}
