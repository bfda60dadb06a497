//! Where an engine writes what it dumps.

use std::io::{self, ErrorKind, Write};
use tokio::sync::mpsc;

/// How much is passed on at once, and how many such pieces may wait.
pub(crate) const PIECE: usize = 256 << 10;
pub(crate) const PIECES: usize = 8;

/// The writing half of a stream whose end has to be said: a sink that is dropped without
/// [`Sink::end`] makes the whole backup fail, so that half a dump is never taken for one.
///
/// It is written from a blocking thread through [`Write`], or from a task through [`Sink::send`].
pub struct Sink {
    pieces: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
}

pub(crate) enum Piece {
    Bytes(Vec<u8>),
    End,
}

impl Sink {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Piece>) {
        let (pieces, waiting) = mpsc::channel(PIECES);
        (Self { pieces, buffer: Vec::new() }, waiting)
    }

    /// Writes from a task.
    ///
    /// # Errors
    /// Nobody reads any more: the place of the backups failed, and says itself why.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < PIECE {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.buffer);
        self.pieces.send(Piece::Bytes(piece)).await.map_err(|_| gone())
    }

    /// Says from a task that everything is written.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn end(mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.buffer);
        self.pieces.send(Piece::Bytes(piece)).await.map_err(|_| gone())?;
        self.pieces.send(Piece::End).await.map_err(|_| gone())
    }

    /// Says from a blocking thread that everything is written.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn end_blocking(mut self) -> io::Result<()> {
        self.flush()?;
        self.pieces.blocking_send(Piece::End).map_err(|_| gone())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.pieces.blocking_send(Piece::Bytes(piece)).map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the backup is no longer taken")
}
