//! Reading one live rule file.

use crate::Base;
use crate::header::Header;
use crate::rule::Rule;
use crate::spot::Spot;
use hive_contract::{Failure, FailureKind, Fields, Live, Observed, Status, Value};
use hive_objects::failure;
use std::collections::BTreeMap;
use std::path::Path;

/// The longest rule file that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// The field that holds a rule file which hive did not write like this: as it is, so that an undo
/// can write it again.
pub(crate) const TEXT: &str = "text";

/// One rule file as it is.
///
/// # Errors
/// It cannot be read, or is no text.
pub(crate) fn read_spot(base: &Base, spot: &Spot) -> Result<Observed, Failure> {
    let shown = spot.shown(base);
    let Some(text) = read_file(&spot.file(base), &shown)? else { return Ok(Observed::Absent) };
    let (header, body) = Header::split(&text, &shown)?;
    Ok(Observed::Present(live(spot, header, body)))
}

pub(crate) fn live(spot: &Spot, header: Option<Header>, body: &str) -> Live {
    let ours = |rule: &Rule| rule.group == spot.group() && rule.alert == spot.name;
    let file = format!("{}.yml", spot.group());
    let (fields, summary) = match Rule::read(body).filter(ours) {
        Some(rule) => (rule.fields(), file),
        None => {
            let fields = Fields::from([(TEXT.to_owned(), Value::text(body))]);
            (fields, format!("{file}, rewritten by hand"))
        }
    };
    let (mark, token) = header.map_or((None, None), |it| (Some(it.mark), Some(it.token)));
    Live {
        identity: spot.identity(),
        fields,
        outputs: BTreeMap::new(),
        mark,
        token,
        moved_by: BTreeMap::new(),
        ended: BTreeMap::new(),
        status: Status { ready: true, summary, ..Status::default() },
    }
}

/// The text of a file; none where nothing is there.
pub(crate) fn read_file(path: &Path, shown: &str) -> Result<Option<String>, Failure> {
    let malformed =
        |what: &str| Err(Failure::new(FailureKind::Malformed, format!("`{shown}` is {what}")));
    let Some(opened) = hive_objects::open(rustix::fs::CWD, path, shown)? else { return Ok(None) };
    let bytes = opened.bytes(LIMIT).map_err(|error| failure("read", shown, &error))?;
    if bytes.len() as u64 > LIMIT {
        return malformed("longer than 1 MiB");
    }
    String::from_utf8(bytes).map(Some).or_else(|_| malformed("not text"))
}
