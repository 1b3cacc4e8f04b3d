//! `inspect`: an entity's view, the position it reflects and its history, as one JSON object.

use super::{Ended, Error};
use crate::cli::Inspect;
use crate::feed::http::{Server, percent_encoded};
use crate::process;
use actors::Address;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use topology::api::{HistoryItem, ReadError};
use topology::{AsOf, Freshness, Options};

/// The longest history the API gives in one page.
const PAGE_MAX: u32 = 100;
/// Much longer than a replay takes that has nothing else to do.
const WAIT_MAX: Duration = Duration::from_secs(600);

pub(super) fn run(arguments: &Inspect) -> Result<Ended, Error> {
    let shown = match &arguments.target.data {
        Some(data) => look(data, arguments)?,
        None => ask(&mut Server::at(arguments.target.url()), arguments)?,
    };
    let mut text = serde_json::to_string_pretty(&shown).expect("JSON values always serialize");
    text.push('\n');
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Ended::Done)
}

fn ask(server: &mut Server, arguments: &Inspect) -> Result<Value, Error> {
    let (kind, key) = &arguments.address;
    let path = format!("/api/v1/entities/{}/{}", percent_encoded(kind), percent_encoded(key));
    let as_of = arguments.until.map(|until| format!("as_of={until}&")).unwrap_or_default();
    let Some(entity) = server.get::<Value>(&format!("{path}?{as_of}"))? else {
        return Err(unknown(arguments, arguments.target.url()));
    };
    let mut history = Vec::new();
    let mut cursor = String::new();
    while history.len() < arguments.history as usize {
        let limit = (arguments.history - history.len() as u32).min(PAGE_MAX);
        let page = format!("{path}/history?{as_of}limit={limit}{cursor}");
        let Some(mut page) = server.get::<Value>(&page)? else { break };
        if let Value::Array(items) = page["data"].take() {
            history.extend(items);
        }
        let Some(next) = page["page"]["next"].as_str() else { break };
        cursor = format!("&cursor={}", percent_encoded(next));
    }
    Ok(json!({
        "address": format!("{kind}/{key}"),
        "position": entity["meta"]["position"],
        "view": entity["data"],
        "history": history,
    }))
}

/// Looks into a data directory that no server holds.
fn look(data: &Path, arguments: &Inspect) -> Result<Value, Error> {
    process::existing(data)?;
    let (kind, key) = &arguments.address;
    // Nothing is carried out while somebody only looks.
    let options = Options { sinks: false, ..Options::new(data) };
    process::with_engine(options, |engine, runtime| {
        let engine = engine.handle();
        let place = data.display().to_string();
        let kind_id = engine.kind(kind).ok_or_else(|| unknown(arguments, &place))?;
        let inside = |error: ReadError| Error::Failed(format!("reading {kind}/{key}: {error}"));
        let fresh = Freshness { at_least: Some(engine.durable_end()), wait_max: WAIT_MAX };
        let position = arguments.until.unwrap_or_else(|| engine.durable_end());
        let as_of = AsOf { position, wait_max: WAIT_MAX };
        let view = match arguments.until {
            Some(_) => runtime.block_on(engine.view_as_of(kind_id, key, as_of)),
            None => runtime.block_on(engine.view(kind_id, key, fresh)),
        };
        let view = view.map_err(inside)?;
        let Some(text) = view.value else { return Err(unknown(arguments, &place)) };
        let limit = arguments.history as usize;
        let address = Address::new(kind_id, key);
        let history = match arguments.until {
            Some(_) => runtime.block_on(engine.history_as_of(address, None, limit, as_of)),
            None => runtime.block_on(engine.history(address, None, limit, fresh)),
        };
        let history = history.map_err(inside)?.value.unwrap_or_default();
        let history: Vec<Value> = history.iter().map(shown).collect();
        Ok(json!({
            "address": format!("{kind}/{key}"),
            "position": view.position,
            "view": serde_json::from_slice::<Value>(&text).expect("views are JSON"),
            "history": history,
        }))
    })
}

/// A record of the history as the API shows it.
fn shown(item: &HistoryItem) -> Value {
    let mut shown = serde_json::to_value(item).expect("histories are JSON");
    shown["time"] = item.time.to_string().into();
    shown
}

fn unknown(arguments: &Inspect, place: &str) -> Error {
    let (kind, key) = &arguments.address;
    Error::Failed(format!("{kind}/{key} is not known to {place}: nothing was ever told to it"))
}
