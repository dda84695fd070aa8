//! Who may ask an office what: the tables of the ports, and the one path that every request between offices takes.

use super::{PeerOffice, Shares};
use crate::reply::{Edge, is_json, limited_body};
use crate::routes::Answer;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::routing::any;
use hufu_kernel::Refusal;
use std::sync::Arc;

/// The longest request between offices.
pub const MAX_REQUEST: usize = 256 * 1024;

/// Questions of one office that one route answers at once; more of that office wait, and nobody else does. By route, so that who is
/// asked while it asks in turn never waits for itself.
const AT_ONCE: usize = 16;

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Callers {
    /// The registrar.
    Registrar,
    /// The three nodes.
    Nodes,
    /// The registrar and the three nodes.
    RegistrarAndNodes,
    /// The front.
    Front,
    /// Every office of the roster.
    Every,
}

impl Callers {
    /// Whether `office` is among them.
    #[must_use]
    pub fn include(self, office: &PeerOffice) -> bool {
        let (registrar, node) = (office.name() == "registrar", office.node().is_some());
        match self {
            Self::Registrar => registrar,
            Self::Nodes => node,
            Self::RegistrarAndNodes => registrar || node,
            Self::Front => office.name() == "front",
            Self::Every => true,
        }
    }
}

/// One row of a port's table: a POST with a JSON message, answered with JSON.
pub struct PeerRoute<O: ?Sized> {
    /// The path: `/office/v1/<port>/<method>`.
    pub path: &'static str,
    /// Who may ask.
    pub callers: Callers,
    /// What it does, for the reader.
    pub what: &'static str,
    /// Parses the message and calls the office, in the name of the asking one.
    pub handler: fn(Arc<O>, PeerOffice, Vec<u8>) -> Answer,
}

impl<O: ?Sized> std::fmt::Debug for PeerRoute<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?}): {}", self.path, self.callers, self.what)
    }
}

/// The routes of one port as a router. It answers only requests that carry a [`PeerOffice`] which the row admits, and a few of each
/// office at once.
pub fn router<O: Send + Sync + ?Sized + 'static>(
    edge: &Edge,
    office: &Arc<O>,
    routes: &'static [PeerRoute<O>],
) -> Router {
    routes.iter().fold(Router::new(), |router, route| {
        let (edge, office, shares) = (edge.clone(), Arc::clone(office), Shares::of(AT_ONCE));
        let handle = move |request: Request<Body>| {
            let (edge, office, shares) = (edge.clone(), Arc::clone(&office), Arc::clone(&shares));
            async move {
                match answer(&edge, office, (route, &shares), request).await {
                    Ok(response) => response,
                    Err(refusal) => edge.refused(refusal),
                }
            }
        };
        router.route(route.path, any(handle))
    })
}

async fn answer<O: ?Sized>(
    edge: &Edge,
    office: Arc<O>,
    (route, shares): (&PeerRoute<O>, &Shares),
    mut request: Request<Body>,
) -> Result<axum::http::Response<Body>, Refusal> {
    let caller = request.extensions_mut().remove::<PeerOffice>();
    let Some(caller) = caller.filter(|caller| route.callers.include(caller)) else {
        tracing::warn!(office = edge.office, route = route.path, "asked by an office that may not");
        return Err(Refusal::OfficeRefused);
    };
    if request.method() != Method::POST {
        return Err(Refusal::NotFound);
    }
    if !is_json(request.headers()) {
        return Err(Refusal::Malformed);
    }
    // Before the body is read: neither memory nor the store is taken up by more.
    let _place = shares.wait(&caller).await;
    let bytes = limited_body(request, MAX_REQUEST).await?;
    (route.handler)(office, caller, bytes).await
}
