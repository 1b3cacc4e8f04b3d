//! What this process has used, as the kernel counts it.
//!
//! Invariant: a figure the kernel does not give is `None`, never a guess.

use std::fs;

/// CPU time is counted in hundredths of a second, whatever the kernel's own clock.
const TICKS_PER_SECOND: u64 = 100;

/// What was used up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time of all threads, in µs; exact to 10 ms.
    pub cpu_us: u64,
    /// What was written to disks, in bytes.
    pub written_bytes: Option<u64>,
}

impl Usage {
    /// Up to now.
    pub fn now() -> Self {
        Self {
            cpu_us: cpu_ticks().unwrap_or(0) * (1_000_000 / TICKS_PER_SECOND),
            written_bytes: field("/proc/self/io", "write_bytes:"),
        }
    }

    /// What was used since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let written = self.written_bytes.zip(before.written_bytes);
        Self {
            cpu_us: self.cpu_us - before.cpu_us,
            written_bytes: written.map(|(now, then)| now - then),
        }
    }
}

/// The resident memory now, in bytes.
pub fn rss_bytes() -> Option<u64> {
    field("/proc/self/status", "VmRSS:").map(|kib| kib * 1024)
}

/// The resident memory of another process, in bytes.
pub fn rss_bytes_of(process: u32) -> Option<u64> {
    field(&format!("/proc/{process}/status"), "VmRSS:").map(|kib| kib * 1024)
}

/// The most resident memory since [`reset_rss_max`], in bytes.
pub fn rss_bytes_max() -> Option<u64> {
    field("/proc/self/status", "VmHWM:").map(|kib| kib * 1024)
}

/// Begins to count the most resident memory anew. False if the kernel does not let us: then it
/// counts since the process began.
pub fn reset_rss_max() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time: fields 14 and 15 of `stat`. The name in the second field may hold spaces.
fn cpu_ticks() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_counted() {
        let before = Usage::now();
        let began = std::time::Instant::now();
        let mut spun = 0_u64;
        while began.elapsed().as_millis() < 60 {
            spun = std::hint::black_box(spun + 1);
        }
        let used = Usage::now().since(&before);
        assert!(used.cpu_us >= 10_000, "{used:?} after {spun} turns");
        assert!(rss_bytes().unwrap() > 1 << 20);
        assert!(rss_bytes_max().unwrap() >= rss_bytes().unwrap() / 2);
    }
}
