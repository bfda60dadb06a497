//! Recovery objectives against what was measured.

use crate::words;
use serde::{Deserialize, Serialize};

/// What is known of a backup policy's backups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// When the content of the newest backup that was read back was fixed, in milliseconds since
    /// 1970.
    pub newest_ms: Option<i64>,
    /// How long each restore took, with the bytes that were restored, oldest first.
    pub restores: Vec<Restore>,
    /// How large the newest backup's content is.
    pub bytes: u64,
}

/// One restore that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How much was restored.
    pub bytes: u64,
}

/// Whether an objective is met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Verdict {
    /// It is.
    Met {
        /// What was measured.
        words: String,
    },
    /// It is not.
    Missed {
        /// By how much.
        words: String,
    },
    /// Nothing was measured.
    Unknown {
        /// What is missing.
        words: String,
    },
}

impl Verdict {
    /// In words.
    pub fn words(&self) -> &str {
        match self {
            Self::Met { words } | Self::Missed { words } | Self::Unknown { words } => words,
        }
    }

    /// Whether it is missed.
    pub fn is_missed(&self) -> bool {
        matches!(self, Self::Missed { .. })
    }
}

/// Recovery point: how old the newest backup may be. A backup of the future does not count.
pub fn rpo(measured: &Measured, rpo_ms: u64, now_ms: i64) -> Verdict {
    let Some(newest) = measured.newest_ms else {
        return Verdict::Unknown { words: "there is no backup that was read back".to_owned() };
    };
    let Ok(age) = u64::try_from(now_ms - newest) else {
        return Verdict::Unknown {
            words: "the newest backup is of the future: a clock is wrong".to_owned(),
        };
    };
    let (age_words, limit) = (words::span(age), words::span(rpo_ms));
    if age <= rpo_ms {
        Verdict::Met { words: format!("the newest backup is {age_words} old, at most {limit}") }
    } else {
        Verdict::Missed {
            words: format!("the newest backup is {age_words} old, and may be {limit}"),
        }
    }
}

/// How much larger than what was restored a backup may be for the time to be told in proportion: a
/// small restore is mostly what every restore costs, whatever its size.
const PROPORTION: u64 = 10;

/// Recovery time: how long a restore may take. Measured restores count at the 95th percentile, and
/// in proportion where the newest backup is larger than what was restored, up to [`PROPORTION`].
pub fn rto(measured: &Measured, rto_ms: u64) -> Verdict {
    let largest = measured.restores.iter().map(|one| one.bytes).max().unwrap_or_default();
    if largest > 0 && measured.bytes / PROPORTION > largest {
        let words = format!(
            "the newest backup holds {}, and no restore of more than {} was measured",
            words::size(measured.bytes),
            words::size(largest)
        );
        return Verdict::Unknown { words };
    }
    let mut expected: Vec<u64> = measured
        .restores
        .iter()
        .filter(|one| measured.bytes / PROPORTION <= one.bytes)
        .map(|one| scaled(one, measured.bytes))
        .collect();
    expected.sort_unstable();
    let last = expected.len().saturating_sub(1);
    let at = (expected.len() * 95).div_ceil(100).saturating_sub(1).min(last);
    let Some(took) = expected.get(at).copied() else {
        return Verdict::Unknown { words: "no restore was measured".to_owned() };
    };
    let (took_words, limit) = (words::span(took), words::span(rto_ms));
    if took <= rto_ms {
        Verdict::Met { words: format!("a restore takes {took_words}, at most {limit}") }
    } else {
        Verdict::Missed { words: format!("a restore takes {took_words}, and may take {limit}") }
    }
}

fn scaled(restore: &Restore, bytes: u64) -> u64 {
    if restore.bytes == 0 || bytes <= restore.bytes {
        return restore.took_ms;
    }
    let scaled = u128::from(restore.took_ms) * u128::from(bytes) / u128::from(restore.bytes);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
