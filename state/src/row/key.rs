//! The keys of what is stored. The first byte is the space; then come the parts, in an order that
//! makes the scans we need runs of neighbours.
//!
//! | space | key | value |
//! |---|---|---|
//! | `r` | kind, key, 0 | the row |
//! | `p` | kind, key, 0, page number | a page |
//! | `h` | kind, key, 0, page number | a full trail page |
//! | `k` | kind, key, 0, page number | answers to commands |
//! | `t` | due, kind, key, 0, cause, index | a pending entry |
//! | `g` | word, 0, kind, key, 0 | a tag |
//!
//! Ids and words have no control characters, so the 0 ends them and no key is the beginning of
//! another. Numbers are big-endian; `due` has its sign bit turned, so that bytes sort like times.

use super::Error;
use super::wire::Wire;
use actors::{EffectId, KindId, Timestamp};

/// The first byte of a key.
pub mod space {
    /// Rows.
    pub const ROW: u8 = b'r';
    /// Pages.
    pub const PAGE: u8 = b'p';
    /// Full pages of trails.
    pub const TRAIL: u8 = b'h';
    /// What commands were answered.
    pub const ANSWERS: u8 = b'k';
    /// Pending entries: timers and deliveries.
    pub const PENDING: u8 = b't';
    /// Tags.
    pub const TAG: u8 = b'g';
}

/// Where a pending entry stands: due first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending<'a> {
    /// When it is due.
    pub due: Timestamp,
    /// Whose it is: the kind.
    pub kind: KindId,
    /// Whose it is: the key.
    pub key: &'a str,
    /// Which one.
    pub id: EffectId,
}

/// The key of an entity's row.
pub fn row(kind: KindId, key: &str) -> Vec<u8> {
    addressed(space::ROW, kind, key, 0)
}

/// The key of one of an entity's pages.
pub fn page(kind: KindId, key: &str, number: u32) -> Vec<u8> {
    numbered(space::PAGE, kind, key, number)
}

/// The key of one of an entity's full trail pages.
pub fn trail(kind: KindId, key: &str, number: u32) -> Vec<u8> {
    numbered(space::TRAIL, kind, key, number)
}

/// The key of a page of what an entity's commands were answered.
pub fn answers(kind: KindId, key: &str, number: u32) -> Vec<u8> {
    numbered(space::ANSWERS, kind, key, number)
}

/// The key of a pending entry.
pub fn pending(entry: &Pending<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(21 + entry.key.len());
    out.push(space::PENDING);
    out.extend_from_slice(&due_bytes(entry.due));
    put_address(&mut out, entry.kind, entry.key);
    out.extend_from_slice(&entry.id.cause.to_be_bytes());
    out.extend_from_slice(&entry.id.index.to_be_bytes());
    out
}

/// Below this key stand the pending entries that are due before `due`, and no others.
pub fn pending_before(due: Timestamp) -> Vec<u8> {
    let mut out = vec![space::PENDING];
    out.extend_from_slice(&due_bytes(due));
    out
}

/// The key of a tag.
pub fn tag(word: &str, kind: KindId, key: &str) -> Vec<u8> {
    let mut out = tag_prefix(word);
    put_address(&mut out, kind, key);
    out
}

/// What the keys of all tags with this word begin with.
pub fn tag_prefix(word: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + 2 * word.len());
    out.push(space::TAG);
    out.extend_from_slice(word.as_bytes());
    out.push(0);
    out
}

/// What the row keys begin with of entities of `kind` whose keys begin with `prefix`.
pub fn row_prefix(kind: KindId, prefix: &str) -> Vec<u8> {
    let mut out = addressed(space::ROW, kind, prefix, 0);
    out.pop();
    out
}

/// The first key above all that begin with `prefix`: where a scan of them ends.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Reads a row's key.
///
/// # Errors
/// The bytes are no such key.
pub fn parse_row(bytes: &[u8]) -> Result<(KindId, &str), Error> {
    let mut wire = enter(bytes, space::ROW)?;
    let address = take_address(&mut wire)?;
    leave(wire, address)
}

/// Reads the key of a page, a trail page or an answers page: kind, key, number.
///
/// # Errors
/// The bytes are no such key.
pub fn parse_numbered(bytes: &[u8], space: u8) -> Result<(KindId, &str, u32), Error> {
    let mut wire = enter(bytes, space)?;
    let (kind, key) = take_address(&mut wire)?;
    let number = u32::from_be_bytes(wire.array("page number")?);
    leave(wire, (kind, key, number))
}

/// Reads a pending entry's key.
///
/// # Errors
/// The bytes are no such key.
pub fn parse_pending(bytes: &[u8]) -> Result<Pending<'_>, Error> {
    let mut wire = enter(bytes, space::PENDING)?;
    let due = Timestamp((u64::from_be_bytes(wire.array("due")?) ^ SIGN) as i64);
    let (kind, key) = take_address(&mut wire)?;
    let cause = u64::from_be_bytes(wire.array("cause")?);
    let index = u16::from_be_bytes(wire.array("effect index")?);
    leave(wire, Pending { due, kind, key, id: EffectId { cause, index } })
}

