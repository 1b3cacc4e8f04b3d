//! A running server as the target of a feed, and as something to ask: HTTP/1.1 on one kept-alive
//! connection.
//!
//! The server may be slow, full, restarting or gone for a while: 429, 503, lost connections and
//! answers that call for it are repeated with back-off, for as long as [`PATIENCE`]. That is safe,
//! because every batch carries its numbers. A server that never answered at all is not waited for:
//! the address is probably wrong.

use super::{Answer, Error, Item, Target};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};
use ureq::http::{Response, StatusCode};

/// How long a server that has answered before may be gone.
const PATIENCE: Duration = Duration::from_secs(60);
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A server.
pub(crate) struct Server {
    agent: ureq::Agent,
    base: String,
    answered: bool,
    patience: Duration,
}

/// A problem+json answer, as far as a client needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
    title: String,
    retry: String,
    next_sequence: Option<u64>,
    errors: Vec<ProblemError>,
}

#[derive(Debug, Deserialize)]
struct ProblemError {
    #[serde(default)]
    pointer: String,
    #[serde(default)]
    detail: String,
}

#[derive(Deserialize)]
struct Enveloped<T> {
    data: T,
}

#[derive(Deserialize)]
struct Producer {
    next_sequence: u64,
}

/// One answer: the status, when to come back if it says, and the body.
struct Reply {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Reply {
    fn problem(&self) -> Problem {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What a person should read about an answer that is no success.
    fn describe(&self) -> String {
        let problem = self.problem();
        let said = if problem.detail.is_empty() { problem.title } else { problem.detail };
        let at: Vec<_> =
            problem.errors.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect();
        let mut text = format!("{} {} {said}", self.status.as_u16(), problem.code);
        if !at.is_empty() {
            text += &format!(" ({})", at.join("; "));
        }
        text.trim().to_owned()
    }
}

impl Server {
    /// A server at `http://HOST:PORT`. Nothing is sent yet.
    pub(crate) fn at(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_recv_body(Some(PATIENCE))
            .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.new_agent(),
            base: url.trim_end_matches('/').to_owned(),
            answered: false,
            patience: PATIENCE,
        }
    }

    /// The answer to a GET as JSON. `None` for 404.
    pub(crate) fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, Error> {
        let url = format!("{}{path}", self.base);
        let reply = self.until_answered(|agent| agent.get(&url).call())?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.parse(&reply, &format!("GET {path}")).map(Some)
    }

    /// The answer to a POST without a body as JSON, however long it takes. It is not repeated.
    pub(crate) fn post<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Error> {
        let (base, url) = (&self.base, format!("{}{path}", self.base));
        let request = self.agent.post(&url).config().timeout_recv_response(None).build();
        let reply = request.send_empty().and_then(read).map_err(|error| {
            Error::Target(format!(
                "POST {path} at {base} was not answered ({error}): is a server running there?"
            ))
        })?;
        self.parse(&reply, &format!("POST {path}"))
    }

    fn parse<T: DeserializeOwned>(&self, reply: &Reply, what: &str) -> Result<T, Error> {
        let base = &self.base;
        if !reply.status.is_success() {
            let said = reply.describe();
            return Err(Error::Target(format!("{what} at {base} was refused: {said}")));
        }
        serde_json::from_slice(&reply.body).map_err(|e| {
            Error::Target(format!(
                "{what} at {base} has an answer we don't understand ({e}): is it a bellwether?"
            ))
        })
    }

