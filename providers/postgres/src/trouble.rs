//! What PostgreSQL refuses, in the contract's terms.

use crate::url::Spot;
use hive_contract::{Failure, FailureKind};
use std::error::Error as _;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition};

/// The system refuses what it was given.
pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}

/// What was found makes no sense.
pub(crate) fn malformed(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Malformed, message)
}

/// Somebody else's.
pub(crate) fn taken(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Taken, message)
}

/// Something cannot be done on this database, now.
pub(crate) fn refused(spot: &Spot, doing: &str, error: &Error) -> Failure {
    match error.as_db_error() {
        Some(said) => by_state(spot, doing, said),
        None => no_answer(spot, doing, error),
    }
}

/// The SQLSTATE of a refusal.
pub(crate) fn state(error: &Error) -> &str {
    error.code().map_or("", |it| it.code())
}

/// Whether the connection is gone, so that nobody knows what became of what was sent.
pub(crate) fn is_lost(error: &Error) -> bool {
    match error.as_db_error() {
        None => true,
        Some(said) => matches!(said.code().code(), "57P01" | "57P02" | "57P03" | "08006" | "08003"),
    }
}

fn by_state(spot: &Spot, doing: &str, said: &DbError) -> Failure {
    use FailureKind::{Forbidden, Invalid, Malformed, Taken, TimedOut, Unavailable};
    let code = said.code().code();
    let message = said.message();
    let (kind, retryable, what) = match code {
        "28P01" => (Forbidden, false, "the password is refused".to_owned()),
        "28000" => (Forbidden, false, format!("the server refuses the login: {message}")),
        "3D000" => (Invalid, false, "there is no such database".to_owned()),
        "42501" => (Forbidden, false, format!("the role may not do it: {message}")),
        "25006" => (Forbidden, false, format!("the server only reads: {message}")),
        "53300" => (Unavailable, true, format!("the server has no free connection: {message}")),
        "53100" => (Unavailable, false, format!("the server's disk is full: {message}")),
        "57P01" | "57P02" => (Unavailable, true, "the server ended the connection".to_owned()),
        "57P03" => (Unavailable, true, format!("the server takes no connections: {message}")),
        "57014" => (TimedOut, false, format!("the statement was cancelled: {message}")),
        "55P03" => (Taken, true, format!("a lock was not given in time: {message}")),
        "40P01" | "40001" => (Taken, true, format!("another session was in the way: {message}")),
        "55006" | "55000" => (Taken, true, message.to_owned()),
        _ => match code.get(..2) {
            Some("08" | "53") => (Unavailable, true, message.to_owned()),
            Some("57" | "58" | "XX") => (Malformed, false, message.to_owned()),
            _ => (Invalid, false, message.to_owned()),
        },
    };
    let mut failure = Failure::new(kind, format!("cannot {doing}: {spot}: {what}"));
    failure.retryable = retryable;
    failure = failure.diagnosis(format!("SQLSTATE {code}"));
    let facts = [("detail", said.detail()), ("hint", said.hint()), ("where", said.where_())];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            failure = failure.diagnosis(format!("{name}: {fact}"));
        }
    }
    failure
}

/// The character of the sent text that a refusal is about, counted from 1.
pub(crate) fn position(error: &Error) -> Option<u32> {
    match error.as_db_error()?.position()? {
        ErrorPosition::Original(at) => Some(*at),
        ErrorPosition::Internal { .. } => None,
    }
}

/// Nothing came from the server itself.
fn no_answer(spot: &Spot, doing: &str, error: &Error) -> Failure {
    let why = chain(error);
    let said = error.to_string();
    if said.contains("TLS") {
        return Failure::new(
            FailureKind::Forbidden,
            format!("cannot {doing}: {spot}: TLS failed: {why}"),
        )
        .diagnosis(
            "the certificate is checked: give its root as `sslrootcert`, or say `sslmode=disable`",
        );
    }
    if said.contains("authentication") || said.contains("invalid configuration") {
        return Failure::new(
            FailureKind::Forbidden,
            format!(
                "cannot {doing}: {spot}: the server asks for a login that the url has not: {why}"
            ),
        );
    }
    let what = match error.is_closed() || said.contains("communicating") {
        true => "the server is gone",
        false => "the server cannot be reached",
    };
    Failure::new(FailureKind::Unavailable, format!("cannot {doing}: {spot}: {what}: {why}"))
        .retryable()
}

fn chain(error: &Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if parts.last() != Some(&text) {
            parts.push(text);
        }
        source = inner.source();
    }
    parts.join(": ")
}
