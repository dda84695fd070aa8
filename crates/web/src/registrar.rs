//! What the registrar answers to: the wallet, step by step (flows 5).

use crate::reply::Edge;
use crate::routes::{Route, posts, router as of_table};
use axum::Router;
use hufu_offices::registrar::Registrar;
use hufu_wire::api::enrolment::{CodeStep, ConfirmStep, DeviceStep, FaceStep, PhoneStep, StartEnrolment, Ticket};
use hufu_wire::api::recovery::RecoverStep;
use std::sync::Arc;

const ROUTES: &[Route<Registrar>] = posts! { Registrar {
    "/v1/enrol/start"   StartEnrolment => start,      "document, name, notice";
    "/v1/enrol/face"    FaceStep       => face,       "the face step's evidence";
    "/v1/enrol/phone"   PhoneStep      => phone,      "a code goes to the phone";
    "/v1/enrol/code"    CodeStep       => check_code, "the code; from here on the person may be told";
    "/v1/enrol/device"  DeviceStep     => device,     "the new device; the root goes to the nodes";
    "/v1/enrol/confirm" ConfirmStep    => confirm,    "two nodes are ready: the person exists";
    "/v1/enrol/recover" RecoverStep    => recover,    "a known person's new device, which waits";
    "/v1/enrol/status"  Ticket         => status,     "where an enrolment stands";
} };

/// The table.
#[must_use]
pub fn routes() -> &'static [Route<Registrar>] {
    ROUTES
}

/// The table as a router.
pub fn router(edge: &Edge, registrar: &Arc<Registrar>) -> Router {
    of_table(edge, registrar, ROUTES)
}
