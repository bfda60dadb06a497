//! Whether somebody accepts a TCP connection.

use crate::words;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// Connects once to `address`, written `host:port`.
///
/// # Errors
/// Nobody accepts it within `timeout`, in words.
pub async fn tcp(address: &str, timeout: Duration) -> Result<(), String> {
    connect(address, timeout).await.map(drop)
}

/// Connects, and gives the connection.
pub(crate) async fn connect(address: &str, timeout: Duration) -> Result<TcpStream, String> {
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(io_words(&error)),
        Err(_) => Err(format!("no connection within {}", words(timeout))),
    }
}

/// What an error of a connection means.
pub(crate) fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens: connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the connection was closed before an answer came".to_owned()
        }
        io::ErrorKind::InvalidInput => "the address is not `host:port`".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "there is no way to the host".to_owned()
        }
        // The resolver's errors are the only ones without a number and of no stable kind.
        _ if error.raw_os_error().is_none() => "the host name is unknown".to_owned(),
        kind => format!("the connection failed: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_listener_is_seen_and_its_absence_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address").to_string();
        assert_eq!(tcp(&address, SOON).await, Ok(()));
        drop(listener);
        assert_eq!(tcp(&address, SOON).await, Err("nobody listens: connection refused".to_owned()));
    }

    #[tokio::test]
    async fn what_is_no_address_is_said_to_be_none() {
        assert_eq!(tcp("nothing", SOON).await, Err("the address is not `host:port`".to_owned()));
    }
}
