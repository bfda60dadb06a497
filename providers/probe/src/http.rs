//! Whether something answers HTTP as it should.

use crate::tcp::{connect, io_words};
use crate::words;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ureq::http::{StatusCode, Uri};

/// The longest status line that is read.
const LONGEST: usize = 4096;

/// Asks once for `url` and compares the status: `expect_status`, or any 2xx or 3xx where there is
/// none. Redirects are not followed: they are an answer.
///
/// # Errors
/// Another status, or no answer within `timeout`, in words.
pub async fn http(url: &str, timeout: Duration, expect_status: Option<u16>) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|_| "that is not a url".to_owned())?;
    let status = match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) if !authority.as_str().contains('@') => {
            let asked = tokio::time::timeout(timeout, plain(&uri, timeout));
            asked.await.map_err(|_| format!("no answer within {}", words(timeout)))??
        }
        (Some("http" | "https"), Some(_)) => by_agent(uri.to_string(), timeout).await?,
        _ => return Err("a url begins with http:// or https://".to_owned()),
    };
    judge(status, expect_status)
}

fn judge(status: u16, expected: Option<u16>) -> Result<(), String> {
    let good = match expected {
        Some(expected) => status == expected,
        None => (200..400).contains(&status),
    };
    if good {
        return Ok(());
    }
    let reason = StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason());
    let answered = format!("answered {status} {}", reason.unwrap_or_default());
    let expected = expected.map(|it| format!(", expected {it}")).unwrap_or_default();
    Err(format!("{}{expected}", answered.trim_end()))
}

/// One request over a plain connection: no thread waits for the answer, so nothing outlives a
/// caller that stops waiting.
async fn plain(uri: &Uri, timeout: Duration) -> Result<u16, String> {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(80);
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let mut stream = connect(&format!("{host}:{port}"), timeout).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: hive\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| io_words(&error))?;
    let mut head = Vec::new();
    while !head.contains(&b'\n') && head.len() < LONGEST {
        match stream.read_buf(&mut head).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Err(io_words(&error)),
        }
    }
    if head.is_empty() {
        return Err("the connection was closed before an answer came".to_owned());
    }
    status_in(&head).ok_or_else(|| "the answer is not HTTP".to_owned())
}

fn status_in(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok().filter(|status| (100..1000).contains(status))
}

async fn by_agent(url: String, timeout: Duration) -> Result<u16, String> {
    let asked = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .build();
        config.new_agent().get(&url).call().map(|answer| answer.status().as_u16())
    });
    match asked.await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(ureq::Error::Timeout(_))) => Err(format!("no answer within {}", words(timeout))),
        Ok(Err(ureq::Error::Io(error))) => Err(io_words(&error)),
        Ok(Err(ureq::Error::HostNotFound)) => Err("the host name is unknown".to_owned()),
        Ok(Err(ureq::Error::BadUri(_))) => Err("that is not a url".to_owned()),
        Ok(Err(error)) => Err(format!("no answer: {error}")),
        Err(_) => Err("the probe was cut".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const SOON: Duration = Duration::from_secs(5);

    async fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/path?x=1", listener.local_addr().expect("address"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await.expect("reads");
            assert!(request[..count].starts_with(b"GET /path?x=1 HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.expect("writes");
        });
        url
    }

    #[tokio::test]
    async fn the_status_decides() {
        let ok = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(http(&ok, SOON, None).await, Ok(()));
        let moved = answering("HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n").await;
        assert_eq!(http(&moved, SOON, None).await, Ok(()));
        let broken = answering("HTTP/1.1 503 whatever\r\n\r\n").await;
        let said = http(&broken, SOON, None).await;
        assert_eq!(said, Err("answered 503 Service Unavailable".to_owned()));
        let other = answering("HTTP/1.1 200 OK\r\n\r\n").await;
        let said = http(&other, SOON, Some(418)).await;
        assert_eq!(said, Err("answered 200 OK, expected 418".to_owned()));
    }

    #[tokio::test]
    async fn no_answer_is_said_precisely() {
        let other = answering("SSH-2.0\r\n").await;
        assert_eq!(http(&other, SOON, None).await, Err("the answer is not HTTP".to_owned()));
        let closed = answering("").await;
        let said = http(&closed, SOON, None).await;
        assert_eq!(said, Err("the connection was closed before an answer came".to_owned()));
        let said = http("ftp://x/", SOON, None).await;
        assert_eq!(said, Err("a url begins with http:// or https://".to_owned()));

        let silent = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/", silent.local_addr().expect("address"));
        let said = http(&url, Duration::from_millis(50), None).await;
        assert_eq!(said, Err("no answer within 50ms".to_owned()));
    }
}
