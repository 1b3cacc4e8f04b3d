//! A feed into a target in memory: numbers, skipping, rejects, and every place to be cut off.

use super::lines::Lines;
use super::*;

/// Keeps what it was sent, as the engine would: by number, each once.
#[derive(Default)]
struct Book {
    events: Vec<Option<String>>,
    /// Fails once so many events are in, after taking only a part of the batch that crosses it.
    breaks_at: Option<usize>,
    calls: usize,
}

impl Target for Book {
    fn next_sequence(&mut self, _producer: &str) -> Result<u64, Error> {
        Ok(self.events.len() as u64)
    }

    fn send(&mut self, producer: &str, first: u64, batch: &[Item]) -> Result<Answer, Error> {
        self.calls += 1;
        assert!(first <= self.events.len() as u64, "a gap: {first} after {}", self.events.len());
        let mut answer = Answer::default();
        for (index, item) in batch.iter().enumerate() {
            let number = first as usize + index;
            if self.breaks_at == Some(number) {
                return Err(Error::Target("cut off".into()));
            }
            let text = item.event.as_ref().ok();
            if let Some(known) = self.events.get(number) {
                if known.as_ref() != text {
                    let producer = producer.to_owned();
                    return Err(Error::Changed { producer, number: number as u64 });
                }
                answer.duplicates += 1;
                continue;
            }
            match text {
                Some(text) if text.contains("bad") => answer.rejected.push(Refused {
                    index,
                    code: "bad-request".into(),
                    detail: "id: is missing".into(),
                }),
                Some(_) => answer.accepted += 1,
                None => answer.rejected.push(Refused {
                    index,
                    code: "bad-request".into(),
                    detail: "null".into(),
                }),
            }
            self.events.push(text.cloned());
        }
        Ok(answer)
    }
}

struct Ran {
    result: Result<Summary, Error>,
    rejects: String,
}

fn run(input: &str, book: &mut Book, batch: usize) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rejects.ndjson");
    let mut rejects = Rejects::new(path.clone());
    let lines = Lines::new(std::io::Cursor::new(input.to_owned()), "test".into());
    let options = Options { producer: "test".into(), batch };
    let result = feed(lines, book, &options, &mut rejects, &mut Progress::new(Unit::Unknown));
    let (count, _) = rejects.finish().unwrap();
    let rejects = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(rejects.lines().count() as u64, count);
    Ran { result, rejects }
}

fn line(id: &str) -> String {
    format!("{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/s\",\"type\":\"t\"}}\n")
}

fn input(lines: usize) -> String {
    (0..lines).map(|n| line(&n.to_string())).collect()
}

#[test]
fn a_line_that_is_no_event_keeps_its_number_and_goes_to_the_rejects_once() {
    let mut book = Book::default();
    let text = [line("0"), "nonsense\n\n".into(), line("bad"), line("3")].concat();
    let ran = run(&text, &mut book, 2);
    let summary = ran.result.unwrap();
    assert_eq!((summary.accepted, summary.duplicates, summary.skipped), (2, 0, 0));
    assert_eq!(book.events.len(), 4);
    assert_eq!(book.events[1], None);
    expect_test::expect![[r#"
        {"line":2,"code":"bad-request","reason":"not a JSON object: expected ident at line 1 column 2"}
        {"line":4,"code":"bad-request","reason":"id: is missing"}
    "#]]
    .assert_eq(&ran.rejects);
}

#[test]
fn the_second_run_changes_nothing() {
    let mut book = Book::default();
    assert_eq!(run(&input(10), &mut book, 3).result.unwrap().accepted, 10);
    let again = run(&input(10), &mut book, 3).result.unwrap();
    assert_eq!(again, Summary { skipped: 10, ..Summary::default() });
    assert_eq!(book.events.len(), 10);
}

#[test]
fn a_feed_that_was_cut_off_anywhere_goes_on_from_there() {
    for cut in 0..20 {
        for batch in [1, 3, 50] {
            let mut book = Book { breaks_at: Some(cut), ..Book::default() };
            assert!(run(&input(20), &mut book, batch).result.is_err());
            assert_eq!(book.events.len(), cut);
            book.breaks_at = None;
            let rest = run(&input(20), &mut book, batch).result.unwrap();
            assert_eq!((rest.skipped, rest.accepted), (cut as u64, 20 - cut as u64));
            assert_eq!(book.events.len(), 20);
        }
    }
}

#[test]
fn what_was_appended_to_a_file_is_sent_and_nothing_else() {
    let mut book = Book::default();
    run(&input(7), &mut book, 100).result.unwrap();
    let summary = run(&input(9), &mut book, 100).result.unwrap();
    assert_eq!((summary.skipped, summary.accepted, summary.duplicates), (7, 2, 0));
    assert_eq!(book.calls, 2);
}

#[test]
fn another_input_under_the_same_name_is_refused() {
    let mut book = Book::default();
    run(&input(7), &mut book, 100).result.unwrap();
    let shorter = run(&input(6), &mut book, 100).result.unwrap_err().to_string();
    assert!(shorter.contains("has 7 events of producer test, but the input ends after 6"));
    let changed = run(&input(9).replace("\"6\"", "\"66\""), &mut book, 100).result.unwrap_err();
    assert!(matches!(changed, Error::Changed { number: 6, .. }), "{changed}");
}
