//! Request bodies: read whole, but never more than the cap, and never for longer than the deadline.
//!
//! Nothing of the engine is held while a body arrives, so a slow client waits for nobody but
//! itself. All bodies that are held at once share one room: who finds it full is told to come
//! later, before memory is taken. What is *not* here: which cap applies (the route says so) and
//! what the bytes mean.

use crate::error::{Error, Overload};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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

/// Room for the bytes of all bodies that are held at once.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))))
    }

    /// A place in it for one body, which takes nothing yet.
    pub(crate) fn place(&self) -> Place {
        Place { room: self.0.clone(), taken: None }
    }
}

/// What one body takes of the room, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Whether there is room for so many bytes of this body, all in all.
    fn covers(&mut self, bytes: usize) -> bool {
        let taken = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(more) = u32::try_from(bytes.saturating_sub(taken)) else { return false };
        if more == 0 {
            return true;
        }
        let Ok(more) = self.room.clone().try_acquire_many_owned(more) else { return false };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        true
    }
}

/// Why a body is not taken while it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Broken,
    Beyond,
    NoRoom,
}

/// Reads a body, which is held for as long as its place is.
pub(crate) async fn read<S, B, E>(
    body: S,
    headers: &HeaderMap,
    cap: Cap,
    place: &mut Place,
) -> Result<Bytes, Error>
where
    S: Stream<Item = Result<B, E>> + Send,
    B: Buf + Send,
    E: Send,
{
    let mut body = pin!(body);
    let declared = headers.get("content-length").and_then(|v| v.to_str().ok()?.parse().ok());
    let declared: u64 = declared.unwrap_or(0);
    let stop = if declared > cap.bytes_max as u64 {
        Stop::Beyond
    } else if !place.covers(declared as usize) {
        Stop::NoRoom
    } else {
        let mut whole = BytesMut::with_capacity(declared as usize);
        let collected = collect(body.as_mut(), &mut whole, cap.bytes_max, place);
        match timeout(cap.wait_max, collected).await {
            Ok(Ok(())) => return Ok(whole.freeze()),
            Ok(Err(stop)) => stop,
            Err(_) => return Err(Error::bad("body", "the body did not arrive in time")),
        }
    };
    if stop == Stop::Broken {
        return Err(Error::bad("body", "the body broke off"));
    }
    if declared <= DISCARDED_BYTES_MAX {
        // The answer is the same whether the rest arrives, breaks off or is given up.
        let _ = timeout(DISCARD_MAX, discard(body)).await;
    }
    Err(match stop {
        Stop::NoRoom => {
            let why = "too many bytes of requests are waiting to be taken in";
            Error::Overloaded(Overload::Engine(why.to_owned()))
        }
        _ => Error::TooLarge(format!("the body is larger than {} bytes", cap.bytes_max)),
    })
}

async fn collect<S, B, E>(
    mut body: S,
    whole: &mut BytesMut,
    bytes_max: usize,
    place: &mut Place,
) -> Result<(), Stop>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    while let Some(part) = body.next().await {
        let mut part = part.map_err(|_| Stop::Broken)?;
        let bytes = whole.len() + part.remaining();
        if bytes > bytes_max {
            return Err(Stop::Beyond);
        }
        if !place.covers(bytes) {
            return Err(Stop::NoRoom);
        }
        while part.has_remaining() {
            let chunk = part.chunk();
            whole.extend_from_slice(chunk);
            let read = chunk.len();
            part.advance(read);
        }
    }
    Ok(())
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
        let mut place = Room::new(100).place();
        read(stream::iter(parts), &HeaderMap::new(), CAP, &mut place).await
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
        let place = &mut Room::new(100).place();
        let answer = read(never, &HeaderMap::new(), CAP, place).await;
        assert!(matches!(answer, Err(Error::BadRequest(_))));
        let mut headers = HeaderMap::new();
        headers.insert("content-length", 11.into());
        let never = stream::pending::<Result<&'static [u8], ()>>();
        assert!(matches!(read(never, &headers, CAP, place).await, Err(Error::TooLarge(_))));
    }

    #[tokio::test]
    async fn all_bodies_that_are_held_share_one_room() {
        let room = Room::new(12);
        let none = HeaderMap::new();
        let mut declared = HeaderMap::new();
        declared.insert("content-length", 10.into());
        let ten = || stream::iter([Ok::<_, ()>(&b"01234"[..]), Ok(b"56789")]);
        let mut first = room.place();
        assert!(read(ten(), &declared, CAP, &mut first).await.is_ok());
        for headers in [&declared, &none] {
            let mut second = room.place();
            let refused = read(ten(), headers, CAP, &mut second).await;
            assert!(matches!(refused, Err(Error::Overloaded(_))), "{refused:?}");
        }
        let mut small = room.place();
        let two = stream::iter([Ok::<_, ()>(&b"01"[..])]);
        assert!(read(two, &none, CAP, &mut small).await.is_ok(), "there is room for a small one");
        drop(first);
        assert!(read(ten(), &none, CAP, &mut room.place()).await.is_ok());
    }
}
