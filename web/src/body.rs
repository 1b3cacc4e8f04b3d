//! Request bodies: read whole, but never more than the cap, and never for longer than the deadline.
//!
//! Nothing of the engine is held while a body arrives, so a slow client waits for nobody but
//! itself. What is *not* here: which cap applies (the route says so) and what the bytes mean.

use crate::error::Error;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;
use warp::http::HeaderMap;

/// How much of a body that is too large we read and drop, so that a client which sends first and
/// listens later still gets its 413 instead of a reset connection.
const DISCARDED_BYTES_MAX: u64 = 16 << 20;
/// And for how long.
const DISCARD_MAX: Duration = Duration::from_secs(1);

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cap {
    /// Its bytes.
    pub bytes_max: usize,
    /// How long it may take to arrive.
    pub wait_max: Duration,
}

/// Reads a body.
pub(crate) async fn read<S, B, E>(body: S, headers: &HeaderMap, cap: Cap) -> Result<Bytes, Error>
where
    S: Stream<Item = Result<B, E>> + Send,
    B: Buf + Send,
    E: Send,
{
    let mut body = pin!(body);
    let declared = headers.get("content-length").and_then(|v| v.to_str().ok()?.parse().ok());
    let declared: u64 = declared.unwrap_or(0);
    let too_large = if declared > cap.bytes_max as u64 {
        true
    } else {
        let mut whole = BytesMut::with_capacity(declared as usize);
        match timeout(cap.wait_max, collect(body.as_mut(), &mut whole, cap.bytes_max)).await {
            Ok(Ok(fits)) if fits => return Ok(whole.freeze()),
            Ok(Ok(_)) => true,
            Ok(Err(())) => return Err(Error::bad("body", "the body broke off")),
            Err(_) => return Err(Error::bad("body", "the body did not arrive in time")),
        }
    };
    assert!(too_large, "every other end of a body returns above");
    if declared <= DISCARDED_BYTES_MAX {
        // The answer is the same whether the rest arrives, breaks off or is given up.
        let _ = timeout(DISCARD_MAX, discard(body)).await;
    }
    Err(Error::TooLarge(format!("the body is larger than {} bytes", cap.bytes_max)))
}

/// Whether the body fits.
async fn collect<S, B, E>(mut body: S, whole: &mut BytesMut, bytes_max: usize) -> Result<bool, ()>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    while let Some(part) = body.next().await {
        let mut part = part.map_err(|_| ())?;
        if whole.len() + part.remaining() > bytes_max {
            return Ok(false);
        }
        while part.has_remaining() {
            let chunk = part.chunk();
            whole.extend_from_slice(chunk);
            let read = chunk.len();
            part.advance(read);
        }
    }
    Ok(true)
}

async fn discard<S, B, E>(mut body: S)
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    let mut left = DISCARDED_BYTES_MAX;
    while let Some(Ok(part)) = body.next().await {
        let Some(rest) = left.checked_sub(part.remaining() as u64) else { return };
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    const CAP: Cap = Cap { bytes_max: 10, wait_max: Duration::from_secs(5) };

    async fn read_parts(parts: Vec<Result<&'static [u8], ()>>) -> Result<Bytes, Error> {
        read(stream::iter(parts), &HeaderMap::new(), CAP).await
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_the_cap_and_not_a_byte_beyond() {
        let whole = read_parts(vec![Ok(b"01234"), Ok(b"56789")]).await;
        assert_eq!(whole.as_deref(), Ok(&b"0123456789"[..]));
        assert_eq!(read_parts(vec![]).await.as_deref(), Ok(&b""[..]));
        let beyond = read_parts(vec![Ok(b"01234"), Ok(b"56789"), Ok(b"x")]).await;
        assert!(matches!(beyond, Err(Error::TooLarge(_))));
        let broken = read_parts(vec![Ok(b"01234"), Err(())]).await;
        assert!(matches!(broken, Err(Error::BadRequest(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_meets_its_deadline() {
        let never = stream::pending::<Result<&'static [u8], ()>>();
        let answer = read(never, &HeaderMap::new(), CAP).await;
        assert!(matches!(answer, Err(Error::BadRequest(_))));
        let mut headers = HeaderMap::new();
        headers.insert("content-length", 11.into());
        let never = stream::pending::<Result<&'static [u8], ()>>();
        assert!(matches!(read(never, &headers, CAP).await, Err(Error::TooLarge(_))));
    }
}
