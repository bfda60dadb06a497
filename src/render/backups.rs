//! What backups hold, and whether they keep what is promised.

use super::clean::clean;
use super::line::{Line, columns};
use super::plan_json::{FORMAT, document};
use super::site::Site;
use super::style::{Paint, Style};
use super::words::{ago, count, list, moment, span};
use crate::flow::{Backups, Kept};
use hive_sql::objectives::Verdict;
use hive_sql::words::size;
use serde::Serialize;

/// All, as a person reads them.
pub fn text(all: &[Backups], now_ms: u64, site: &Site, style: Style) -> String {
    let mut out = String::new();
    if all.is_empty() {
        out.push_str("no backup is recorded here\n");
    }
    for (number, one) in all.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        head(one).write(&mut out, style, 4);
        summary(one, now_ms, site, 2, style, &mut out);
        rows(one, now_ms, style, &mut out);
    }
    out
}

fn head(one: &Backups) -> Line {
    let promise = |what: &str, ms: Option<u64>| {
        ms.map_or(String::new(), |it| format!(" · {what} {}", span(it)))
    };
    Line::new()
        .with(Paint::Bold, one.address.to_string())
        .plain(format!("  of {} in {}", clean(&one.of), clean(&one.destination)))
        .with(Paint::Dim, promise("rpo", one.rpo_ms) + &promise("rto", one.rto_ms))
}

/// The newest, and what is promised against what is.
pub fn summary(
    one: &Backups,
    now_ms: u64,
    site: &Site,
    indent: usize,
    style: Style,
    out: &mut String,
) {
    let mut say = |paint: Paint, text: String| {
        Line::indented(indent).with(paint, text).write(out, style, indent + 2);
    };
    if let Some(why) = &one.unreadable {
        return say(Paint::Bad, format!("cannot be read: {}", clean(why)));
    }
    if let Some(lost) = &one.lost {
        say(Paint::Bad, site.complete(&clean(lost)));
    }
    let damaged = one.list.iter().filter(|it| !it.ok && !it.shrunk).count();
    let smaller = one.list.iter().filter(|it| !it.ok && it.shrunk).count();
    match one.newest() {
        Some(newest) => say(Paint::Plain, newest_words(newest, one, now_ms)),
        None if one.lost.is_some() => {}
        None => say(
            Paint::Care,
            site.complete("there is no good backup yet: `hive backup run` makes one"),
        ),
    }
    if damaged > 0 {
        say(Paint::Bad, format!("{} damaged", count(damaged as u64, "backup is", "backups are")));
    }
    if smaller > 0 {
        let them = count(smaller as u64, "backup is", "backups are");
        say(Paint::Bad, format!("{them} far smaller than those before"));
    }
    for (what, verdict) in [("rpo", one.rpo(now_ms)), ("rto", one.rto())] {
        let Some(verdict) = verdict else { continue };
        let (paint, word) = match verdict {
            Verdict::Met { .. } => (Paint::Good, "met"),
            Verdict::Missed { .. } => (Paint::Bad, "missed"),
            Verdict::Unknown { .. } => (Paint::Care, "not known"),
        };
        say(paint, format!("{what} {word}: {}", verdict.words()));
    }
}

/// What is counted in one: the rows of a database, the files or refs of anything else.
fn counted(rows: u64, of: &Backups) -> String {
    match of.database {
        Some(_) => count(rows, "row", "rows"),
        None => count(rows, "entry", "entries"),
    }
}

fn newest_words(newest: &Kept, of: &Backups, now_ms: u64) -> String {
    let proof = match newest.verified_ms {
        Some(at_ms) => format!("verified {}", ago(at_ms, now_ms)),
        None => "not verified".to_owned(),
    };
    let rows = newest.rows.map_or(String::new(), |it| format!(", {}", counted(it, of)));
    let size = newest.bytes.map_or(String::new(), |it| format!(", {}", size(it)));
    format!("newest {}{size}{rows}, {proof}", ago(newest.at_ms, now_ms))
}

fn rows(of: &Backups, now_ms: u64, style: Style, out: &mut String) {
    let all = || of.list.iter().rev();
    let cells: Vec<Vec<(Paint, String)>> = all().map(|it| cells(it, of, now_ms)).collect();
    let mut widths = [0; CELLS];
    for row in &cells {
        for (width, (_, text)) in widths.iter_mut().zip(row) {
            *width = columns(text).max(*width);
        }
    }
    // Up to which migration it reaches is told where a row has room for it.
    let mut shown = CELLS;
    while shown > LEAST
        && 2 + widths[..shown].iter().map(|it| it + 2).sum::<usize>() - 2 > style.width
    {
        shown -= 1;
    }
    for (kept, row) in all().zip(cells) {
        let mut line = Line::indented(2);
        for ((paint, text), width) in row.into_iter().zip(widths).take(shown) {
            let missing = " ".repeat(width.saturating_sub(columns(&text)) + 2);
            line = line.with(paint, text).plain(missing);
        }
        line.write(out, style, 6);
        about(kept, style, out);
    }
}

/// Id, when, kind, size, rows, proof, schema.
const CELLS: usize = 7;
/// Those up to the proof are always shown.
const LEAST: usize = 6;

