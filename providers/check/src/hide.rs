//! Keeping the values of secrets out of what is kept and told.

use hive_contract::{Secrets, Value};
use secrecy::{ExposeSecret, SecretString};

/// The secrets of one step.
pub(crate) struct Hidden {
    /// Longest first, so that a secret that holds another one goes as a whole.
    values: Vec<SecretString>,
}

impl Hidden {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let all = secrets.references().map(|it| secrets.text(&Value::Secret(it.clone())));
        let mut values: Vec<SecretString> = Vec::new();
        for value in all.flatten() {
            // A tool may print a secret of several lines line by line.
            let lines = value.expose_secret().lines().filter(|line| line.len() >= 8);
            values.extend(lines.map(|line| SecretString::from(line.to_owned())));
            values.push(value);
        }
        values.retain(|value| !value.expose_secret().is_empty());
        values.sort_by_key(|value| std::cmp::Reverse(value.expose_secret().len()));
        Self { values }
    }

    /// The text with `***` wherever a secret's value stood.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, value| {
            match text.contains(value.expose_secret()) {
                true => text.replace(value.expose_secret(), "***"),
                false => text,
            }
        })
    }

    /// The end of a longer text: where it was cut, half a secret may stand at its begin.
    pub(crate) fn hide_cut(&self, text: &str) -> String {
        let longest = self.values.first().map_or(0, |value| value.expose_secret().len());
        let from = (longest.saturating_sub(1)..=text.len()).find(|at| text.is_char_boundary(*at));
        self.hide(text.get(from.unwrap_or(text.len())..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::SecretRef;

    fn hidden(values: &[&str]) -> Hidden {
        let mut secrets = Secrets::default();
        for (at, value) in values.iter().enumerate() {
            let reference = SecretRef::env(&format!("S{at}"));
            secrets.insert(reference, SecretString::from((*value).to_owned()));
        }
        Hidden::new(&secrets)
    }

    #[test]
    fn every_occurrence_goes() {
        let it = hidden(&["hunter2", "hunter2-long", ""]);
        assert_eq!(it.hide("a hunter2, hunter2-long!hunter2"), "a ***, ***!***");
        assert_eq!(it.hide("nothing"), "nothing");
        let lines = hidden(&["first line\nsecond line"]);
        assert_eq!(lines.hide("> second line"), "> ***");
    }

    #[test]
    fn half_a_secret_at_a_cut_goes_too() {
        let it = hidden(&["hunter2"]);
        assert_eq!(it.hide_cut("unter2 and more"), " and more");
        assert_eq!(it.hide_cut("x"), "");
        assert_eq!(hidden(&[]).hide_cut("all of it"), "all of it");
    }
}
