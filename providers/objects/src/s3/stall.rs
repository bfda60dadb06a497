//! Connections on which nothing moves: each is given up by one rule, whatever the call.
//!
//! A timeout for a whole call is too short for a slow link, and for a large object so long that a
//! server that hangs would hold hive up for hours. Here the clock begins anew with every piece that
//! goes out or comes in.

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// What goes out at a time, so that it is seen going.
const PIECE: usize = 64 << 10;
/// So much the system may hold of what went out, so that the next piece waits for it.
const HELD: u64 = 4 << 20;
/// So much the system, and a proxy on the way, may still have when all went out.
const ON_ITS_WAY: u64 = 16 << 20;

type Broken = Box<dyn Error + Send + Sync>;

/// Nothing moved for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stalled(Duration);

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing moved on the connection for {:?}", self.0)
    }
}

impl Error for Stalled {}

/// The stall that an error comes of.
pub(super) fn stalled<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Stalled> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(stalled) = error.downcast_ref() {
            return Some(stalled);
        }
        next = error.source();
    }
    None
}

/// The same client, which gives up connections on which nothing moves for the time that is set as the
/// timeout for reading; that timeout itself, which counts from a call's begin, is not used.
pub(super) fn watched(client: SharedHttpClient) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        let mut plain = HttpConnectorSettings::builder();
        plain.set_connect_timeout(settings.connect_timeout());
        let connector = client.http_connector(&plain.build(), components);
        match settings.read_timeout() {
            Some(patience) => SharedHttpConnector::new(Watched { connector, patience }),
            None => connector,
        }
    })
}

#[derive(Debug)]
struct Watched {
    connector: SharedHttpConnector,
    patience: Duration,
}

impl HttpConnector for Watched {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (patience, moved) = (self.patience, Arc::new(Moved::now()));
        if request.body().content_length() != Some(0) {
            let body = request.take_body();
            let going = Going { body, rest: Bytes::new(), moved: Arc::clone(&moved) };
            *request.body_mut() = SdkBody::from_body_1_x(going);
        }
        let mut call = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            let mut response = tokio::select! {
                answered = &mut call => answered?,
                stalled = moved.stalls(patience) => {
                    return Err(ConnectorError::timeout(stalled.into()));
                }
            };
            let body = response.take_body();
            let coming = Coming { body, patience, waits: None };
            *response.body_mut() = SdkBody::from_body_1_x(coming);
            Ok(response)
        })
    }
}

/// What went out on one connection, and when the last of it.
#[derive(Debug)]
struct Moved(Mutex<Went>);

#[derive(Clone, Copy, Debug)]
struct Went {
    at: Instant,
    bytes: u64,
    all: bool,
}

impl Moved {
    fn now() -> Self {
        Self(Mutex::new(Went { at: Instant::now(), bytes: 0, all: false }))
    }

    fn went(&self, bytes: usize, all: bool) {
        let mut went = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *went = Went { at: Instant::now(), bytes: went.bytes + bytes as u64, all };
    }

    /// Ends when nothing has moved for too long. What went out and may not have arrived gets time to
    /// do so, as much again for every 4 MiB.
    async fn stalls(&self, patience: Duration) -> Stalled {
        loop {
            let went = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let unseen = went.bytes.min(if went.all { ON_ITS_WAY } else { HELD });
            let allowed = patience + patience.mul_f64(unseen as f64 / HELD as f64);
            let left = allowed.saturating_sub(went.at.elapsed());
            if left.is_zero() {
                return Stalled(Duration::from_secs(allowed.as_secs().max(1)));
            }
            sleep(left).await;
        }
    }
}

/// A body that goes out in pieces.
struct Going {
    body: SdkBody,
    rest: Bytes,
    moved: Arc<Moved>,
}

impl Body for Going {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => self.rest = bytes,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.moved.went(length, self.is_end_stream());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, left) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower() + rest);
        if let Some(upper) = left.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// A body that fails where nothing of it comes. Time in which nobody asks for more does not count.
struct Coming {
    body: SdkBody,
    patience: Duration,
    waits: Option<Pin<Box<Sleep>>>,
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waits = None;
            return Poll::Ready(frame);
        }
        let patience = self.patience;
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waits.as_mut().poll(cx));
        self.waits = None;
        Poll::Ready(Some(Err(Stalled(patience).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
