//! With unsafe code: what librdkafka can tell and its Rust wrapper can't.
//!
//! The id of a topic (a topic that was deleted and made again has its old name and another id), and
//! the ends of a partition's log as the last fetch saw them. What is *not* here: what either means.
//!
//! Invariant: every pointer that is made here is given back here, on every path; the client
//! outlives each call, because callers borrow it.
#![allow(unsafe_code)]

use rdkafka::ClientContext;
use rdkafka::bindings as rd;
use rdkafka::client::Client;
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

/// Gives a pointer back when it goes out of scope.
struct Owned<T> {
    pointer: *mut T,
    give_back: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// `None` for a null pointer.
    fn new(pointer: *mut T, give_back: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!pointer.is_null()).then_some(Self { pointer, give_back })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is not null, came from the library, and nobody else gives it back.
        unsafe { (self.give_back)(self.pointer) }
    }
}

/// The id of a topic, in base64 as Kafka's own tools write it.
///
/// # Errors
/// The brokers can't be asked, or do not know the topic; the text says which.
pub(super) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    wait_max: Duration,
) -> Result<String, String> {
    let name = CString::new(topic).map_err(|_| "a topic's name has no zero byte".to_owned())?;
    let mut names: [*const c_char; 1] = [name.as_ptr()];
    let wait_ms = i32::try_from(wait_max.as_millis()).unwrap_or(i32::MAX);
    let memory = || "librdkafka has no memory".to_owned();
    // SAFETY: the client lives longer than the call; `names` and `name` outlive the collection,
    // which copies them; each pointer is checked by `Owned::new` before it is used.
    let event = unsafe {
        let client = client.native_ptr();
        let queue = Owned::new(rd::rd_kafka_queue_new(client), rd::rd_kafka_queue_destroy);
        let queue = queue.ok_or_else(memory)?;
        let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let topics = Owned::new(topics, rd::rd_kafka_TopicCollection_destroy).ok_or_else(memory)?;
        let operation = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = rd::rd_kafka_AdminOptions_new(client, operation);
        let options = Owned::new(options, rd::rd_kafka_AdminOptions_destroy).ok_or_else(memory)?;
        rd::rd_kafka_AdminOptions_set_request_timeout(options.pointer, wait_ms, ptr::null_mut(), 0);
        rd::rd_kafka_DescribeTopics(client, topics.pointer, options.pointer, queue.pointer);
        // A little longer than the request may take, so that it is the request that says why.
        let event = rd::rd_kafka_queue_poll(queue.pointer, wait_ms.saturating_add(1_000));
        Owned::new(event, rd::rd_kafka_event_destroy)
    };
    let event = event.ok_or_else(|| format!("no answer within {wait_ms} ms"))?;
    described_id(&event)
}

fn described_id(event: &Owned<rd::rd_kafka_event_t>) -> Result<String, String> {
    // SAFETY: the event is not null and lives until the end of this function; what it lends lives
    // as long, and strings are copied before that.
    unsafe {
        if rd::rd_kafka_event_error(event.pointer)
            != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return Err(text(rd::rd_kafka_event_error_string(event.pointer)));
        }
        let result = rd::rd_kafka_event_DescribeTopics_result(event.pointer);
        if result.is_null() {
            return Err("an answer to another question".to_owned());
        }
        let mut count = 0;
        let descriptions = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if descriptions.is_null() || count != 1 {
            return Err(format!("{count} descriptions of one topic"));
        }
        let description = *descriptions;
        let error = rd::rd_kafka_TopicDescription_error(description);
        if rd::rd_kafka_error_code(error) != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(text(rd::rd_kafka_error_string(error)));
        }
        let id = rd::rd_kafka_TopicDescription_topic_id(description);
        if id.is_null() {
            return Err("the broker knows no topic ids (they came with Kafka 2.8)".to_owned());
        }
        Ok(text(rd::rd_kafka_Uuid_base64str(id)))
    }
}

/// Where a partition's log begins and ends, as the last fetch saw it. `None` before the first.
pub(super) fn seen_ends<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Option<(u64, u64)> {
    let topic = CString::new(topic).ok()?;
    let (mut start, mut end) = (-1, -1);
    // SAFETY: the client and the name outlive the call, which writes to the two numbers only.
    let error = unsafe {
        rd::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut start,
            &raw mut end,
        )
    };
    let known = error == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    known.then_some(())?;
    Some((u64::try_from(start).ok()?, u64::try_from(end).ok()?))
}

/// # Safety
/// `pointer` is null or leads to a text that ends with a zero byte.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
