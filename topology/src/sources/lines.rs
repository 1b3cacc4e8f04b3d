//! Lines of a file or of a stream, each the text of one domain event.
//!
//! The numbering is the same as everywhere else where lines are fed in: from 0, one for each line
//! that is not blank, whether it is an event or not. A line that is too long is read to its end and
//! rejected, never held. What is *not* here: what an event is.
//!
//! Invariant: memory does not grow with the input.

use super::{Error, Progress, RawBatch, RawRecord, Reject, Source};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest line that can be an event, in bytes, without its end.
pub const LINE_BYTES_MAX: usize = 1 << 20;

const READ_BYTES: usize = 256 << 10;

/// Reads raw records from lines.
pub struct Lines {
    input: Box<dyn BufRead + Send>,
    /// For messages.
    name: String,
    /// Where to begin anew; a stream can't.
    path: Option<PathBuf>,
    /// Lines read, blank ones among them.
    lines: u64,
    /// The number of the next line that is not blank.
    number: u64,
    /// The line just read, without its end.
    line: Vec<u8>,
}

/// What the next line is.
#[derive(PartialEq, Eq)]
enum Line {
    Whole,
    TooLong,
    Blank,
    End,
}

impl Lines {
    /// The lines of a file.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn file(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let open = File::open(path);
        let file = open.map_err(|source| Error::Read { input: name.clone(), source })?;
        let input = BufReader::with_capacity(READ_BYTES, file);
        Ok(Self { path: Some(path.to_owned()), ..Self::stream(name, Box::new(input)) })
    }

    /// The lines of a stream, such as standard input, which has to begin where it always did.
    pub fn stream(name: String, input: Box<dyn BufRead + Send>) -> Self {
        Self { input, name, path: None, lines: 0, number: 0, line: Vec::new() }
    }

    /// Goes to where the line of this number begins.
    fn seek(&mut self, next: u64) -> Result<(), Error> {
        if next < self.number {
            let Some(path) = &self.path else {
                let (input, first) = (self.name.clone(), self.number);
                return Err(Error::Gone { input, wanted: next, first });
            };
            *self = Self::file(path)?;
        }
        while self.number < next {
            match self.read_line()? {
                Line::End => {
                    let (input, found) = (self.name.clone(), self.number);
                    return Err(Error::Shorter { input, wanted: next, found });
                }
                Line::Blank => {}
                Line::Whole | Line::TooLong => self.number += 1,
            }
        }
        Ok(())
    }

    fn read_line(&mut self) -> Result<Line, Error> {
        let line = self.try_read_line();
        line.map_err(|source| Error::Read { input: self.name.clone(), source })
    }

    fn try_read_line(&mut self) -> std::io::Result<Line> {
        self.line.clear();
        // Room for the line's end, CR and LF.
        let limit = LINE_BYTES_MAX as u64 + 2;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut self.line)? as u64;
        if read == 0 {
            return Ok(Line::End);
        }
        let whole = self.line.last() == Some(&b'\n') || read < limit;
        if !whole {
            self.input.skip_until(b'\n')?;
        }
        self.lines += 1;
        while matches!(self.line.last(), Some(b'\n' | b'\r')) {
            self.line.pop();
        }
        if !whole || self.line.len() > LINE_BYTES_MAX {
            return Ok(Line::TooLong);
        }
        let blank = self.line.trim_ascii().is_empty();
        Ok(if blank { Line::Blank } else { Line::Whole })
    }
}

impl Source for Lines {
    fn read(&mut self, next: u64, batch: &mut RawBatch) -> Result<Progress, Error> {
        self.seek(next)?;
        while !batch.is_full() {
            let line = self.read_line()?;
            let (number, place) = (self.number, self.lines);
            match line {
                Line::End => return Ok(Progress::End),
                Line::Blank => continue,
                Line::Whole => {
                    let bytes = self.line.trim_ascii();
                    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
                    batch.push(RawRecord { number, place, time: None, bytes });
                }
                Line::TooLong => {
                    let reason = format!("longer than {LINE_BYTES_MAX} bytes");
                    batch.reject(Reject { number, place, code: "too-large", reason });
                }
            }
            self.number += 1;
        }
        Ok(Progress::More)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn stream(text: &str) -> Lines {
        Lines::stream("standard input".to_owned(), Box::new(Cursor::new(text.to_owned())))
    }

    /// Everything from `next` on, in batches of at most `records_max`: number, line, text.
    fn read_all(
        lines: &mut Lines,
        mut next: u64,
        records_max: usize,
    ) -> Result<Vec<(u64, u64, String)>, Error> {
        let mut batch = RawBatch::new(records_max, 1 << 20);
        let mut all = Vec::new();
        loop {
            batch.begin(next);
            let progress = lines.read(next, &mut batch)?;
            all.extend(batch.records().map(|record| {
                (record.number, record.place, String::from_utf8(record.bytes.to_vec()).unwrap())
            }));
            let rejects = batch.rejects().iter();
            all.extend(rejects.map(|reject| (reject.number, reject.place, reject.code.to_owned())));
            all.sort();
            next = batch.next();
            if progress == Progress::End {
                return Ok(all);
            }
            assert!(batch.is_full(), "it goes on only because the batch is full");
        }
    }

    fn lines(expected: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
        expected.iter().map(|(number, line, text)| (*number, *line, (*text).to_owned())).collect()
    }

    #[test]
    fn every_line_but_a_blank_one_has_a_number() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let fits = "y".repeat(LINE_BYTES_MAX);
        let cases = [
            (String::new(), vec![]),
            ("\n \r\n\t\n".to_owned(), vec![]),
            ("a".to_owned(), vec![(0, 1, "a")]),
            ("\u{feff}a\r\n\n  b \nc\n".to_owned(), vec![(0, 1, "a"), (1, 3, "b"), (2, 4, "c")]),
            (format!("a\n{long}\nb"), vec![(0, 1, "a"), (1, 2, "too-large"), (2, 3, "b")]),
            (format!("{long}{long}{long}"), vec![(0, 1, "too-large")]),
            (format!("{fits}\r\n{fits}"), vec![(0, 1, fits.as_str()), (1, 2, fits.as_str())]),
        ];
        for (nth, (text, want)) in cases.iter().enumerate() {
            for records_max in [1, 2, 100] {
                let all = read_all(&mut stream(text), 0, records_max).unwrap();
                assert!(all == lines(want), "case {nth} by {records_max}");
            }
        }
    }

    #[test]
    fn it_reads_on_from_any_number_and_a_file_also_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.ndjson");
        std::fs::write(&path, "a\n\nb\nc\n").unwrap();
        let all = lines(&[(0, 1, "a"), (1, 3, "b"), (2, 4, "c")]);
        let mut file = Lines::file(&path).unwrap();
        for next in [0, 2, 1, 3, 0] {
            let read = read_all(&mut file, next, 2).unwrap();
            assert_eq!(read, all[next as usize..], "from {next}");
        }
        let error = read_all(&mut file, 4, 2).unwrap_err().to_string();
        assert!(error.ends_with("events.ndjson, which ends after 3"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Lines::file(&path), Err(Error::Read { .. })));
    }

    #[test]
    fn a_stream_does_not_go_back() {
        let mut stream = stream("a\nb\nc\n");
        assert_eq!(read_all(&mut stream, 1, 10).unwrap(), lines(&[(1, 2, "b"), (2, 3, "c")]));
        let error = read_all(&mut stream, 2, 10).unwrap_err().to_string();
        assert_eq!(error, "standard input does not have number 2 any more: it goes on with 3");
    }
}
