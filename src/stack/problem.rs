//! What is wrong with a stack: collected by span, given by line.

use super::model::{At, Problem, SourceFile, Span, Stack};
use super::suggest::nearest;
use hive_contract::{Address, FieldPath, Invalid};

/// Everything that was found wrong so far.
#[derive(Debug)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    suggestions_left: u32,
}

/// One thing that is wrong, before its line is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    message: String,
    help: Option<String>,
    at: Option<Span>,
    related: Vec<(String, Span)>,
}

/// More suggestions than this nobody reads, and each looks at every name.
const SUGGESTIONS: u32 = 25;

impl Default for Findings {
    fn default() -> Self {
        Self { list: Vec::new(), suggestions_left: SUGGESTIONS }
    }
}

impl Findings {
    /// Adds something wrong, and lends it for help and related places.
    pub(crate) fn add(&mut self, at: Option<Span>, message: impl Into<String>) -> &mut Finding {
        let (message, help, related) = (message.into(), None, Vec::new());
        self.list.push(Finding { message, help, at, related });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Adds something wrong at a span.
    pub(crate) fn at(&mut self, at: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Some(at), message)
    }

    /// The nearest of these names, as long as suggestions are still read.
    pub(crate) fn nearest<S: AsRef<str>>(
        &mut self,
        text: &str,
        names: impl IntoIterator<Item = S>,
    ) -> Option<String> {
        self.suggestions_left = self.suggestions_left.checked_sub(1)?;
        nearest(text, names).map(|near| format!("did you mean `{near}`?"))
    }

    /// How many things are wrong.
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of it in the order of files and lines, each once.
    pub(crate) fn problems(mut self, files: &[SourceFile]) -> Vec<Problem> {
        self.list.sort_by(|one, other| {
            let place = |it: &Finding| it.at.map(|at| (at.file, at.start));
            place(one).cmp(&place(other)).then_with(|| one.message.cmp(&other.message))
        });
        self.list.dedup();
        let lines: Vec<Lines<'_>> = files.iter().map(Lines::of).collect();
        let at = |span: Span| lines.get(span.file).map(|file| file.at(span));
        self.list
            .into_iter()
            .map(|finding| Problem {
                message: finding.message,
                help: finding.help,
                at: finding.at.and_then(at),
                related: finding
                    .related
                    .into_iter()
                    .filter_map(|(word, span)| Some((word, at(span)?)))
                    .collect(),
            })
            .collect()
    }
}

impl Finding {
    /// Says what to do.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do, where there is something to say.
    pub(crate) fn maybe_help(&mut self, help: Option<String>) -> &mut Self {
        self.help = help.or(self.help.take());
        self
    }

    /// Names another place that belongs to it.
    pub(crate) fn related(&mut self, word: impl Into<String>, at: Span) -> &mut Self {
        self.related.push((word.into(), at));
        self
    }
}

/// Where the lines of one file begin, so that a thousand problems do not count them anew.
struct Lines<'a> {
    file: &'a SourceFile,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(file: &'a SourceFile) -> Self {
        let breaks = file.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { file, starts }
    }

    fn at(&self, span: Span) -> At {
        let text = &self.file.text;
        let start = floor(text, span.start);
        let line = self.starts.partition_point(|begin| *begin <= start).max(1);
        let column = text[self.starts[line - 1]..start].chars().count() + 1;
        let end = floor(text, span.end).max(start);
        At { file: self.file.path.clone(), text: text.clone(), start, end, line, column }
    }
}

/// The last position at or before `at` at which a character begins.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

impl Problem {
    /// Something wrong that no file shows.
    pub(crate) fn nowhere(message: impl Into<String>, help: Option<String>) -> Self {
        Self { message: message.into(), help, at: None, related: Vec::new() }
    }
}

impl Stack {
    /// What a provider found wrong with a resource, with its place in the TOML: that of the field,
    /// else of the nearest table around it, else of the resource.
    pub fn problem_at(&self, address: &Address, invalid: &Invalid) -> Problem {
        let at = self.span(address, &invalid.field);
        let message = if at.is_none() {
            format!("`{address}`: {}", invalid.message)
        } else {
            invalid.message.clone()
        };
        let file = at.and_then(|at| Some((at, self.places.files.get(at.file)?)));
        Problem {
            message,
            help: invalid.help.clone(),
            at: file.map(|(at, file)| Lines::of(file).at(at)),
            related: Vec::new(),
        }
    }

    /// Where a field stands, or the nearest table around it that stands anywhere.
    pub(crate) fn span(&self, address: &Address, field: &FieldPath) -> Option<Span> {
        (0..=field.keys().len()).rev().find_map(|count| {
            let around = FieldPath::new(field.keys()[..count].iter().cloned());
            self.places.fields.get(&(address.clone(), around)).copied()
        })
    }
}
