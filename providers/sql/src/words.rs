//! Amounts in words.

/// A size: `812 bytes`, `1.2 MB`. Units are powers of 1000.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    }
    let mut tenths = u128::from(bytes) * 10 / 1000;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    tenths_of(tenths, UNITS[unit])
}

/// A time span: `340 ms`, `1.2 s`, `12 min`, `3.5 h`, `30 d`.
pub fn span(ms: u64) -> String {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (unit, name) = match ms {
        0..SECOND => return format!("{ms} ms"),
        SECOND..MINUTE => (SECOND, "s"),
        MINUTE..HOUR => (MINUTE, "min"),
        HOUR..172_800_000 => (HOUR, "h"),
        _ => (DAY, "d"),
    };
    tenths_of(u128::from(ms) * 10 / u128::from(unit), name)
}

/// A count with a noun: `1 row`, `1 200 rows` without a separator.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The first of many, and how many more there are: `a, b and 3 more`.
pub fn first_of(all: &[String], shown: usize) -> String {
    let more = all.len().saturating_sub(shown);
    let first = all[..all.len() - more].join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

fn tenths_of(tenths: u128, unit: &str) -> String {
    if tenths >= 1000 || tenths.is_multiple_of(10) {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}