/// Reads a tag's key: word, kind, key.
///
/// # Errors
/// The bytes are no such key.
pub fn parse_tag(bytes: &[u8]) -> Result<(&str, KindId, &str), Error> {
    let mut wire = enter(bytes, space::TAG)?;
    let word = take_text(&mut wire)?;
    let (kind, key) = take_address(&mut wire)?;
    leave(wire, (word, kind, key))
}

const SIGN: u64 = 1 << 63;

fn due_bytes(due: Timestamp) -> [u8; 8] {
    (due.0 as u64 ^ SIGN).to_be_bytes()
}

fn numbered(space: u8, kind: KindId, key: &str, number: u32) -> Vec<u8> {
    let mut out = addressed(space, kind, key, 4);
    out.extend_from_slice(&number.to_be_bytes());
    out
}

fn addressed(space: u8, kind: KindId, key: &str, spare: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 + key.len() + spare);
    out.push(space);
    put_address(&mut out, kind, key);
    out
}

fn put_address(out: &mut Vec<u8>, kind: KindId, key: &str) {
    out.push(kind.0);
    out.extend_from_slice(key.as_bytes());
    out.push(0);
}

fn enter(bytes: &[u8], space: u8) -> Result<Wire<'_>, Error> {
    match bytes.split_first() {
        Some((first, rest)) if *first == space => Ok(Wire(rest)),
        _ => Err(Error::Damaged { what: "space of a key" }),
    }
}

fn take_text<'a>(wire: &mut Wire<'a>) -> Result<&'a str, Error> {
    let end = wire.0.iter().position(|byte| *byte == 0);
    let text = wire.take(end.ok_or(Error::Damaged { what: "id in a key" })?, "id in a key")?;
    wire.byte("end of an id")?;
    std::str::from_utf8(text).map_err(|_| Error::Damaged { what: "id in a key" })
}

fn take_address<'a>(wire: &mut Wire<'a>) -> Result<(KindId, &'a str), Error> {
    let kind = KindId(wire.byte("kind in a key")?);
    Ok((kind, take_text(wire)?))
}

fn leave<T>(wire: Wire<'_>, parsed: T) -> Result<T, Error> {
    if wire.is_empty() { Ok(parsed) } else { Err(Error::Damaged { what: "end of a key" }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INBOX: KindId = KindId(0);

    fn pending_at(due: i64, key: &str, cause: u64) -> Vec<u8> {
        let id = EffectId { cause, index: 2 };
        pending(&Pending { due: Timestamp(due), kind: INBOX, key, id })
    }

    #[test]
    fn the_bytes_of_keys_never_change() {
        assert_eq!(row(KindId(1), "u-42"), b"r\x01u-42\0");
        assert_eq!(page(KindId(1), "u-42", 258), b"p\x01u-42\0\0\0\x01\x02");
        assert_eq!(trail(KindId(1), "u", 1), b"h\x01u\0\0\0\0\x01");
        assert_eq!(answers(KindId(1), "u", 0), b"k\x01u\0\0\0\0\0");
        assert_eq!(tag("user:u", KindId(2), "p"), b"guser:u\0\x02p\0");
        let expected = b"t\x80\0\0\0\0\0\0\x07\0u\0\0\0\0\0\0\0\0\x09\0\x02";
        assert_eq!(pending_at(7, "u", 9), expected);
    }

    #[test]
    fn keys_parse_back() {
        assert_eq!(parse_row(&row(INBOX, "ü")).unwrap(), (INBOX, "ü"));
        let page = page(INBOX, "u", 7);
        assert_eq!(parse_numbered(&page, space::PAGE).unwrap(), (INBOX, "u", 7));
        assert!(parse_numbered(&page, space::TRAIL).is_err());
        assert_eq!(parse_tag(&tag("w", KindId(9), "k")).unwrap(), ("w", KindId(9), "k"));
        let bytes = pending_at(-5, "u", 3);
        let entry = parse_pending(&bytes).unwrap();
        assert_eq!((entry.due, entry.key, entry.id.cause), (Timestamp(-5), "u", 3));
        for key in [row(INBOX, "u"), page, bytes] {
            for cut in 0..key.len() {
                assert!(parse_row(&key[..cut]).is_err());
                assert!(parse_numbered(&key[..cut], space::PAGE).is_err());
                assert!(parse_pending(&key[..cut]).is_err());
            }
        }
        assert!(parse_row(b"r\0a\0b").is_err());
        assert!(parse_row(b"r\0\xff\0").is_err());
    }

    #[test]
    fn pending_entries_sort_by_due_and_scans_end_where_they_should() {
        let dues = [i64::MIN, -1, 0, 1, 1_000, i64::MAX];
        let keys: Vec<_> = dues.iter().map(|due| pending_at(*due, "u", 1)).collect();
        assert!(keys.is_sorted());
        assert!(keys[2] < pending_before(Timestamp(1)) && keys[3] > pending_before(Timestamp(1)));
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff"), None);
        assert!(row(INBOX, "ab").starts_with(&row_prefix(INBOX, "a")));
        assert!(!row(INBOX, "ab").starts_with(&row(INBOX, "a")));
    }
}
