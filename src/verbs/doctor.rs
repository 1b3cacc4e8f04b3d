//! `doctor`: what `serve` would be told about Kafka, tried out step by step against the brokers.
//!
//! It reads the same configuration, from the same places. Exit code 0 if all is well, 1 if anything
//! is wrong. What is *not* here: what is tried, and how (`topology`).

use super::{Ended, Error};
use crate::cli::Doctor;
use crate::config::{Config, Kafka};
use crate::process;
use std::io::Write as _;
use topology::kafka::doctor::{Plan, Step, examine};
use topology::kafka::sink::Routes;

pub(super) fn run(arguments: &Doctor) -> Result<Ended, Error> {
    let (config, _) = Config::load(arguments.config.clone(), Vec::new())?;
    let Some(kafka) = &config.kafka else {
        let why = "there is nothing to look at: kafka.brokers is empty; name brokers under [kafka]";
        return Err(Error::Usage(why.to_owned()));
    };
    process::log("error");
    let mut wrong = 0;
    let mut printed = Ok(());
    let well = examine(&plan(kafka), &mut |step| {
        wrong += usize::from(step.found.is_err());
        if printed.is_ok() {
            printed = print(step);
        }
    });
    printed?;
    if well {
        return Ok(Ended::Done);
    }
    let things = if wrong == 1 { "one thing is" } else { "several things are" };
    Err(Error::Failed(format!("{things} wrong with this Kafka configuration, see above")))
}

fn plan(kafka: &Kafka) -> Plan {
    let routes = Routes::new(&kafka.sink_topic, &kafka.routes);
    Plan {
        brokers: kafka.brokers.clone(),
        client: kafka.client.clone(),
        topics: kafka.topics.clone(),
        group: kafka.group.clone(),
        sink_topics: routes.topics().into_iter().map(str::to_owned).collect(),
        exactly_once: kafka.exactly_once,
    }
}

fn print(step: &Step) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match &step.found {
        Ok(found) => writeln!(out, "ok     {}: {found}", step.what),
        Err(wrong) => {
            writeln!(out, "wrong  {}: {}", step.what, wrong.why)?;
            writeln!(out, "       -> {}", wrong.advice)
        }
    }
}
