//! Post at work.

use super::{Premises, Running, Surroundings, store_reasons, store_sweep, swept};
use crate::failure::Failure;
use async_trait::async_trait;
use axum::Router;
use hufu_kernel::{Clock, offices};
use hufu_offices::ports::{self, Sms};
use hufu_offices::post::{self, Contact, Post};
use hufu_store::{Counts, Store};
use hufu_web::peers;
use hufu_web::reply::Edge;
use std::sync::Arc;

/// The office with what keeps it going.
pub struct RunningPost {
    /// The office.
    pub post: Arc<Post>,
    store: Store<offices::Post>,
    clock: Arc<dyn Clock>,
}

/// Opens the store of post and starts it.
///
/// # Errors
/// [`Failure`] naming the office.
pub async fn start(own: &Premises, around: &Surroundings, sms: Arc<dyn Sms>) -> Result<Arc<RunningPost>, Failure> {
    let store = own.store(&post::schema(own.folder.trust_root())).await?;
    let post = Post::new(
        Arc::clone(&around.trust),
        Arc::clone(&own.keys),
        store.clone(),
        sms,
        Arc::clone(&around.clock),
        Arc::clone(&around.rules),
    );
    Ok(Arc::new(RunningPost { post: Arc::new(post), store, clock: Arc::clone(&around.clock) }))
}

#[async_trait]
impl Running for RunningPost {
    fn name(&self) -> &'static str {
        "post"
    }

    fn public(&self, _: &Edge) -> Option<Router> {
        None
    }

    fn internal(&self, edge: &Edge) -> Router {
        let office = Arc::clone(&self.post) as Arc<dyn ports::Post>;
        peers::router(edge, &office, peers::post())
    }

    async fn sweep(&self) {
        swept("post", store_sweep(&self.store, self.clock.as_ref()).await);
    }

    async fn reasons(&self) -> Vec<String> {
        store_reasons::<Contact>(&self.store).await
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.store.counts())
    }
}
