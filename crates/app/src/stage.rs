//! What is served and stopped together.

use crate::offices::Running;
use axum::Router;
use hufu_web::health::{self, Probe};
use hufu_web::reply::Edge;
use hufu_web::serve::{Listening, Stop, Stopper, finished, serve};
use std::sync::Arc;
use tokio::task::JoinSet;

/// What stops together. Who asks stops before who is asked, so that a request under way still finds what it needs.
pub struct Stage {
    stopper: Stopper,
    stop: Stop,
    serving: JoinSet<()>,
}

impl Default for Stage {
    fn default() -> Self {
        let (stopper, stop) = Stopper::new();
        Self { stopper, stop, serving: JoinSet::new() }
    }
}

impl Stage {
    /// A stage with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `routes`, and whether they are ready.
    pub fn start(&mut self, listening: Listening, edge: &Edge, probe: Probe, routes: Router) {
        let routes = routes.merge(health::router(edge.office, probe));
        self.serving.spawn(serve(listening, finished(edge, routes), self.stop.clone()));
    }

    /// Serves what an office answers to the public.
    pub fn office(&mut self, listening: Listening, edge: &Edge, office: &dyn Running, probe: Probe) {
        self.start(listening, edge, probe, office.public(edge).unwrap_or_default());
    }

    /// Serves routes that are finished already.
    pub fn serve(&mut self, listening: Listening, app: Router) {
        self.serving.spawn(serve(listening, app, self.stop.clone()));
    }

    /// Does an office's own work beside its answers.
    pub fn works(&mut self, office: Arc<dyn Running>) {
        self.serving.spawn(office.work(self.stop.clone()));
    }

    /// Runs something that ends when it is told to.
    pub fn run<F: Future<Output = ()> + Send + 'static>(&mut self, task: impl FnOnce(Stop) -> F) {
        self.serving.spawn(task(self.stop.clone()));
    }

    /// Takes nothing new, and ends when what is under way has ended.
    pub async fn end(mut self) {
        self.stopper.stop();
        while self.serving.join_next().await.is_some() {}
    }
}
