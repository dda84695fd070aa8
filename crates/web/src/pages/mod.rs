//! What the wallet's origin serves. Its pages join this table as they are written.

use crate::health;
use axum::Router;
use hufu_wire::api::trust::Trust;

/// The wallet's origin: the trust root's public half, which the wallet pins.
pub fn router(trust: &Trust) -> Router {
    health::public_document(health::TRUST_PATH, trust)
}
