//! A message as a POST of JSON.

use crate::message::Message;
use hive_contract::{Failure, FailureKind};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// How long one POST may take, from the name's lookup to the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Posts once. Only 2xx is success; a redirect is not followed, since it would carry the message
/// to somebody whom the stack does not name.
pub(crate) async fn post(
    url: SecretString,
    named: String,
    message: &Message,
) -> Result<(), Failure> {
    let body = message.json();
    let posted = tokio::task::spawn_blocking(move || {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        let request = agent.post(url.expose_secret()).header("content-type", "application/json");
        request.send(body).map(|answer| answer.status().as_u16())
    });
    match posted.await {
        Ok(Ok(status)) => judge(status, &named),
        Ok(Err(error)) => Err(not_posted(&error, &named)),
        Err(_) => Err(Failure::new(FailureKind::Unavailable, format!("{named} was not called"))),
    }
}

fn judge(status: u16, named: &str) -> Result<(), Failure> {
    let answered = format!("{named} answered {status}");
    match status {
        200..300 => Ok(()),
        401 | 403 => Err(Failure::new(FailureKind::Forbidden, answered)),
        408 | 429 | 500.. => Err(Failure::new(FailureKind::Unavailable, answered).retryable()),
        _ => Err(Failure::new(FailureKind::Invalid, answered)),
    }
}

/// The library's own words may hold the url, so none of them are repeated.
fn not_posted(error: &ureq::Error, named: &str) -> Failure {
    use std::io::ErrorKind;
    let failure = |kind, why: &str| Failure::new(kind, format!("{named} {why}"));
    match error {
        ureq::Error::Timeout(_) => {
            failure(FailureKind::TimedOut, "did not answer within 10s").retryable()
        }
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            failure(FailureKind::Invalid, "has no url that can be called")
        }
        ureq::Error::HostNotFound => {
            failure(FailureKind::Unavailable, "has an unknown host").retryable()
        }
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            failure(FailureKind::Unavailable, "refuses the connection").retryable()
        }
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => {
            failure(FailureKind::Forbidden, "has a certificate that is not trusted")
        }
        ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            failure(FailureKind::Forbidden, "has a certificate that is not trusted")
        }
        _ => failure(FailureKind::Unavailable, "could not be reached").retryable(),
    }
}
