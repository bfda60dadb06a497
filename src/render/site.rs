//! Where a person stands, so that every command line that hive prints can be typed as it is.

use std::path::Path;

/// The folder, the environment and the instance, as far as a command line has to name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// The stack's folder as seen from where the command was typed; none where that is the folder.
    pub folder: Option<String>,
    /// The environment; none where it is the one that is meant anyway.
    pub environment: Option<String>,
    /// The instance.
    pub instance: Option<String>,
}

/// Commands that are about no stack.
const ABOUT_NONE: [&str; 5] = ["init", "schema", "completions", "man", "help"];

impl Site {
    /// The site of a stack's folder, seen from `here`.
    pub fn of(
        here: &Path,
        folder: &Path,
        environment: Option<&str>,
        instance: Option<&str>,
    ) -> Self {
        let seen = folder.strip_prefix(here).unwrap_or(folder);
        let shown = match seen.display().to_string() {
            option if option.starts_with('-') => format!("./{option}"),
            shown => shown,
        };
        Self {
            folder: (!shown.is_empty()).then_some(shown),
            environment: environment.map(str::to_owned),
            instance: instance.map(str::to_owned),
        }
    }

    /// The same text, with folder and environment in each `` `hive …` `` that it names.
    pub fn complete(&self, text: &str) -> String {
        let mut out = String::new();
        for (number, piece) in text.split('`').enumerate() {
            if number > 0 {
                out.push('`');
            }
            out.push_str(piece);
            // Every second piece stands between two marks.
            if number % 2 == 1 && is_of_a_stack(piece) {
                out.push_str(&self.arguments());
            }
        }
        out
    }

    fn arguments(&self) -> String {
        let given =
            [(" ", &self.folder), (" -e ", &self.environment), (" --instance ", &self.instance)];
        let words = given.into_iter().filter_map(|(before, it)| Some((before, it.as_ref()?)));
        words.map(|(before, word)| format!("{before}{}", shell(word))).collect()
    }
}

fn is_of_a_stack(command: &str) -> bool {
    let mut words = command.split(' ');
    words.next() == Some("hive")
        && words.next().is_some_and(|it| !it.is_empty() && !ABOUT_NONE.contains(&it))
        && ![" -e ", " --stack "].iter().any(|it| command.contains(it))
}

/// One word for a shell: as it is where no shell would read more into it, else quoted.
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_typed_where_it_is_read() {
        let here = Path::new("/home/kim");
        let site = Site::of(here, Path::new("/home/kim/my shop"), Some("staging"), Some("a"));
        assert_eq!(
            site.complete("`hive unfreeze` lets it go, `hive init` and `service.api` do not"),
            "`hive unfreeze 'my shop' -e staging --instance a` lets it go, \
             `hive init` and `service.api` do not"
        );
        let site = Site::of(here, Path::new("/srv/shop"), None, None);
        assert_eq!(site.complete("`hive logs service.api`"), "`hive logs service.api /srv/shop`");
        for same in ["/home/kim", "/home/kim/."] {
            let site = Site::of(here, Path::new(same), None, None);
            assert_eq!(site, Site::default());
            assert_eq!(site.complete("`hive plan` again"), "`hive plan` again");
        }
        let site = Site::of(here, Path::new("/home/kim/../sam"), None, None);
        assert_eq!(site.complete("`hive plan`"), "`hive plan ../sam`");
    }

    #[test]
    fn a_word_stays_one_word_in_a_shell() {
        assert_eq!(shell("stacks/quickstart"), "stacks/quickstart");
        assert_eq!(shell("Bad Name"), "'Bad Name'");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell(""), "''");
    }
}
