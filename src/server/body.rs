//! Reading a request's body within a limit of size, and within a budget of memory that all
//! connections share.

use std::{
    ops::Deref,
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

/// What was taken from a [`Budget`]; given back on drop.
pub(super) struct Lease<'a> {
    budget: &'a Budget,
    bytes: usize,
}

/// A complete body.
pub(super) enum Complete<'a> {
    /// It came in one piece, which is hyper's own buffer: nothing to copy, nothing to count.
    OnePiece(Bytes),
    /// It came in several.
    Pieces(Vec<u8>, #[expect(dead_code, reason = "held for its drop")] Lease<'a>),
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    /// Larger than the limit.
    TooLarge,
    /// The budget is spent by others.
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
    let mut bytes = Vec::new();
    let mut next = Some(first);
    while let Some(piece) = next {
        let length = bytes.len() + piece.len();
        if length > limit {
            return Err(Unread::TooLarge);
        }
        if length > bytes.capacity() {
            // Doubling follows what was sent, not what was promised: memory has to be earned.
            let capacity = (bytes.capacity() * 2).clamp(length, most.max(length));
            lease.grow(capacity)?;
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&piece);
        drop(piece);
        if body.is_end_stream() {
            break;
        }
        next = self::piece(body).await?;
    }
    Ok(Complete::Pieces(bytes, lease))
}

/// Reads up to `limit` bytes and forgets them; says whether that was all.
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
    /// Holds `bytes` in all, if the budget has the difference.
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

impl Deref for Complete<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::OnePiece(bytes) => bytes,
            Self::Pieces(bytes, _) => bytes,
        }
    }
}
