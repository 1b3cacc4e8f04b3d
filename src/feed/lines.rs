//! Lines of a file or of standard input → items of a feed.
//!
//! An empty line is nothing and has no number; any other is an event or a reject. A line that is
//! too long is read to its end and forgotten, never held: memory does not grow with the input. What
//! is *not* here: what an event means.

use super::{EVENT_BYTES_MAX, Error, Item, Reject};
use std::io::{BufRead, Read};

/// Reads items from lines.
pub(crate) struct Lines<R> {
    reader: R,
    /// For messages: the file's name, or `standard input`.
    input: String,
    line: u64,
    read_bytes: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R, input: String) -> Self {
        Self { reader, input, line: 0, read_bytes: 0 }
    }

    /// One line without its end, or `None` at the end of the input; `Some(None)` if it is too long.
    fn read_line(&mut self) -> std::io::Result<Option<Option<Vec<u8>>>> {
        let mut line = Vec::new();
        let limit = EVENT_BYTES_MAX as u64 + 2;
        let mut read = (&mut self.reader).take(limit).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            return Ok(None);
        }
        let whole = line.last() == Some(&b'\n') || read < limit;
        if !whole {
            read += skip_line(&mut self.reader)?;
        }
        self.line += 1;
        self.read_bytes += read;
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        Ok(Some((whole && line.len() <= EVENT_BYTES_MAX).then_some(line)))
    }

    fn item(&self, line: Option<Vec<u8>>) -> Item {
        let event = match line {
            None => Err(("too-large", format!("longer than {EVENT_BYTES_MAX} bytes"))),
            Some(bytes) => check(bytes),
        };
        let event = event.map_err(|(code, reason)| Reject {
            file: None,
            line: self.line,
            code: code.into(),
            reason,
        });
        Item { line: self.line, read_bytes: self.read_bytes, event }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read_line() {
                Ok(None) => return None,
                Ok(Some(Some(line))) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(Some(line)) => return Some(Ok(self.item(line))),
                Err(source) => {
                    return Some(Err(Error::Input { input: self.input.clone(), source }));
                }
            }
        }
    }
}

/// Reads to the end of the line; returns how many bytes that was.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        skipped += used as u64;
        if end.is_some() || used == 0 {
            return Ok(skipped);
        }
    }
}

/// Whether a line can be an event at all.
fn check(bytes: Vec<u8>) -> Result<String, (&'static str, String)> {
    let bad = |reason: String| ("bad-request", reason);
    let text = String::from_utf8(bytes).map_err(|e| bad(format!("not UTF-8: {e}")))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    // The same judgement as the server's: what it would refuse is refused here, in every run alike.
    actors::DomainEvent::parse(text.as_bytes(), actors::Timestamp::default())
        .map_err(|fault| bad(fault.to_string()))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_checked_and_bounded() {
        let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x"}"#;
        let sized = |bytes| event.replace('x', &"x".repeat(bytes + 1 - event.len()));
        let (long, just_fits) = (sized(EVENT_BYTES_MAX + 1), sized(EVENT_BYTES_MAX));
        let input = format!("\u{feff}{event}\r\n\n[1]\n{long}\n{just_fits}\n{{\"b\"\n  {event}  ");
        let total = input.len() as u64;
        let items: Vec<_> =
            Lines::new(input.as_bytes(), "test".into()).map(Result::unwrap).collect();
        let said: Vec<_> = items
            .iter()
            .map(|item| match &item.event {
                Ok(text) if text.len() < 200 => format!("{} {text}", item.line),
                Ok(text) => format!("{} {} bytes", item.line, text.len()),
                Err(reject) => format!("{} {}: {}", reject.line, reject.code, reject.reason),
            })
            .collect();
        expect_test::expect![[r#"
            1 {"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x"}
            3 bad-request: not a JSON object: invalid type: sequence, expected an object with a CloudEvent's attributes at line 1 column 0
            4 too-large: longer than 1048576 bytes
            5 1048576 bytes
            6 bad-request: not a JSON object: EOF while parsing an object at line 1 column 4
            7 {"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x"}"#]]
        .assert_eq(&said.join("\n"));
        assert_eq!(items.last().unwrap().read_bytes, total);
    }
}
