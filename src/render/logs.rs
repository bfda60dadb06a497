//! What services print, each line with whose it is.

use super::clean::clean_lines;
use super::style::{Paint, Style};

/// Colours in turn, so that neighbours differ.
const PAINTS: [Paint; 4] = [Paint::Note, Paint::Good, Paint::Care, Paint::Bold];

/// One line of one replica. `number` chooses its colour, `widest` is the longest name.
pub fn line(name: &str, number: usize, widest: usize, text: &str, style: Style) -> String {
    let mut out = String::new();
    style.paint_into(&mut out, PAINTS[number % PAINTS.len()], &format!("{name:<widest$} | "));
    out.push_str(&clean_lines(text));
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_move_the_cursor() {
        let shown = line("service.api/0", 0, 15, "a\tb\u{1b}[2J", Style::PLAIN);
        assert_eq!(shown, "service.api/0   | a    b\\u{1b}[2J\n");
    }
}
