//! The bare route that reads of the API are measured against: the same accept loop and the same
//! warp, and behind them nothing but bytes.

use crate::server::{Drained, Server};
use bytes::Bytes;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use warp::Filter;

/// Answers every request on `server` with these bytes, as JSON, until `shutdown`.
pub async fn serve(server: Server, bytes: Bytes, shutdown: impl Future<Output = ()>) -> Drained {
    let filter = warp::any().map(move || {
        let mut response = warp::reply::Response::new(bytes.clone().into());
        let json = warp::http::HeaderValue::from_static("application/json");
        response.headers_mut().insert("content-type", json);
        response
    });
    server.serve(TowerToHyperService::new(warp::service(filter)), shutdown).await
}
