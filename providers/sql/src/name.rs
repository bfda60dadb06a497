//! Names of migration files: `0001_create_orders.up.sql`.

use crate::directive::Direction;
use crate::fault::Fault;

/// The parts of a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileName<'a> {
    pub(crate) number: u64,
    /// The number as it is written.
    pub(crate) version: &'a str,
    /// Number and words.
    pub(crate) stem: &'a str,
    pub(crate) direction: Direction,
}

const HELP: &str = "name it `0001_what_it_does.up.sql`, its way back `0001_what_it_does.down.sql`: \
                    a number, `_`, then letters, digits, `_` and `-`";

/// Takes a name apart.
pub(crate) fn parse(name: &str) -> Result<FileName<'_>, Fault> {
    let fault = |message: &str| Err(Fault::of(name, message).help(HELP));
    let Some(body) = name.strip_suffix(".sql") else {
        return fault("its name does not end in `.sql`");
    };
    let (stem, direction) = match (body.strip_suffix(".up"), body.strip_suffix(".down")) {
        (Some(stem), _) => (stem, Direction::Up),
        (_, Some(stem)) => (stem, Direction::Down),
        _ => (body, Direction::Up),
    };
    let Some((version, words)) = stem.split_once('_') else {
        return fault("its name is not a number, `_` and words");
    };
    let good_words = !words.is_empty()
        && words.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit()) || !good_words {
        return fault("its name is not a number, `_` and words");
    }
    // It goes into columns that are signed.
    match version.parse::<u64>() {
        Ok(number) if i64::try_from(number).is_ok() => {
            Ok(FileName { number, version, stem, direction })
        }
        _ => fault("its number has more digits than hive can count"),
    }
}
