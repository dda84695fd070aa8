//! The ports over HTTP. One table says it all: path, method of the trait, message, answer, who may ask. From it come the client,
//! which is the trait, and the server's routes, which call it.

use super::{Callers, Peer, PeerRoute};
use crate::routes::answered;
use async_trait::async_trait;
use hufu_kernel::{Bytes, EnrolmentId, Partial, Refusal};
use hufu_offices::ports::{Node, Post, Registry, SubjectHandles, Tagger, Uniqueness};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{
    Activate, Confirm, Confirmation, EvaluateTag, HolderReply, KeepContact, Reserve, SealedHolder, SendCode,
    StoreContact, StoreWrap, TagState,
};
use hufu_wire::api::handles::{AskPerson, AskStandings, Standings};
use hufu_wire::api::holder::Forget;
use hufu_wire::api::platform::{AdmittedPage, ListAdmitted};
use hufu_wire::api::recovery::{BeginRecovery, FindRow, Notify, RowFound, SealedRecovery};
use std::sync::Arc;

/// Rows: `"/path" method(Message) -> Answer, Callers, "what it does";`. The trait takes the message by reference.
macro_rules! ports {
    ($($(#[$doc:meta])* $client:ident for $port:ident, served by $table:ident {
        $($path:literal $method:ident($message:ty) -> $answer:ty, $callers:ident, $what:literal;)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $client(pub Arc<Peer>);

        #[async_trait]
        impl $port for $client {
            $(async fn $method(&self, message: &$message) -> Result<$answer, Refusal> {
                self.0.call($path, message).await
            })*
        }

        #[doc = concat!("The routes of [`", stringify!($port), "`].")]
        #[must_use]
        pub fn $table() -> &'static [PeerRoute<dyn $port>] {
            &[$(PeerRoute {
                path: $path,
                callers: Callers::$callers,
                what: $what,
                handler: |office, _, bytes| {
                    answered(&bytes, move |message: $message| async move { office.$method(&message).await })
                },
            },)*]
        }
    )*};
}

ports! {
    /// A tagger elsewhere.
    HttpTagger for Tagger, served by tagger {
        "/office/v1/tagger/evaluate" evaluate(Signed<EvaluateTag>) -> Partial, Registrar, "one partial evaluation of a tag";
    }

    /// Uniqueness elsewhere.
    HttpUniqueness for Uniqueness, served by uniqueness {
        "/office/v1/uniqueness/reserve"        reserve(Signed<Reserve>) -> TagState, Registrar, "a tag for one enrolment";
        "/office/v1/uniqueness/begin_recovery" begin_recovery(Signed<BeginRecovery>) -> Bytes, Registrar, "a known person's wrap";
        "/office/v1/uniqueness/store_wrap"     store_wrap(Signed<StoreWrap>) -> Bytes, Registrar, "the wrapped root";
        "/office/v1/uniqueness/confirm"        confirm(Signed<Confirm>) -> Signed<Confirmation>, Registrar, "the person exists";
        "/office/v1/uniqueness/confirmation"   confirmation(EnrolmentId) -> Option<Signed<Confirmation>>, RegistrarAndNodes, "whether an enrolment was confirmed";
        "/office/v1/uniqueness/forget"         forget(Signed<Forget>) -> (), Nodes, "a node's word that a person leaves";
    }

    /// A node elsewhere, as the registrar sees it.
    HttpNode for Node, served by node {
        "/office/v1/node/new_holder" new_holder(Signed<SealedHolder>) -> HolderReply, Registrar, "a pending row";
        "/office/v1/node/activate"   activate(Activate) -> (), Registrar, "the row turns active";
        "/office/v1/node/find_row"   find_row(Signed<FindRow>) -> RowFound, Registrar, "version and head of a known person's row";
        "/office/v1/node/recover"    recover(Signed<SealedRecovery>) -> (), Registrar, "a known person's new device";
    }

    /// A node elsewhere, as the front sees it.
    HttpSubjectHandles for SubjectHandles, served by subject_handles {
        "/office/v1/handles/standings" standings(AskStandings) -> Standings, Front, "where people stand whose platforms presented a handle";
        "/office/v1/handles/ask_person" ask_person(AskPerson) -> bool, Front, "a request of a platform to a person it knows";
    }

    /// Post elsewhere.
    HttpPost for Post, served by post {
        "/office/v1/post/send_code"     send_code(Signed<SendCode>) -> (), Registrar, "a code to a phone";
        "/office/v1/post/store_contact" store_contact(Signed<StoreContact>) -> (), Registrar, "a sealed phone";
        "/office/v1/post/keep_contact"  keep_contact(Signed<KeepContact>) -> (), Nodes, "the contact of a person who exists";
        "/office/v1/post/notify"        notify(Signed<Notify>) -> (), Nodes, "tells a person what happens to their row";
        "/office/v1/post/forget"        forget(Signed<Forget>) -> (), Nodes, "a node's word that a person leaves";
    }

    /// The registry elsewhere.
    HttpRegistry for Registry, served by registry {
        "/office/v1/registry/admitted" admitted(ListAdmitted) -> AdmittedPage, Front, "a page of the admitted platforms' certificates";
    }
}
