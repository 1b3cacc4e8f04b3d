//! The whole effective configuration as a file: what every key means, takes and is by default, and
//! where its value comes from.
//!
//! Invariant: what is printed can be read back, and means the same.

use super::keys::KEYS;
use super::layers::{Layers, Place};
use std::fmt::Write as _;

/// The text of that file.
pub(super) fn effective(layers: &Layers) -> String {
    let mut text = String::from(
        "# The effective configuration: bellwether.toml, then BELLWETHER_* (two underscores\n\
         # between levels), then flags.\n",
    );
    let mut table = "";
    for key in KEYS {
        let (of, leaf) = key.name.split_once('.').unwrap_or(("", key.name));
        if of != table {
            table = of;
            push(&mut text, format_args!("\n[{table}]\n"));
        }
        let (value, place) = layers.get(key.name);
        push(&mut text, format_args!("\n# {}\n", key.meaning));
        let default = if key.default.is_empty() { "none" } else { key.default };
        push(&mut text, format_args!("# Takes {}. Default: {default}.\n", key.takes.describe()));
        if *place != Place::Default {
            push(&mut text, format_args!("# Set by {place}.\n"));
        }
        push(&mut text, format_args!("{leaf} = {value}\n"));
    }
    text
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a String never fails");
}
