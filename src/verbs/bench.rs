//! `bench`: runs a comparison as often as wanted, and shows the medians.
//!
//! What is measured here is the benches' own; the hidden verbs do what one of them needs another
//! process for, and print their figures for it.

use super::{Ended, Error};
use crate::cli::bench::{
    All, Bench, Client, Common, Count, Engine, Generate, Kafka, Load, Path, Rest, Restart,
};
use benches::helper::Helper;
use benches::{all, beside, client, cores, counts, engine, feed, journal, kafka};
use benches::{payments, reads, report, residents, rest, restart};
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write as _;

pub(super) fn run(which: &Bench) -> Result<Ended, Error> {
    match which {
        Bench::Engine(arguments) => run_engine(arguments),
        Bench::Payments(common) => {
            let helper = Helper::ourselves()?;
            let figures = repeat(common, || payments::run(common.data.as_deref(), &helper))?;
            show(common, "durable commands beside bare fdatasyncs", &figures)
        }
        Bench::Reads(common) => {
            let helper = Helper::ourselves()?;
            let figures = repeat(common, || reads::run(common.data.as_deref(), &helper))?;
            show(common, "reads of inboxes beside a bare route", &figures)
        }
        Bench::Beside(common) => {
            let helper = Helper::ourselves()?;
            let figures = repeat(common, || beside::run(common.data.as_deref(), &helper))?;
            show(common, "reads of inboxes beside intake", &figures)
        }
        Bench::Journal(common) => {
            let figures = repeat(common, || journal::run(common.data.as_deref()))?;
            show(common, "the journal beside bare writes and fdatasyncs", &figures)
        }
        Bench::Rest(arguments) => run_rest(arguments),
        Bench::All(arguments) => run_all(arguments),
        Bench::Count(Count { path, data }) => {
            counts::run(path_of(*path), data.as_deref())?;
            Ok(Ended::Done)
        }
        Bench::Restart(arguments) => {
            let (plan, helper) = (restart_plan(arguments), Helper::ourselves()?);
            let figures = repeat(&arguments.common, || restart::run(&plan, &helper))?;
            show(&arguments.common, "starting again after a kill -9", &figures)
        }
        Bench::Fill(arguments) => {
            let said = |filled| print(&filled).map(drop).map_err(|error| lost(&error));
            restart::fill(&restart_plan(arguments), said)?;
            Ok(Ended::Done)
        }
        Bench::Kafka(arguments) => run_kafka(arguments),
        Bench::Generate(Generate { events, users, out }) => {
            feed::generate(*events, *users, out)?;
            Ok(Ended::Done)
        }
        Bench::Client(arguments) => print(&client::run(&client_plan(arguments))?),
        Bench::Residents(common) => print(&residents::run(common.data.as_deref())?),
    }
}

fn run_engine(arguments: &Engine) -> Result<Ended, Error> {
    let common = &arguments.common;
    let plan = engine::Plan {
        events: arguments.events,
        users: arguments.users,
        workers: arguments.workers.map_or_else(cores, usize::from),
        partitions: arguments.partitions,
        data: common.data.clone(),
    };
    let resident_bytes =
        if arguments.no_residents { None } else { Some(measure_residents(common)?) };
    let once = || Ok(engine::Figures { resident_bytes, ..engine::run(&plan)? });
    let figures = repeat(common, once)?;
    show(common, &report::engine_title(&plan, common.runs as usize), &figures)
}

fn run_rest(Rest { events, users, common }: &Rest) -> Result<Ended, Error> {
    let (plan, helper) = (
        rest::Plan { events: *events, users: *users, data: common.data.clone() },
        Helper::ourselves()?,
    );
    let figures = repeat(common, || rest::run(&plan, &helper))?;
    show(common, "what entities at rest take", &figures)
}

fn run_all(arguments: &All) -> Result<Ended, Error> {
    let All { json, runs, huge, quick, data } = arguments.clone();
    all::run(&all::Plan { runs, huge, quick, data, json }, &Helper::ourselves()?)?;
    Ok(Ended::Done)
}

fn path_of(path: Path) -> counts::What {
    match path {
        Path::Nothing => counts::What::Nothing,
        Path::Decode => counts::What::Decode,
        Path::Fold => counts::What::Fold,
        Path::Journal => counts::What::Journal,
        Path::Row => counts::What::Row,
        Path::Engine => counts::What::Engine,
    }
}

fn restart_plan(arguments: &Restart) -> restart::Plan {
    let Restart { events, users, common } = arguments;
    restart::Plan { events: *events, users: *users, data: common.data.clone() }
}

fn lost(error: &Error) -> benches::Error {
    benches::Error::Helper(error.to_string())
}

fn run_kafka(arguments: &Kafka) -> Result<Ended, Error> {
    let common = &arguments.common;
    let plan = kafka::Plan {
        brokers: arguments.brokers.clone(),
        events: arguments.events,
        users: arguments.users,
        workers: arguments.workers.map_or_else(cores, usize::from),
        data: common.data.clone(),
    };
    let figures = repeat(common, || kafka::run(&plan))?;
    show(common, "the engine fed by Kafka beside a bare consumer", &figures)
}

/// A process that has held nothing else says best what a resident takes.
fn measure_residents(common: &Common) -> Result<f64, Error> {
    let mut arguments = Vec::from(["bench", "residents"].map(str::to_owned));
    if let Some(data) = &common.data {
        arguments.extend(["--data".to_owned(), data.display().to_string()]);
    }
    let figures: residents::Figures = Helper::ourselves()?.run(&arguments)?;
    Ok(figures.resident_bytes)
}

fn client_plan(arguments: &Client) -> client::Plan {
    let load = match arguments.load {
        Load::Payments => client::Load::Payments(arguments.name.clone()),
        Load::Inboxes => client::Load::Inboxes(arguments.users),
    };
    let Client { address, connections, requests, per_second, .. } = *arguments;
    client::Plan { address, connections, requests, per_second, load }
}

fn repeat<F: Serialize>(
    common: &Common,
    mut once: impl FnMut() -> Result<F, benches::Error>,
) -> Result<Map<String, Value>, Error> {
    let runs: Vec<F> = (0..common.runs).map(|_| once()).collect::<Result<_, _>>()?;
    Ok(report::medians(&runs))
}

fn show(common: &Common, title: &str, figures: &Map<String, Value>) -> Result<Ended, Error> {
    if common.json {
        return print(figures);
    }
    std::io::stdout().write_all(report::table(title, figures).as_bytes())?;
    Ok(Ended::Done)
}

fn print<F: Serialize>(figures: &F) -> Result<Ended, Error> {
    let text = serde_json::to_string(figures).expect("figures are finite numbers");
    writeln!(std::io::stdout(), "{text}")?;
    Ok(Ended::Done)
}
