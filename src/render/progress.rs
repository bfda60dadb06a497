//! What is seen while an apply runs: spinners on a terminal, lines in a pipe, JSON for programs.

use super::clean::clean;
use super::line::Line;
use super::plan_json;
use super::screen::Screen;
use super::style::{Paint, Style};
use super::words::{count, span};
use crate::apply::Progress;
use hive_contract::{Event, Level, Target};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    /// Spinners of what runs and a bar of what is done, on a terminal.
    Bars,
    /// One line for each thing that happens.
    Lines,
    /// One JSON document a line, on stdout.
    Json,
    /// Only what needs somebody's attention.
    Quiet,
}

/// Shows what an apply says.
pub struct Watcher<'a> {
    screen: &'a Screen,
    seen: Mutex<Seen>,
}

/// The steps that have begun: whose, and whether it is their undo.
type Steps = BTreeMap<u32, (Target, bool)>;

/// What was said of each step, and what is drawn of it.
struct Seen {
    steps: Steps,
    drawn: Option<Drawn>,
}

struct Drawn {
    all: MultiProgress,
    done: ProgressBar,
    running: BTreeMap<u32, ProgressBar>,
}

#[derive(Serialize)]
struct ProgressLine<'a> {
    format: u32,
    #[serde(flatten)]
    progress: &'a Progress,
}

impl<'a> Watcher<'a> {
    /// Nothing seen yet.
    pub fn new(screen: &'a Screen) -> Self {
        let drawn = (screen.mode() == ProgressMode::Bars).then(Drawn::new);
        Self { screen, seen: Mutex::new(Seen { steps: BTreeMap::new(), drawn }) }
    }

    /// Shows one thing.
    pub fn see(&self, progress: &Progress) {
        if self.screen.mode() == ProgressMode::Json {
            let line = ProgressLine { format: plan_json::FORMAT, progress };
            return self.screen.result(&plan_json::line(&line));
        }
        let Ok(mut seen) = self.seen.lock() else { return };
        if let Progress::Began { step, target, back, .. } = progress {
            seen.steps.insert(*step, (target.clone(), *back));
        }
        let said = say(progress, &seen.steps);
        let style = self.screen.message_style();
        let Seen { steps, drawn } = &mut *seen;
        let shown = said.filter(|said| match self.screen.mode() {
            ProgressMode::Quiet => said.matters,
            ProgressMode::Bars => said.stays,
            ProgressMode::Lines | ProgressMode::Json => true,
        });
        let text = shown.map(|said| {
            let mut text = String::new();
            said.line.write(&mut text, style, 2);
            text
        });
        match (drawn, text) {
            (Some(drawn), text) => {
                if let Some(text) = text {
                    // A terminal that has gone takes nothing more; the apply goes on.
                    let _ = drawn.all.println(text.trim_end());
                }
                drawn.draw(progress, steps);
            }
            (None, Some(text)) => self.screen.message(&text),
            (None, None) => {}
        }
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        if let Ok(mut seen) = self.seen.lock()
            && let Some(drawn) = seen.drawn.take()
        {
            drawn.clear();
        }
    }
}

/// One thing in words.
struct Said {
    line: Line,
    /// Whether it is worth a line that stays where the running steps are drawn anyway.
    stays: bool,
    /// Whether it needs somebody's attention.
    matters: bool,
}

fn say(progress: &Progress, steps: &Steps) -> Option<Said> {
    let said = |line: Line, stays: bool, matters: bool| Some(Said { line, stays, matters });
    match progress {
        Progress::Opened { apply, command, steps, resumed } => {
            let what = if *resumed { "taking up again:" } else { "begins:" };
            let steps = count(u64::from(*steps), "step", "steps");
            let line = Line::new().with(Paint::Bold, format!("{what} {}, {steps}", clean(command)));
            said(line.with(Paint::Dim, format!("  (apply {})", clean(apply))), true, false)
        }
        Progress::Began { step, title, attempt, back, .. } => {
            let mut line = named(*step, steps, *back).plain(clean(title));
            if *attempt > 1 {
                line = line.with(Paint::Care, format!(" (attempt {attempt})"));
            }
            said(line, *attempt > 1, false)
        }
        Progress::Said { step, event } => {
            let warning = event.level == Level::Warning;
            let paint = if warning { Paint::Care } else { Paint::Dim };
            let back = steps.get(step).is_some_and(|(_, back)| *back);
            said(named(*step, steps, back).with(paint, event_words(event)), warning, warning)
        }
        Progress::Done { step, took_ms, back } => {
            let line = named(*step, steps, *back).with(Paint::Good, "done");
            said(line.with(Paint::Dim, format!(" in {}", span(*took_ms))), true, false)
        }
        Progress::Failed { step, failure, back } => {
            let word = if *back { "could not be taken back: " } else { "failed: " };
            let line = named(*step, steps, *back).with(Paint::Bad, word);
            // The report says it again, with what was found: who wants it quiet reads it once.
            said(line.plain(clean(&failure.message)), true, false)
        }
        Progress::GoingBack { why, failed } => {
            // What the failed step said stands right above.
            let why = match failed {
                Some((step, target)) => format!("step {step} ({target}) failed"),
                None => why.clone(),
            };
            let line = Line::new().with(Paint::Bad, "going back: ").plain(clean(&why));
            said(line, true, false)
        }
        Progress::Note { message } => {
            said(Line::new().with(Paint::Care, "! ").plain(clean(message)), true, true)
        }
        Progress::Closed { .. } => None,
    }
}

