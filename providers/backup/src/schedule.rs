//! When backups are due. All times are UTC, where every day has every hour once.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::{Timestamp, Zoned, tz::TimeZone};

/// A cron schedule of five fields.
pub struct Schedule(Cron);

impl Schedule {
    /// Reads it.
    ///
    /// # Errors
    /// Why it is none, as a fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|why| format!("`{text}` is no schedule: {why}"))?;
        let schedule = Self(cron);
        if schedule.next(0).is_none() {
            return Err(format!("`{text}` never comes"));
        }
        Ok(schedule)
    }

    /// The last time at or before this one, in milliseconds since 1970.
    pub fn last(&self, at_ms: i64) -> Option<i64> {
        let found = self.0.find_previous_occurrence(&utc(at_ms)?, true).ok()?;
        Some(found.timestamp().as_millisecond())
    }

    /// The first time after this one, in milliseconds since 1970.
    pub fn next(&self, at_ms: i64) -> Option<i64> {
        let found = self.0.find_next_occurrence(&utc(at_ms)?, false).ok()?;
        Some(found.timestamp().as_millisecond())
    }

    /// The longest time between two of them, as far as the next hundred tell.
    pub fn longest_gap_ms(&self) -> Option<i64> {
        let mut at = self.next(0)?;
        let mut longest = None;
        for _ in 0..100 {
            let Some(next) = self.next(at) else { break };
            longest = longest.max(Some(next - at));
            at = next;
        }
        longest
    }
}

fn utc(ms: i64) -> Option<Zoned> {
    Some(Timestamp::from_millisecond(ms).ok()?.to_zoned(TimeZone::UTC))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_schedule_says_when_it_was_due_last() {
        let daily = Schedule::parse("0 3 * * *").expect("is one");
        let three = 1_795_489_200_000;
        assert_eq!(daily.last(three), Some(three));
        assert_eq!(daily.last(three - 1), Some(three - DAY));
        assert_eq!(daily.next(three), Some(three + DAY));
        assert_eq!(daily.longest_gap_ms(), Some(DAY));
        let weekdays = Schedule::parse("0 3 * * 1-5").expect("is one");
        assert_eq!(weekdays.longest_gap_ms(), Some(3 * DAY));
    }

    #[test]
    fn what_is_no_schedule_or_never_comes_is_refused() {
        for bad in ["", "daily at 3", "61 * * * *", "0 3 * *", "0 0 3 * * *", "0 0 30 2 *"] {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
    }
}
