//! Takes the values of a step's secrets out of everything that its provider says.
//!
//! Providers promise to say none. A command that a check runs promises nothing, and its output is
//! kept: so whatever goes to the journal or the screen passes here once more.

use hive_contract::{Event, Failure, Outcome, Remains, SecretRef, Value};
use secrecy::{ExposeSecret, SecretString};

/// Shorter values would tear holes into ordinary words and hide nothing that could be guessed.
const SHORTEST: usize = 4;

/// The values that must not be said, each with what is said in its place.
#[derive(Default)]
pub(super) struct Redact {
    values: Vec<(SecretString, String)>,
}

impl Redact {
    /// One more value. Each line of it is one too, because output comes in lines.
    pub(super) fn add(&mut self, reference: &SecretRef, value: &SecretString) {
        let instead = format!("<{reference}>");
        let text = value.expose_secret();
        for part in std::iter::once(text).chain(text.lines()) {
            if part.len() >= SHORTEST {
                self.values.push((SecretString::from(part), instead.clone()));
            }
        }
        // The longest first, so that no piece of one is left behind by another.
        self.values.sort_by_key(|(value, _)| std::cmp::Reverse(value.expose_secret().len()));
    }

    /// A text without them.
    pub(super) fn text(&self, text: &mut String) {
        for (value, instead) in &self.values {
            if text.contains(value.expose_secret()) {
                *text = text.replace(value.expose_secret(), instead);
            }
        }
    }

    /// The same, of a text by itself.
    pub(super) fn said(&self, mut text: String) -> String {
        self.text(&mut text);
        text
    }

    /// An event without them.
    pub(super) fn event(&self, mut event: Event) -> Event {
        self.text(&mut event.message);
        event
    }

    /// A failure without them.
    pub(super) fn failure(&self, mut failure: Failure) -> Failure {
        self.text(&mut failure.message);
        failure.diagnosis.iter_mut().for_each(|fact| self.text(fact));
        if let Remains::Left(outcome) = failure.remains {
            failure.remains = Remains::Left(Box::new(self.outcome(*outcome)));
        }
        failure
    }

    /// An outcome without them.
    pub(super) fn outcome(&self, mut outcome: Outcome) -> Outcome {
        if self.values.is_empty() {
            return outcome;
        }
        self.text(&mut outcome.kept);
        if let Some(live) = &mut outcome.live {
            live.fields.values_mut().for_each(|value| self.value(value));
            live.outputs.values_mut().for_each(|value| self.value(value));
            self.text(&mut live.status.summary);
        }
        outcome
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::Text(text) => self.text(text),
            Value::List(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Map(fields) => fields.values_mut().for_each(|value| self.value(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::FailureKind;

    #[test]
    fn nothing_that_a_provider_says_holds_a_value() {
        let mut redact = Redact::default();
        redact.add(&SecretRef::env("PW"), &SecretString::from("canary-1\ncanary-22"));
        let mut kept = Outcome::nothing();
        kept.kept = "line one canary-22 and canary-1".to_owned();
        let failure = Failure::new(FailureKind::Unhealthy, "refused canary-22")
            .diagnosis("canary-1\ncanary-22!")
            .remains(Remains::Left(Box::new(kept)));
        let text = format!("{:?}", redact.failure(failure));
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("<env:PW>!"), "{text}");
        let event = redact.event(Event::info("uses canary-1"));
        assert_eq!(event.message, "uses <env:PW>");
    }

    #[test]
    fn a_short_value_tears_no_holes() {
        let mut redact = Redact::default();
        redact.add(&SecretRef::env("N"), &SecretString::from("1"));
        let mut text = "replica 1 of 1".to_owned();
        redact.text(&mut text);
        assert_eq!(text, "replica 1 of 1");
    }
}
