//! The process as its users have it: started, asked over HTTP, stopped gently or not.
//!
//! Each process has its own data directory, which outlives it, and any free port, which it keeps
//! over restarts. Whatever a test leaves running is killed with the test. What is *not* here: what
//! any test expects.

#![allow(dead_code, reason = "each test takes what it needs")]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Much longer than anything takes: only a process that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether the long tests are to run whole (in `.ci/run`, with the release build) or on a part.
pub(crate) fn long_tests() -> bool {
    std::env::var_os("BELLWETHER_LONG_TESTS").is_some()
}

/// Where the binary under test is: the one that cargo has built beside the tests, unless another is
/// named (`.ci/run` names the release build, so that the tests themselves need not be built twice).
pub(crate) fn binary() -> String {
    let named = std::env::var("BELLWETHER_BINARY");
    named.unwrap_or_else(|_| env!("CARGO_BIN_EXE_bellwether").to_owned())
}

/// The binary under test.
pub(crate) fn bellwether() -> Command {
    let mut command = Command::new(binary());
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("BELLWETHER_") {
            command.env_remove(variable);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A running process and its data directory.
pub(crate) struct Process {
    dir: TempDir,
    arguments: Vec<String>,
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    agent: ureq::Agent,
}

impl Process {
    /// Starts a process on a new data directory.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let (child, url) = spawn(&dir.path().join("data"), "127.0.0.1:0", &arguments);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build();
        Self { dir, arguments, child, url, agent: config.new_agent() }
    }

    /// A folder that goes away with the process.
    pub(crate) fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Ends the process without a warning, as a power failure would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, on the same data directory and port.
    pub(crate) fn restart(&mut self) {
        let listen = self.url.trim_start_matches("http://").to_owned();
        let (child, url) = spawn(&self.data(), &listen, &self.arguments);
        assert_eq!(url, self.url);
        self.child = child;
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it says that recovery has caught up.
    pub(crate) fn wait_ready(&self) {
        let began = Instant::now();
        while self.status("/health/ready") != 200 {
            assert!(began.elapsed() < PATIENCE, "it does not get ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The status of a GET; 0 if nobody answers.
    pub(crate) fn status(&self, path: &str) -> u16 {
        let answer = self.agent.get(format!("{}{path}", self.url)).call();
        answer.map_or(0, |answer| answer.status().as_u16())
    }

    /// The answer to a GET that must succeed.
    pub(crate) fn get(&self, path: &str) -> Value {
        let mut answer = self.agent.get(format!("{}{path}", self.url)).call().expect(path);
        let text = answer.body_mut().read_to_string().expect(path);
        assert_eq!(answer.status(), 200, "{path}: {text}");
        serde_json::from_str(&text).expect(path)
    }

    /// The text of an answer that is no JSON.
    pub(crate) fn text(&self, path: &str) -> String {
        let mut answer = self.agent.get(format!("{}{path}", self.url)).call().expect(path);
        answer.body_mut().read_to_string().expect(path)
    }

    /// The answer to a POST with these headers: status and body.
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.send(body.as_bytes()).expect(path);
        let text = answer.body_mut().read_to_string().expect(path);
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before; then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts the binary, and waits for the line that says where it listens.
fn spawn(data: &Path, listen: &str, arguments: &[String]) -> (Child, String) {
    let mut child = bellwether()
        .arg("serve")
        .args(["--listen", listen, "--data"])
        .arg(data)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.by_ref().find_map(|line| {
        let line = line.unwrap();
        let at = line.find("http://127.0.0.1:")?;
        let end = line[at..].find(|c: char| c.is_whitespace() || c == ',');
        Some(line[at..end.map_or(line.len(), |end| at + end)].to_owned())
    });
    // Whatever else it says must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, url.expect("it ended before it said where it listens"))
}
