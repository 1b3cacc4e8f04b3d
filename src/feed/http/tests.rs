//! The client against a server that follows a script: refuses, hangs up, is full, is small.

use super::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// How a request ends.
enum Then {
    /// With this status, these headers and this body.
    Answer(u16, &'static str, String),
    /// With the connection.
    HangUp,
}

/// Serves the script, one request after the other, and returns what was asked.
fn serve(script: Vec<Then>) -> (Server, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::at(&format!("http://{}/", listener.local_addr().unwrap()));
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        let mut open = None;
        for answer in script {
            // A kept-alive connection that we hung up on is replaced by a new one.
            let mut stream = open.take().unwrap_or_else(|| listener.accept().unwrap().0);
            asked.push(request(&mut stream));
            if let Then::Answer(status, header, body) = answer {
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{header}\r\n{body}"
                )
                .unwrap();
                open = Some(stream);
            }
        }
        asked
    });
    (server, thread)
}

/// Reads one request: its first line, our own headers, and the body.
fn request(stream: &mut std::net::TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut said = String::new();
    reader.read_line(&mut said).unwrap();
    said = said.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(n) = line.strip_prefix("content-length: ") {
            length = n.parse().unwrap();
        }
        if line.starts_with("bellwether-") {
            said += &format!(" {line}");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    said + " " + &String::from_utf8(body).unwrap()
}

fn ok(body: &str) -> Then {
    Then::Answer(200, "", body.to_owned())
}

fn problem(status: u16, header: &'static str, body: &str) -> Then {
    Then::Answer(status, header, body.to_owned())
}

fn items(events: &[Option<&str>]) -> Vec<Item> {
    let item = |(line, event): (usize, Option<&str>)| Item {
        line: line as u64 + 1,
        read_bytes: 0,
        event: event.map(str::to_owned).ok_or_else(|| crate::feed::Reject {
            file: None,
            line: line as u64 + 1,
            code: "bad-request".into(),
            reason: "test".into(),
        }),
    };
    events.iter().copied().enumerate().map(item).collect()
}

#[test]
fn an_unknown_producer_begins_at_zero_and_a_known_one_where_it_was() {
    let (mut server, asked) = serve(vec![
        problem(404, "", "{}"),
        ok(r#"{"data":{"name":"a b","next_sequence":42,"last_at":null},"meta":{"position":1}}"#),
    ]);
    assert_eq!(server.next_sequence("a b").unwrap(), 0);
    assert_eq!(server.next_sequence("a b").unwrap(), 42);
    assert_eq!(asked.join().unwrap()[1], "GET /api/v1/producers/a%20b ");
}

#[test]
fn a_batch_is_repeated_while_the_server_is_full_or_gone() {
    let taken = r#"{"data":{"accepted":1,"duplicates":0,"ignored":0,"rejected":[]}}"#;
    let (mut server, asked) = serve(vec![
        ok(r#"{"data":{"next_sequence":7}}"#),
        problem(429, "retry-after: 0\r\n", "{}"),
        Then::HangUp,
        problem(503, "retry-after: 0\r\n", "{}"),
        problem(500, "", r#"{"code":"internal","retry":"same"}"#),
        problem(202, "", taken),
    ]);
    assert_eq!(server.next_sequence("p").unwrap(), 7);
    let answer = server.send("p", 7, &items(&[Some("{\"n\":1}"), None])).unwrap();
    assert_eq!(answer.accepted, 1);
    let asked = asked.join().unwrap();
    let batch =
        "POST /api/v1/events bellwether-producer: p bellwether-sequence: 7 [{\"n\":1},null]";
    assert_eq!(asked[1..], [batch; 5]);
}

#[test]
fn a_server_that_never_answered_is_not_waited_for() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = Server::at(&format!("http://{free}"));
    let fault = server.next_sequence("p").unwrap_err().to_string();
    assert!(fault.contains("does not answer") && fault.contains("is it running?"), "{fault}");
}

#[test]
fn patience_ends_and_says_how_to_go_on() {
    let (mut server, _asked) = serve(vec![ok("{\"data\":{\"next_sequence\":0}}"), Then::HangUp]);
    server.patience = Duration::ZERO;
    assert_eq!(server.next_sequence("p").unwrap(), 0);
    let fault = server.send("p", 0, &items(&[Some("{}")])).unwrap_err().to_string();
    assert!(fault.contains("run the same command again"), "{fault}");
}

#[test]
fn a_refusal_says_what_the_server_said() {
    let (mut server, _asked) = serve(vec![
        problem(
            415,
            "",
            r#"{"code":"unsupported-media-type","detail":"no","errors":[{"pointer":"/x","detail":"y"}]}"#,
        ),
        problem(409, "", r#"{"code":"sequence-gap","next_sequence":3}"#),
        problem(409, "", r#"{"code":"sequence-mismatch"}"#),
        ok("<html>"),
    ]);
    let mut said = String::new();
    for _ in 0..4 {
        let fault = server.send("p", 5, &items(&[Some("{}")])).unwrap_err().to_string();
        said += &fault.replace(&server.base, "URL");
        said += "\n";
    }
    expect_test::expect![[r#"
        POST /api/v1/events at URL was refused: 415 unsupported-media-type no (/x: y)
        the server URL wants number 3 of producer p next, not 5: is another feed running under the same name, or is it another server by now?
        the target has another event as number 5 of producer p: the input has changed since it was sent; feed it under another name with --producer
        POST /api/v1/events at URL has an answer we don't understand (expected value at line 1 column 1): is it a bellwether?
    "#]].assert_eq(&said);
}

#[test]
fn a_batch_too_large_is_halved_until_it_fits() {
    let too_large = || problem(413, "", r#"{"code":"too-large","detail":"at most 10 bytes"}"#);
    let one = |accepted: u64| {
        ok(&format!(r#"{{"data":{{"accepted":{accepted},"duplicates":0,"ignored":0}}}}"#))
    };
    let (mut server, asked) = serve(vec![
        too_large(),
        one(1),
        too_large(),
        one(1),
        too_large(),
        ok(
            r#"{"data":{"accepted":0,"duplicates":0,"rejected":[{"index":0,"code":"bad-request"}]}}"#,
        ),
    ]);
    let answer = server.send("p", 0, &items(&[Some("{}"), Some("[]"), Some("{1}")])).unwrap();
    assert_eq!(answer.accepted, 2);
    let refused = &answer.rejected[0];
    assert_eq!((refused.index, refused.code.as_str()), (2, "too-large"));
    let sent: Vec<_> =
        asked.join().unwrap().iter().map(|r| r.split(' ').skip(5).collect::<String>()).collect();
    assert_eq!(sent, ["0[{},[],{1}]", "0[{}]", "1[[],{1}]", "1[[]]", "2[{1}]", "2[null]"]);
}