    /// Repeats a call until there is an answer that no repeat would change.
    fn until_answered(
        &mut self,
        call: impl Fn(&ureq::Agent) -> Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Reply, Error> {
        let began = Instant::now();
        let mut backoff = BACKOFF_FIRST;
        loop {
            let (fault, wait) = match call(&self.agent).and_then(read) {
                Ok(reply) => {
                    self.answered = true;
                    let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
                    let again = busy.contains(&reply.status)
                        || (reply.status.is_server_error() && reply.problem().retry != "never");
                    if !again {
                        return Ok(reply);
                    }
                    (reply.describe(), reply.retry_after)
                }
                Err(e) => (e.to_string(), None),
            };
            if !self.answered {
                let base = &self.base;
                return Err(Error::Target(format!(
                    "the server {base} does not answer ({fault}): is it running? start one with \
                     bellwether serve, or name another with --to"
                )));
            }
            if began.elapsed() > self.patience {
                return Err(Error::Target(format!(
                    "the server {} has not taken this for {} s ({fault}): run the same command \
                     again later, it goes on where it stopped",
                    self.base,
                    self.patience.as_secs()
                )));
            }
            std::thread::sleep(wait.unwrap_or(backoff).min(BACKOFF_MAX));
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    fn post_batch(&mut self, producer: &str, first: u64, batch: &[Item]) -> Result<Reply, Error> {
        let url = format!("{}/api/v1/events", self.base);
        let body = batch_body(batch);
        self.until_answered(|agent| {
            agent
                .post(&url)
                .header("content-type", "application/cloudevents-batch+json")
                .header("bellwether-producer", producer)
                .header("bellwether-sequence", first.to_string())
                .send(body.as_bytes())
        })
    }
}

impl Target for Server {
    fn next_sequence(&mut self, producer: &str) -> Result<u64, Error> {
        let path = format!("/api/v1/producers/{}", percent_encoded(producer));
        let known: Option<Enveloped<Producer>> = self.get(&path)?;
        Ok(known.map_or(0, |known| known.data.next_sequence))
    }

    fn send(&mut self, producer: &str, first: u64, batch: &[Item]) -> Result<Answer, Error> {
        let reply = self.post_batch(producer, first, batch)?;
        if reply.status == StatusCode::PAYLOAD_TOO_LARGE {
            return self.send_halves(producer, first, batch, &reply);
        }
        let problem = reply.problem();
        match problem.code.as_str() {
            "sequence-mismatch" => {
                let number = first + batch.len() as u64 - 1;
                Err(Error::Changed { producer: producer.to_owned(), number })
            }
            "sequence-gap" => Err(Error::Target(format!(
                "the server {} wants number {} of producer {producer} next, not {first}: is \
                 another \
                 feed running under the same name, or is it another server by now?",
                self.base,
                problem.next_sequence.unwrap_or(0)
            ))),
            _ => {
                let answer: Enveloped<Answer> = self.parse(&reply, "POST /api/v1/events")?;
                Ok(answer.data)
            }
        }
    }
}

impl Server {
    /// A batch was too large for this server: two smaller ones, or one event that is no event for
    /// it.
    fn send_halves(
        &mut self,
        producer: &str,
        first: u64,
        batch: &[Item],
        reply: &Reply,
    ) -> Result<Answer, Error> {
        let (left, right) = batch.split_at(batch.len() / 2);
        if left.is_empty() {
            let item = &batch[0];
            let event = Err(super::Reject {
                file: None,
                line: item.line,
                code: "too-large".into(),
                reason: reply.describe(),
            });
            let instead = Item { line: item.line, read_bytes: item.read_bytes, event };
            // Its number has to be used up all the same.
            let mut answer = self.send(producer, first, &[instead])?;
            for refused in &mut answer.rejected {
                "too-large".clone_into(&mut refused.code);
                refused.detail = reply.describe();
            }
            return Ok(answer);
        }
        let mut answer = self.send(producer, first, left)?;
        let second = self.send(producer, first + left.len() as u64, right)?;
        answer.accepted += second.accepted;
        answer.duplicates += second.duplicates;
        answer.ignored += second.ignored;
        answer.rejected.extend(
            second
                .rejected
                .into_iter()
                .map(|refused| super::Refused { index: refused.index + left.len(), ..refused }),
        );
        Ok(answer)
    }
}

fn read(response: Response<ureq::Body>) -> Result<Reply, ureq::Error> {
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let status = response.status();
    let body = response.into_body().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
    Ok(Reply { status, retry_after, body })
}

/// The batch as a JSON array; `null` keeps the number of a line that is no event.
fn batch_body(batch: &[Item]) -> String {
    let bytes: usize =
        batch.iter().map(|item| item.event.as_ref().map_or(4, String::len) + 1).sum();
    let mut body = String::with_capacity(bytes + 2);
    body.push('[');
    for (i, item) in batch.iter().enumerate() {
        if i > 0 {
            body.push(',');
        }
        body.push_str(item.event.as_deref().unwrap_or("null"));
    }
    body.push(']');
    body
}

/// A path segment: everything but letters, digits and `-._~` in percent form.
pub(crate) fn percent_encoded(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text += &format!("%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