/// The number and the target of a step.
fn named(step: u32, steps: &Steps, back: bool) -> Line {
    let way = if back { "back " } else { "" };
    let line = Line::new().with(Paint::Dim, format!("{way}{step:>2}  "));
    match steps.get(&step) {
        Some((target, _)) => line.with(Paint::Bold, target.to_string()).plain("  "),
        None => line,
    }
}

fn event_words(event: &Event) -> String {
    let message = clean(&event.message);
    match event.progress {
        Some((done, total)) if total > 0 => format!("{message} ({done} of {total})"),
        _ => message,
    }
}

impl Drawn {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let done = all.add(ProgressBar::new(0));
        done.set_style(style("{bar:24} {pos} of {len} done  {elapsed}"));
        done.enable_steady_tick(Duration::from_secs(1));
        Self { all, done, running: BTreeMap::new() }
    }

    fn draw(&mut self, progress: &Progress, steps: &Steps) {
        match progress {
            Progress::Opened { steps, .. } => self.done.set_length(u64::from(*steps)),
            Progress::Began { step, title, .. } => {
                let bar = self.all.insert_before(&self.done, ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {prefix}  {wide_msg} {elapsed}"));
                let target = steps.get(step).map(|(target, _)| target.to_string());
                bar.set_prefix(format!("{step:>2}  {}", target.unwrap_or_default()));
                bar.set_message(clean(title));
                bar.enable_steady_tick(Duration::from_millis(120));
                if let Some(before) = self.running.insert(*step, bar) {
                    before.finish_and_clear();
                }
            }
            Progress::Said { step, event } => {
                if let Some(bar) = self.running.get(step) {
                    bar.set_message(event_words(event));
                }
            }
            Progress::Done { step, back, .. } | Progress::Failed { step, back, .. } => {
                if let Some(bar) = self.running.remove(step) {
                    bar.finish_and_clear();
                }
                if !*back && matches!(progress, Progress::Done { .. }) {
                    self.done.inc(1);
                }
            }
            Progress::Closed { .. } => self.clear(),
            Progress::GoingBack { .. } | Progress::Note { .. } => {}
        }
    }

    fn clear(&self) {
        for bar in self.running.values() {
            bar.finish_and_clear();
        }
        self.done.finish_and_clear();
    }
}

/// A style from a template that stands in this file.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// All lines of an apply, as a pipe gets them.
pub fn lines(progress: &[Progress], style: Style) -> String {
    let mut steps = BTreeMap::new();
    let mut out = String::new();
    for it in progress {
        if let Progress::Began { step, target, back, .. } = it {
            steps.insert(*step, (target.clone(), *back));
        }
        if let Some(said) = say(it, &steps) {
            said.line.write(&mut out, style, 2);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{golden, told};
    use std::io::Write;
    use std::sync::Arc;

    #[test]
    fn in_a_pipe() {
        golden("progress/rolled-back.txt", &lines(&told(), Style::PLAIN));
    }

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn watched(mode: ProgressMode) -> (String, String) {
        let (out, err) = (Buffer::default(), Buffer::default());
        let screen = Screen::over(Box::new(out.clone()), Box::new(err.clone()), mode);
        let watcher = Watcher::new(&screen);
        told().iter().for_each(|it| watcher.see(it));
        let text = |it: &Buffer| {
            String::from_utf8(it.0.lock().expect("not poisoned").clone()).expect("is UTF-8")
        };
        (text(&out), text(&err))
    }

    #[test]
    fn as_json_lines_on_stdout() {
        let (out, err) = watched(ProgressMode::Json);
        golden("progress/rolled-back.jsonl", &out);
        assert_eq!(err, "");
        for line in out.lines() {
            let json: serde_json::Value = serde_json::from_str(line).expect("is JSON");
            assert_eq!(json["format"], 1);
        }
    }

    #[test]
    fn quiet_says_what_needs_attention() {
        let (out, err) = watched(ProgressMode::Quiet);
        assert_eq!(out, "");
        golden("progress/quiet.txt", &err);
    }
}
