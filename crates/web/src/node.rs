//! What a node answers to: the wallet alone, each message checked by the node itself.

use crate::reply::Edge;
use crate::routes::{Route, posts, router as of_table};
use axum::Router;
use hufu_offices::node::Node;
use hufu_wire::api::enrolment::{EnrolDevice, EnrolPassword};
use hufu_wire::api::holder::{BeginPass, FinishSigning, OpenHolder, ReadRow, SubmitReports, SubmitStatement};
use hufu_wire::api::requests::ReadRequests;
use hufu_wire::api::sign_in::{BeginSignIn, EvaluatePassword, FinishSignIn};
use std::sync::Arc;

const ROUTES: &[Route<Node>] = posts! { Node {
    "/v1/enrolments/device"   EnrolDevice      => enrol_device,      "a new device proves itself to its pending row";
    "/v1/enrolments/password" EnrolPassword    => enrol_password,    "the password's public half; the row is ready";
    "/v1/sign-in/password"    EvaluatePassword => evaluate_password, "one blinded password for one assertion";
    "/v1/sign-in/begin"       BeginSignIn      => begin_sign_in,     "round 1: evaluations with proofs, commitments";
    "/v1/sign-in/finish"      FinishSignIn     => finish_sign_in,    "round 2: this node's share of the signature";
    "/v1/statements"          SubmitStatement  => submit,            "a signed change to one's own row";
    "/v1/reports"             SubmitReports    => submit_reports,    "the other nodes' commitments after a change";
    "/v1/signing/finish"      FinishSigning    => finish_signing,    "round 2 for certificates and passes";
    "/v1/pass/begin"          BeginPass        => begin_pass,        "round 1 for the card's dynamic code";
    "/v1/holder"              OpenHolder       => open_holder,       "opens the holder key's quarter of an hour";
    "/v1/requests"            ReadRequests     => read_requests,     "what platforms ask of oneself just now";
    "/v1/row"                 ReadRow          => read_row,          "what this node holds about oneself";
} };

/// The table.
#[must_use]
pub fn routes() -> &'static [Route<Node>] {
    ROUTES
}

/// The table as a router.
pub fn router(edge: &Edge, node: &Arc<Node>) -> Router {
    of_table(edge, node, ROUTES)
}
