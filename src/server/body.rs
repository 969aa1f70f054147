//! Reads a request's body within a size limit and within a memory budget of all connections.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

/// The bytes that all unfinished bodies may hold together.
#[derive(Debug)]
pub(super) struct Budget {
    free: AtomicUsize,
}

/// Memory taken from a [`Budget`]; returned on drop.
pub(super) struct Lease<'a> {
    budget: &'a Budget,
    bytes: usize,
}

/// A complete body.
pub(super) enum Complete<'a> {
    /// One piece, in hyper's own buffer: not copied and not counted.
    OnePiece(Bytes),
    /// Several pieces, in blocks of [`BLOCK`] bytes.
    Pieces(Vec<Vec<u8>>, #[expect(dead_code, reason = "held for its drop")] Lease<'a>),
}

/// Bytes of a block. All but the last block of a body have this size, so that freed blocks fit the
/// next body. Growing buffers would fragment the heap, and a flood of half-sent bodies would take
/// twice the budget.
const BLOCK: usize = 16 * 1024;

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    /// Larger than the limit.
    TooLarge,
    /// Other bodies have used up the budget.
    NoRoom,
    /// The client went away, or broke the framing.
    Broken,
}

/// Reads a body of up to `limit` bytes.
pub(super) async fn read<'a>(
    body: &mut Incoming,
    limit: usize,
    budget: &'a Budget,
) -> Result<Complete<'a>, Unread> {
    // Content-Length, if there was one.
    let declared = body.size_hint().exact().map(usize::try_from);
    let most = match declared {
        None => limit,
        Some(Ok(declared)) if declared <= limit => declared,
        Some(_) => return Err(Unread::TooLarge),
    };
    let Some(first) = piece(body).await? else { return Ok(Complete::OnePiece(Bytes::new())) };
    if first.len() > limit {
        return Err(Unread::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Complete::OnePiece(first));
    }

    let mut lease = Lease { budget, bytes: 0 };
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let mut length = 0;
    let mut next = Some(first);
    while let Some(piece) = next {
        if length + piece.len() > limit {
            return Err(Unread::TooLarge);
        }
        let mut rest: &[u8] = &piece;
        while !rest.is_empty() {
            let free = blocks.last().map_or(0, |block| block.capacity() - block.len());
            if free == 0 {
                // Memory follows the bytes received, not the Content-Length.
                let size = BLOCK.min(most.saturating_sub(length)).max(1);
                lease.grow(lease.bytes + size)?;
                blocks.push(Vec::with_capacity(size));
                continue;
            }
            let (now, later) = rest.split_at(free.min(rest.len()));
            if let Some(block) = blocks.last_mut() {
                block.extend_from_slice(now);
            }
            length += now.len();
            rest = later;
        }
        drop(piece);
        if body.is_end_stream() {
            break;
        }
        next = self::piece(body).await?;
    }
    Ok(Complete::Pieces(blocks, lease))
}

/// Reads and drops up to `limit` bytes; true at the end of the body.
pub(super) async fn discard(body: &mut Incoming, limit: usize) -> bool {
    if body.size_hint().lower() > limit as u64 {
        return false;
    }
    let mut left = limit;
    while !body.is_end_stream() {
        match piece(body).await {
            Ok(Some(piece)) if piece.len() <= left => left -= piece.len(),
            Ok(None) => return true,
            Ok(Some(_)) | Err(_) => return false,
        }
    }
    true
}

/// The next piece of data; `None` at the end. Trailers are skipped.
async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, Unread> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Unread::Broken),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

impl Budget {
    pub(super) const fn new(bytes: usize) -> Self {
        Self { free: AtomicUsize::new(bytes) }
    }
}

impl Lease<'_> {
    /// Grows to `bytes` in all, if the budget has the difference.
    fn grow(&mut self, bytes: usize) -> Result<(), Unread> {
        let more = bytes.saturating_sub(self.bytes);
        self.budget
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(more))
            .map_err(|_| Unread::NoRoom)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.budget.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

impl Complete<'_> {
    /// The number of bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::OnePiece(bytes) => bytes.len(),
            Self::Pieces(blocks, _) => blocks.iter().map(Vec::len).sum(),
        }
    }

    /// The body in one piece.
    pub(super) fn joined(&self) -> Cow<'_, [u8]> {
        match self {
            Self::OnePiece(bytes) => Cow::Borrowed(bytes),
            Self::Pieces(blocks, _) => match blocks.as_slice() {
                [one] => Cow::Borrowed(one),
                blocks => Cow::Owned(blocks.concat()),
            },
        }
    }
}
