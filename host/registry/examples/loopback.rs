//! A registry in memory on a loopback port, to try clients against by hand: `u` and `p` as user and password, plain HTTP.

#[path = "../tests/common/mod.rs"]
mod common;

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let host = common::Host::new();
    axum::serve(listener, host.registry.router()).await.unwrap();
}
