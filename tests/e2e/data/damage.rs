//! What happens to backups: damage by hand, past hive.

use std::fs;
use std::path::{Path, PathBuf};

/// A pair of age keys that is used nowhere else: recipient, identity.
pub const KEYS: (&str, &str) = (
    "age1y3vny7ev5zwcnqw78xwtkdmmjzjpm4xkq2jes58kcr4vnjxna4tq52hud5",
    "AGE-SECRET-KEY-10DJR79P89KYALDQZYHLP0VVR4WRA7VCGHZALFZ86XVK5WFR0YLNQVVVWFQ",
);
/// What a stack says so that its backups are encrypted for [`KEYS`]: the identity is in `secret/key`.
pub fn encrypt() -> String {
    let recipient = KEYS.0;
    format!(
        "\n[backup.main.encrypt]\nrecipients = [\"{recipient}\"]\nidentity = {{ file = \"secret/key\" }}\n"
    )
}

/// Another identity, which opens nothing of the first.
pub const WRONG_IDENTITY: &str =
    "AGE-SECRET-KEY-15U5YGPK8LVFPCNKXW4Z7DS047J29L0VXYEYV8A30D4GZAZXAHG9S52PYQX";

/// The object of a backup that holds its data.
#[track_caller]
pub fn object(backup: &Path) -> PathBuf {
    fs::read_dir(backup)
        .expect("a backup is a folder")
        .flatten()
        .map(|it| it.path())
        .find(|it| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with("data")))
        .unwrap_or_else(|| panic!("no data in {}", backup.display()))
}

/// Flips one bit in the middle.
pub fn flip(file: &Path) {
    let mut bytes = fs::read(file).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).expect("writes");
}

/// Takes the last third away.
pub fn truncate(file: &Path) {
    let bytes = fs::read(file).expect("reads");
    fs::write(file, &bytes[..bytes.len() * 2 / 3]).expect("writes");
}
