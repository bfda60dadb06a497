//! Names of backups.

use hive_contract::{Fingerprint, Token};
use std::fmt;

/// A backup's id, `20261124T030000Z-ab12cd34`: when it was begun and which step began it. Ids sort by
/// time for people; what is older is told by manifests alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupId(String);

impl BackupId {
    /// The id of what a step begins now.
    pub fn new(token: &Token, now_ms: i64) -> Self {
        let at = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
        Self(format!("{}-{}", at.strftime("%Y%m%dT%H%M%SZ"), short(token)))
    }

    /// An id from its text; none where it is not one of hive's.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, step) = text.split_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
        let good = date.len() == 8
            && clock.len() == 6
            && digits(date)
            && digits(clock)
            && step.len() == 8
            && step.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it));
        good.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a step with this token may have begun it.
    pub fn may_be_of(&self, token: &Token) -> bool {
        self.0.ends_with(&format!("-{}", short(token)))
    }

    /// When it was begun, in milliseconds since 1970, by the clock that its writer had.
    pub fn begun_ms(&self) -> Option<i64> {
        let text = self.0.split_once('Z')?.0;
        let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", text).ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(zoned.timestamp().as_millisecond())
    }

    /// The key of one of its objects.
    pub fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }
}

fn short(token: &Token) -> String {
    Fingerprint::of_bytes(token.as_str().as_bytes()).as_str()[..8].to_owned()
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The time of this machine's clock, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_when_and_by_whom() {
        let token = Token::from_text("0123456789abcdef");
        let id = BackupId::new(&token, 1_795_489_200_123);
        assert_eq!(&id.as_str()[..17], "20261124T030000Z-");
        assert_eq!(id.begun_ms(), Some(1_795_489_200_000));
        assert_eq!(BackupId::parse(id.as_str()), Some(id.clone()));
        assert!(id.may_be_of(&token) && !id.may_be_of(&Token::from_text("other")));
        for bad in ["", "x", "20261124T030000Z", "20261124T030000Z-AB12CD34", "notes-ab12cd34"] {
            assert_eq!(BackupId::parse(bad), None, "{bad}");
        }
    }
}
