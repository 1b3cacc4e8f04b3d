//! The origin table's stored form, little endian: crc u32 of everything behind it, magic, version
//! u8, generation u64, cut u64, uuid, count u32 and the ways (kind u8, name bytes u16, name, number
//! u64, index u16, hash u64, time i64), sorted; count u32 and the positions judged, sorted.

use super::{Last, Origins};
use crate::frame::{Way, WayKind};
use actors::{Position, Timestamp};

const MAGIC: &[u8] = b"bwor";
const VERSION: u8 = 1;

/// One generation, as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) generation: u64,
    pub(crate) cut: Position,
    pub(crate) uuid: [u8; 16],
    pub(crate) origins: Origins,
}

pub(crate) fn encode(origins: &Origins, generation: u64, cut: Position, uuid: [u8; 16]) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&cut.to_le_bytes());
    out.extend_from_slice(&uuid);
    let mut ways: Vec<_> = origins.ways.iter().collect();
    ways.sort_unstable_by_key(|(way, _)| *way);
    out.extend_from_slice(&(ways.len() as u32).to_le_bytes());
    for (way, last) in ways {
        out.push(way.kind as u8);
        out.extend_from_slice(&(way.name.len() as u16).to_le_bytes());
        out.extend_from_slice(way.name.as_bytes());
        out.extend_from_slice(&last.number.to_le_bytes());
        out.extend_from_slice(&last.index.to_le_bytes());
        out.extend_from_slice(&last.hash.to_le_bytes());
        out.extend_from_slice(&last.time.0.to_le_bytes());
    }
    out.extend_from_slice(&(origins.verdicts.len() as u32).to_le_bytes());
    for cause in &origins.verdicts {
        out.extend_from_slice(&cause.to_le_bytes());
    }
    let crc = crc32c::crc32c(&out[4..]);
    out[..4].copy_from_slice(&crc.to_le_bytes());
    out
}

/// `None` if any part of it is not as it was written.
pub(crate) fn decode(bytes: &[u8]) -> Option<Saved> {
    let mut rest = Rest(bytes);
    if rest.u32()? != crc32c::crc32c(rest.0) || rest.take(4)? != MAGIC || rest.u8()? != VERSION {
        return None;
    }
    let (generation, cut) = (rest.u64()?, rest.u64()?);
    let uuid = rest.take(16)?.try_into().ok()?;
    let mut origins = Origins::default();
    for _ in 0..rest.u32()? {
        let kind = WayKind::of(rest.u8()?)?;
        let name_bytes = usize::from(rest.u16()?);
        let way = Way::new(kind, std::str::from_utf8(rest.take(name_bytes)?).ok()?);
        let (number, index, hash) = (rest.u64()?, rest.u16()?, rest.u64()?);
        let time = Timestamp(rest.u64()? as i64);
        origins.note(&way, Last { number, index, hash, time, end: 0 });
    }
    for _ in 0..rest.u32()? {
        origins.judge(rest.u64()?);
    }
    rest.0.is_empty().then_some(Saved { generation, cut, uuid, origins })
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
