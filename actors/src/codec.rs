//! How values become stored bytes: bincode 2, fixed configuration. The only room that names
//! bincode.
//!
//! bincode is not self-describing: enums are externally tagged, variants are only ever appended,
//! fields never reordered. A changed shape is a new version byte and an explicit `V1 → V2` type
//! (see `Entity::VERSION`). Golden bytes in the kinds' tests hold the stored formats still.

use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The largest value that is ever decoded, in bytes: a head, a page or an event is far below it,
/// damage may claim more.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Bytes that are not a value of the wanted type.
#[derive(Debug, thiserror::Error)]
#[error("stored value does not decode: {0}")]
pub struct Error(String);

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<VALUE_BYTES_MAX>()
}

/// Appends the value's bytes to `out`.
pub fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, out, config())
        .expect("a value of ours always encodes: no maps of unknown length, no failing writer");
}

/// The value's bytes.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(value, &mut out);
    out
}

/// Reads a value that takes up all of `bytes`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut rest = bytes;
    let value = decode_next(&mut rest)?;
    ended(rest)?;
    Ok(value)
}

/// Reads the value that `rest` begins with, and takes it off.
pub fn decode_next<T: DeserializeOwned>(rest: &mut &[u8]) -> Result<T, Error> {
    let (value, read) = bincode::serde::decode_from_slice(rest, config())
        .map_err(|error| Error(error.to_string()))?;
    *rest = &rest[read..];
    Ok(value)
}

/// Nothing may be left.
pub fn ended(rest: &[u8]) -> Result<(), Error> {
    if rest.is_empty() { Ok(()) } else { Err(Error(format!("{} bytes left over", rest.len()))) }
}

/// Bytes that are a value encoded already: written and read whole, not one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(pub Vec<u8>);

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Packed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Packed, E> {
                Ok(Packed(bytes.to_vec()))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Packed, E> {
                Ok(Packed(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Whole)
    }
}
