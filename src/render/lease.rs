//! Who may write.

use super::clean::clean;
use super::line::Line;
use super::plan_json::{FORMAT, document};
use super::site::Site;
use super::style::{Paint, Style};
use super::words::{ago, moment, span};
use hive_state::{Hold, LeaseBody};
use serde::Serialize;

/// As a person reads it.
pub fn text(lease: Option<&LeaseBody>, now_ms: u64, site: &Site, style: Style) -> String {
    let held = lease.and_then(|it| Some((it, it.holder.as_ref()?)));
    let Some((lease, holder)) = held else { return "nobody holds the lease\n".to_owned() };
    let mut out = String::new();
    let hold = lease.hold(now_ms);
    let held = match hold {
        Hold::Gone => "held the lease and is gone",
        _ => "holds the lease",
    };
    Line::new()
        .with(Paint::Bold, clean(&holder.who))
        .plain(format!(" {held}: pid {} on {}", holder.pid, clean(&holder.host)))
        .write(&mut out, style, 2);
    let mut say = |what: &str, text: String| {
        Line::new().with(Paint::Dim, format!("{what:<9}")).plain(text).write(&mut out, style, 9);
    };
    say("apply", clean(&lease.apply));
    say("since", format!("{} ({})", moment(lease.since_ms), ago(lease.since_ms, now_ms)));
    say("renewed", format!("{}, {} times", ago(lease.renewed_ms, now_ms), lease.renewals));
    say("lasts", format!("{} without being renewed", span(lease.duration_ms)));
    let next = match hold {
        Hold::Gone => Some("the next `hive apply` takes it; `hive recover` settles what was begun"),
        Hold::Silent => Some("it was not renewed: its holder may be gone, or very late"),
        Hold::Live | Hold::Free => None,
    };
    if let Some(next) = next {
        let next = site.complete(next);
        Line::new().with(Paint::Care, "! ").plain(next).write(&mut out, style, 2);
    }
    out
}

#[derive(Serialize)]
struct LeaseJson<'a> {
    format: u32,
    held: bool,
    hold: Hold,
    lease: Option<&'a LeaseBody>,
}

/// As one JSON document.
pub fn json(lease: Option<&LeaseBody>, now_ms: u64) -> String {
    let held = lease.is_some_and(|it| it.holder.is_some());
    let hold = lease.map_or(Hold::Free, |it| it.hold(now_ms));
    document(&LeaseJson { format: FORMAT, held, hold, lease })
}