fn cells(kept: &Kept, of: &Backups, now_ms: u64) -> Vec<(Paint, String)> {
    let (paint, proof) = match (kept.ok, kept.verified_ms) {
        (false, _) if kept.shrunk => (Paint::Bad, "far smaller".to_owned()),
        (false, _) => (Paint::Bad, "damaged".to_owned()),
        (true, Some(at_ms)) => (Paint::Good, format!("verified {}", ago(at_ms, now_ms))),
        (true, None) => (Paint::Dim, "not verified".to_owned()),
    };
    let rows = kept.rows.map(|it| counted(it, of));
    vec![
        (Paint::Bold, clean(&kept.id)),
        (Paint::Plain, moment(kept.at_ms)),
        (Paint::Plain, clean(&kept.kind)),
        (Paint::Plain, kept.stored.or(kept.bytes).map_or("-".to_owned(), size)),
        (Paint::Plain, rows.unwrap_or_default()),
        (paint, proof),
        (Paint::Dim, kept.version.as_deref().map(clean).unwrap_or_default()),
    ]
}

/// What is to be said of one below it.
fn about(kept: &Kept, style: Style, out: &mut String) {
    if let Some(wrong) = &kept.wrong {
        Line::indented(6).with(Paint::Bad, clean(wrong)).write(out, style, 8);
    }
    if !kept.pinned_by.is_empty() {
        let numbers: Vec<String> = kept.pinned_by.iter().map(ToString::to_string).collect();
        let noun = if numbers.len() == 1 { "snapshot" } else { "snapshots" };
        let words = format!("the way back to {noun} {} needs it", list(&numbers));
        Line::indented(6).with(Paint::Note, words).write(out, style, 8);
    }
    let verdict = match kept.stays {
        true => format!("stays: {}", kept.because.join("; ")),
        false => format!("goes with the next run: {}", kept.because.join("; ")),
    };
    let paint = if kept.stays { Paint::Dim } else { Paint::Care };
    Line::indented(6).with(paint, clean(&verdict)).write(out, style, 8);
}

#[derive(Serialize)]
struct BackupsJson<'a> {
    format: u32,
    backups: Vec<OneJson<'a>>,
}

/// One declared backup for programs; also in `hive status`.
#[derive(Serialize)]
pub struct OneJson<'a> {
    #[serde(flatten)]
    backups: &'a Backups,
    newest: Option<&'a str>,
    rpo: Option<Verdict>,
    rto: Option<Verdict>,
}

/// One, for programs.
pub fn one_json(backups: &Backups, now_ms: u64) -> OneJson<'_> {
    OneJson {
        backups,
        newest: backups.newest().map(|it| it.id.as_str()),
        rpo: backups.rpo(now_ms),
        rto: backups.rto(),
    }
}

/// All, as one JSON document.
pub fn json(all: &[Backups], now_ms: u64) -> String {
    let backups = all.iter().map(|it| one_json(it, now_ms)).collect();
    document(&BackupsJson { format: FORMAT, backups })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{EVIL, golden};
    use hive_contract::{Fields, Live, Observed, Status};
    use std::collections::BTreeMap;

    const LISTED: &str = r#"{"backups":[
        {"id":"20261101T030000Z-aaaaaaaa","at_ms":1793502000000,"kind":"run","bytes":1200000,
         "stored":300000,"rows":1200,"schema":"9f","version":"0006_orders",
         "verified_ms":1793505600000,"verify_ms":4200,"restore_ms":3100,"ok":true},
        {"id":"20261123T030000Z-bbbbbbbb","at_ms":1795402800000,"kind":"run","bytes":1300000,
         "stored":310000,"rows":1300,"schema":"9f","version":"0007_status","ok":false,"whole":false,
         "wrong":"the object `data.zst` has another hash than the manifest says"},
        {"id":"20261124T030000Z-cccccccc","at_ms":1795489200000,"kind":"safety","bytes":1310000,
         "stored":311000,"rows":1301,"schema":"9f","version":"0007_status","ok":true}]}"#;

    fn sample() -> Vec<Backups> {
        let declared = r#"{"database":"database.main","destination":"backups/main",
            "keep":{"within":86400000,"minimum":1},"rpo":93600000,"rto":3000}"#;
        let declared: Fields = serde_json::from_str(declared).expect("fields");
        let live = Live {
            identity: "dev/backup.main".to_owned(),
            fields: serde_json::from_str(LISTED).expect("fields"),
            outputs: Fields::new(),
            mark: None,
            token: None,
            moved_by: BTreeMap::new(),
            ended: BTreeMap::new(),
            status: Status::default(),
        };
        let address = "backup.main".parse().expect("an address");
        let seen = Ok(Observed::Present(live));
        let mut main = Backups::of(&address, &declared, Some(&seen), &[], NOW);
        main.list[0].pinned_by = vec![3, 4];
        let of_files = r#"{"of":{"engine":"folder","path":"config"},"destination":"backups/c"}"#;
        let of_files: Fields = serde_json::from_str(of_files).expect("fields");
        let address = "backup.config".parse().expect("an address");
        let config = Backups::of(&address, &of_files, None, &[], NOW);
        let blind = Backups { unreadable: Some(EVIL.to_owned()), ..config.clone() };
        vec![main, config, blind]
    }

    const NOW: u64 = 1_795_519_200_000;

    #[test]
    fn what_backups_hold_and_keep() {
        let shown = text(&sample(), NOW, &Site::default(), Style::PLAIN);
        golden("backup/list.txt", &shown);
        let narrow = Style { width: 110, ..Style::PLAIN };
        let rows = text(&sample(), NOW, &Site::default(), narrow);
        let row = rows.lines().find(|it| it.contains("20261101T030000Z-aaaaaaaa"));
        assert!(row.is_some_and(|it| it.contains("verified") && !it.contains("0006")), "{rows}");
        golden("backup/list.json", &json(&sample(), NOW));
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown}");
    }
}
