//! A stream that comes in pieces, as a reader.

use std::io::{self, Read};

use bytes::Bytes;

/// Reads what `next` gives, until it gives nothing any more.
pub struct Pieces<F> {
    next: F,
    piece: Bytes,
}

impl<F: FnMut() -> Option<Bytes>> Pieces<F> {
    /// `next` may block.
    pub fn new(next: F) -> Self {
        Self { next, piece: Bytes::new() }
    }
}

impl<F: FnMut() -> Option<Bytes>> Read for Pieces<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match (self.next)() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let taken = out.len().min(self.piece.len());
        out[..taken].copy_from_slice(&self.piece.split_to(taken));
        Ok(taken)
    }
}
