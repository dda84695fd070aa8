//! What one office may ask of another, and of the world. Offices in one process are wired directly; apart, by mutually
//! authenticated HTTP.

use async_trait::async_trait;
use hufu_domain::eligibility::RegisterEntry;
use hufu_kernel::{Bytes, EnrolmentId, Lang, NodeIndex, Partial, Refusal};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{
    Activate, Confirm, Confirmation, EvaluateTag, HolderReply, KeepContact, Reserve, SealedHolder, SendCode,
    StoreContact, StoreWrap, TagState,
};
use hufu_wire::api::handles::{AskPerson, AskStandings, Standings};
use hufu_wire::api::holder::Forget;
use hufu_wire::api::peer::{
    AcceptanceReply, AskAcceptance, AskEntries, AskMoved, AskPromise, AskRows, AskStatements, AskSums, Entries, Level,
    Levelled, Moved, PromiseReply, Rows, Statements, Sums,
};
use hufu_wire::api::platform::{AdmittedPage, ListAdmitted};
use hufu_wire::api::recovery::{BeginRecovery, FindRow, Notify, RowFound, SealedRecovery};
use hufu_wire::documents::DocumentNumber;

/// What became of a security event token that was posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// The receiver has it.
    Taken,
    /// It never will (RFC 8935 section 2.3): nothing is gained by sending it again.
    Refused,
    /// It did not answer, or not as a receiver does: to be sent again later.
    Away,
}

/// The platforms' servers, as the front sees them.
#[async_trait]
pub trait BackChannel: Send + Sync {
    /// Posts a security event token to a registered address (RFC 8935 section 2), with the `Authorization` that its receiver asked for.
    async fn post_event(&self, uri: &str, authorization: Option<&str>, set: &str) -> Delivered;

    /// Posts a logout token to a registered address (OpenID Connect Back-Channel Logout 1.0 section 2.5). Returns at once; what cannot be
    /// delivered is lost.
    fn post_logout(&self, uri: &str, logout_token: String);
    /// Tells a platform that it may look for what became of its request, with the token it gave for that (OpenID Connect CIBA Core 1.0
    /// section 10.2). As above.
    fn post_ping(&self, uri: &str, token: String, auth_req_id: String);
}

/// A tagger, as the registrar sees it.
#[async_trait]
pub trait Tagger: Send + Sync {
    /// One partial evaluation, counted against the registrar's quota.
    async fn evaluate(&self, request: &Signed<EvaluateTag>) -> Result<Partial, Refusal>;
}

/// Uniqueness, as the registrar and the nodes see it.
#[async_trait]
pub trait Uniqueness: Send + Sync {
    /// Reserves a tag for an enrolment, or says what is known of it.
    async fn reserve(&self, request: &Signed<Reserve>) -> Result<TagState, Refusal>;
    /// Reserves a known person's tag for one recovery at a time, and gives the wrap.
    async fn begin_recovery(&self, request: &Signed<BeginRecovery>) -> Result<Bytes, Refusal>;
    /// Stores the wrapped root under a reserved tag; the first wrap of an enrolment stays.
    async fn store_wrap(&self, request: &Signed<StoreWrap>) -> Result<Bytes, Refusal>;
    /// Confirms an enrolment: from here on the person exists.
    async fn confirm(&self, request: &Signed<Confirm>) -> Result<Signed<Confirmation>, Refusal>;
    /// The confirmation of an enrolment, if it was given.
    async fn confirmation(&self, enrolment_id: &EnrolmentId) -> Result<Option<Signed<Confirmation>>, Refusal>;
    /// Deletes a person's wraps once two different nodes have said so.
    async fn forget(&self, word: &Signed<Forget>) -> Result<(), Refusal>;
}

/// A node, as the registrar sees it.
#[async_trait]
pub trait Node: Send + Sync {
    /// Makes a pending row.
    async fn new_holder(&self, request: &Signed<SealedHolder>) -> Result<HolderReply, Refusal>;
    /// Turns it active.
    async fn activate(&self, request: &Activate) -> Result<(), Refusal>;
    /// The version and head of a known person's row.
    async fn find_row(&self, request: &Signed<FindRow>) -> Result<RowFound, Refusal>;
    /// Registers a known person's new device, which waits; the person is told.
    async fn recover(&self, request: &Signed<SealedRecovery>) -> Result<(), Refusal>;
}

