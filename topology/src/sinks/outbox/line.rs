//! A line of the outbox: the event's own text with `sequence` as its last attribute. Text is
//! spliced, never parsed and printed again, so what subscribers get is what the journal has.

use actors::Position;
use serde::de::IgnoredAny;

const BEFORE: &[u8] = b"\"sequence\":\"";
const AFTER: &[u8] = b"\"}";
const DIGITS: usize = 20;

/// Appends the line, its newline included.
pub(super) fn append(out: &mut Vec<u8>, position: Position, text: &[u8]) {
    let body = text.trim_ascii_end().strip_suffix(b"}").map(<[u8]>::trim_ascii_end);
    let body = body.unwrap_or_else(|| panic!("the published event {position} is no JSON object"));
    // Line breaks can only stand between tokens: inside strings JSON escapes them.
    out.extend(body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    if !body.ends_with(b"{") {
        out.push(b',');
    }
    out.extend_from_slice(BEFORE);
    out.extend_from_slice(format!("{position:0DIGITS$}").as_bytes());
    out.extend_from_slice(AFTER);
    out.push(b'\n');
}

/// The position at the end of a line, given without its newline. `None` if it is not a whole line
/// of ours.
pub(super) fn position(line: &[u8]) -> Option<Position> {
    let position = position_at_end(line)?;
    // What a crash leaves out of the middle reads as zeros, which no JSON text has.
    serde_json::from_slice::<IgnoredAny>(line).ok()?;
    Some(position)
}

/// The position in the last bytes of a line that is known to be whole.
pub(super) fn position_at_end(end: &[u8]) -> Option<Position> {
    let (rest, digits) = end.strip_suffix(AFTER)?.split_last_chunk::<DIGITS>()?;
    if !rest.ends_with(BEFORE) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// As many of a line's last bytes as [`position_at_end`] needs.
pub(super) const END_BYTES: u64 = (BEFORE.len() + DIGITS + AFTER.len()) as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(position: Position, text: &str) -> String {
        let mut out = Vec::new();
        append(&mut out, position, text.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_position_is_spliced_in_as_the_last_attribute() {
        let cases = [
            (
                7,
                r#"{"id":"a","data":{"x":1.0}}"#,
                r#"{"id":"a","data":{"x":1.0},"sequence":"00000000000000000007"}"#,
            ),
            (u64::MAX, "{}", r#"{"sequence":"18446744073709551615"}"#),
            (
                0,
                "{\n \"id\":\r\n\"}\"\n}\n",
                "{  \"id\":  \"}\",\"sequence\":\"00000000000000000000\"}",
            ),
        ];
        for (at, text, want) in cases {
            let line = line(at, text);
            assert_eq!(line, format!("{want}\n"));
            assert_eq!(position(line.trim_end().as_bytes()), Some(at));
        }
    }

    #[test]
    fn nothing_but_a_whole_line_has_a_position() {
        let whole = line(42, r#"{"id":"a","data":{"text":"sequence"}}"#);
        let whole = whole.trim_end().as_bytes();
        for cut in 0..whole.len() {
            assert_eq!(position(&whole[..cut]), None, "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut torn = whole.to_vec();
            torn[at] = 0;
            assert_eq!(position(&torn), None, "zero at {at}");
        }
        assert_eq!(position(br#"{"id":"a","sequence":"7"}"#), None);
        assert_eq!(position(br#"{"id":"a"}"#), None);
    }
}
