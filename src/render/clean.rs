//! Text from outside, made harmless: what would move a cursor or hide text is shown by its number.

use std::fmt::Write as _;

/// One line: line ends, tabs and every other control character are shown as escapes.
pub fn clean(text: &str) -> String {
    escape(text, |_| false)
}

/// Many lines: line ends stay and a tab becomes four spaces; all else as in [`clean`].
pub fn clean_lines(text: &str) -> String {
    escape(&text.replace("\r\n", "\n").replace('\t', "    "), |c| c == '\n')
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if keep(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if hides(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", c as u32);
            }
            c => shown.push(c),
        }
    }
    shown
}

/// The same text with as many bytes, for where positions in it must stay right.
pub fn clean_in_place(text: &str) -> String {
    let same_width = |c: char| match c.len_utf8() {
        1 if c == '\t' => ' ',
        1 => '?',
        2 => '¿',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(|c| if hides(c) && c.len_utf8() < 4 { same_width(c) } else { c }).collect()
}

/// Whether a character has no picture of its own but changes how others are seen.
pub(super) fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_reaches_the_terminal_as_a_command() {
        assert_eq!(clean("a\u{1b}[31mb\u{7}\r\n"), "a\\u{1b}[31mb\\u{7}\\r\\n");
        assert_eq!(clean("evil\u{202e}txt.exe"), "evil\\u{202e}txt.exe");
        assert_eq!(clean_lines("a\tb\r\nc\u{9b}2J"), "a    b\nc\\u{9b}2J");
        assert_eq!(clean("größe → 日本"), "größe → 日本");
    }

    #[test]
    fn positions_stay_right() {
        let text = "a\tb\u{1b}ä\u{85}\u{202e}z";
        let shown = clean_in_place(text);
        assert_eq!(shown.len(), text.len());
        assert_eq!(shown, "a b?ä¿\u{fffd}z");
    }
}
