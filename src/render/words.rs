//! Times, counts and digests in words.

use hive_contract::{Fingerprint, Reason};

/// A span of time as a person says it: `80 ms`, `1.2 s`, `2 min`, `3 h`.
pub fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..60_000 => format!("{} s", ms / 1_000),
        60_000..3_600_000 if ms % 60_000 < 1_000 || ms > 600_000 => {
            format!("{} min", ms / 60_000)
        }
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        3_600_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

/// A span of time without any rounding: `90 s`, `5 min`, `1500 ms`.
pub fn exact_span(ms: u64) -> String {
    match ms {
        0 => "0 s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{} h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        _ => format!("{ms} ms"),
    }
}

/// How long ago: `just now`, `5 minutes ago`, `2 days ago`.
pub fn ago(then_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(then_ms) / 1_000 {
        0..10 => "just now".to_owned(),
        s @ 10..60 => format!("{s} seconds ago"),
        s @ 60..3_600 => format!("{} ago", count(s / 60, "minute", "minutes")),
        s @ 3_600..86_400 => format!("{} ago", count(s / 3_600, "hour", "hours")),
        s => format!("{} ago", count(s / 86_400, "day", "days")),
    }
}

/// A moment, in UTC: `2026-03-01 14:05:09 UTC`.
pub fn moment(at_ms: u64) -> String {
    let millis = i64::try_from(at_ms).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => format!("{at_ms} ms after 1970"),
    }
}

/// A number with its noun.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// A number with commas: `12,345`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// The first eight digits in groups of four: `7c1f 09ab`.
pub fn digest_groups(digest: &Fingerprint) -> String {
    let short = digest.short();
    match (short.get(..4), short.get(4..)) {
        (Some(first), Some(second)) => format!("{first} {second}"),
        _ => short.to_owned(),
    }
}

/// Why something is touched.
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Declared => "declared".to_owned(),
        Reason::Drift => "drift".to_owned(),
        Reason::Ended { how } => how.clone(),
        Reason::Dependency { address } => format!("because {address} changes"),
        Reason::Forced { field } => format!("{field} cannot change in place"),
        Reason::Moved { from } => format!("its place was {from}"),
        Reason::Secret { reference } => format!("the value of secret {reference} is another"),
        Reason::Unverified => "the last step was not seen to succeed".to_owned(),
        Reason::Asked { command } => format!("asked: {command}"),
    }
}

/// Joins as a person would: `a`, `a and b`, `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_speech() {
        let said: Vec<String> =
            [0, 80, 1_234, 59_999, 60_000, 95_000, 3_600_000, 200_000_000].map(span).into();
        assert_eq!(
            said,
            ["0 ms", "80 ms", "1.2 s", "59 s", "1 min", "1 min 35 s", "1 h", "2 days"]
        );
        let exact: Vec<String> = [1_500, 90_000, 300_000, 7_200_000].map(exact_span).into();
        assert_eq!(exact, ["1500 ms", "90 s", "5 min", "2 h"]);
        assert_eq!(ago(0, 172_800_000), "2 days ago");
        assert_eq!(ago(0, 61_000), "1 minute ago");
        assert_eq!(ago(9, 3), "just now");
        assert_eq!(moment(1_772_373_909_000), "2026-03-01 14:05:09 UTC");
        assert_eq!(moment(u64::MAX), format!("{} ms after 1970", u64::MAX));
    }

    #[test]
    fn numbers_and_lists() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "step", "steps"), "1 step");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
