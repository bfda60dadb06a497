//! Pieces that come over a channel, read as one stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// A reader of pieces: the end of the channel is the end of the stream.
pub struct Pieces {
    waiting: mpsc::Receiver<io::Result<Box<[u8]>>>,
    piece: Box<[u8]>,
    at: usize,
}

impl Pieces {
    /// Reads what comes over the channel. A failed piece is the stream's failure.
    pub fn new(waiting: mpsc::Receiver<io::Result<Box<[u8]>>>) -> Self {
        Self { waiting, piece: Box::default(), at: 0 }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.at == self.piece.len() {
            match ready!(self.waiting.poll_recv(context)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(piece)) => {
                    self.piece = piece;
                    self.at = 0;
                }
            }
        }
        let count = buffer.remaining().min(self.piece.len() - self.at);
        buffer.put_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}
