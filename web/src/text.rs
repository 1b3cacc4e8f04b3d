//! Small text codecs that HTTP needs: percent-encoding, and base32 for what should look opaque or
//! like an id.
//!
//! What is *not* here: what any of the texts mean. Decoding is strict: what does not decode is an
//! error, never a guess.

use std::borrow::Cow;

/// Crockford's alphabet in lower case: no `i`, `l`, `o`, `u`, so that an id survives being read
/// aloud.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Decodes `%XX`, one round. `None` if a `%` is not followed by two hex digits, or the result is
/// not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            out.push(hex_digit(*bytes.get(at + 1)?)? << 4 | hex_digit(*bytes.get(at + 2)?)?);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// Decodes one name or value of a query: `+` is a space, then `%XX`.
pub(crate) fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return percent_decode(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()));
    }
    percent_decode(text)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Base32 without padding; 16 bytes become 26 characters.
pub(crate) fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity((bytes.len() * 8).div_ceil(5));
    let (mut bits, mut held) = (0_u32, 0);
    for &byte in bytes {
        bits = bits << 8 | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(char::from(BASE32[(bits >> held & 31) as usize]));
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        out.push(char::from(BASE32[(bits << (5 - held) & 31) as usize]));
    }
    out
}

/// Reads what [`base32`] wrote, and nothing else: padding bits that are not zero are refused, so a
/// text has one spelling.
pub(crate) fn base32_decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.bytes() {
        let digit = BASE32.iter().position(|&letter| letter == byte)?;
        bits = bits << 5 | digit as u32;
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
        bits &= (1 << held) - 1;
    }
    (held < 5 && bits == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_takes_one_round_and_refuses_what_is_malformed() {
        let cases = [
            ("plain", Some("plain")),
            ("a%20b", Some("a b")),
            ("%2525", Some("%25")),
            ("%E2%82%AC", Some("€")),
            ("%e2%82%ac", Some("€")),
            ("%C0%A0", None),
            ("100%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
        ];
        for (text, decoded) in cases {
            assert_eq!(percent_decode(text).as_deref(), decoded, "{text}");
        }
        assert_eq!(form_decode("a+b%2Bc").as_deref(), Some("a b+c"));
    }

    #[test]
    fn base32_has_one_spelling_for_every_byte_string() {
        assert_eq!(base32(&[]), "");
        assert_eq!(base32(&[0xff]), "zw");
        assert_eq!(base32(&[0; 16]).len(), 26);
        for length in 0..40_u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37) ^ length).collect();
            assert_eq!(base32_decode(&base32(&bytes)).as_deref(), Some(&bytes[..]));
        }
        for bad in ["u", "z", "zx", "zwz", "ZW", "z w"] {
            assert_eq!(base32_decode(bad), None, "{bad}");
        }
    }
}