/// A node, as the other nodes see it (flows 6). `from` is the asking node: by its certificate, where they are apart.
#[async_trait]
pub trait NodePeer: Send + Sync {
    /// Accepts a statement for the next version of a row, or says what is in the way.
    async fn accept(&self, from: NodeIndex, ask: &AskAcceptance) -> Result<AcceptanceReply, Refusal>;
    /// Promises to take nothing below a ballot, and tells what it has accepted.
    async fn promise(&self, from: NodeIndex, ask: &AskPromise) -> Result<PromiseReply, Refusal>;
    /// Catches up with the asker where it is behind, and says where its row is.
    async fn level(&self, from: NodeIndex, ask: &Level) -> Result<Levelled, Refusal>;
    /// The statements after a version, with two nodes' words on each.
    async fn statements(&self, from: NodeIndex, ask: &AskStatements) -> Result<Statements, Refusal>;
    /// Sums over many rows.
    async fn sums(&self, from: NodeIndex, ask: &AskSums) -> Result<Sums, Refusal>;
    /// Where single rows stand.
    async fn entries(&self, from: NodeIndex, ask: &AskEntries) -> Result<Entries, Refusal>;
    /// Whole rows.
    async fn rows(&self, from: NodeIndex, ask: &AskRows) -> Result<Rows, Refusal>;
    /// How far the node's rows have moved to new K_A.
    async fn moved(&self, from: NodeIndex, ask: &AskMoved) -> Result<Moved, Refusal>;
}

/// A node, as the front sees it: where people stand whose platforms presented a subject handle (flows 9).
#[async_trait]
pub trait SubjectHandles: Send + Sync {
    /// Where each of them stands. Opened in memory; nothing of the question is stored.
    async fn standings(&self, ask: &AskStandings) -> Result<Standings, Refusal>;
    /// Asks the person of a half for a sign-in without a browser (decision 0029). `false`: the half does not open for this platform and
    /// this use, or its person cannot be asked.
    async fn ask_person(&self, ask: &AskPerson) -> Result<bool, Refusal>;
}

/// Post, as the registrar and the nodes see it.
#[async_trait]
pub trait Post: Send + Sync {
    /// Sends a code to a phone that has no contact record yet.
    async fn send_code(&self, request: &Signed<SendCode>) -> Result<(), Refusal>;
    /// Stores a sealed phone under a random reference.
    async fn store_contact(&self, request: &Signed<StoreContact>) -> Result<(), Refusal>;
    /// Keeps the contact of a person who exists.
    async fn keep_contact(&self, request: &Signed<KeepContact>) -> Result<(), Refusal>;
    /// Tells a person what happens to their row; a second node's word on the same event is not sent again.
    async fn notify(&self, request: &Signed<Notify>) -> Result<(), Refusal>;
    /// Deletes a person's contacts once two different nodes have said so.
    async fn forget(&self, word: &Signed<Forget>) -> Result<(), Refusal>;
}

/// The registry, as the front sees it.
#[async_trait]
pub trait Registry: Send + Sync {
    /// A page of the admitted platforms' certificates. Each is signed, so that whoever carries it cannot change it.
    async fn admitted(&self, list: &ListAdmitted) -> Result<AdmittedPage, Refusal>;
}

/// The register of statutory documents.
#[async_trait]
pub trait IdentitySource: Send + Sync {
    /// The entry whose number and name match exactly; `None` where none does.
    ///
    /// # Errors
    /// [`Refusal::RegisterDown`] if it does not answer in time.
    async fn look_up(&self, number: &DocumentNumber, name: &str) -> Result<Option<RegisterEntry>, Refusal>;
}

/// Whether the face before the camera is the document's.
#[async_trait]
pub trait FaceDecision: Send + Sync {
    /// Decides from the evidence; nothing of it is kept.
    async fn decide(&self, number: &DocumentNumber, evidence: &[u8]) -> Result<bool, Refusal>;
}

/// Carries short messages.
#[async_trait]
pub trait Sms: Send + Sync {
    /// Sends a template with its parameters to a canonical number.
    async fn send(&self, to: &str, template: &str, params: &[(&str, &str)], lang: Lang) -> Result<(), Refusal>;
}
