//! The sandbox's servers, asked over HTTP.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]

mod phones;
mod register;

/// Serves `router` on a free port of the loopback interface for the rest of the test; returns its address.
async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}
