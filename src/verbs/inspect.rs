//! `inspect`: an entity's view, the position it reflects and its history, as one JSON object.

use super::{Ended, Error};
use crate::cli::Inspect;
use crate::feed::http::{Server, percent_encoded};
use serde_json::{Value, json};
use std::io::Write as _;

/// The longest history the API gives in one page.
const PAGE_MAX: u32 = 100;

pub(super) fn run(arguments: &Inspect) -> Result<Ended, Error> {
    if arguments.target.data.is_some() {
        return Err(Error::Failed("reading a data directory is not built in yet".into()));
    }
    let shown = ask(&mut Server::at(arguments.target.url()), arguments)?;
    let mut text = serde_json::to_string_pretty(&shown).expect("JSON values always serialize");
    text.push('\n');
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Ended::Done)
}

fn ask(server: &mut Server, arguments: &Inspect) -> Result<Value, Error> {
    let (kind, key) = &arguments.address;
    let path = format!("/api/v1/entities/{}/{}", percent_encoded(kind), percent_encoded(key));
    let Some(entity) = server.get::<Value>(&path)? else {
        return Err(Error::Failed(format!(
            "{kind}/{key} is not known to {}: nothing was ever told to it",
            arguments.target.url()
        )));
    };
    let mut history = Vec::new();
    let mut cursor = String::new();
    while history.len() < arguments.history as usize {
        let limit = (arguments.history - history.len() as u32).min(PAGE_MAX);
        let page = format!("{path}/history?limit={limit}{cursor}");
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
