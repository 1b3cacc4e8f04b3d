//! An engine with its door open, for the benches over HTTP.

use crate::{Error, cores, engine};
use actors::KINDS;
use state::disk::RealDisk;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use topology::{Engine, Options};
use web::{Door, Drained};

/// Any free port of this machine.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The engine and its door.
pub(crate) struct Served {
    pub(crate) engine: Engine,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    close: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
}

impl Served {
    /// Opens both, with the usual options and the mock gateway.
    pub(crate) async fn open(data: &Path) -> Result<Self, Error> {
        let disk = Arc::new(RealDisk);
        let options = Options { workers: cores(), ..Options::new(data) };
        let started = Engine::start(KINDS, options, disk, topology::sinks::answering).await;
        let engine = started.map_err(Error::engine)?;
        engine.caught_up().await;
        let door = Door::bind(web::Options::new(ANY), engine.handle()).await;
        let door = door.map_err(Error::engine)?;
        let (close, closed) = oneshot::channel::<()>();
        let address = door.address();
        let serving = tokio::spawn(door.serve(async {
            // A sender that is gone says the same.
            let _ = closed.await;
        }));
        Ok(Self { engine, address, close, serving })
    }

    /// Closes both.
    pub(crate) async fn close(self) -> Result<(), Error> {
        // A door that has closed by itself needs not be told.
        let _ = self.close.send(());
        self.serving.await.map_err(Error::engine)?;
        let Self { engine, .. } = self;
        engine::unless_fatal(&engine, async { engine.drain().await.map_err(Error::engine) }).await
    }
}
