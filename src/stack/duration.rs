//! Durations: `"30s"`, `"5m"`, `"26h"`, `"30d"`.

/// The milliseconds of a duration; none where the text is no duration, or too long a one.
pub(crate) fn milliseconds(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

/// The same as a regular expression, for editors.
pub(crate) const PATTERN: &str = "^[0-9]+(ms|s|m|h|d)$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(milliseconds("250ms"), Some(250));
        assert_eq!(milliseconds("30s"), Some(30_000));
        assert_eq!(milliseconds("5m"), Some(300_000));
        assert_eq!(milliseconds("26h"), Some(93_600_000));
        assert_eq!(milliseconds("30d"), Some(2_592_000_000));
        for wrong in ["", "s", "30", "1.5s", "-1s", " 1s", "1 s", "1S", "1w", "1h30m"] {
            assert_eq!(milliseconds(wrong), None, "{wrong:?}");
        }
        assert_eq!(milliseconds("99999999999999999d"), None);
        assert_eq!(milliseconds("9223372036854775807d"), None);
    }
}
