//! What a git bundle says at its begin.

use crate::tally::Tally;

/// No list of refs is longer.
const LIMIT: usize = 64 << 20;

/// The head of a bundle, read as it passes by.
#[derive(Debug, Default)]
pub(crate) struct Head {
    seen: Vec<u8>,
    end: Option<usize>,
}

/// What the head says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// Object id and name of each ref, as `<id> <name>`; `HEAD` is one.
    pub(crate) refs: Vec<String>,
    /// How many objects the pack holds.
    pub(crate) objects: u64,
}

impl Head {
    /// Takes the next bytes of the stream.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if self.is_whole() || self.seen.len() > LIMIT {
            return;
        }
        let from = self.seen.len().saturating_sub(1);
        self.seen.extend_from_slice(bytes);
        if self.end.is_none() {
            let found = self.seen[from..].windows(2).position(|pair| pair == b"\n\n");
            self.end = found.map(|at| from + at + 2);
        }
        if let Some(end) = self.end {
            // The pack's own head: four letters, a version, a count.
            self.seen.truncate(end + 12);
        }
    }

    fn is_whole(&self) -> bool {
        self.end.is_some_and(|end| self.seen.len() >= end + 12)
    }

    /// What it says.
    ///
    /// # Errors
    /// It is no bundle, or one that needs what it does not hold; a lower-case fragment.
    pub(crate) fn read(&self) -> Result<Bundle, String> {
        let end = self.end.filter(|_| self.is_whole()).ok_or("it is no bundle")?;
        let text = std::str::from_utf8(&self.seen[..end]).map_err(|_| "its refs are no text")?;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        if !(first.starts_with("# v") && first.ends_with(" git bundle")) {
            return Err("it is no bundle".to_owned());
        }
        let mut refs = Vec::new();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('@')) {
            if let Some(needed) = line.strip_prefix('-') {
                return Err(format!("it needs the commit {needed} and does not hold it"));
            }
            refs.push(line.to_owned());
        }
        let pack = &self.seen[end..];
        let [b'P', b'A', b'C', b'K', _, _, _, _, a, b, c, d] = *pack else {
            return Err("it holds no pack".to_owned());
        };
        Ok(Bundle { refs, objects: u64::from(u32::from_be_bytes([a, b, c, d])) })
    }
}

impl Bundle {
    /// Counted for the manifest.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for one in &self.refs {
            tally.add("refs", 0, &[one.as_bytes()]);
        }
        tally
    }
}
