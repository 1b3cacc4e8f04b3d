//! The first thing any client asks a broker, asked by hand: which requests it knows, in which
//! versions (ApiVersions, version 0). So that what answers, and is no Kafka, is told apart from a
//! Kafka that refuses us.
//!
//! Brokers answer this before anybody logs in. What is *not* here: TLS, and everything after.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a broker may take to connect, and to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// ApiVersions, version 0, correlation id 7, without a client id; its length in front.
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
const CORRELATION: [u8; 4] = [0, 0, 0, 7];

/// No honest answer is longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A Kafka broker, with the newest version it knows of each request.
    Kafka(Vec<(i16, i16)>),
    /// A listener that wants TLS.
    Tls,
    /// Something that speaks HTTP.
    Http,
    /// Something else, or somebody who hangs up.
    Unknown(String),
}

/// Asks.
///
/// # Errors
/// Nobody listens there.
pub(super) fn ask(address: SocketAddr) -> io::Result<Peer> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.write_all(&REQUEST)?;
    Ok(listen(&mut stream))
}

fn listen(stream: &mut impl Read) -> Peer {
    let mut length = [0; 4];
    if let Err(error) = stream.read_exact(&mut length) {
        return Peer::Unknown(match error.kind() {
            io::ErrorKind::UnexpectedEof => "it hung up without an answer".to_owned(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("it has not answered within {} s", ANSWER_MAX.as_secs())
            }
            _ => error.to_string(),
        });
    }
    match &length {
        b"HTTP" => return Peer::Http,
        // An alert, or a handshake, of TLS 1.x.
        [0x15 | 0x16, 0x03, ..] => return Peer::Tls,
        _ => {}
    }
    let bytes = u32::from_be_bytes(length) as usize;
    if !(10..=ANSWER_BYTES_MAX).contains(&bytes) {
        return Peer::Unknown(format!("it answered {:?}", length.escape_ascii().to_string()));
    }
    let mut answer = vec![0; bytes];
    if stream.read_exact(&mut answer).is_err() {
        return Peer::Unknown("it hung up in the middle of an answer".to_owned());
    }
    versions(&answer)
        .map_or_else(|| Peer::Unknown("its answer is none of Kafka's".to_owned()), Peer::Kafka)
}

/// Correlation id, error code, and an array of (request, oldest, newest version).
fn versions(answer: &[u8]) -> Option<Vec<(i16, i16)>> {
    let rest = answer.strip_prefix(&CORRELATION)?;
    let (error, rest) = rest.split_first_chunk::<2>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let count = u32::from_be_bytes(*count) as usize;
    if i16::from_be_bytes(*error) != 0 || rest.len() != count.checked_mul(6)? {
        return None;
    }
    let number = |bytes: &[u8]| i16::from_be_bytes([bytes[0], bytes[1]]);
    Some(rest.chunks(6).map(|entry| (number(entry), number(&entry[4..]))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(answer: &[u8]) -> Vec<u8> {
        [&(answer.len() as u32).to_be_bytes(), answer].concat()
    }

    #[test]
    fn who_answers_is_known_by_the_first_bytes() {
        let kafka = framed(&[
            0, 0, 0, 7, 0, 0, 0, 0, 0, 2, // two requests
            0, 0, 0, 3, 0, 11, // Produce 3 to 11
            0, 1, 0, 4, 0, 16, // Fetch 4 to 16
        ]);
        let unknown = |why: &str| Peer::Unknown(why.to_owned());
        let cases: [(&[u8], Peer); 8] = [
            (&kafka, Peer::Kafka(vec![(0, 11), (1, 16)])),
            (&kafka[..kafka.len() - 1], unknown("it hung up in the middle of an answer")),
            (b"HTTP/1.1 400 Bad Request\r\n", Peer::Http),
            (&[0x15, 3, 3, 0, 2, 2, 70], Peer::Tls),
            (b"", unknown("it hung up without an answer")),
            (b"SSH-2.0-OpenSSH_9.2\r\n", unknown("it answered \"SSH-\"")),
            (&framed(&[0; 20]), unknown("its answer is none of Kafka's")),
            (&framed(&[0, 0, 0, 7, 0, 35, 0, 0, 0, 0]), unknown("its answer is none of Kafka's")),
        ];
        for (bytes, peer) in cases {
            assert_eq!(listen(&mut &bytes[..]), peer, "{bytes:?}");
        }
    }
}
