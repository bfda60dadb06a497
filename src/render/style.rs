//! How text is shown: colour or not, and how wide.

/// Whether there is colour, and how many columns there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Only on a terminal, and never with `NO_COLOR` or `TERM=dumb`.
    pub colour: bool,
    /// Columns of a terminal. In a pipe there are as many as are needed: whoever reads it looks for
    /// words, and a path that was broken in two is not found.
    pub width: usize,
}

/// What a piece of text is, and so how it is painted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// As it comes.
    #[default]
    Plain,
    /// What matters most in its line.
    Bold,
    /// What may be skipped.
    Dim,
    /// Made, done, healthy.
    Good,
    /// Changed, worth a look.
    Care,
    /// Taken away, failed.
    Bad,
    /// Looked at, named.
    Note,
}

impl Style {
    /// For a pipe or a file.
    pub const PLAIN: Self = Self { colour: false, width: usize::MAX };

    /// Adds painted text.
    pub fn paint_into(self, out: &mut String, paint: Paint, text: &str) {
        let code = match paint {
            _ if !self.colour || text.trim().is_empty() => "",
            Paint::Plain => "",
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Good => "32",
            Paint::Care => "33",
            Paint::Bad => "31",
            Paint::Note => "36",
        };
        if code.is_empty() {
            out.push_str(text);
        } else {
            out.push_str("\u{1b}[");
            out.push_str(code);
            out.push('m');
            out.push_str(text);
            out.push_str("\u{1b}[0m");
        }
    }

    /// Painted text.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        let mut out = String::new();
        self.paint_into(&mut out, paint, text);
        out
    }
}
