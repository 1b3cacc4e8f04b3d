//! The process's memory allocator, and the one thing about it that is not as it comes.
//!
//! What one thread allocates another frees all the time; mimalloc is made for that. As it comes, it
//! gives memory back to the kernel a second after it was freed. A process that works through
//! batches frees and wants the same megabytes many times a second, and pages that are new to it
//! cost the kernel more than the work done in them: a quarter of the processor time of a full load,
//! on a virtual machine. So freed memory is kept for a minute.
//!
//! One of the files that may be `unsafe`: the option has no other way in.

#![allow(unsafe_code)]

use std::ffi::c_long;

/// `mi_option_purge_delay` in mimalloc's C header, in milliseconds.
const PURGE_DELAY_OPTION: libmimalloc_sys::mi_option_t = 15;

/// What it is as it comes, in version 3.
const PURGE_DELAY_USUAL_MS: c_long = 1_000;

const PURGE_DELAY_MS: c_long = 60_000;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps freed memory for a while, unless the environment (`MIMALLOC_PURGE_DELAY`) says otherwise.
pub(crate) fn keep_freed_memory() {
    // SAFETY: both functions read or write one word of a table that always exists, and may be
    // called at any time; the number is an option's. Should another version have another option
    // there, its value differs and nothing is changed.
    unsafe {
        if libmimalloc_sys::mi_option_get(PURGE_DELAY_OPTION) == PURGE_DELAY_USUAL_MS {
            libmimalloc_sys::mi_option_set(PURGE_DELAY_OPTION, PURGE_DELAY_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        let read = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY_OPTION) };
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            keep_freed_memory();
            assert_eq!(read(), PURGE_DELAY_MS, "mimalloc has another table of options");
        }
    }
}
