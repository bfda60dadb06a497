//! What is seen while changes are tried on a copy.

use super::clean::clean;
use super::line::Line;
use super::plan_json;
use super::style::{Paint, Style};
use super::words::span;
use crate::flow::Trying;
use hive_contract::Level;
use serde::Serialize;

/// One thing, as a person reads it.
pub fn text(trying: &Trying, style: Style) -> String {
    let mut out = String::new();
    let line = |target: &hive_contract::Target| {
        Line::new().with(Paint::Dim, "trying  ").with(Paint::Bold, format!("{target}  "))
    };
    let line = match trying {
        Trying::Tries { target } => line(target).plain("on a copy"),
        Trying::TrySaid { target, event } => {
            let paint = if event.level == Level::Warning { Paint::Care } else { Paint::Dim };
            let progress = event.progress.filter(|(_, total)| *total > 0);
            let progress =
                progress.map_or(String::new(), |(done, total)| format!(" ({done} of {total})"));
            line(target).with(paint, clean(&event.message) + &progress)
        }
        Trying::Tried { target, took_ms, failed: None } => {
            line(target).with(Paint::Good, format!("done in {}", span(*took_ms)))
        }
        Trying::Tried { target, failed: Some(why), .. } => {
            line(target).with(Paint::Bad, "failed: ").plain(clean(why))
        }
    };
    line.write(&mut out, style, 8);
    out
}

#[derive(Serialize)]
struct TryingJson<'a> {
    format: u32,
    #[serde(flatten)]
    trying: &'a Trying,
}

/// One thing, as one line of JSON.
pub fn json(trying: &Trying) -> String {
    plan_json::line(&TryingJson { format: plan_json::FORMAT, trying })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{EVIL, golden, target};
    use hive_contract::Event;

    #[test]
    fn what_is_tried_is_said_and_why_it_failed() {
        let target = target("migrations.main");
        let all = [
            Trying::Tries { target: target.clone() },
            Trying::TrySaid { target: target.clone(), event: Event::info(EVIL).progress(2, 7) },
            Trying::Tried { target: target.clone(), took_ms: 1_200, failed: None },
            Trying::Tried { target, took_ms: 80, failed: Some("no such table: orders".into()) },
        ];
        let shown: String = all.iter().map(|it| text(it, Style::PLAIN)).collect();
        golden("trying/trying.txt", &shown);
        golden("trying/trying.jsonl", &all.iter().map(json).collect::<String>());
    }
}
