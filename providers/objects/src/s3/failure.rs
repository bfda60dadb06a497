//! What a server's answer is to a step.

use super::Refused;
use super::client::has_no_keys;
use super::stall::stalled;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use hive_contract::{Failure, FailureKind};
use std::error::Error;

pub(super) use aws_sdk_s3::config::http::HttpResponse;

/// The HTTP status of a refusal, where there was an answer.
pub(super) fn status<E>(error: &Refused<E>) -> Option<u16> {
    error.raw_response().map(|it| it.status().as_u16())
}

/// What a refused request is to a step. `shown` names the object or the bucket. Nothing of keys is
/// said: a message of the server about them is left out.
pub(super) fn failed<E>(verb: &str, shown: &str, error: &Refused<E>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let begin = format!("cannot {verb} `{shown}`");
    match error {
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => answered(&begin, error),
        SdkError::TimeoutError(_) => silent(format!("{begin}: the server does not answer")),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) if has_no_keys(error) => {
            Failure::new(FailureKind::Forbidden, format!("{begin}: there are no keys for it"))
                .diagnosis("`s3.access_key` and `s3.secret_key` give them, or the platform")
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            let why = stalled(error).map(|it| format!(": {it}")).unwrap_or_default();
            silent(format!("{begin}: the server does not answer{why}"))
        }
        SdkError::DispatchFailure(_) => {
            let why = chain(error);
            // A certificate does not become good by trying again.
            if why.contains("certificate") {
                return Failure::new(
                    FailureKind::Unavailable,
                    format!("{begin}: the server's certificate is not to be trusted: {why}"),
                )
                .diagnosis("a root of one's own is read from the file that SSL_CERT_FILE names");
            }
            unavailable(format!("{begin}: {why}"))
        }
        other => Failure::new(FailureKind::Malformed, format!("{begin}: {}", chain(other))),
    }
}

fn answered<E>(begin: &str, error: &Refused<E>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let code = error.code().unwrap_or_default();
    let said = error.message().unwrap_or_default();
    let status = status(error).unwrap_or_default();
    let words = match (code, said) {
        ("", "") => format!("the server answers {status}"),
        ("", said) => format!("the server answers {status}, {said}"),
        (code, "") => format!("the server answers {status} {code}"),
        (code, said) => format!("the server answers {status} {code}, {said}"),
    };
    match (status, code) {
        (_, "RequestTimeTooSkewed") => Failure::new(
            FailureKind::Forbidden,
            format!("{begin}: the clock of this machine and that of the server are too far apart"),
        ),
        (401 | 403, _) => Failure::new(
            FailureKind::Forbidden,
            format!("{begin}: the server answers {status} {code}").trim_end().to_owned(),
        ),
        (_, "NoSuchBucket") => {
            Failure::new(FailureKind::Invalid, format!("{begin}: there is no such bucket"))
        }
        (301 | 307, _)
        | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            Failure::new(FailureKind::Invalid, format!("{begin}: it is in another region: {words}"))
        }
        (412, _) => Failure::new(FailureKind::Moved, format!("{begin}: it was changed: {words}")),
        (_, "BadDigest" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch") => {
            unavailable(format!("{begin}: it arrived damaged: {words}"))
        }
        (507, _) | (_, "XMinioStorageFull" | "QuotaExceeded") => {
            Failure::new(FailureKind::Unavailable, format!("{begin}: no space is left: {words}"))
        }
        (408 | 409 | 425 | 429 | 500..=599, _) => unavailable(format!("{begin}: {words}")),
        (200..=299, _) if stalled(error).is_some() => silent(format!("{begin}: {}", chain(error))),
        (200..=299, _) => {
            Failure::new(FailureKind::Malformed, format!("{begin}: {}", chain(error)))
        }
        _ => Failure::new(FailureKind::Invalid, format!("{begin}: {words}")),
    }
}

/// What a stream that ended early is to a step; `at` says how far it came.
pub(super) fn broke_off(shown: &str, at: &str, error: &(dyn Error + 'static)) -> Failure {
    let message = format!("reading `{shown}` broke off{at}: {}", chain(error));
    if stalled(error).is_some() { silent(message) } else { unavailable(message) }
}

/// What a server that says nothing is to a step.
fn silent(message: String) -> Failure {
    unavailable(message).diagnosis(
        "look whether the server, or a proxy in front of it, hangs; `s3.patience` says for how long \
         nothing may move",
    )
}

fn unavailable(message: String) -> Failure {
    Failure::new(FailureKind::Unavailable, message).retryable()
}

/// An error with what caused it, in one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}
