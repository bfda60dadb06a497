//! Follows the logs of many replicas and prints their lines as they come.

use super::desk::Desk;
use crate::flow::LogFile;
use crate::render::logs;
use hive_process::logs::Tail;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The longest line that is kept back for its end.
const LONGEST: usize = 64 * 1024;

/// The logs that are followed.
#[derive(Default)]
pub struct Following {
    logs: BTreeMap<PathBuf, Followed>,
}

struct Followed {
    name: String,
    number: usize,
    tail: Tail,
    /// A line whose end has not come yet.
    begun: Vec<u8>,
}

impl Following {
    /// Follows these beside those before, each from its last `lines` lines on.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn add(&mut self, files: &[LogFile], lines: usize) -> std::io::Result<()> {
        for file in files {
            if self.logs.contains_key(&file.path) {
                continue;
            }
            let followed = Followed {
                name: format!("{}/{}", file.address, file.replica),
                number: self.logs.len(),
                tail: Tail::open(&file.path, Some(lines))?,
                begun: Vec::new(),
            };
            self.logs.insert(file.path.clone(), followed);
        }
        Ok(())
    }

    /// Prints what came since the last time; with `all`, also lines without an end.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn print(&mut self, desk: &Desk, all: bool) -> std::io::Result<()> {
        let style = desk.screen.result_style();
        let widest = self.logs.values().map(|it| it.name.len()).max().unwrap_or(0);
        for log in self.logs.values_mut() {
            log.begun.extend(log.tail.read()?);
            for line in log.lines(all) {
                desk.screen.result(&logs::line(&log.name, log.number, widest, &line, style));
            }
        }
        Ok(())
    }
}

impl Followed {
    fn lines(&mut self, all: bool) -> Vec<String> {
        let ended = match self.begun.iter().rposition(|byte| *byte == b'\n') {
            _ if all || self.begun.len() > LONGEST => self.begun.len(),
            Some(last) => last + 1,
            None => 0,
        };
        let bytes: Vec<u8> = self.begun.drain(..ended).collect();
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}
