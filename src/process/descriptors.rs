//! How many files and sockets the process may have open, and how many connections fit in.
//!
//! The system gives a process two limits: one that holds, and one up to which it may raise the
//! first by itself. It does, since each connection takes one. What is *not* here: what happens
//! beyond (the door closes who has been idle longest).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is kept for everything that is no connection: the journal's segments, the store's files,
/// images, Kafka's sockets, and connections that are just being closed.
const RESERVED: usize = 1_024;

/// Raises the limit of open files as far as it goes; gives how many connections there may be, of
/// those that the operator wishes.
pub(crate) fn make_room(connections_max: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files is not raised");
        }
    }
    let files_max = getrlimit(Resource::Nofile).current;
    let room = room(files_max);
    if room < connections_max {
        tracing::warn!(
            wished = connections_max,
            connections_max = room,
            files_max,
            "fewer connections than http.connections_max fit into the limit of open files; raise \
             its hard value (ulimit -Hn, or LimitNOFILE of the service)"
        );
    }
    room.min(connections_max)
}

/// How many connections fit in; where there is little room, half of it is theirs.
fn room(files_max: Option<u64>) -> usize {
    let Some(files_max) = files_max else { return usize::MAX };
    let files_max = usize::try_from(files_max).unwrap_or(usize::MAX);
    files_max.saturating_sub(RESERVED).max(files_max / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_files() {
        let cases = [
            (None, usize::MAX),
            (Some(1_048_576), 1_047_552),
            (Some(20_000), 18_976),
            (Some(2_048), 1_024),
            (Some(1_024), 512),
            (Some(1), 1),
        ];
        for (files_max, connections_max) in cases {
            assert_eq!(room(files_max), connections_max, "of {files_max:?}");
        }
    }

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        assert_eq!(make_room(1), 1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
